"""URLs of receivers: reading them, and showing them without their secrets."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gaffer.api import CONTROL_CHARACTER, HIDDEN

PORTS = {"http": 80, "https": 443}

#: Characters that a part of a path has at least when it is taken for a token.
_TOKEN = 16

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+")
#: What may stand in a path and in a query as it is; anything else is written as %XX.
_IN_PATH = "/%:@!$&'()*+,;=~"
_IN_QUERY = _IN_PATH + "?"


@dataclass(frozen=True, repr=False)
class Target:
    """Destination of deliveries.

    :param url: the whole URL in one spelling, with its credentials; two that are equal are one receiver.
    :param shown: the same without credentials, the values of its query and what looks like a token in its path.
    :param path: what the request line says: the path with the query.
    :param authorization: the header that stands for credentials in the URL.
    """

    url: str
    shown: str
    scheme: str
    host: str
    port: int
    path: str
    authorization: str | None

    def __repr__(self) -> str:
        return f"Target({self.shown})"


def parse_url(text: str) -> Target:
    """Read ``http://[user:password@]host[:port][/path][?query]`` or https.

    Spaces and letters outside ASCII are taken as browsers take them.

    :raises ValueError: a sentence that shows no credentials.
    """
    text = text.strip()
    if CONTROL_CHARACTER.search(text):
        raise ValueError("a URL cannot hold control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = _host(parts.hostname or "")
    except ValueError:
        raise ValueError(f"'{redact(text)}' cannot be read as a URL") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"'{redact(text)}' does not begin with http:// or https:// (a comma in a URL is written %2C)")
    if not host or port == 0:
        raise ValueError(f"'{redact(text)}' names no host" if not host else f"'{redact(text)}' has no usable port")
    path = quote(parts.path or "/", safe=_IN_PATH)
    query = quote(parts.query, safe=_IN_QUERY)
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port and port != PORTS[parts.scheme] else "")
    user = parts.netloc.rpartition("@")[0]
    return Target(
        url=f"{parts.scheme}://{user}@{place}{path}?{query}",
        shown=f"{parts.scheme}://{HIDDEN + '@' if user else ''}{place}{_shown_path(path)}{_shown_query(query)}",
        scheme=parts.scheme,
        host=host,
        port=port or PORTS[parts.scheme],
        path=path + (f"?{query}" if query else ""),
        authorization=_basic(user) if user else None,
    )


def _host(name: str) -> str:
    """Return a host name as DNS knows it; raises ValueError."""
    if ":" not in name:
        name = name.encode("idna").decode("ascii")
    if name and not _HOST.fullmatch(name):
        raise ValueError("no host name")
    return name


def _basic(userinfo: str) -> str:
    user, _, password = userinfo.partition(":")
    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")


def _shown_path(path: str) -> str:
    """Return a path without tokens: those of chats are long parts of it, with digits among their letters."""
    return "/".join(HIDDEN if _is_token(unquote(part)) else part for part in path.split("/"))


def _is_token(part: str) -> bool:
    return len(part) >= _TOKEN and any(letter.isdigit() for letter in part)


def _shown_query(query: str) -> str:
    """Return a query with its names only: tokens are often written there."""
    if not query:
        return ""
    names = [name for name, value in parse_qsl(query, keep_blank_values=True) if value]
    return "?" + ("&".join(f"{quote(name)}={HIDDEN}" for name in names) or HIDDEN)


def redact(text: str) -> str:
    """Return a text that may be a URL without what could be a secret; rather too much is hidden than too little."""
    text = re.sub(r"//.*@", f"//{HIDDEN}@", text)
    text = re.sub(r"\?.*", f"?{HIDDEN}", text)
    return CONTROL_CHARACTER.sub(" ", text)[:200]
