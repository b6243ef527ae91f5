"""Being the parent of those who lost theirs: reaping them without taking statuses that others wait for.

As process 1 of a container gafferd has no choice; elsewhere it asks for it, because
what its processes leave behind is then found among its own children at once,
whatever session it moved to, instead of by a walk over the whole machine.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Callable, Container

from ..process.proc_scan import children

log = logging.getLogger("gafferd")

#: How long a dead child is left to a plugin that may wait for it, in seconds.
GRACE = 2.0
#: Orphans are looked for this long after a child has died, in seconds.
PAUSE = 0.2
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Ask the kernel for the orphans among our descendants (prctl(2)); tells whether we get them and see them."""
    try:
        import ctypes

        granted = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (ImportError, OSError, AttributeError):
        return False
    return granted and os.path.exists(f"/proc/self/task/{os.getpid()}/children")


class Orphans:
    """Reaps dead children that no other code waits for.

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
