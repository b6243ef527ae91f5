"""Being the parent of those who lost theirs: reaping them without taking statuses that others wait for.

As process 1 of a container gaffer has no choice. Elsewhere gafferd asks for it, because
what its processes leave behind is then found among its own children at once,
whatever session it moved to, instead of by a walk over the whole machine.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Callable, Container

from .proc_scan import children, is_dead

if TYPE_CHECKING:
    from gevent.event import Event

log = logging.getLogger("gafferd")

#: How long a dead child is left to a plugin that may wait for it, in seconds.
GRACE = 2.0
#: So many dead children are looked at before others get their turn.
BATCH = 200
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

    The kernel gives us every process whose parent died. One that belongs to the
    session of a job is such an orphan. Others cannot be told from a plugin's own
    child, so one that is dead is left alone for a while: a plugin has waited for
    its child by then.

    :param known: os_pids of processes that the engine reaps.
    :param rest: called after each :data:`BATCH`, so that others get their turn.
    """

    def __init__(
        self,
        known: Callable[[], Container[int]],
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._known, self._clock, self._rest = known, clock, rest
        self._dead: dict[int, float] = {}

    def sweep(self) -> bool:
        """Reap what is an orphan, or has been dead for long enough; tells whether something still waits to be."""
        now, dead = self._clock(), {}
        found = children()
        for start in range(0, len(found), BATCH):
            known = self._known()
            for os_pid in found[start : start + BATCH]:
                if os_pid in known or not is_dead(os_pid):
                    continue
                since = self._dead.get(os_pid, now)
                if now - since >= GRACE or _is_orphan(os_pid):
                    _reap(os_pid)
                else:
                    dead[os_pid] = since
            self._rest()
        self._dead = dead
        return bool(dead)

    def run(self, died: Event) -> None:
        """Sweep for ever; a greenlet of its own.

        :param died: set when a child has died.
        """
        import gevent

        while True:
            died.clear()
            waiting = self.sweep()
            died.wait(GRACE if waiting else None)
            gevent.sleep(PAUSE)


def reap_all_but(os_pid: int) -> None:
    """Reap every dead child but one, in a program that started only that one and got the others as process 1."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == os_pid:  # which is the end of us
            return
        _reap(found.si_pid)


def _is_orphan(os_pid: int) -> bool:
    """Tell whether a child that is dead cannot be one that we, or a plugin, started.

    A child of ours is in our session or leads one of its own (setsid(2)).
    """
    try:
        return os.getsid(os_pid) not in (os.getsid(0), os_pid)
    except OSError:
        return False


def _reap(os_pid: int) -> None:
    try:
        os.waitpid(os_pid, os.WNOHANG)
    except ChildProcessError:
        return
    log.debug("reaped the orphan %d", os_pid)
