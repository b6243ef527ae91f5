"""What the kernel says about a supervisor's own processes: memory, CPU time, family, and when others are dead."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import Iterable

from .stamps import BenchError


def family(root: int, without: Path) -> list[int]:
    """Return *root* and its descendants, except those that run the program *without*."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(int(entry))) is not None:
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [root]
    while queue:
        os_pid = queue.pop()
        if _program(os_pid) != str(without):
            found.append(os_pid)
            queue += children.get(os_pid, [])
    return found


def _parent(os_pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{os_pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def _program(os_pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{os_pid}/exe")
    except OSError:
        return None


def pss_mb(os_pids: Iterable[int]) -> float:
    """Return the proportional set size of all *os_pids* together, in MB of 10^6 bytes."""
    return sum(_rollup_kib(os_pid) for os_pid in os_pids) * 1024 / 1e6


def _rollup_kib(os_pid: int) -> int:
    try:
        lines = Path(f"/proc/{os_pid}/smaps_rollup").read_text("ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # It ended since it was listed.
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def cpu_ns(os_pids: Iterable[int]) -> int:
    """Return the nanoseconds that all threads of *os_pids* have spent on a CPU so far."""
    total = 0
    for os_pid in os_pids:
        for schedstat in Path(f"/proc/{os_pid}/task").glob("*/schedstat"):
            try:
                total += int(schedstat.read_text("ascii").split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended since it was listed.
    return total


class Watch:
    """Waits for the death of processes that are not our children; those already gone are dead."""

    def __init__(self, os_pids: Iterable[int]) -> None:
        self._poll = select.poll()
        self._open: set[int] = set()
        for os_pid in os_pids:
            try:
                fd = os.pidfd_open(os_pid)
            except ProcessLookupError:
                continue
            self._open.add(fd)
            self._poll.register(fd, select.POLLIN)

    def wait(self, timeout: float = 90.0) -> int:
        """Return the monotonic time in ns when the last one was seen dead, a millisecond late at most."""
        deadline = time.monotonic() + timeout
        try:
            while self._open:
                for fd, _ in self._poll.poll(0):
                    self._forget(fd)
                if time.monotonic() > deadline:
                    raise BenchError(f"{len(self._open)} children still live after {timeout:g} s")
                time.sleep(0.001)
            return time.monotonic_ns()
        finally:
            for fd in tuple(self._open):
                self._forget(fd)

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._open.discard(fd)
        os.close(fd)
