"""Calls at a monotonic time, which can be cancelled and then hold nothing any more."""

from __future__ import annotations

import heapq
import itertools
from typing import Callable

#: Cancelled entries stay in the heap until they are due, or outnumber the others and these.
MIN_CANCELLED = 64


class Deadline:
    """A handle on one future call, at the monotonic time *when*."""

    __slots__ = ("_deadlines", "call", "when")

    def __init__(self, deadlines: Deadlines, when: float, call: Callable[[], None]) -> None:
        self._deadlines = deadlines
        self.when = when
        #: None once it was made or cancelled.
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Drop the call; nothing happens if it was made."""
        if self.call is not None:
            self.call = None
            self._deadlines.cancelled()


class Deadlines:
    """A heap of calls, those of one time in the order of their making.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Deadline]] = []
        self._sequence = itertools.count()
        self._cancelled = 0

    def at(self, when: float, call: Callable[[], None]) -> Deadline:
        """Have *call* made at *when*. It should refer to processes by pid, so that it keeps none of them in memory."""
        deadline = Deadline(self, when, call)
        heapq.heappush(self._heap, (when, next(self._sequence), deadline))
        return deadline

    def after(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Have *call* made in *seconds*."""
        return self.at(self.clock() + seconds, call)

    def cancelled(self) -> None:
        """Count a cancelled entry, and remove them all once they are many."""
        self._cancelled += 1
        if self._cancelled > max(MIN_CANCELLED, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if entry[2].call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def due(self) -> Callable[[], None] | None:
        """Remove and return the first call that is due."""
        if not self._heap or self._heap[0][0] > self.clock():
            return None
        while self._heap and self._heap[0][0] <= self.clock():
            deadline = heapq.heappop(self._heap)[2]
            call, deadline.call = deadline.call, None
            if call is not None:
                return call
            self._cancelled -= 1
        return None

    def next(self) -> float | None:
        """Return the time of the first call; None if there is none."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        """Return the number of entries, with those that are cancelled and not removed yet."""
        return len(self._heap)
