"""Finding what a process left behind: one look through ``/proc`` for many at once.

Every child carries ``GAFFER_ID=<node>.<pid>`` in its environment and so do its
descendants, whatever session they moved to. A gaffer under a gaffer appends its
own, ``outer/inner``, so that either finds its own. What empties its environment
and leaves the group as well is not found; ``docs/design.rst`` says so.
"""

from __future__ import annotations

import os
from typing import Callable, Container, Iterable, Mapping

VARIABLE = "GAFFER_ID"
_KEY = b"\0" + VARIABLE.encode() + b"="


def chain_id(inherited: str | None, own: str) -> str:
    """Return the value for a child: *own* behind what gaffer itself inherited."""
    return f"{inherited}/{own}" if inherited else own


def survivors(ids: Mapping[str, int], groups: Mapping[int, int] | None = None) -> dict[int, list[int]]:
    """Return ``{pid: [os_pid, …]}`` of processes alive that belong to gaffer's *pid*, of all on the machine.

    :param ids: ``{"node.pid": pid}``, what to look for in environments.
    :param groups: ``{process group: pid}``, also looked for where given.
    """
    return _belonging(_all_pids(), ids, groups)


class Family:
    """The same for a process that is a subreaper, which need not look at the whole machine.

    The kernel makes it the parent of whoever loses its own (prctl(2),
    PR_SET_CHILD_SUBREAPER), so survivors are its children, or below one, and as
    a rule there are none.

    :param known: os_pids of children that are no survivors.
    """

    def __init__(self, known: Callable[[], Container[int]]) -> None:
        self._known = known

    def survivors(self, ids: Mapping[str, int], groups: Mapping[int, int] | None = None) -> dict[int, list[int]]:
        """As :func:`survivors`."""
        known = self._known()
        candidates = [os_pid for os_pid in children() if os_pid not in known]
        for os_pid in candidates:  # grows while it is walked
            candidates += children(os_pid)
        return _belonging(candidates, ids, groups)


def strays(node_id: str) -> dict[int, list[int]]:
    """Return ``{pid: [os_pid, …]}`` of every process alive that descends from node *node_id*."""
    found: dict[int, list[int]] = {}
    prefix = node_id.encode() + b"."
    for os_pid in _all_pids():
        for part in _chain(os_pid):
            if part.startswith(prefix) and part[len(prefix) :].isdigit():
                found.setdefault(int(part[len(prefix) :]), []).append(os_pid)
    return found


def _belonging(
    os_pids: Iterable[int], ids: Mapping[str, int], groups: Mapping[int, int] | None
) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    wanted = {text.encode(): pid for text, pid in ids.items()}
    for os_pid in os_pids:
        pid = next((wanted[part] for part in _chain(os_pid) if part in wanted), None)
        if pid is None and groups:
            pid = groups.get(_group(os_pid))
        if pid is not None:
            found.setdefault(pid, []).append(os_pid)
    return found


def children(os_pid: int | None = None) -> list[int]:
    """Return the os_pids of the children of a process, by default this one (proc(5), task/TID/children)."""
    found = []
    base = f"/proc/{'self' if os_pid is None else os_pid}/task"
    try:
        for task in os.listdir(base):
            with open(f"{base}/{task}/children") as file:
                found += [int(child) for child in file.read().split()]
    except OSError:
        pass  # the process or the thread has ended
    return found


def _all_pids() -> Iterable[int]:
    me = os.getpid()
    try:
        names = os.listdir("/proc")
    except OSError:
        return []  # no /proc: groups are all that can be signalled
    return [int(name) for name in names if name.isdigit() and int(name) != me]


def _chain(os_pid: int) -> list[bytes]:
    """Return the ids that a process carries; zombies have no environment and carry none."""
    try:
        fd = os.open(f"/proc/{os_pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        data = b"\0" + _read_all(fd) + b"\0"
    finally:
        os.close(fd)
    at = data.find(_KEY)
    if at < 0:
        return []
    at += len(_KEY)
    return data[at : data.index(b"\0", at)].split(b"/")


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
