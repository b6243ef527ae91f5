"""Event names and the patterns that select them (docs/events.rst).

Names are dotted; a pattern ``a`` selects ``a`` and ``a.b``, ``.`` selects all.
``proc(dummy).spawn`` is gaffer 0.5's spelling of ``proc.dummy.spawn``, and
gaffer 0.5's ``load``, ``unload`` and ``stop_process`` still select what they
were renamed to.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import nearest

#: The pattern that selects all events.
ALL = "."
_CALL = re.compile(r"\A(\w+)\(([^()]*)\)")
_ALIASES = {"load": "create", "unload": "delete", "stop_process": "stop_pid"}
#: How many parts come before the event: ``proc.<name or pid>`` and ``job.<session>.<job>``.
_FAMILIES = {"proc": 2, "job": 3}


class Event(NamedTuple):
    """Kind of event, for the reference.

    :param fields: what its message has beside :data:`COMMON_FIELDS`.
    """

    name: str
    meaning: str
    fields: tuple[str, ...] = ()


#: What every message has.
COMMON_FIELDS = ("event", "name", "session", "job", "time")
_PROCESS = ("pid", "os_pid", "detach", "once")
EVENTS = (
    Event("create", "a job was loaded"),
    Event("start", "a job is wanted up; its processes follow"),
    Event("spawn", "a process was started", _PROCESS),
    Event("spawn_failed", "a process could not be started", ("reason",)),
    Event("exit", "a process exited", (*_PROCESS, "exit_status", "exit_code", "term_signal", "note")),
    Event("reap", "a process and all that it started is gone", (*_PROCESS, "reason")),
    Event("ready", "a process can be used", (*_PROCESS, "reason")),
    Event("unready", "a process that was ready cannot be used at the moment", (*_PROCESS, "reason")),
    Event("waiting", "the start of a job waits for something", ("reason",)),
    Event("stop_pid", "gaffer begins to stop a process", _PROCESS),
    Event("stop_failed", "what a process left behind is still there after many KILLs", (*_PROCESS, "reason")),
    Event("flap", "a process dies too often and is paused", ("retry_in",)),
    Event("restart", "new processes of a job were asked for"),
    Event("update", "a job got a new configuration, or another number of processes"),
    Event("stop", "a job is not wanted up any more, and its last process is gone"),
    Event("delete", "a job was unloaded, and its last process is gone"),
)

_EVENT_NAMES = tuple(event.name for event in EVENTS)
#: Those that ``proc.<name>`` and ``proc.<pid>`` have.
OF_PROC = ("start", "stop", "spawn", "exit", "stop_pid", "reap", "flap", "ready", "unready")


def normalise(pattern: str) -> str:
    """Return the canonical form of *pattern*: dotted, without aliases.

    ``""`` and ``*`` mean all, as ``.`` does.
    """
    pattern = pattern.strip(".")
    if pattern in ("", "*"):
        return ALL
    pattern = _CALL.sub(r"\1.\2", pattern).strip(".")
    head, dot, last = pattern.rpartition(".")
    if last in _ALIASES and _is_family(head):
        pattern = head + dot + _ALIASES[last]
    return pattern


def _is_family(head: str) -> bool:
    """Tell whether an event's own name may follow: jobs and sessions may be called like one."""
    family = head.split(".")
    return not head or len(family) == _FAMILIES.get(family[0])


def matches(pattern: str, name: str) -> bool:
    """Tell whether the normalised *pattern* selects the event called *name*."""
    return pattern == ALL or name == pattern or name.startswith(pattern + ".")


def ancestors(name: str) -> list[str]:
    """Return every pattern that selects *name*, widest first: ``.``, ``a``, ``a.b``."""
    parts = name.split(".")
    return [ALL, *(".".join(parts[: end + 1]) for end in range(len(parts)))]


def problem_of(pattern: str) -> str:
    """Return why *pattern* would never select an event, or ``""``.

    Events of plugins have names with a dot, their plugin's name first; those cannot be known here.
    """
    pattern = normalise(pattern)
    first, *rest = pattern.split(".")
    if pattern == ALL:
        return ""
    if first == "job":
        return _unknown("job.SESSION.JOB", ".".join(rest[2:]), _EVENT_NAMES)
    if first == "proc":
        return _unknown("proc.NAME", ".".join(rest[1:]), OF_PROC)
    if first in _EVENT_NAMES:
        return f"nothing comes below '{first}'; for one job write job.default.NAME.{first}" if rest else ""
    if rest:
        return ""
    return f"there is no event '{first}'{nearest(first, _EVENT_NAMES) or '; there are ' + ', '.join(_EVENT_NAMES)}"


def _unknown(family: str, event: str, known: tuple[str, ...]) -> str:
    if not event or event in known:
        return ""
    if event in _EVENT_NAMES:
        return f"{family} has no event '{event}'; job.default.NAME.{event} has"
    return f"{family} has no event '{event}'{nearest(event, known) or '; it has ' + ', '.join(known)}"
