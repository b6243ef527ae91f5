"""Work in a thread that has its turn for as long as it really takes."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

import gevent
from gevent.event import Event


class Turns:
    """Turns of which so many are had at a time; those who are let in first overtake those who wait already.

    :param most: how many.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: tuple[deque[Event], deque[Event]] = (deque(), deque())

    @property
    def busy(self) -> bool:
        """True if the next one has to wait."""
        return self._free == 0

    def acquire(self, timeout: float, first: bool = False) -> bool:
        """Wait for a turn; tells whether there was one in time."""
        if self._free:
            self._free -= 1
            return True
        turn, queue = Event(), self._waiting[not first]
        queue.append(turn)
        try:
            turn.wait(timeout)
        except BaseException:
            if turn.is_set():
                self.release()
            else:
                queue.remove(turn)
            raise
        if not turn.is_set():
            queue.remove(turn)
        return bool(turn.is_set())

    def release(self) -> None:
        """Give a turn back, to who has waited for longest."""
        for queue in self._waiting:
            if queue:
                queue.popleft().set()
                return
        self._free += 1


def in_turn(turn: Turns, function: Callable[..., Any], *args: Any) -> Any:
    """Call *function* in a thread, and give *turn* back when that has returned.

    The waiting greenlet may be ended meanwhile, by ``http_request_timeout`` for instance; the thread goes on, and
    no other greenlet may take it for finished.

    :param turn: acquired already.
    """
    try:
        working = gevent.get_hub().threadpool.spawn(function, *args)
    except BaseException:
        turn.release()
        raise
    working.rawlink(lambda result: turn.release())
    return working.get()
