"""Giving way: a greenlet that always has something to do must let the others have their turn.

gevent goes on with a greenlet as long as a system call need not wait, so a peer that sends without end would have the
program to itself; and many who each take only a little would leave nothing, either. So there is one account for a
loop, not one for each greenlet: whatever calls :meth:`TimeSlice.give_way` may work for :data:`SLICE` seconds in one
round of the loop, all together. Who comes later waits for one of the next rounds; between two of them the loop looks
at its descriptors, timers, children and signals.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import gevent
from gevent.hub import Waiter

from .loop_pause import LOOP_PAUSE

#: Seconds of work in a round of the loop after which it is the others' turn.
SLICE = 0.002
#: Seconds of work after which one makes room for another that waits already.
QUANTUM = 0.0005
#: Seconds in a round that all pipes of children together are read again and again, each at least once.
READ_SLICE = 0.001
#: The rows of those who wait; see :class:`LoopRounds`.
FRESH, BUSY, BULK = range(3)


class LoopRounds:
    """The rounds of one loop, and the greenlets that wait for the next.

    :param loop: the hub's.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        #: The loop's number of the current round, and when the first greenlet of it began.
        self.number = -1
        self.began = 0.0
        #: Three rows that take turns: greenlets that have done nothing yet when a round was over, those that have, and
        #: those whose output goes on and on. So a request waits for other requests, and not for a thousand readers.
        self._rows: tuple[deque[Any], ...] = (deque(), deque(), deque())
        self._timer = loop.timer(LOOP_PAUSE)
        #: The round in which pipes were read the last time, how many, and how many in the round with pipes before it.
        self._reading = -1
        self._pipes = self._pipes_before = 0

    def read_until(self) -> float:
        """Return until when a pipe that floods may be read in this round, in monotonic seconds."""
        if self._reading != (number := self.loop.iteration):
            self._reading, self._pipes_before, self._pipes = number, self._pipes, 0
        self._pipes += 1
        return time.monotonic() + READ_SLICE / max(self._pipes, self._pipes_before)

    @property
    def crowded(self) -> bool:
        """True if greenlets wait."""
        return any(self._rows)

    def wait(self, row: int) -> None:
        """Wait in a row for a place in one of the next rounds; not possible in a callback of the hub.

        :param row: one of ``FRESH``, ``BUSY`` and ``BULK``.
        """
        if gevent.getcurrent() is gevent.get_hub():
            return
        if not self.crowded:
            self._timer.start(self._go_on)
        waiter = Waiter()
        self._rows[row].append(waiter)
        waiter.get()

    def _go_on(self) -> None:
        """Let them work until the round is over, one of each row after the other; in the hub."""
        self._timer.stop()
        end = time.monotonic() + SLICE
        left = [len(row) for row in self._rows]  # those who come back wait for the next round
        while any(left):
            for number, row in enumerate(self._rows):
                if left[number]:
                    left[number] -= 1
                    row.popleft().switch(None)
            if time.monotonic() > end:
                break
        if self.crowded:
            self._timer.start(self._go_on)


def rounds_here() -> LoopRounds:
    """Return the rounds of this thread's loop."""
    # The hub keeps them: each thread has its own, and they go with it.
    hub = gevent.get_hub()
    kept: dict[str, Any] = vars(hub)
    if "gaffer_rounds" not in kept:
        kept["gaffer_rounds"] = LoopRounds(hub.loop)
    rounds: LoopRounds = kept["gaffer_rounds"]
    return rounds


class TimeSlice:
    """The share of one greenlet in the current round of the loop."""

    __slots__ = ("_round", "_rounds", "_since")

    def __init__(self) -> None:
        self._rounds = rounds_here()
        self._round, self._since = -1, 0.0

    def give_way(self, bulk: bool = False) -> None:
        """Let others work if it is their turn; call it before, or after, each small piece of work.

        :param bulk: the work is output that goes on and on; what answers a request has its turn between two of those.
        """
        rounds, now = self._rounds, time.monotonic()
        number = rounds.loop.iteration
        if rounds.number != number:
            rounds.number, rounds.began = number, now
        if self._round != number:  # a round has passed: it has waited for something, and begins to work now
            self._round, self._since = number, now
        worked = now - self._since
        if now - rounds.began > SLICE or worked > QUANTUM and rounds.crowded:
            rounds.wait(BULK if bulk else BUSY if worked else FRESH)
            self._round, self._since = rounds.loop.iteration, time.monotonic()
