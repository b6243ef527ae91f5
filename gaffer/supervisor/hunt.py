"""The end of processes that fork themselves anew faster than a search and a signal after it reach them.

Each of them is looked at and killed at once, the youngest first, in a loop without a pause. Nothing
else runs meanwhile, so a hunt is short; it is repeated until a search finds none.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import Callable, Iterable

from ..process.proc_scan import all_pids, environment_of, is_dead, signal_checked

#: A hunt takes this long at most, in seconds.
HUNT_TIME = 0.01
#: After so many processes the list is read again: those that have come meanwhile go first.
BATCH = 16


def hunt(belongs: Callable[[bytes], bool], listing: Callable[[], Iterable[int]] = all_pids) -> bool:
    """Send KILL to all processes that belong, and to those that they become meanwhile.

    :param belongs: tells it from the environment of a process.
    :param listing: returns the os_pids of those that come into question, the youngest first.
    :return: False if the time was over before a look found no new one.
    """
    seen: set[int] = set()
    end = time.monotonic() + HUNT_TIME
    fresh = True
    while fresh:
        fresh, looked = False, 0
        for os_pid in listing():
            if os_pid in seen:
                continue
            if time.monotonic() > end:
                return False
            fresh = True
            seen.add(os_pid)
            if is_dead(os_pid):
                continue
            looked += 1
            with suppress(OSError):  # it changed to another user
                signal_checked(os_pid, signal.SIGKILL, lambda os_pid: belongs(environment_of(os_pid)))
            if looked >= BATCH:
                break
    return True
