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


class LoopRounds:
    """The rounds of one loop, and the greenlets that wait for the next.

    :param loop: the hub's.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        #: The loop's number of the current round, and when the first greenlet of it began.
        self.number = -1
        self.began = 0.0
        #: Those who have not worked yet when the round was over, and those who have; they take turns.
        self._fresh: deque[Any] = deque()
        self._busy: deque[Any] = deque()
        self._timer = loop.timer(LOOP_PAUSE)

    @property
    def crowded(self) -> bool:
        """True if greenlets wait."""
        return bool(self._fresh or self._busy)

    def wait(self, fresh: bool) -> None:
        """Wait for a place in one of the next rounds; not possible in a callback of the hub.

        :param fresh: the caller has done nothing in this round.
        """
        if gevent.getcurrent() is gevent.get_hub():
            return
        if not self.crowded:
            self._timer.start(self._go_on)
        waiter = Waiter()
        (self._fresh if fresh else self._busy).append(waiter)
        waiter.get()

    def _go_on(self) -> None:
        """Let them work until the round is over; in the hub."""
        self._timer.stop()
        end = time.monotonic() + SLICE
        turn: deque[Any] = self._fresh or self._busy
        for _ in range(len(self._fresh) + len(self._busy)):  # those who come back wait for the next round
            turn.popleft().switch(None)
            if time.monotonic() > end:
                break
            other = self._busy if turn is self._fresh else self._fresh
            turn = other or turn
            if not turn:
                break
        if self.crowded:
            self._timer.start(self._go_on)


def _rounds_here() -> LoopRounds:
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
        self._rounds = _rounds_here()
        self._round, self._since = -1, 0.0

    def give_way(self) -> None:
        """Let others work if it is their turn; call it before, or after, each small piece of work."""
        rounds, now = self._rounds, time.monotonic()
        number = rounds.loop.iteration
        if rounds.number != number:
            rounds.number, rounds.began = number, now
        if self._round != number:  # a round has passed: it has waited for something, and begins to work now
            self._round, self._since = number, now
        worked = now - self._since
        if now - rounds.began > SLICE or worked > QUANTUM and rounds.crowded:
            rounds.wait(worked == 0.0)
            self._round, self._since = rounds.loop.iteration, time.monotonic()
