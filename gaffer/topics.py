"""Event names and the patterns that select them (CONTRACT §7).

Names are dotted; a pattern ``a`` selects ``a`` and ``a.b``, ``.`` selects all.
``proc(dummy).spawn`` is the seeds' other spelling of ``proc.dummy.spawn``, and
gaffer 0.5's ``load``, ``unload`` and ``stop_process`` still select what they
were renamed to.
"""

from __future__ import annotations

import re

ALL = "."
_CALL = re.compile(r"\A(\w+)\(([^()]*)\)")
_ALIASES = {"load": "create", "unload": "delete", "stop_process": "stop_pid"}


def normalise(pattern: str) -> str:
    """Return the canonical form of *pattern*: dotted, without aliases.

    ``""`` and ``*`` mean all, as ``.`` does.
    """
    if pattern in ("", "*", ALL):
        return ALL
    pattern = _CALL.sub(r"\1.\2", pattern).strip(".")
    head, dot, last = pattern.rpartition(".")
    if last in _ALIASES and (not head or head.split(".", 1)[0] in ("proc", "job")):
        pattern = head + dot + _ALIASES[last]
    return pattern


def matches(pattern: str, name: str) -> bool:
    """Tell whether the normalised *pattern* selects the event called *name*."""
    return pattern == ALL or name == pattern or name.startswith(pattern + ".")


def ancestors(name: str) -> list[str]:
    """Return every pattern that selects *name*, widest first: ``.``, ``a``, ``a.b``."""
    parts = name.split(".")
    return [ALL, *(".".join(parts[: end + 1]) for end in range(len(parts)))]
