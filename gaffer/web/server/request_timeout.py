"""The time limit of a request until its answer begins.

A handler that takes too long gets an exception where it waits, so that its own ``finally`` runs and the client gets
503. A handler that goes on nevertheless is abandoned: the client gets the 503 and its connection is closed, see
:meth:`gaffer.web.server.handler.Handler.abandon`. A handler that never waits cannot be ended.
"""

from __future__ import annotations

import logging
from typing import Any, Callable

import gevent

from ...errors import Unavailable

log = logging.getLogger("gaffer.web")

#: Seconds between the exception and the abandonment; at most the limit of the request itself.
ABANDON_DELAY = 5.0


class RequestTimeout:
    """Time limit of the requests of one connection, one after the other.

    The timer is made once and started for each request, which costs less than a tenth of a new one.

    :param seconds: the limit of each.
    :param greenlet: of the handler.
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
        """The error that is raised in the handler and answered to the client."""
        return Unavailable(f"it took longer than {self._seconds:g} s, and may still be going on")

    def begin(self) -> None:
        """Start the clock of a request."""
        self._timer.start(self._interrupt)

    def end(self) -> None:
        """Stop the clock: the request was answered, or has no limit."""
        self._timer.stop()
        if self._grace is not None:
            self._grace.close()
            self._grace = None

    def close(self) -> None:
        """Release the timers."""
        self.end()
        self._timer.close()

    def _interrupt(self) -> None:
        self._timer.stop()
        self._late()
        hub = gevent.get_hub()
        self._grace = hub.loop.timer(min(ABANDON_DELAY, self._seconds))
        self._grace.start(self._abandon)
        # As gevent.Timeout does it: from the hub, so that nothing of the work can happen in between.
        self._greenlet.throw(self.too_late)
