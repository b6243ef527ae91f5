"""Verdicts on a process from the answers to its probes: pure logic, without processes and without time."""

from __future__ import annotations

from typing import NamedTuple

#: The first pause of a process that is not ready yet, in seconds; each further one is twice as long.
FIRST_PAUSE = 0.05


class CheckResult(NamedTuple):
    """The outcome of one check.

    :param seconds: how long it took.
    :param at: when it ended, in seconds since 1970.
    """

    ok: bool
    message: str
    seconds: float
    at: float


class Limits(NamedTuple):
    """Limits of a question, as the job sets them at the moment.

    :param start: seconds that a start may take.
    """

    start: float
    interval: float
    timeout: float
    successes: int
    failures: int


class ReadinessChange(NamedTuple):
    """The readiness of a process, with the reason."""

    ready: bool
    reason: str


class ReadyVerdict:
    """The verdict whether a process can be used.

    :param probe: what is asked, for sentences.
    :param began: when the process was started, on the clock that :meth:`take` is given.
    """

    def __init__(self, probe: str, began: float) -> None:
        self.ready = False
        self._probe, self._began = probe, began
        self._was_ready = False
        #: Successes in a row; failures in a row are negative.
        self._streak = 0
        self._pause = FIRST_PAUSE
        self._told = ""

    def take(self, ok: bool, message: str, now: float, limits: Limits) -> ReadinessChange | None:
        """Return what an answer changes."""
        self._streak = max(self._streak, 0) + 1 if ok else min(self._streak, 0) - 1
        if ok:
            if self.ready or self._streak < limits.successes:
                return None
            self.ready = self._was_ready = True
            self._told = ""
            return ReadinessChange(True, "")
        if self.ready and -self._streak < limits.failures:
            return None
        self.ready = False
        return self.explain(message, now, limits)

    def explain(self, message: str, now: float, limits: Limits) -> ReadinessChange | None:
        """Return the reason of a process that is not ready, if it is another one than before."""
        late = not self._was_ready and now - self._began >= limits.start
        reason = f"{self._probe}: {message}"
        reason = f"not ready after {limits.start:g} s: {reason}" if late else reason
        if self.ready or reason == self._told:
            return None
        self._told = reason
        return ReadinessChange(False, reason)

    def pause(self, limits: Limits) -> float:
        """Return the seconds until the next check: few at first, while a start is waited for."""
        if self._was_ready or self._pause >= limits.interval:
            return limits.interval
        pause, self._pause = self._pause, self._pause * 2
        return pause


class AliveVerdict:
    """The verdict whether a process has to be restarted.

    :param began: when the process was started. Failures before the first success count once it has had *limits.start*
        seconds: until then it is starting.
    :param started: it is ready, so that every failure counts.
    """

    def __init__(self, probe: str, began: float, started: bool) -> None:
        self._probe, self._began, self._started = probe, began, started
        self._failures = 0

    def take(self, ok: bool, message: str, now: float, limits: Limits) -> str | None:
        """Return why the process has to be restarted, if it has."""
        if ok:
            self._started, self._failures = True, 0
            return None
        if not self._started and now - self._began < limits.start:
            return None
        self._failures += 1
        if self._failures < limits.failures:
            return None
        times = "once" if self._failures == 1 else f"{self._failures} times"
        return f"its alive probe failed {times}: {self._probe}: {message}"
