"""Dispatch of events to URLs, and their reload, stop and report."""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import replace
from typing import Any, Iterable, Mapping

import gevent
from gevent.lock import BoundedSemaphore

from gaffer.api import NotFound, Unavailable, ancestors

from .config import Hook, Tuning
from .receiver import DeadLetter, Delivery, Receiver, Shared
from .trust import Trust

log = logging.getLogger("gaffer.webhooks")


class Dispatcher:
    """Hands events to the receivers that want them; nothing in here waits, except :meth:`drain`."""

    def __init__(self, tuning: Tuning) -> None:
        self._receivers: dict[str, Receiver] = {}
        self._by_pattern: dict[str, list[Receiver]] = {}
        self._number = 0
        self._unreadable = 0
        self._take_over(tuning)

    def _take_over(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self._dead: deque[DeadLetter] = deque(getattr(self, "_dead", ()), tuning.dead_letters)
        slots = BoundedSemaphore(tuning.concurrency)
        self._shared = Shared(tuning, slots, Trust(tuning.cacert), self._dead.append)

    # -- configuration ----------------------------------------------------------
    def configure(self, hooks: Iterable[Hook], tuning: Tuning | None = None) -> None:
        """Take a new set of hooks over: URLs that stay keep their queue and counters, others begin or end.

        :param tuning: new options; by default the old ones stay.
        """
        if tuning is not None:
            self._take_over(tuning)
        old, self._receivers, self._by_pattern = self._receivers, {}, {}
        for pattern, target in hooks:
            receiver = self._receivers.get(target.url) or old.pop(target.url, None)
            if receiver is None:
                self._number += 1
                receiver = Receiver(self._number, target, self._shared)
            elif target.url not in self._receivers:
                receiver.patterns = []
                receiver.use(self._shared)
            self._receivers[target.url] = receiver
            if pattern not in receiver.patterns:
                receiver.patterns.append(pattern)
                self._by_pattern.setdefault(pattern, []).append(receiver)
        self._end(old.values(), "it was removed")

    def _end(self, receivers: Iterable[Receiver], why: str) -> None:
        lost = {receiver.target.shown: receiver.end() for receiver in receivers}
        told = [f"{count} for {url}" for url, count in lost.items() if count]
        if told:
            log.warning("%d events were not delivered (%s): %s", sum(lost.values()), why, ", ".join(told))

    # -- events -----------------------------------------------------------------
    def dispatch(self, event: Mapping[str, Any]) -> None:
        """Queue an event for every URL that wants it, once each; never waits."""
        name = event["event"]
        wanted = {receiver: None for pattern in ancestors(name) for receiver in self._by_pattern.get(pattern, ())}
        if not wanted:
            return
        try:
            body = json.dumps(event, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            self._unreadable += 1
            if self._unreadable == 1:
                log.error("an event '%s' cannot be posted: %s", name, error)
            return
        for receiver in wanted:
            receiver.put(Delivery.of(name, body))

    def redeliver(self, delivery_id: str) -> None:
        """Send a dead letter again, under its old id.

        :raises NotFound: there is none of that id, or its URL is configured no more.
        :raises Unavailable: the URL's queue is full.
        """
        letter = next((one for one in self._dead if one.delivery.id == delivery_id), None)
        if letter is None:
            raise NotFound(f"there is no dead letter '{delivery_id}'")
        receiver = next((one for one in self._receivers.values() if one.number == letter.receiver), None)
        if receiver is None:
            raise NotFound(f"the webhook {letter.url} of dead letter '{delivery_id}' is configured no more")
        if receiver.full:
            raise Unavailable(f"the queue of {letter.url} is full; try again later")
        self._dead.remove(letter)
        receiver.put(replace(letter.delivery, attempts=0))

    def hurry(self) -> None:
        """Make all attempts now that wait for their time."""
        for receiver in self._receivers.values():
            receiver.hurry()

    # -- the end ----------------------------------------------------------------
    def drain(self, timeout: float | None = None) -> None:
        """Send what is queued, one attempt each, for at most *timeout* seconds; what is left is lost and logged.

        :param timeout: by default ``flush_timeout``.
        """
        greenlets = [receiver.drain() for receiver in self._receivers.values()]
        running = [greenlet for greenlet in greenlets if greenlet is not None]
        gevent.joinall(running, self.tuning.flush_timeout if timeout is None else timeout)
        self._by_pattern = {}
        self._end(self._receivers.values(), "gaffer stops")

    # -- what others see --------------------------------------------------------
    @property
    def active(self) -> bool:
        """True if there is any webhook."""
        return bool(self._receivers)

    def status(self) -> dict[str, Any]:
        """Return what ``GET /webhooks`` shows: every URL with its counters, and the dead letters, oldest first."""
        return {
            "webhooks": [receiver.info() for receiver in self._receivers.values()],
            "dead_letters": [letter.info() for letter in self._dead],
        }

    def health(self) -> dict[str, Any]:
        """Return the counters of all URLs together. A receiver that fails is not gaffer's illness: always ``ok``."""
        infos = [receiver.info() for receiver in self._receivers.values()]
        sums = {key: sum(info[key] for info in infos) for key in ("pending", "sent", "failed", "lost")}
        failing = [receiver.target.shown for receiver in self._receivers.values() if receiver.failing]
        return {"ok": True, "urls": len(infos), **sums, "failing": failing, "dead_letters": len(self._dead)}
