"""Events as they happen, and the latest of them again (docs/events.rst).

The hub numbers events, keeps the last ones for those who come back after a
break, and hands them to followers: readers that take when they can. Who is too
slow loses the oldest events, and learns how many.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Iterable

from .patterns import ancestors, matches, normalise

#: Events that may wait for one follower; beyond, the oldest are dropped and counted.
WAITING = 1_000


class HubEvent:
    """Event that was emitted.

    :param number: one more than that of the event before.
    :param name: its dotted name.
    :param rest: the message without its name; events of one occurrence share it.
    """

    __slots__ = ("number", "name", "rest", "encoded")

    def __init__(self, number: int, name: str, rest: dict[str, Any]) -> None:
        self.number = number
        self.name = name
        self.rest = rest
        #: The message as it is sent, kept by whoever encodes it first: it is the same for all followers.
        self.encoded: bytes | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The message of docs/events.rst."""
        return {"event": self.name, **self.rest}


class Follower:
    """Takes the events that a pattern selects; each once, in order.

    :param wake: called when there is more; may be called in the hub of gevent, so it must only set something.

    Close it when it is not needed any more.
    """

    __slots__ = ("pattern", "wake", "_hub", "_events", "_lost")

    def __init__(self, hub: Hub, pattern: str, wake: Callable[[], None] | None = None) -> None:
        self.pattern = pattern
        self.wake = wake
        self._hub = hub
        self._events: deque[HubEvent] = deque()
        self._lost = 0

    def take(self) -> tuple[int, list[HubEvent]]:
        """Return ``(lost, events)``: how many were dropped before these, and those that wait."""
        lost, self._lost = self._lost, 0
        events = list(self._events)
        self._events.clear()
        return lost, events

    def _put(self, event: HubEvent) -> None:
        if len(self._events) >= WAITING:
            self._events.popleft()
            self._lost += 1
        self._events.append(event)
        if self.wake is not None:
            self.wake()

    def close(self) -> None:
        """Follow no longer."""
        self._hub._remove(self)


class Hub:
    """Hands events to followers and keeps the last ones.

    :param history: how many events are kept for those who come back; 0 keeps none.
    """

    def __init__(self, history: int = 0) -> None:
        #: The number of the last event.
        self.last = 0
        self._history: deque[HubEvent] = deque(maxlen=history)
        self._followers: dict[str, list[Follower]] = {}

    def __bool__(self) -> bool:
        """Tell whether an event would reach anybody, now or later."""
        return bool(self._followers) or bool(self._history.maxlen)

    def remember(self, history: int) -> None:
        """Keep the last *history* events from now on."""
        self._history = deque(self._history, maxlen=history)

    def publish(self, names: Iterable[str], message: dict[str, Any]) -> None:
        """Something happened.

        :param names: every name of it; each is an event of its own.
        :param message: what all of them say.
        """
        for name in names:
            self.last += 1
            event = HubEvent(self.last, name, message)
            self._history.append(event)
            if self._followers:
                for pattern in ancestors(name):
                    for follower in self._followers.get(pattern, ()):
                        follower._put(event)

    def follow(
        self, pattern: str, since: int | None = None, tail: int = 0, wake: Callable[[], None] | None = None
    ) -> Follower:
        """Return a follower of the events that *pattern* selects (:mod:`gaffer.events.patterns`).

        :param since: the number of an event: it begins with those after it, as far as they are kept. A number
            that has not been given yet is from an earlier life of the program, so all that is kept is new.
        :param tail: without *since*: it begins with the last *tail* kept ones.
        """
        pattern = normalise(pattern)
        follower = Follower(self, pattern, wake)
        kept = [event for event in self._history if matches(pattern, event.name)]
        if since is None:
            kept = kept[-tail:] if tail > 0 else []
        elif since <= self.last:
            kept = [event for event in kept if event.number > since]
            oldest = self._history[0].number if self._history else self.last + 1
            follower._lost = max(0, oldest - since - 1)
        follower._events.extend(kept[-WAITING:])
        follower._lost += max(0, len(kept) - WAITING)
        self._followers.setdefault(pattern, []).append(follower)
        return follower

    def _remove(self, follower: Follower) -> None:
        others = [one for one in self._followers.get(follower.pattern, ()) if one is not follower]
        if others:
            self._followers[follower.pattern] = others
        else:
            self._followers.pop(follower.pattern, None)
