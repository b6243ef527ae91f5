"""The two questions about one process, each asked in a greenlet of its own.

A question never overlaps itself: the pause begins when the answer is there. Neither waits for the other, so that a
command that takes its time to say whether a process is ready does not delay the news that it hangs.
"""

from __future__ import annotations

import logging
import math
import random
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, NamedTuple

import gevent
from gevent.event import Event

from .network import ProbeFailed
from .verdicts import AliveVerdict, CheckResult, Limits, ReadyVerdict

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Process

log = logging.getLogger("gaffer.probes")

#: Characters of a message that are kept.
MAX_MESSAGE = 500
#: Pauses differ by this share, so that probes of many processes do not come together.
JITTER = 0.1
#: Seconds between two moments at which long pauses end.
TICK = 0.02


class Failure(NamedTuple):
    """A process that had to be restarted, why, and when, in seconds since 1970."""

    pid: int
    reason: str
    at: float


class Check(NamedTuple):
    """A check: what a question asks, and when.

    :param shown: the probe, as sentences name it.
    :param ask: makes one check, and returns a sentence if it succeeds.
    :param wake: set when there is something new, for what does not ask but waits; None if it has to be asked.
    :param once: if true, a success is final.
    :param close: gives back what is kept between two checks.
    """

    shown: str
    ask: Callable[[], str | None]
    wake: Event | None = None
    once: bool = False
    close: Callable[[], None] | None = None


class Counters:
    """Counts of the checks, failures and restarts of all probes together."""

    __slots__ = ("checks", "failed", "restarts")

    def __init__(self) -> None:
        self.checks = self.failed = self.restarts = 0


class Question:
    """A question about a process.

    :param word: ``ready`` or ``alive``; its settings begin with it.
    """

    def __init__(self, word: str, check: Check, process: Process, counters: Counters) -> None:
        self.word, self.check = word, check
        self.last: CheckResult | None = None
        self._process, self._counters = process, counters

    def limits(self) -> Limits:
        """Return how it is asked, as the job says now: numbers may change while the process goes on."""
        config = self._process.config
        if self.word == "alive":
            return Limits(
                config.alive_timeout, config.alive_interval, config.alive_check_timeout, 1, config.alive_failures
            )
        heard = self.check.wake is not None  # what a process says itself needs no second time
        return Limits(
            config.ready_timeout,
            config.ready_interval,
            config.ready_check_timeout,
            1 if heard else config.ready_successes,
            1 if heard else config.ready_failures,
        )

    def ask(self, limits: Limits) -> CheckResult:
        """Ask once, and remember the answer; never raises, but for the end of its greenlet."""
        began = time.monotonic()
        ok, message = False, ""
        timer = gevent.Timeout.start_new(limits.timeout)
        try:
            message = self.check.ask() or "yes"
            ok = True
        except gevent.Timeout as expired:
            message = f"no answer within {limits.timeout:g} s" if expired is timer else "a timeout"
        except ProbeFailed as failure:
            message = str(failure)
        except OSError as error:
            message = (error.strerror or str(error) or type(error).__name__).lower()
        except (Exception, SystemExit) as error:  # of a kind that a plugin brings
            message = " ".join(str(error).split()) or type(error).__name__
        finally:
            timer.close()
        self._counters.checks += 1
        self._counters.failed += not ok
        self.last = CheckResult(ok, message[:MAX_MESSAGE], time.monotonic() - began, time.time())
        return self.last

    def report(self) -> dict[str, Any]:
        """Return the question and the last answer, as JSON shows it."""
        found = {"probe": self.check.shown, "ok": None, "message": None, "seconds": None, "at": None}
        return found if self.last is None else {**found, **self.last._asdict()}


class ProbeWatch:
    """The questions about one process, from its start to its end.

    :param checks: by question: ``ready``, ``alive``.
    """

    def __init__(self, manager: Manager, process: Process, checks: Mapping[str, Check], counters: Counters) -> None:
        self.process = process
        self._manager, self._counters = manager, counters
        self._questions = {word: Question(word, check, process, counters) for word, check in checks.items()}
        self._began = time.monotonic()
        #: Why it has to be restarted.
        self.failed: Failure | None = None
        self._usable = Event()
        self._greenlets: list[gevent.Greenlet] = []

    def start(self) -> None:
        """Begin to ask."""
        for word, question in self._questions.items():
            self._greenlets.append(gevent.spawn(self._ready if word == "ready" else self._alive, question))

    def stop(self) -> None:
        """Ask no more; does not wait."""
        for greenlet in self._greenlets:
            greenlet.kill(block=False)
        self._greenlets.clear()
        for question in self._questions.values():
            if question.check.close is not None:
                question.check.close()

    def report(self) -> dict[str, Any]:
        """Return the questions with their last answers, as JSON shows them."""
        answers = {word: question.report() for word, question in self._questions.items()}
        return {"pid": self.process.pid, **answers}

    def fail(self, reason: str) -> None:
        """Have the process restarted; its log says so."""
        if self.failed is not None:
            return
        self._counters.restarts += 1
        self.failed = Failure(self.process.pid, reason, time.time())
        log.warning("%s: process %d is stopped: %s", self.process.name, self.process.pid, reason)
        self._manager.fail_process(self.process.pid, reason)

    def failing(self) -> list[tuple[str, CheckResult]]:
        """Return the probes whose last answer was a failure, each with that answer."""
        questions = self._questions.values()
        return [(one.check.shown, one.last) for one in questions if one.last is not None and not one.last.ok]

    # -- the greenlets ----------------------------------------------------------------
    def _ready(self, question: Question) -> None:
        verdict = ReadyVerdict(question.check.shown, self._began)
        spread = True
        while self.process.status is None:
            limits = question.limits()
            result = question.ask(limits)
            now = time.monotonic()
            change = verdict.take(result.ok, result.message, now, limits)
            if change is not None:
                self._manager.set_ready(self.process.pid, *change)
                if change.ready:
                    self._usable.set()
            if verdict.ready and question.check.once:
                return
            pause = verdict.pause(limits)
            if question.check.wake is not None:
                left = self._began + limits.start - now
                question.check.wake.wait(left + 0.01 if left > 0 and not verdict.ready else None)
                question.check.wake.clear()
            elif spread and pause >= limits.interval:
                spread = False  # starts come together, and what follows them shall not
                gevent.sleep(pause * random.random())
            else:
                gevent.sleep(varied(pause))

    def _alive(self, question: Question) -> None:
        usable = False
        if "ready" in self._questions:
            left = self._began + question.limits().start - time.monotonic()
            usable = self._usable.wait(max(0.0, left))
        verdict = AliveVerdict(question.check.shown, self._began, usable)
        gevent.sleep(question.limits().interval * random.uniform(0.5, 1.0))
        while self.process.status is None:
            limits = question.limits()
            result = question.ask(limits)
            reason = verdict.take(result.ok, result.message, time.monotonic(), limits)
            if reason is not None:
                self.fail(reason)
                return
            gevent.sleep(varied(limits.interval))


def varied(seconds: float) -> float:
    """Return about so many seconds; long pauses end at ticks, so that gafferd wakes up for several checks at once."""
    seconds *= random.uniform(1.0 - JITTER, 1.0 + JITTER)
    if seconds < 10 * TICK:
        return seconds
    now = time.monotonic()
    return math.ceil((now + seconds) / TICK) * TICK - now
