"""The request object of handlers, and bounded, checked reading of its body.

``bottle.request`` is one object for a whole thread, so greenlets of a program
that is not monkey-patched would read each other's requests. A
:class:`Request` belongs to its WSGI environment only.
"""

from __future__ import annotations

import io
import json
import time
from typing import Any, Iterable

import bottle

from ...commands.identity import NODE, Identity, Resource
from ...errors import BadRequest, TooLarge, UnsupportedMediaType, nearest
from .authentication import ACCESS, IDENTITY, NOTED, check_still, identify

#: Bytes of a request's body that are accepted unless the application says otherwise.
MAX_BODY = 1 << 20
#: Values inside values that a body may have: nothing needs more than a few, and what shows or walks them recurses.
MAX_DEPTH = 32
#: Values that JSON may hold: a megabyte of tiny ones takes most of a second, and the C code that parses it can neither
#: be interrupted nor run beside anything else (it keeps the interpreter's lock).
MAX_VALUES = 50_000
#: Bytes of a body, or of a message, that are accepted from a client that has not shown who it is.
MAX_UNAUTHENTICATED_BYTES = 8192
#: Where in a WSGI environment is how long a body may be, and how long one may be of those who are known.
_LIMIT, _WHOLE = "gaffer.max_body", "gaffer.known_max_body"
_BODY = "gaffer.body"
_TOO_DEEP = f"the body is nested more than {MAX_DEPTH} levels deep"
_UNSET = object()


class Request(bottle.BaseRequest):  # type: ignore[misc]
    """A request: bottle's, with bodies that are bounded and checked.

    ``environ``, ``method``, ``path``, ``query``, ``headers`` and the rest are as in bottle.
    """

    @property
    def identity(self) -> Identity | None:
        """Identity of the client; None where the route is open to everybody, so that none was resolved."""
        identity: Identity | None = self.environ.get(IDENTITY)
        return identity

    def identify(self) -> Identity | None:
        """Identify the caller at a route that is open to all; None where no plugin decides.

        :raises Unauthorized: an identity is required, and there is none.
        """
        return identify(self.environ)

    def may(self, permission: str, resource: Resource = NODE) -> bool:
        """Tell whether the caller has *permission* for *resource*."""
        access = self.environ.get(ACCESS)
        return access is None or access.permits(self.identity, permission, resource)

    def check(self, permission: str, resource: Resource = NODE) -> None:
        """Refuse a caller without *permission* for *resource*.

        :raises Forbidden, Unauthorized: they have none.
        """
        access = self.environ.get(ACCESS)
        if access is not None:
            access.check(self.identity, permission, resource)

    def note(self, **said: Any) -> None:
        """Say more of what is asked, for those who write it down (``gaffer_command_run``); its JSON is there anyway."""
        self.environ.setdefault(NOTED, {}).update(said)

    def check_still(self) -> None:
        """Refuse to go on, after a wait, for a caller whose key was deleted or has expired meanwhile.

        Whatever reads the body does that by itself, and so does :meth:`check`.

        :raises Unauthorized: that is so.
        """
        check_still(self.environ)

    def take_time(self) -> None:
        """Let the answer take as long as it likes, where ``http_request_timeout`` would end it."""
        connection = self.environ.get("gaffer.connection")
        if connection is not None:
            connection.take_time()

    def accept_whole_body(self) -> None:
        """Accept a body as long as those of clients that are known: this one showed who it is by other means."""
        if _WHOLE in self.environ:
            self.environ[_LIMIT] = self.environ[_WHOLE]

    def read(self) -> bytes:
        """Return the whole body, at most ``gaffer.max_body`` bytes.

        :raises TooLarge: it is longer.
        :raises BadRequest: the client left before the end, or sent it malformed.
        :raises Unauthorized: the caller's credentials are no longer valid now that it has come.
        """
        return read_body(self.environ)

    @property
    def body(self) -> io.BytesIO:
        """The body as a file, read once by :meth:`read`; bottle makes ``forms``, ``files`` and ``POST`` of it."""
        file: io.BytesIO | None = self.environ.get(_BODY)
        if file is None:
            file = self.environ[_BODY] = io.BytesIO(self.read())
        file.seek(0)
        return file

    @property
    def json(self) -> Any:
        """The body as JSON; read once.

        :raises BadRequest: it is empty, not UTF-8 or not JSON.
        """
        value = self.environ.get("gaffer.json", _UNSET)
        if value is _UNSET:
            value = self.environ["gaffer.json"] = parse_json(self.read())
        return value

    def fields(self, required: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, Any]:
        """Return the body as an object that has the *required* keys and no others than the *optional* ones.

        With nothing required, an empty body is an empty object.

        :raises BadRequest: naming the key.
        """
        required, known = tuple(required), (*required, *optional)
        if not required and not has_body(self.environ):
            return {}
        value = self.json
        if not isinstance(value, dict):
            raise BadRequest(f"expected a JSON object with {', '.join(known)}, not {kind_of(value)}")
        for key in value:
            if key not in known:
                raise BadRequest(f"unknown key '{key[:100]}'{nearest(key, known)}")
        for key in required:
            if key not in value:
                raise BadRequest(f"the key '{key}' is missing")
        return value


