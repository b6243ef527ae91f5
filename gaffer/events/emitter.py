"""Listeners of events: gaffer 0.5's ``EventEmitter``.

A listener is any callable ``(event, *args, **kwargs)``. Each subscription follows
with an outbox of its own, so it gets every event once, in order, and a slow or
broken one costs itself only. Patterns are those of :mod:`gaffer.events.patterns`.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable

import gevent

from .event_log import EventLog, PublishedEvent
from .outbox import Outbox
from .patterns import ancestors, normalise
from .unpatched import native

Listener = Callable[..., Any]
thread_id: Callable[[], int] = native("_thread", "get_ident")


class Subscription:
    """Follower that calls a listener, from its outbox."""

    __slots__ = ("pattern", "listener", "once", "outbox", "_emitter")

    def __init__(self, emitter: EventEmitter, pattern: str, listener: Listener, once: bool, size: int) -> None:
        self.pattern = pattern
        self.listener = listener
        self.once = once
        self.outbox = Outbox(f"listener {getattr(listener, '__name__', listener)!s} of {pattern!r}", size)
        self._emitter = emitter

    def put(self, event: PublishedEvent) -> None:
        """Call the listener with the name and the message of *event*, soon."""
        self.call(event.name, (event.message,))

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        """Call the listener with *name*, *args* and *kwargs*, soon."""
        if self.once:
            self._emitter._part(self)
        self.outbox.put(name, self.listener, (name, *args), kwargs)

    def close(self) -> None:
        """Take the subscription back, with the calls that wait."""
        self._emitter.remove(self)
        self.outbox.close()


class EventEmitter(EventLog):
    """Hands events to subscribers, asynchronously. Its methods may be called from any thread.

    :param loop: accepted as in gaffer 0.5; events travel in gevent's hub.
    :param max_size: events that may wait for one subscriber; more are dropped and counted.
    """

    def __init__(self, loop: Any = None, max_size: int = 10_000) -> None:
        super().__init__()
        self._loop = loop or gevent.get_hub().loop
        self._thread = thread_id()
        self._max_size = max_size
        #: Of subscriptions to one event, which may be on its way.
        self._parting: list[Subscription] = []

    def publish(self, evtype: str, *args: Any, **kwargs: Any) -> None:
        """Emit event *evtype*; never waits, from any thread."""
        self._at_home(self._publish, evtype, args, kwargs)

    def _at_home(self, function: Callable[..., Any], *args: Any) -> None:
        """Call *function* in the thread of the hub: now, or soon and in order when another thread asks."""
        if thread_id() == self._thread:
            function(*args)
        else:
            self._loop.run_callback_threadsafe(function, *args)

    def _publish(self, evtype: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._followers:
            return
        # Canonical like the patterns, so that an embedder's own event "load" is found by that name too.
        for pattern in ancestors(normalise(evtype)):
            for subscription in self._subscriptions(pattern):
                subscription.call(evtype, args, kwargs)

    def _subscriptions(self, *patterns: str) -> list[Subscription]:
        """Return the listeners' subscriptions to some patterns, by default to all."""
        found = [one for pattern in patterns or self._followers for one in self._followers.get(pattern, ())]
        return [one for one in found if isinstance(one, Subscription)]

    def subscribe(self, evtype: str, listener: Listener, once: bool = False) -> None:
        """Subscribe *listener* to the events that the pattern *evtype* selects; a second time changes nothing.

        Listeners are called in greenlets of the hub's thread, whichever thread subscribes them or publishes.

        :param evtype: ``a`` selects ``a`` and ``a.b``; ``.`` selects all.
        :param once: only the next one.
        """
        self._at_home(self._subscribe, normalise(evtype), listener, once)

    def _subscribe(self, pattern: str, listener: Listener, once: bool) -> None:
        if self._find(pattern, listener, once) is None:
            self.add(Subscription(self, pattern, listener, once, self._max_size))

    def subscribe_once(self, evtype: str, listener: Listener) -> None:
        """Subscribe *listener* to the next event only."""
        self.subscribe(evtype, listener, once=True)

    def unsubscribe(self, evtype: str, listener: Listener, once: bool = False) -> None:
        """Take a subscription back; nothing happens if there is none."""
        self._at_home(self._unsubscribe, normalise(evtype), listener, once)

    def _unsubscribe(self, pattern: str, listener: Listener, once: bool) -> None:
        found = self._find(pattern, listener, once)
        if found is not None:
            found.close()

    def unsubscribe_once(self, evtype: str, listener: Listener) -> None:
        self.unsubscribe(evtype, listener, once=True)

    def unsubscribe_all(self, events: Iterable[str] = ()) -> None:
        """Take back every subscription to the patterns *events*; to all without any."""
        self._at_home(self._unsubscribe_all, [normalise(event) for event in events])

    def _unsubscribe_all(self, patterns: list[str]) -> None:
        for subscription in self._subscriptions(*patterns):
            subscription.close()

    def _part(self, subscription: Subscription) -> None:
        """Take a subscription to one event back, which is on its way."""
        self.remove(subscription)
        self._parting = [*(one for one in self._parting if one.outbox.busy), subscription]

    def excuse(self, greenlet: Any) -> None:
        """Let a listener that waits in *greenlet* for the end of the manager go on after :meth:`close`."""
        for subscription in self._subscriptions():
            subscription.outbox.excuse(greenlet)

    def flush(self, timeout: float) -> list[str]:
        """Wait until every listener has heard what was published; returns those that were too slow.

        :param timeout: seconds for all of them together.
        """
        deadline = time.monotonic() + timeout
        boxes = [one.outbox for one in (*self._subscriptions(), *self._parting)]
        return [box.owner for box in boxes if not box.flush(max(0.0, deadline - time.monotonic()))]

    def close(self) -> None:
        """Take back all subscriptions."""
        self._at_home(self._close)

    def _close(self) -> None:
        for follower in [one for some in self._followers.values() for one in some]:
            follower.close()

    def _find(self, pattern: str, listener: Listener, once: bool) -> Subscription | None:
        candidates = self._subscriptions(pattern)
        return next((one for one in candidates if one.listener == listener and one.once == once), None)
