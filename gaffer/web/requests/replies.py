"""Answers as WSGI wants them: a status line, headers and a body. Every error is JSON."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Iterable, NamedTuple

from ...errors import GafferError, MethodNotAllowed
from .error_table import ERROR_CODES, ERROR_KINDS

StartResponse = Any
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
#: What every answer carries: the API's answers change all the time, and none is ever a page or a script.
COMMON_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
#: Sentences repeat what was sent, and that may be a megabyte.
_MAX_REASON_CHARACTERS = 4000
#: The media type of answers that are plain text.
TEXT_MEDIA = "text/plain; charset=utf-8"
INTERNAL_ERROR = "internal error; the server's log says more"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_CODES = {GafferError.status: GafferError.code, **ERROR_CODES}


class Reply(NamedTuple):
    """Status line, headers and body of an answer."""

    status: str
    headers: list[tuple[str, str]]
    body: Iterable[bytes]

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        """Begin the answer and return its body; the head of one whose body is *prompt* does not wait for it."""
        write = start_response(self.status, self.headers)
        if getattr(self.body, "prompt", False):
            try:
                write(b"")
            except BaseException:
                self.body.close()  # type: ignore[attr-defined]
                raise
        return self.body


def status_line(status: int) -> str:
    """Return ``200 OK`` for 200."""
    return STATUS_LINES.get(status) or f"{status} Unknown"


def reply(body: bytes, content_type: str, status: str = "200 OK", extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return *body* as a whole answer; what *extra* says counts before what every answer carries."""
    extra = tuple(extra)
    said = {name for name, _ in extra}
    common = [header for header in COMMON_HEADERS if header[0] not in said] if said else COMMON_HEADERS
    return Reply(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *common, *extra], (body,))


def empty(status: str = "204 No Content", extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return an answer without a body."""
    length = () if status.startswith("204") else (("Content-Length", "0"),)
    return Reply(status, [*length, *COMMON_HEADERS, *extra], ())


def encode_json(data: Any) -> bytes:
    """Return *data* as UTF-8 JSON.

    Half characters, which file names may smuggle in, are escaped.

    :raises ValueError, TypeError: JSON has no way to say it.
    """
    text = _encode(data)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(data, allow_nan=False).encode()


def json_reply(data: Any, status: str = "200 OK", extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return *data* as JSON."""
    return reply(encode_json(data), "application/json", status, extra)


def problem(status: int, reason: str, code: str = "", extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return the JSON of an error: ``{"error", "reason", "errno"}``."""
    if len(reason) > _MAX_REASON_CHARACTERS:
        reason = f"{reason[:_MAX_REASON_CHARACTERS]}…"
    return json_reply({"error": code or code_of(status), "reason": reason, "errno": status}, status_line(status), extra)


def code_of(status: int) -> str:
    """Return the word for programs that an error of *status* has."""
    return _CODES.get(status) or STATUS_LINES.get(status, "error ").split(" ", 1)[1].lower().replace(" ", "_")


def error_of(status: int, reason: str) -> GafferError:
    """Return the error that an answer says, of the class that has its status."""
    error = ERROR_KINDS.get(status, GafferError)(reason)
    error.status, error.code = status, code_of(status)
    return error


def error_reply(error: GafferError) -> Reply:
    """Return what a client sees of *error*: its code, its sentence and its status."""
    allow = [("Allow", ", ".join(error.allow))] if isinstance(error, MethodNotAllowed) else []
    return problem(error.status, str(error), error.code, [*allow, *getattr(error, "headers", ())])
