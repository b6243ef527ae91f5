"""Waits of the latest start of each job, and how long each took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable

if TYPE_CHECKING:
    from gaffer.api import Job


class Wait:
    """A condition that did not hold when a start asked for it.

    :param since: monotonic seconds.
    """

    __slots__ = ("since", "until")

    def __init__(self, since: float) -> None:
        self.since = since
        self.until: float | None = None


class StartRecord:
    """The latest start of a job: monotonic times of what happened.

    :param wanted: when it was to start.
    """

    __slots__ = ("wanted", "waits", "spawned", "ready", "ended", "over")

    def __init__(self, wanted: float) -> None:
        self.wanted = wanted
        #: By dependency, as it is written.
        self.waits: dict[str, Wait] = {}
        self.spawned: float | None = None
        #: When all its processes could be used.
        self.ready: float | None = None
        #: When it had completed.
        self.ended: float | None = None
        #: Whether the job was stopped since: the next start is a new one.
        self.over = False

    def note(self, unmet: Iterable[str], now: float) -> None:
        """Take down which conditions do not hold now."""
        if self.spawned is not None:
            return
        unmet = set(unmet)
        for text in unmet:
            wait = self.waits.get(text)
            if wait is None:
                self.waits[text] = Wait(now)
            else:
                wait.until = None
        for text, wait in self.waits.items():
            if text not in unmet and wait.until is None:
                wait.until = now

    @property
    def done(self) -> float | None:
        """When the job was what others wait for, as far as it is known."""
        return self.ready if self.ready is not None else self.ended


def seen(job: Job) -> StartRecord | None:
    """Return what the processes of a job tell of its start, where nothing else is known; None without any."""
    copies = [copy for copy in job.live() if not copy.committed]
    if not copies:
        return None
    start = StartRecord(min(copy.process.started for copy in copies))
    start.spawned = start.wanted
    if job.ready >= job.wanted:
        start.ready = max(copy.ready_since for copy in copies)
    return start
