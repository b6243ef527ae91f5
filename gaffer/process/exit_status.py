"""Exit statuses: collected from the kernel, explained by what it counts, and as text."""

from __future__ import annotations

import os
from typing import Iterable, NamedTuple

from ..config.fields import signal_name

CORE_DUMPED = "core dumped"


class ExitStatus(NamedTuple):
    """Exit code or signal of a process; both are None when another wait took its status.

    :param note: what else the kernel tells: ``core dumped``, ``killed for memory (OOM)``, or nothing.
    """

    code: int | None
    signal: int | None
    note: str = ""

    @property
    def exit_code(self) -> int:
        """The exit code as shells tell it: 128 + n after signal n, 255 if unknown."""
        if self.code is not None:
            return self.code
        return 255 if self.signal is None else 128 + self.signal

    def __str__(self) -> str:
        if self.signal is not None:
            return f"signal {signal_name(self.signal)}" + (f", {self.note}" if self.note else "")
        return "unknown status" if self.code is None else f"code {self.code}"


def collect(pidfd: int) -> ExitStatus | None:
    """Collect the status of an exited child; None while it lives.

    A status that other code has taken (ECHILD) is unknown, never an error (waitid(2)).
    """
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return ExitStatus(None, None)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return ExitStatus(result.si_status, None)
    return ExitStatus(None, result.si_status, CORE_DUMPED if result.si_code == os.CLD_DUMPED else "")


def has_exited(pidfd: int) -> bool:
    """Return True if a child has exited; its status stays where it is."""
    try:
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def decode_status(raw: int) -> ExitStatus:
    """Decode a wait status (wait(2))."""
    if os.WIFSIGNALED(raw):
        return ExitStatus(None, os.WTERMSIG(raw), CORE_DUMPED if os.WCOREDUMP(raw) else "")
    return ExitStatus(os.WEXITSTATUS(raw), None)


OOM_KILLED = "killed for memory (OOM)"
#: The counter of the whole machine, where there is none of our control group.
_MACHINE = "/proc/vmstat"


class OomCounter:
    """The number of processes of our control group, or of the machine, that were killed for memory.

    :param path: the file with a line ``oom_kill N`` (Linux, cgroup-v2: memory.events; proc(5): vmstat).
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path or next((one for one in _paths() if _read(one) is not None), "")
        self._count = self._explained = _read(self._path)

    def look(self) -> None:
        """Read the kernel's number again."""
        self._count = _read(self._path)

    def explain(self, status: ExitStatus) -> ExitStatus:
        """Return the status of a process that was killed, but not by us, with what the kernel tells of its end."""
        if self._count is None or self._explained is None or self._count <= self._explained:
            self._explained = self._count
            return status
        self._explained += 1  # one kill explains one end
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
        with open(path, "rb", buffering=0) as file:
            _, found, rest = (b"\n" + file.read()).partition(b"\noom_kill ")
    except OSError:
        return None
    number = rest.partition(b"\n")[0]
    return int(number) if found and number.isdigit() else None
