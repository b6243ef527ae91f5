"""Kills for memory: the kernel counts them, and tells a parent nothing but the signal."""

from __future__ import annotations

import signal
from typing import Iterable

from .exit_status import ExitStatus

OOM_KILLED = "killed for memory (OOM)"
#: The counter of the whole machine, where there is none of our control group.
_MACHINE = "/proc/vmstat"


class OomCounter:
    """The number of processes of our control group, or of the machine, that were killed for memory.

    :param path: the file with a line ``oom_kill N`` (Linux, cgroup-v2: memory.events; proc(5): vmstat).
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path or next((one for one in _paths() if _read(one) is not None), "")
        self._seen = _read(self._path)

    def explain(self, status: ExitStatus) -> ExitStatus:
        """Return the status of a process that was not killed by us, with what the kernel tells of its end."""
        if status.signal != signal.SIGKILL:
            return status
        before, self._seen = self._seen, _read(self._path)
        if before is None or self._seen is None or self._seen <= before:
            return status
        self._seen = before + 1  # one kill explains one end
        return status._replace(note=OOM_KILLED)


def _paths() -> Iterable[str]:
    try:
        with open("/proc/self/cgroup") as file:
            for line in file:
                if line.startswith("0::"):
                    yield f"/sys/fs/cgroup{line[3:].strip().rstrip('/')}/memory.events"
    except OSError:
        pass
    yield _MACHINE


def _read(path: str) -> int | None:
    """Return the number of kills; None where the kernel does not count."""
    try:
        with open(path) as file:
            for line in file:
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    except (OSError, ValueError):
        pass
    return None
