"""Patterns of the events of a webhook, and those that can never match."""

from __future__ import annotations

from gaffer.api import ALL, EVENTS, nearest, normalise

_NAMES = tuple(event.name for event in EVENTS)
#: Those that ``proc.<name>`` and ``proc.<pid>`` have.
OF_PROC = ("start", "stop", "spawn", "exit", "stop_pid", "reap", "flap")


def problem_of(pattern: str) -> str:
    """Return why *pattern* would never select an event, or ``""``.

    Events of plugins have names with a dot, their plugin's name first; those cannot be known here.
    """
    pattern = normalise(pattern)
    first, *rest = pattern.split(".")
    if pattern == ALL:
        return ""
    if first == "job":
        return _unknown("job.SESSION.JOB", ".".join(rest[2:]), _NAMES)
    if first == "proc":
        return _unknown("proc.NAME", ".".join(rest[1:]), OF_PROC)
    if first in _NAMES:
        return f"nothing comes below '{first}'; for one job write job.default.NAME.{first}" if rest else ""
    if rest:
        return ""
    return f"there is no event '{first}'{nearest(first, _NAMES) or '; there are ' + ', '.join(_NAMES)}"


def _unknown(family: str, event: str, known: tuple[str, ...]) -> str:
    if not event or event in known:
        return ""
    if event in _NAMES:
        return f"{family} has no event '{event}'; job.default.NAME.{event} has"
    return f"{family} has no event '{event}'{nearest(event, known) or '; it has ' + ', '.join(known)}"
