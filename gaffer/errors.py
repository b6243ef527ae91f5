"""Every error that gaffer raises on purpose.

An error is one sentence for the person who has to act on it: what went wrong,
where, and what to do. ``code`` and ``status`` are what HTTP answers
(docs/http-api.rst); the sentence travels unchanged to gafferctl and to logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable


class GafferError(Exception):
    """Base of all errors; ``str(error)`` is the sentence shown to users."""

    code = "error"
    status = 500


class BadRequest(GafferError):
    """The request itself is malformed: wrong type, wrong value, broken JSON."""

    code = "bad_request"
    status = 400


class IONotRedirected(BadRequest):
    """A stream was asked for that the job does not redirect."""

    code = "io_not_redirected"


class Unauthorized(GafferError):
    code = "unauthorized"
    status = 401


class Forbidden(GafferError):
    code = "forbidden"
    status = 403


class NotFound(GafferError):
    code = "not_found"
    status = 404


class MethodNotAllowed(GafferError):
    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str, allow: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.allow = tuple(allow)


class Conflict(GafferError):
    """The operation does not fit the present state: exists already, vetoed."""

    code = "conflict"
    status = 409


class Veto(Conflict):
    """Raised by a ``gaffer_before_…`` hook to refuse an operation.

    The reason is shown to the caller; the hook caller adds the plugin's name.
    """


class Hold(Conflict):
    """Raised by ``gaffer_before_spawn`` to let a start wait, for as long as it takes.

    The job's state is ``waiting``, with the sentence as its reason; ``manager.release(job)`` asks again.
    """


class UriTooLong(BadRequest):
    """The URL of a request is longer than a server takes."""

    code = "uri_too_long"
    status = 414


class HeadersTooLarge(BadRequest):
    """A header of a request, or all of them, are longer than a server takes."""

    code = "headers_too_large"
    status = 431


class TooLarge(GafferError):
    code = "too_large"
    status = 413


class UnsupportedMediaType(GafferError):
    code = "unsupported_media_type"
    status = 415


class Misdirected(GafferError):
    code = "misdirected"
    status = 421


class InvalidConfig(GafferError):
    """Job settings that cannot be used; ``problems`` lists every sentence."""

    code = "invalid_config"
    status = 422

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(self.problems))


class TooManyRequests(GafferError):
    """Too much was tried; ``headers`` say how many seconds to wait."""

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.headers = (("Retry-After", str(max(1, round(retry_after + 0.5)))),)


class Unavailable(GafferError):
    code = "unavailable"
    status = 503


class SpawnError(GafferError):
    """A process could not be started; the sentence carries the system's reason."""

    code = "spawn_failed"


class PluginError(GafferError):
    """A plugin cannot be loaded, or broke an operation; the sentence names it."""

    code = "plugin_error"


class ReentrantCall(GafferError):
    """A call that waits was made from a hub callback, where waiting is impossible."""

    code = "reentrant_call"


@dataclass(frozen=True, order=True)
class Problem:
    """Defect of a configuration, with its file and line."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        where = self.file
        if self.line:
            where = f"{where}:{self.line}" if where else f"line {self.line}"
        return f"{where}: {self.message}" if where else self.message


class ConfigError(GafferError):
    """A configuration that cannot be used; ``problems`` holds all of them at once."""

    code = "invalid_config"
    status = 422

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


#: Longer words are not compared with others.
_LONGEST_WORD = 64


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the candidate closest to *word*, or ``""``."""
    if len(word) > _LONGEST_WORD:
        return ""  # no slip of the pen; comparing takes time with the square of its length
    from difflib import get_close_matches  # late: most programs never need it

    known = list(candidates)
    close = get_close_matches(word, known, n=1, cutoff=0.6) or get_close_matches(word.lower(), known, n=1, cutoff=0.9)
    return f"; did you mean '{close[0]}'?" if close else ""


def described(error: BaseException) -> str:
    """Return type and message of an exception of third-party code, in one line that fits into a sentence."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
