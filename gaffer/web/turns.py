"""Giving way: a greenlet that always has something to do must let the others have their turn."""

from __future__ import annotations

import time

import gevent

#: Seconds of work after which it is the others' turn.
SLICE = 0.005
#: A pause that makes the loop look at its descriptors; ``sleep(0)`` may not.
_YIELD = 1e-6


class Turn:
    """The time that one greenlet has worked without a pause."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Say that there was a pause just now."""
        self._began = time.monotonic()

    def give_way(self) -> None:
        """Let others work if it is their turn."""
        if time.monotonic() - self._began > SLICE:
            gevent.sleep(_YIELD)
            self.begin()
