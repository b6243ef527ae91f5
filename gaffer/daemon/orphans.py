"""The duty of process 1, in a container: reaping orphans without taking statuses that others wait for."""

from __future__ import annotations

import logging
import os
import time
from typing import Callable, Container

log = logging.getLogger("gafferd")

#: How long a dead child is left to whoever may be waiting for it, in seconds.
GRACE = 2.0


class Orphans:
    """Reaps dead children that nobody else reaps.

    The kernel gives us every process whose parent died. Which children are such
    orphans cannot be seen, so one that is dead is left alone for a while: a
    plugin's own child is waited for by then.

    :param known: os_pids of processes that the engine reaps.
    """

    def __init__(self, known: Callable[[], Container[int]], clock: Callable[[], float] = time.monotonic) -> None:
        self._known, self._clock = known, clock
        self._dead: dict[int, float] = {}

    def sweep(self) -> bool:
        """Reap what has been dead for long enough; tells whether something still waits to be."""
        known, now = self._known(), self._clock()
        dead = {os_pid: self._dead.get(os_pid, now) for os_pid in children() if os_pid not in known and is_dead(os_pid)}
        for os_pid, since in list(dead.items()):
            if now - since >= GRACE:
                del dead[os_pid]
                _reap(os_pid)
        self._dead = dead
        return bool(dead)


def children() -> list[int]:
    """Return the os_pids of this process' children."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                found += [int(os_pid) for os_pid in file.read().split()]
        except FileNotFoundError:
            continue  # that thread has ended
    return found


def is_dead(os_pid: int) -> bool:
    """Tell whether a child has ended; its status stays where it is."""
    try:
        return os.waitid(os.P_PID, os_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _reap(os_pid: int) -> None:
    try:
        os.waitpid(os_pid, os.WNOHANG)
    except ChildProcessError:
        return
    log.debug("reaped the orphan %d", os_pid)
