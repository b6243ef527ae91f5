"""A warning where a program starts a manager and then never lets gevent's loop run."""

from __future__ import annotations

import logging
from typing import Any

from ..events.unpatched import native

log = logging.getLogger("gaffer.manager")

#: Seconds after the start at which the loop is to have run, and after which its absence is logged.
DUE, LIMIT = 1.0, 4.0
NOT_RUN = (
    "gevent's loop has not run for %g s since the manager was started, so nothing is supervised: let it run with "
    "manager.run() or gevent.sleep() instead of time.sleep() or a prompt, or use gaffer.ThreadedManager"
)


class HubCheck:
    """Check that the loop runs after the start, from a native thread: the loop's own is blocked.

    One is enough: programs that let it run once, and block it later, are what gevent's own monitoring is for.
    """

    def __init__(self, loop: Any) -> None:
        self._waiting = native("_thread", "allocate_lock")()
        self._waiting.acquire()
        self._timer = loop.timer(DUE, ref=False)
        self._timer.start(self.finish)
        native("_thread", "start_new_thread")(self._wait, ())

    def finish(self) -> None:
        """End it: the loop runs, or the manager has stopped."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()
            self._waiting.release()

    def _wait(self) -> None:
        if not self._waiting.acquire(timeout=LIMIT):
            log.warning(NOT_RUN, LIMIT)
