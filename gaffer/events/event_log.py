"""Publishing: events go to the followers whose patterns select them, and the latest are kept (docs/events.rst).

A follower is anything with a pattern that events can be put into. The one in here
is read when its reader has time; who is too slow loses the oldest events and learns
how many. :mod:`gaffer.events.emitter` has the one that calls a function.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Iterable, Protocol

from .patterns import ancestors, matches, normalise

#: Events that may wait for one follower; beyond, the oldest are dropped and counted.
WAITING = 1_000


class PublishedEvent:
    """Event that was published.

    :param number: one more than that of the event before.
    :param name: its dotted name.
    :param rest: the message without its name; events of one occurrence share it.
    """

    __slots__ = ("number", "name", "rest", "encoded")

    def __init__(self, number: int, name: str, rest: dict[str, Any]) -> None:
        self.number = number
        self.name = name
        self.rest = rest
        #: The message as it is sent, kept by the follower that encodes it first: it is the same for all.
        self.encoded: bytes | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The message of docs/events.rst; everybody who asks gets one of their own."""
        return {"event": self.name, **self.rest}


class EventFollower(Protocol):
    """Protocol of a follower of a log."""

    @property
    def pattern(self) -> str:
        """The pattern of its events, in canonical form."""

    def put(self, event: PublishedEvent) -> None:
        """Take an event; never waits, never raises."""

    def close(self) -> None:
        """Follow no longer."""


class EventLog:
    """Hands events to followers and keeps the last ones.

    :param history: how many events are kept for those who come back; 0 keeps none.
    """

    def __init__(self, history: int = 0) -> None:
        #: The number of the last event.
        self.last = 0
        self._history: deque[PublishedEvent] = deque(maxlen=history)
        self._followers: dict[str, list[Any]] = {}

    def __bool__(self) -> bool:
        """Tell whether an event has followers or is kept; publishing is worth nothing otherwise."""
        return bool(self._followers) or bool(self._history.maxlen)

    def remember(self, history: int) -> None:
        """Keep the last *history* events from now on."""
        self._history = deque(self._history, maxlen=history)

    def record(self, names: Iterable[str], message: dict[str, Any]) -> list[PublishedEvent]:
        """Publish one occurrence under each of its *names*; returns the events.

        :param message: what all of them say.
        """
        events = []
        for name in names:
            self.last += 1
            event = PublishedEvent(self.last, name, message)
            events.append(event)
            self._history.append(event)
            if self._followers:
                for pattern in ancestors(name):
                    for follower in self._followers.get(pattern, ()):
                        follower.put(event)
        return events

    def follow(
        self, pattern: str, since: int | None = None, tail: int = 0, wake: Callable[[], None] | None = None
    ) -> Follower:
        """Return a new follower of the events that *pattern* selects; see :class:`Follower`."""
        return Follower(self, pattern, since, tail, wake)

    def kept(self, pattern: str, since: int | None, tail: int) -> tuple[int, list[PublishedEvent]]:
        """Return ``(lost, events)``: how many after *since* are not kept any more, and those that are."""
        kept = [event for event in self._history if matches(pattern, event.name)]
        if since is None:
            return 0, kept[-tail:] if tail > 0 else []
        if since > self.last:
            return 0, kept
        oldest = self._history[0].number if self._history else self.last + 1
        return max(0, oldest - since - 1), [event for event in kept if event.number > since]

    def add(self, follower: EventFollower) -> None:
        """Put events into *follower* from now on."""
        self._followers.setdefault(follower.pattern, []).append(follower)

    def remove(self, follower: EventFollower) -> None:
        """Put no more events into *follower*; nothing happens if none were."""
        others = [one for one in self._followers.get(follower.pattern, ()) if one is not follower]
        if others:
            self._followers[follower.pattern] = others
        else:
            self._followers.pop(follower.pattern, None)


class Follower:
    """Takes the events that a pattern selects (:mod:`gaffer.events.patterns`); each once, in order.

    :param since: the number of an event: it begins with those after it, as far as they are kept. A number
        that has not been given yet is from an earlier life of the program, so all that is kept is new.
    :param tail: without *since*: it begins with the last *tail* kept ones.
    :param wake: called when there is more; may be called in the hub of gevent, so it must only set something.

    Close it when it is not needed any more.
    """

    __slots__ = ("pattern", "wake", "lost", "_log", "_events")

    def __init__(
        self,
        log: EventLog,
        pattern: str,
        since: int | None = None,
        tail: int = 0,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.pattern = normalise(pattern)
        self.wake = wake
        #: How many events were dropped; ``take()`` begins to count again.
        self.lost, kept = log.kept(self.pattern, since, tail)
        self.lost += max(0, len(kept) - WAITING)
        self._events = deque(kept[-WAITING:])
        self._log = log
        log.add(self)

    def take(self) -> tuple[int, list[PublishedEvent]]:
        """Return ``(lost, events)``: how many were dropped before these, and those that wait."""
        lost, self.lost = self.lost, 0
        events = list(self._events)
        self._events.clear()
        return lost, events

    def put(self, event: PublishedEvent) -> None:
        """Let *event* wait; if too many do, the oldest is dropped."""
        if len(self._events) >= WAITING:
            self._events.popleft()
            self.lost += 1
        self._events.append(event)
        if self.wake is not None:
            self.wake()

    def close(self) -> None:
        """Follow no longer."""
        self._log.remove(self)
