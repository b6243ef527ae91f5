"""When an answer is due: how long a request may be worked on before its answer begins, and what happens beyond.

Whatever works on it too long is told so by an exception at the place where it waits, so that its own ``finally`` runs
and the client gets a 503 like that of any other error. One that goes on all the same is waited for no longer: see
:meth:`gaffer.web.server.handler.Handler.abandon`. What never waits cannot be ended.
"""

from __future__ import annotations

import logging
from typing import Any, Callable

import gevent

from ...errors import Unavailable

log = logging.getLogger("gaffer.web")

#: How long one that was told to end may go on, in seconds; and never longer than it had before.
GRACE = 5.0


class RequestTimeout:
    """Watches over the work on the requests of one connection, one after the other.

    The timer is made once and started for each request, which costs less than a tenth of a new one.

    :param seconds: that the work on one may take.
    :param greenlet: works on them.
    :param late: called when one takes too long.
    :param abandon: called when it goes on nevertheless.
    """

    __slots__ = ("_abandon", "_grace", "_greenlet", "_late", "_seconds", "_timer")

    def __init__(self, seconds: float, greenlet: Any, late: Callable[[], Any], abandon: Callable[[], Any]) -> None:
        self._seconds = seconds
        self._greenlet = greenlet
        self._late, self._abandon = late, abandon
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._grace: Any = None

    @property
    def too_late(self) -> Unavailable:
        """What is said to whoever is too late, and to the client."""
        return Unavailable(f"it took longer than {self._seconds:g} s, and may still be going on")

    def begin(self) -> None:
        """Work on a request begins."""
        self._timer.start(self._tell)

    def end(self) -> None:
        """It has ended, or it is one that may take as long as it likes."""
        self._timer.stop()
        if self._grace is not None:
            self._grace.close()
            self._grace = None

    def close(self) -> None:
        """There will be no more requests."""
        self.end()
        self._timer.close()

    def _tell(self) -> None:
        self._timer.stop()
        self._late()
        hub = gevent.get_hub()
        self._grace = hub.loop.timer(min(GRACE, self._seconds))
        self._grace.start(self._abandon)
        # As gevent.Timeout does it: from the hub, so that nothing of the work can happen in between.
        self._greenlet.throw(self.too_late)
