"""Restart policy: the decision after a process ended, as pure functions of its history.

Without ``flapping``: at once after a process that lived ``min_uptime``, else after
a delay of 0.1 s that doubles up to 30 s, or as ``backoff`` says, jittered so that copies do
not restart in step. With ``flapping``: its rule decides (docs/configuration.rst).
"""

from __future__ import annotations

from collections import deque
from typing import Callable, NamedTuple

from ..config.fields import Backoff
from ..config.jobconfig import JobConfig

#: Delays of a job whose ``backoff`` is not set.
BACKOFF = Backoff(first=0.1, factor=2.0, longest=30.0)
#: Delays vary by this share in both directions.
JITTER = 0.2


class Now(NamedTuple):
    """Replace the process at once."""


class After(NamedTuple):
    """Replace the process after a delay.

    :param seconds: how long to wait.
    :param flapping: if true, the ``flapping`` rule asked for it.
    """

    seconds: float
    flapping: bool = False


class GiveUp(NamedTuple):
    """Do not replace the process; the copy has failed.

    :param reason: what ``status`` shows.
    """

    reason: str


class Done(NamedTuple):
    """Do not replace the process; it ended as its ``restart`` setting allows."""


Decision = Now | After | GiveUp | Done


class History:
    """The recent ends of one copy, on which the next restart depends.

    Deaths that gaffer caused are not entered.
    """

    __slots__ = ("exits", "failures", "retries")

    def __init__(self) -> None:
        #: Monotonic times of the latest deaths, oldest first.
        self.exits: deque[float] = deque(maxlen=64)
        #: Starts in a row that did not live ``min_uptime``.
        self.failures = 0
        #: How many times the flapping rule paused this copy in a row.
        self.retries = 0

    def enter(self, config: JobConfig, uptime: float | None, now: float) -> None:
        """Remember a death.

        :param uptime: how long the process lived in seconds; None for a failed start.
        :param now: monotonic time of the death.
        """
        rule = config.flapping
        if rule is not None:
            self._reserve(rule.attempts)
            if uptime is not None and uptime > max(rule.window, config.min_uptime):
                self.retries = 0
                self.exits.clear()
        well = uptime is not None and uptime >= config.min_uptime
        self.failures = 0 if well else self.failures + 1
        self.exits.append(now)

    def _reserve(self, attempts: int) -> None:
        if self.exits.maxlen is not None and self.exits.maxlen < attempts:
            self.exits = deque(self.exits, maxlen=attempts)


def decide(
    config: JobConfig,
    history: History,
    code: int | None,
    uptime: float | None,
    now: float,
    jitter: Callable[[], float] | None = None,
) -> Decision:
    """Decide what follows a death that was just entered into *history*.

    :param code: the exit code; None after a signal or a failed start.
    :param uptime: seconds the process lived; None if it could not be started.
    :param jitter: returns numbers from 0 to 1.
    """
    if uptime is None and config.restart == "never":
        return GiveUp("could not be started, and restart is never")
    if uptime is not None and _over(config, code):
        return Done()
    if config.flapping is not None:
        return _flapping(config, history, now)
    if history.failures == 0:
        return Now()
    return After(backoff(history.failures, (jitter or _random)(), config.backoff or BACKOFF))


def _random() -> float:
    from random import random  # late: it brings all hashes with it, and most programs start without a failure

    return random()


def after_kill(config: JobConfig, code: int | None) -> Decision:
    """Decide what follows an end that gaffer was asked to cause: no delay, but ``restart`` holds."""
    return Done() if _over(config, code) else Now()


def _over(config: JobConfig, code: int | None) -> bool:
    """Return True if ``restart`` forbids replacing a process that ended with *code*."""
    return config.restart == "never" or config.restart == "on-failure" and code in config.exit_codes


def backoff(failures: int, jitter: float, rule: Backoff = BACKOFF) -> float:
    """Return the delay before the next start after *failures* bad starts in a row, in seconds."""
    delay: float = min(rule.first * rule.factor ** min(failures - 1, 32), rule.longest)
    return delay * (1 + JITTER * (2 * jitter - 1))


def _flapping(config: JobConfig, history: History, now: float) -> Decision:
    rule = config.flapping
    recent = [at for at in history.exits if now - at <= rule.window]
    if len(recent) < rule.attempts:
        return Now()
    if 0 <= rule.max_retry <= history.retries:
        return GiveUp(f"it died {rule.attempts} times within {rule.window:g} s and was retried {history.retries} times")
    history.retries += 1
    history.exits.clear()
    return After(rule.retry_in, flapping=True)
