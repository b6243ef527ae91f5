"""The head of a request, parsed strictly: whatever two servers could read differently is refused.

pywsgi's own parser goes through the mail package, accepts doubled lengths and answers some malformed heads with a
traceback on stderr. This one is a pure function, and it is also what makes the server fast.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

MAX_HEAD_LINE = 8190
MAX_HEAD = 32 * 1024
MAX_HEADERS = 100

_REQUEST_LINE = re.compile(r"([A-Z][A-Z-]{0,31}) ([!-~\x80-\xff]+) HTTP/1\.([0-9])\Z")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_SLASH = re.compile(r"(%2[Ff])")
_ABSOLUTE = re.compile(r"https?://([^/?#@]+)((?:[/?#].*)?)\Z", re.IGNORECASE)
#: Saying one of these twice can only be meant to confuse.
_SINGLE = frozenset(("CONTENT_LENGTH", "HTTP_HOST", "HTTP_TRANSFER_ENCODING", "HTTP_ORIGIN", "CONTENT_TYPE"))


class HeadError(ValueError):
    """A head that is not understood; the sentence goes to the client.

    :param status: of the answer.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Head(NamedTuple):
    """A parsed head; ``environ`` holds what WSGI wants to know of it."""

    method: str
    target: str
    version: str
    environ: dict[str, str]

    @property
    def keep_alive(self) -> bool:
        """True if the connection stays open for more requests."""
        if "HTTP_CONNECTION" not in self.environ:
            return self.version != "HTTP/1.0"
        options = self._connection
        return "close" not in options and (self.version != "HTTP/1.0" or "keep-alive" in options)

    @property
    def upgrade(self) -> bool:
        """True if the client asks for another protocol: a websocket.

        Beside a body that is ignored (RFC 9110 §7.8): what comes after the head would be both body and frames.
        """
        if "HTTP_UPGRADE" not in self.environ:
            return False
        if self.environ.get("CONTENT_LENGTH", "0").strip("0") or "HTTP_TRANSFER_ENCODING" in self.environ:
            return False
        return "upgrade" in self._connection

    @property
    def _connection(self) -> list[str]:
        return [option.strip(" \t") for option in self.environ.get("HTTP_CONNECTION", "").lower().split(",")]


def parse_head(raw: bytes) -> Head:
    """Parse everything up to and including the empty line.

    :raises HeadError: it is malformed or ambiguous.
    """
    text = raw.decode("latin-1").strip("\r\n")
    lines = text.split("\r\n") if "\r\n" in text else text.split("\n")
    found = _REQUEST_LINE.match(lines[0])
    if found is None:
        raise HeadError("the request line must be METHOD URL HTTP/1.1")
    method, target, minor = found.groups()
    environ = _headers(lines[1:])
    version = "HTTP/1.0" if minor == "0" else "HTTP/1.1"
    _check_length(environ, version)
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        target = _absolute(target, environ)
    if version == "HTTP/1.1" and "HTTP_HOST" not in environ:
        raise HeadError("HTTP/1.1 needs a Host header")
    path, _, query = target.partition("?")
    environ["PATH_INFO"] = _decoded(path) if "%" in path else path
    environ["QUERY_STRING"] = query
    environ["REQUEST_METHOD"] = method
    environ["SERVER_PROTOCOL"] = version
    return Head(method, target, version, environ)


def _decoded(path: str) -> str:
    """Return *path* with its escapes replaced, but for ``%2F``: that is a character of a name, and separates none."""
    return "".join(part if part in ("%2F", "%2f") else unquote(part, "latin-1") for part in _SLASH.split(path))


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise HeadError(f"more than {MAX_HEADERS} headers", 431)
    environ: dict[str, str] = {}
    for line in lines:
        found = _HEADER.match(line)
        if found is None:
            raise HeadError("a header must be NAME: VALUE on one line")
        name, value = found.groups()
        if "_" in name:
            # X_Api_Key and X-Api-Key would become one variable.
            continue
        key = _variable(name)
        value = value.rstrip(" \t")
        if key in environ:
            value = _join(key, environ[key], value)
        environ[key] = value
    return environ


@lru_cache(maxsize=256)  # clients send the same few names again and again
def _variable(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def _join(key: str, first: str, second: str) -> str:
    if key in _SINGLE:
        raise HeadError(f"{key.removeprefix('HTTP_').replace('_', '-').title()} is given twice")
    return f"{first}; {second}" if key == "HTTP_COOKIE" else f"{first},{second}"


def _check_length(environ: dict[str, str], version: str) -> None:
    """Refuse bodies whose end two readers could see at different places."""
    length, coding = environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise HeadError("Content-Length must be a number")
    if coding is None:
        return
    if coding.lower() != "chunked":
        raise HeadError("the only Transfer-Encoding understood is chunked")
    if length is not None or version == "HTTP/1.0":
        raise HeadError("Transfer-Encoding goes neither with Content-Length nor with HTTP/1.0")


def _absolute(target: str, environ: dict[str, str]) -> str:
    """Return the path of ``http://host/path``, as proxies send it; its host counts, not the header's."""
    found = _ABSOLUTE.match(target)
    if found is None:
        raise HeadError("the URL must begin with /")
    environ["HTTP_HOST"], rest = found.groups()
    return rest if rest.startswith("/") else "/" + rest
