"""Receiver at one URL: its queue, its greenlet, and the outcome of each delivery.

Deliveries of one URL are sent one after the other, so their order is that of the events; a failed one is tried again
before the next. The greenlet lives while there is work, and a little longer for the connection's sake.
"""

from __future__ import annotations

import json
import logging
import random
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import gevent
from gevent.event import Event

from gaffer import __version__
from gaffer.api import Bounded

from .retry import Undelivered, Verdict, backoff, judge
from .signing import sign
from .urls import Target

if TYPE_CHECKING:
    from gevent.lock import BoundedSemaphore

    from .client import Client
    from .config import Tuning
    from .trust import Trust

log = logging.getLogger("gaffer.webhooks")

#: Seconds that an idle connection is kept; some servers close theirs after five.
IDLE = 4.0
#: Seconds after a line about a failure in which the log hears of no other; those are counted.
QUIET = 60.0
_UNFIT = re.compile(r"[^ -~]")
_USER_AGENT = f"gaffer/{__version__}"


@dataclass
class Delivery:
    """Delivery of one event to one URL.

    :param id: stays the same over all attempts, so that a receiver can tell a repetition.
    :param event: the event's name, fit for headers and logs.
    """

    id: str
    event: str
    body: bytes
    attempts: int = 0

    @classmethod
    def of(cls, event: str, body: bytes) -> Delivery:
        """Return a new delivery with an id of its own."""
        return cls(secrets.token_hex(12), _UNFIT.sub("?", event), body)


class DeadLetter(NamedTuple):
    """A delivery that was given up.

    :param receiver: the number of its URL.
    """

    delivery: Delivery
    receiver: int
    url: str
    reason: str
    time: float

    def info(self) -> dict[str, Any]:
        """Return what ``GET /webhooks`` shows."""
        return {
            "id": self.delivery.id,
            "webhook": self.receiver,
            "url": self.url,
            "event": self.delivery.event,
            "message": json.loads(self.delivery.body),
            "attempts": self.delivery.attempts,
            "reason": self.reason,
            "time": self.time,
        }


def _make_client(target: Target, tuning: Tuning, trust: Trust) -> Client:
    # Late: http.client takes 40 ms, and the first process need not wait for it.
    from .client import Client

    return Client(target, tuning, trust)


class Shared(NamedTuple):
    """Resources that all receivers of a dispatcher share; tests replace them.

    :param slots: bounds the requests under way.
    :param trust: the TLS settings.
    :param bury: takes what is given up.
    :param pause: ``pause(event, seconds)`` waits until the event is set, at most that long.
    :param chance: gives numbers from 0 to 1.
    """

    tuning: Tuning
    slots: BoundedSemaphore
    trust: Trust
    bury: Callable[[DeadLetter], None]
    make_client: Callable[[Target, Tuning, Trust], Client] = _make_client
    pause: Callable[[Event, float], Any] = Event.wait
    chance: Callable[[], float] = random.random