def limit_body(environ: dict[str, Any]) -> None:
    """Accept only a short body: the sender is not identified yet."""
    environ[_WHOLE] = environ[_LIMIT]
    environ[_LIMIT] = min(environ[_LIMIT], MAX_UNAUTHENTICATED_BYTES)


def kind_of(value: Any) -> str:
    """Return the JSON name of the kind of *value*, for sentences."""
    names = {bool: "a boolean", dict: "an object", list: "an array", str: "a string", type(None): "null"}
    return names.get(type(value), "a number")


def has_body(environ: dict[str, Any]) -> bool:
    """Tell whether the request announces a body."""
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or bool(environ.get("HTTP_TRANSFER_ENCODING"))


def read_body(environ: dict[str, Any]) -> bytes:
    """Return the body of a request; see :meth:`Request.read`."""
    limit = environ.get("gaffer.max_body", MAX_BODY)
    too_large = TooLarge(f"the body is longer than {limit} bytes")
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal():
        raise BadRequest(f"Content-Length {length!r} is not a number")
    if int(length) > limit:
        raise too_large
    if not has_body(environ):
        return b""
    chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
    began = time.monotonic()
    try:
        body: bytes = environ["wsgi.input"].read(limit + 1 if chunked else int(length))
    except OSError as error:
        raise BadRequest(f"the body cannot be read: {error}") from error
    if len(body) > limit:
        raise too_large
    if len(body) < int(length) and not chunked:
        raise BadRequest(f"the body ended after {len(body)} of {length} bytes")
    check_still(environ, time.monotonic() - began)
    return body


def parse_json(body: bytes) -> Any:
    """Return the value that *body* says.

    :raises BadRequest: it is empty, not UTF-8, not JSON, too deep, or holds half characters or too many values.
    """
    if not body.strip():
        raise BadRequest("the body is empty, but JSON is needed here")
    try:
        text = body.decode("utf-8")
        if has_too_many_values(text):
            raise BadRequest(f"{_TOO_DEEP}, or holds more than {MAX_VALUES} values")
        value = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:
            # \ud800 alone is JSON, but no text: nothing could be started with it or shown.
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise BadRequest("the body is not UTF-8 text") from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if is_too_deep(text, value):
        raise BadRequest(_TOO_DEEP)
    return value


def has_too_many_values(text: str | bytes) -> bool:
    """Tell whether *text*, if it is JSON, holds more than :data:`MAX_VALUES` values; it takes a few milliseconds."""
    if len(text) <= MAX_VALUES:
        return False
    if isinstance(text, bytes):
        text = text.decode("latin-1")  # what is counted is ASCII
    if _count_values(text) <= MAX_VALUES:
        return False
    # Commas may stand in texts, too. Without escapes, every other piece between quotation marks is outside of them.
    pieces = text.replace("\\\\", "").replace('\\"', "").split('"')
    return _count_values(" ".join(pieces[::2])) > MAX_VALUES


def _count_values(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def is_too_deep(text: str | bytes, value: Any) -> bool:
    """Tell whether *value*, which *text* says in JSON, is nested deeper than :data:`MAX_DEPTH`."""
    brackets = text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")
    return brackets > MAX_DEPTH and _is_deep(value)


def _is_deep(value: Any) -> bool:
    """Tell whether *value* is nested deeper than :data:`MAX_DEPTH`, without going deep oneself."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, (list, dict))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def check_content_type(environ: dict[str, Any]) -> None:
    """Refuse a body that is not declared as JSON.

    A browser sends other types across origins without asking; ``application/json`` it never does.

    :raises UnsupportedMediaType: with the ``-H`` that curl needs.
    """
    if not has_body(environ):
        return
    kind = environ.get("CONTENT_TYPE", "")
    if kind.split(";", 1)[0].strip().lower() != "application/json":
        said = f"not {kind[:80]!r}" if kind else "and the request has no Content-Type"
        raise UnsupportedMediaType(
            f"the body must be application/json, {said}; with curl add -H 'Content-Type: application/json'"
        )
