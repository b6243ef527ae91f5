"""Outcome of an attempt, and what follows from it. Pure: no clock, no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .urls import redact

if TYPE_CHECKING:
    from .config import Tuning


#: Characters of a header that are looked at and shown.
MOST_SHOWN = 500


class Undelivered(Exception):
    """There was no answer; the sentence says why."""


class ReceiverAnswer(NamedTuple):
    """Answer of a receiver.

    :param retry_after: its header of that name, ``""`` without one.
    :param location: likewise.
    """

    status: int
    retry_after: str = ""
    location: str = ""


class Verdict(NamedTuple):
    """Verdict on an attempt.

    :param reason: why it failed; ``""`` when it did not.
    :param again: whether another attempt makes sense.
    :param asked: the wait that the receiver asked for, in seconds.
    """

    reason: str = ""
    again: bool = False
    asked: float = 0.0


def judge(answer: ReceiverAnswer, now: float) -> Verdict:
    """Decide what an answer means: 2xx is success; 429 and 5xx are worth another attempt, nothing else is.

    :param now: the wall clock, which dates are compared with.
    """
    status = answer.status
    if 200 <= status < 300:
        return Verdict()
    if status == 429 or status >= 500:
        return Verdict(f"answered {status}", again=True, asked=seconds_of(answer.retry_after, now))
    if 300 <= status < 400:
        where = f" to {redact(answer.location[:MOST_SHOWN])}" if answer.location else ""
        return Verdict(f"answered {status}, a redirection{where}; give the final URL")
    return Verdict(f"answered {status}")


def seconds_of(retry_after: str, now: float) -> float:
    """Return the seconds that a ``Retry-After`` asks for, 0 if it asks for nothing sensible."""
    text = retry_after[:MOST_SHOWN].strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime  # late: it takes longer than all of this module

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def backoff(attempts: int, asked: float, tuning: Tuning, chance: float) -> float:
    """Return the seconds to wait after so many attempts: doubled each time, up to ``max_backoff``.

    :param asked: what the receiver asked for; it counts if it is longer, up to ``max_backoff`` too.
    :param chance: a number from 0 to 1 that decides half of it: what failed together shall not return together.
    """
    delay = min(tuning.max_backoff, tuning.backoff * 2.0 ** (attempts - 1)) * (0.5 + chance / 2)
    return max(delay, min(asked, tuning.max_backoff))
