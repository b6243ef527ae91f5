"""Finding what a process left behind: one look through ``/proc`` for many at once.

Every child carries ``GAFFER_ID=<node>.<pid>`` in its environment and so do its
descendants, whatever session they moved to. A gaffer under a gaffer appends its
own, ``outer/inner``, so that either finds its own. What empties its environment
and leaves the group as well is not found; ``docs/design.rst`` says so.
"""

from __future__ import annotations

import os
from typing import Iterable, Mapping

VARIABLE = "GAFFER_ID"
_KEY = VARIABLE.encode() + b"="


def chain_id(inherited: str | None, own: str) -> str:
    """Return the value for a child: *own* behind what gaffer itself inherited."""
    return f"{inherited}/{own}" if inherited else own


def survivors(ids: Mapping[str, int], groups: Mapping[int, int] | None = None) -> dict[int, list[int]]:
    """Return ``{pid: [os_pid, …]}`` of processes alive that belong to gaffer's *pid*.

    :param ids: ``{"node.pid": pid}``, what to look for in environments.
    :param groups: ``{process group: pid}``, also looked for where given.
    """
    found: dict[int, list[int]] = {}
    wanted = {text.encode(): pid for text, pid in ids.items()}
    for os_pid in _all_pids():
        pid = _owner(os_pid, wanted)
        if pid is None and groups:
            pid = groups.get(_group(os_pid))
        if pid is not None:
            found.setdefault(pid, []).append(os_pid)
    return found


def _all_pids() -> Iterable[int]:
    me = os.getpid()
    try:
        names = os.listdir("/proc")
    except OSError:
        return []  # no /proc: groups are all that can be signalled
    return [int(name) for name in names if name.isdigit() and int(name) != me]


def _owner(os_pid: int, wanted: Mapping[bytes, int]) -> int | None:
    """Return whose descendant *os_pid* is; zombies have no environment and are nobody's."""
    try:
        fd = os.open(f"/proc/{os_pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = _read_all(fd)
    finally:
        os.close(fd)
    at = 0 if data.startswith(_KEY) else data.find(b"\0" + _KEY) + 1
    if at == 0 and not data.startswith(_KEY):
        return None
    value = data[at + len(_KEY) : data.find(b"\0", at) if b"\0" in data[at:] else None]
    return next((wanted[part] for part in value.split(b"/") if part in wanted), None)


def _read_all(fd: int) -> bytes:
    try:
        data = part = os.read(fd, 65_536)
        while len(part) == 65_536 and len(data) < 4_194_304:
            part = os.read(fd, 65_536)
            data += part
    except OSError:
        return b""
    return data


def _group(os_pid: int) -> int:
    """Return the process group, 0 for a zombie or a process that is gone (proc(5), stat)."""
    try:
        with open(f"/proc/{os_pid}/stat", "rb") as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[:1] in ([b"Z"], [b"X"]) or len(fields) < 3 else int(fields[2])


def group_alive(group: int) -> bool:
    """Tell whether a process group has members, zombies included (kill(2))."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
