"""The errors of the HTTP API: kinds, their meaning and an example of each."""

from __future__ import annotations

from ... import errors

#: Kinds of errors, each with its meaning and an example of its sentence.
ERRORS: tuple[tuple[type[errors.GafferError], str, str], ...] = (
    (errors.BadRequest, "the request is malformed", "the key 'scale' is missing"),
    (errors.Unauthorized, "a key is needed", "a key is needed; send it as X-Api-Key"),
    (
        errors.Forbidden,
        "no permission, or another web origin",
        "pages of 'https://example.org' must not use this gafferd",
    ),
    (errors.NotFound, "there is none of that name", "no job 'web'; 'gafferctl processes' lists them"),
    (errors.MethodNotAllowed, "another method is needed; `Allow` lists them", "PUT is not possible at /ping"),
    (errors.Conflict, "it does not fit what is there, or a plugin refused", "job web exists already; update it"),
    (errors.TooLarge, "the body is too long", "the body is longer than 1048576 bytes"),
    (errors.UriTooLong, "the URL is too long", "the request line is longer than 8190 bytes"),
    (errors.UnsupportedMediaType, "the body is not declared as JSON", "the body must be application/json"),
    (errors.Misdirected, "the Host header names another machine", "this gafferd does not answer to that name"),
    (errors.InvalidConfig, "the job's settings cannot be used", "cmd: required; unknown setting 'numproceses'"),
    (
        errors.TooManyRequests,
        "too many attempts; `Retry-After` tells when to try again",
        "too many wrong passwords; try again in 8 s",
    ),
    (errors.HeadersTooLarge, "a header is too long, or there are too many", "more than 100 headers"),
    (errors.Unavailable, "not now", "no plugin collects statistics; load the plugin 'stats'"),
)
ERROR_KINDS = {kind.status: kind for kind, _, _ in ERRORS}
#: The word for programs by status.
ERROR_CODES = {status: kind.code for status, kind in ERROR_KINDS.items()}