class Receiver:
    """The deliveries of one URL.

    :param number: how others call it: the URL may hold secrets.
    """

    def __init__(self, number: int, target: Target, shared: Shared) -> None:
        self.number, self.target, self.shared = number, target, shared
        # What a receiver answers, and how often it changes its mind, is its own affair; our log is not.
        self._log = Bounded(log)
        self.patterns: list[str] = []
        self.sent = self.retries = self.failed = self.lost = 0
        self.last_sent: float | None = None
        self.last_error: dict[str, Any] | None = None
        #: Events that the receiver has not got since it got one.
        self.gap = 0
        self._row = 0
        #: When the log heard of a failure, whether it heard that all is well since, and the failures since then.
        self._told_at = -QUIET
        self._told_well = True
        self._untold = 0
        self._queue: deque[Delivery] = deque()
        self._client: Client | None = None
        self._greenlet: gevent.Greenlet | None = None
        self._more = Event()
        self._hurry = Event()
        self._draining = False
        #: Deliveries whose only attempt while it was drained has failed.
        self._unsent = 0
        self._retry_at: float | None = None

    # -- from outside -----------------------------------------------------------
    @property
    def full(self) -> bool:
        """True if there is no room for another delivery."""
        return len(self._queue) >= self.shared.tuning.queue_size

    def put(self, delivery: Delivery) -> bool:
        """Queue a delivery; never waits. Tells whether there was room."""
        if self.full:
            self.lost += 1
            self.gap += 1
            if _worth_a_line(self.lost):
                self._log.write(
                    logging.ERROR, "webhook %s is too slow: %d events dropped", self.target.shown, self.lost
                )
            return False
        self._queue.append(delivery)
        self._more.set()
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        return True

    @property
    def failing(self) -> bool:
        """True if the latest attempt failed."""
        return self._row > 0

    def use(self, shared: Shared) -> None:
        """Take new options over; a request under way keeps the old ones. What was drained begins again."""
        self.shared = shared
        if self._draining:
            self._draining = False
            self._hurry.clear()
        if self._client is not None:
            self._client.tuning, self._client.trust = shared.tuning, shared.trust

    def hurry(self) -> None:
        """Make the next attempt now."""
        self._hurry.set()

    def drain(self) -> gevent.Greenlet | None:
        """Give each that is queued one attempt, without waiting between them; :meth:`end` counts those that failed.

        :returns: the greenlet that ends then, None if there is nothing to send.
        """
        self._draining = True
        self._more.set()
        self._hurry.set()
        return self._greenlet

    def end(self) -> int:
        """Stop at once; returns how many deliveries were left."""
        left = len(self._queue) + self._unsent
        self.lost += left
        self._queue.clear()
        self._unsent = 0
        if self._greenlet is not None:
            self._greenlet.kill()
        return left

    def info(self) -> dict[str, Any]:
        """Return what ``GET /webhooks`` shows."""
        retry_in = None if self._retry_at is None else max(0.0, self._retry_at - time.monotonic())
        return {
            "id": self.number,
            "url": self.target.shown,
            "events": list(self.patterns),
            "signed": self.shared.tuning.key is not None,
            "state": "waiting" if self._retry_at is not None else "sending" if self._queue else "idle",
            "retry_in": retry_in,
            "pending": len(self._queue),
            "sent": self.sent,
            "retries": self.retries,
            "failed": self.failed,
            "lost": self.lost,
            "last_sent": self.last_sent,
            "last_error": self.last_error,
        }

    # -- the greenlet -----------------------------------------------------------
    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._deliver(self._queue[0])
                self._queue.popleft()
        finally:
            # First this: closing may let others run, and one of them may put something.
            self._greenlet = None
            client, self._client = self._client, None
            if client is not None:
                client.close()

    def _wait_for_work(self) -> bool:
        if not self._queue and not self._draining:
            self._more.clear()
            self._more.wait(IDLE)
        return bool(self._queue)

    def _deliver(self, delivery: Delivery) -> None:
        """Try until it is delivered or given up."""
        while True:
            verdict = self._attempt(delivery)
            if not verdict.reason:
                return self._succeeded()
            self._failed(delivery, verdict)
            if not verdict.again or delivery.attempts >= self.shared.tuning.max_attempts:
                return self._give_up(delivery, verdict)
            if self._draining:
                self._unsent += 1
                self.gap += 1
                return None
            self._pause(delivery.attempts, verdict.asked)
            self.retries += 1

    def _attempt(self, delivery: Delivery) -> Verdict:
        shared = self.shared
        with shared.slots:
            client = self._client = self._client or shared.make_client(self.target, shared.tuning, shared.trust)
            delivery.attempts += 1
            gap = self.gap
            try:
                answer = client.post(self._headers(delivery), delivery.body)
            except Undelivered as error:
                return Verdict(str(error), again=True)
            except Exception as error:
                self._log.write(logging.ERROR, "webhook %s: unexpected %r", self.target.shown, error, exc_info=error)
                return Verdict(f"unexpected {type(error).__name__}")
        verdict = judge(answer, time.time())
        if not verdict.reason:
            self.gap -= gap  # the header told of these
        return verdict

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        now = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Gaffer-Event": delivery.event,
            "Gaffer-Attempt": str(delivery.attempts),
            "Gaffer-Lost": str(self.gap),
            "webhook-id": delivery.id,
            "webhook-timestamp": str(now),
        }
        if self.target.authorization is not None:
            headers["Authorization"] = self.target.authorization
        key = self.shared.tuning.key
        if key is not None:
            headers["webhook-signature"] = sign(key, delivery.id, now, delivery.body)
        return headers

    def _pause(self, attempts: int, asked: float) -> None:
        delay = backoff(attempts, asked, self.shared.tuning, self.shared.chance())
        self._retry_at = time.monotonic() + delay
        try:
            self.shared.pause(self._hurry, delay)
        finally:
            self._retry_at = None
            self._hurry.clear()

    # -- book-keeping -----------------------------------------------------------
    def _succeeded(self) -> None:
        self.sent += 1
        self.last_sent = time.time()
        if self._row and not self._told_well:
            self._told_well = True
            self._log.write(
                logging.INFO,
                "webhook %s takes events again after %d failed attempt%s",
                *(self.target.shown, self._untold + 1, "s" if self._untold else ""),
            )
            self._untold = 0
        self._row = 0

    def _failed(self, delivery: Delivery, verdict: Verdict) -> None:
        self._row += 1
        self.last_error = {
            "time": time.time(),
            "event": delivery.event,
            "attempt": delivery.attempts,
            "reason": verdict.reason,
        }
        # A receiver that fails now and then is worth a line a minute, and not two for each failure.
        now = time.monotonic()
        if not self._told_well or now - self._told_at < QUIET:
            self._untold += 1
            return
        more = f" ({self._untold} other attempts failed since the last such line)" if self._untold else ""
        self._log.write(logging.WARNING, "webhook %s: %s%s", self.target.shown, verdict.reason, more)
        self._told_at, self._told_well, self._untold = now, False, 0

    def _give_up(self, delivery: Delivery, verdict: Verdict) -> None:
        self.failed += 1
        self.gap += 1
        if _worth_a_line(self.failed):
            self._log.write(
                logging.ERROR,
                "webhook %s: '%s' given up after %d attempts; %d so far",
                *(self.target.shown, delivery.event, delivery.attempts, self.failed),
            )
        self.shared.bury(DeadLetter(delivery, self.number, self.target.shown, verdict.reason, time.time()))


def _worth_a_line(count: int) -> bool:
    """Tell whether the log needs to hear of this one; later ones are counted only."""
    return count in (1, 10, 100) or count % 1000 == 0
