"""A bounded queue of calls with a greenlet of its own, for one plugin or subscriber.

A receiver that is slow, raises or calls ``sys.exit`` delays and hurts only itself: calls
are made in order, failures logged once a row and counted, what does not fit is
dropped and counted, and what fails twenty times in a row is muted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Callable

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from .time_slice import TimeSlice

log = logging.getLogger("gaffer.outbox")

#: Calls that may wait; more are dropped and counted.
SIZE = 10_000
#: Failures in a row after which the calls of that name are not made any more.
MUTE_AFTER = 20
#: A long queue lets others work after this many seconds.
SLICE = 0.005


class Outbox:
    """The calls waiting for one receiver.

    :param owner: how the log names the receiver.
    :param size: calls that may wait.
    """

    __slots__ = (
        "owner",
        "delivered",
        "dropped",
        "failures",
        "muted",
        "_size",
        "_row",
        "_calls",
        "_greenlet",
        "_empty",
        "excused",
    )

    def __init__(self, owner: str, size: int = SIZE) -> None:
        self.owner = owner
        self.delivered = self.dropped = self.failures = 0
        self.muted: set[str] = set()
        #: Whether the call being made waits for the greenlet that flushes and closes.
        self.excused = False
        self._size = size
        self._row: dict[str, int] = {}
        self._calls: deque[tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = deque()
        self._greenlet: gevent.Greenlet | None = None
        self._empty: Event | None = None

    def put(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> bool:
        """Queue a call; never waits. Tells whether it was taken.

        :param name: what failures and muting are counted under.
        """
        if name in self.muted:
            return False
        if len(self._calls) >= self._size:
            self.dropped += 1
            if self.dropped in (1, 10, 100) or self.dropped % 1000 == 0:
                log.error("%s is too slow: %d calls dropped", self.owner, self.dropped)
            return False
        self._calls.append((name, function, args, kwargs or {}))
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        return True

    def _run(self) -> None:
        me = gevent.getcurrent()
        turn, began = TimeSlice(), time.monotonic()
        try:
            while self._calls and self._greenlet is me:
                self._deliver(*self._calls.popleft())
                # Not before: one turn of the hub brings a few calls, whatever else it does in that round.
                if time.monotonic() - began > SLICE:
                    turn.give_way()
                    began = time.monotonic()
        finally:
            if self._greenlet is me:
                self._ended()

    def _ended(self) -> None:
        self._greenlet = None
        if self._empty is not None:
            self._empty.set()

    def _deliver(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if name in self.muted:
            return
        try:
            function(*args, **kwargs)
        except BaseException as error:  # SystemExit in a greenlet would end the whole program
            if isinstance(error, GreenletExit) and self._greenlet is not gevent.getcurrent():
                raise  # closed
            self._failed(name, error)
        else:
            self.delivered += 1
            self._row.pop(name, None)

    def _failed(self, name: str, error: BaseException) -> None:
        self.failures += 1
        row = self._row[name] = self._row.get(name, 0) + 1
        if row == 1:
            log.error("%s failed in %s: %r", self.owner, name, error, exc_info=error)
        if row >= MUTE_AFTER:
            self.muted.add(name)
            log.error("%s: %s failed %d times in a row and is muted", self.owner, name, row)

    def excuse(self, greenlet: Any) -> None:
        """Wait no more for the current call if *greenlet* makes it: it waits for the greenlet that flushes."""
        if greenlet is self._greenlet:
            self.excused = True

    @property
    def busy(self) -> bool:
        """True while a call waits or is being made."""
        return self._greenlet is not None

    @property
    def queued(self) -> int:
        """The number of calls that wait, without the one being made."""
        return len(self._calls)

    def flush(self, timeout: float) -> bool:
        """Wait until every queued call was made, at most *timeout* seconds; tells whether it was."""
        if self._greenlet is None or self.excused or self._greenlet is gevent.getcurrent():
            return True
        self._empty = self._empty or Event()
        self._empty.clear()
        return bool(self._empty.wait(timeout))

    def close(self) -> None:
        """Forget what is queued and end the greenlet; an excused one goes on to its own end."""
        if self.excused:
            return
        self._calls.clear()
        greenlet = self._greenlet
        if greenlet is not None and greenlet is not gevent.getcurrent():
            self._ended()  # now, because one that was not begun yet never ends
            greenlet.kill(block=False)

    def counters(self) -> dict[str, Any]:
        """Return what health pages show."""
        return {
            "queued": len(self._calls),
            "delivered": self.delivered,
            "dropped": self.dropped,
            "failures": self.failures,
            "muted": sorted(self.muted),
        }
