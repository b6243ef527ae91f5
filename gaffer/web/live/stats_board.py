"""Figures that are measured again and again while somebody looks, each of them once for all who look."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, Callable, Hashable

import gevent
from gevent.event import Event

from ...errors import BadRequest, GafferError, NotFound, Unavailable
from ..requests.replies import encode_json
from .sources import LiveItem

log = logging.getLogger("gaffer.web")

#: The shortest time between two measurements, in seconds; closer ones would say little of CPU use.
FASTEST = 0.1
#: What it is unless somebody says otherwise.
USUAL = 1.0
_SLOWEST = 86_400.0
#: Who is due within this part of an interval is served together with others.
_TOGETHER = 0.25

Measure = Callable[[], Any]


def read_interval(value: Any) -> float:
    """Return the seconds between two measurements that somebody wants; None is :data:`USUAL`.

    :raises BadRequest: it is no such number.
    """
    if value is None:
        return USUAL
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not FASTEST <= seconds <= _SLOWEST:
        raise BadRequest(f"interval must be a number of seconds from {FASTEST} to {_SLOWEST:g}, not {value!r}")
    return seconds


class Look:
    """A source: the latest figures of one thing, as JSON. Who is slow gets the latest ones only.

    :param key: what it is; all looks with one key share its measurements.
    :param event: what its items are called.
    """

    raw = False
    __slots__ = ("key", "event", "measure", "interval", "due", "ended", "wake", "_board", "_item", "_count")

    def __init__(self, board: Board, key: Hashable, event: str, measure: Measure, interval: float) -> None:
        self.key = key
        self.event = event
        self.measure = measure
        self.interval = interval
        self.due = 0.0
        self.ended = False
        self.wake: Callable[[], None] | None = None
        self._board = board
        self._item: LiveItem | None = None
        self._count = 0

    def put(self, data: bytes | None) -> None:
        """Take new figures; None says that there will never be any more."""
        if data is None:
            self.ended = True
        else:
            self._count += 1
            self._item = LiveItem(str(self._count), self.event, data)
        if self.wake is not None:
            self.wake()

    def take(self) -> list[LiveItem]:
        """Return the latest figures, if they are new."""
        item, self._item = self._item, None
        return [] if item is None else [item]

    def close(self) -> None:
        """Look no longer."""
        self._board.remove(self)


class Board:
    """Measures what is looked at, at the shortest interval that anybody wants."""

    def __init__(self) -> None:
        self._looks: list[Look] = []
        self._greenlet: gevent.Greenlet | None = None
        self._changed = Event()

    def look(self, key: Hashable, event: str, measure: Measure, interval: float = USUAL) -> Look:
        """Return a new look; the first figures come at once.

        :param measure: returns JSON data; raises :class:`gaffer.errors.NotFound` when there will be none any more.
        :param interval: seconds.
        """
        look = Look(self, key, event, measure, interval)
        self._looks.append(look)
        self._changed.set()
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        return look

    def remove(self, look: Look) -> None:
        """Measure no longer for *look*."""
        if look in self._looks:
            self._looks.remove(look)
            self._changed.set()

    def _run(self) -> None:
        try:
            while self._looks:
                self._changed.clear()
                self._serve(time.monotonic())
                if self._looks:
                    # Never 0, so that others have their turn however long measuring takes.
                    self._changed.wait(max(0.001, min(look.due for look in self._looks) - time.monotonic()))
        finally:
            self._greenlet = None

    def _serve(self, now: float) -> None:
        due = {look.key: look.measure for look in self._looks if look.due <= now}
        for key, measure in due.items():
            data = _measured(measure)
            for look in [look for look in self._looks if look.key == key]:
                if data is None:
                    self._looks.remove(look)
                elif look.due > now + look.interval * _TOGETHER:
                    continue
                look.due = now + look.interval
                look.put(data)


def _measured(measure: Measure) -> bytes | None:
    """Return figures as JSON; None when there will be none any more."""
    try:
        return encode_json(measure())
    except NotFound:
        return None
    except Unavailable as error:
        log.debug("nothing can be measured: %s", error)
    except GafferError as error:
        log.error("measuring failed: %s", error)
    except Exception as error:
        log.error("measuring failed: %r", error, exc_info=error)
    return None


def board_of(manager: Any) -> Board:
    """Return the board of a manager: what measures for all of its channels, on whatever transport they are."""
    board: Board | None = getattr(manager, "_board", None)
    if board is None:
        board = manager._board = Board()
    return board
