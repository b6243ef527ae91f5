"""Reports: what depends on what, and what the starts waited for. Nothing is changed here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Iterator

from .conditions import holds
from .timing import seen

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Job, JobName

    from .timing import StartRecord
    from .watch import DependencyWatch


def graph(
    watch: DependencyWatch | None, jobs: list[Job], sees: Callable[[JobName], bool], now: float
) -> Iterator[dict[str, Any]]:
    """Yield each job with its state and what it depends on.

    :param sees: tells whether a job may be shown.
    """
    for job in jobs:
        if sees(job.name):
            needs = [] if watch is None else [need for need in watch.needs(job) if sees(need[1])]
            yield {
                "name": job.name.full,
                "state": job.state(now),
                "ready": job.ready,
                "max_processes": job.wanted,
                "reason": "; ".join(job.reasons()) or None,
                "depends_on": [
                    {"name": name.full, "condition": one.condition, "holds": holds(other, one.condition)}
                    for one, name, other in needs
                ],
            }


class Blame:
    """Waits of the latest starts of jobs.

    :param sees: tells whether a job may be shown.
    :param now: monotonic seconds.
    """

    def __init__(
        self, manager: Manager, watch: DependencyWatch | None, sees: Callable[[JobName], bool], now: float
    ) -> None:
        self._watch, self._now = watch, now
        self._began = time.time() - now
        self._jobs = {job.name: job for job in manager.all_jobs() if sees(job.name)}
        known = {} if watch is None else watch.starts
        self._starts = {name: known.get(name) or seen(job) for name, job in self._jobs.items()}

    def jobs(self) -> Iterator[dict[str, Any]]:
        """Yield the jobs, the one that took longest first."""
        starts = [(name, start) for name, start in self._starts.items() if start is not None]
        for name, start in sorted(starts, key=lambda one: self._took(one[1]), reverse=True):
            yield self._job(name, start)

    def _took(self, start: StartRecord) -> float:
        """Return how long a start took, as far as it is known."""
        return (self._until(start) if start.done is None else start.done) - start.wanted

    def _job(self, name: JobName, start: StartRecord) -> dict[str, Any]:
        waits = [
            {
                "for": text,
                "seconds": (self._now if wait.until is None else wait.until) - wait.since,
                "over": wait.until is not None,
            }
            for text, wait in start.waits.items()
        ]
        return {
            "name": name.full,
            "state": self._jobs[name].state(self._now),
            "began": self._began + start.wanted,
            "waited": max(0.0, self._until(start) - start.wanted),
            "starting": None if start.spawned is None or start.done is None else max(0.0, start.done - start.spawned),
            "total": None if start.done is None else max(0.0, start.done - start.wanted),
            "waits": sorted(waits, key=lambda wait: -wait["seconds"]),
        }

    def _until(self, start: StartRecord) -> float:
        """Return until when a start waited."""
        if start.spawned is not None:
            return start.spawned
        return start.wanted if start.over else self._now

    def chain(self) -> list[dict[str, Any]]:
        """Return the job that was ready last, what it waited for longest, and so on to one that waited for nothing."""
        starts = {name: start for name, start in self._starts.items() if start is not None}
        name = max(starts, key=lambda name: self._end(starts[name]), default=None)
        chain: list[dict[str, Any]] = []
        text = None
        while name is not None and name in starts and all(name.full != link["name"] for link in chain):
            start = starts[name]
            chain.append({"name": name.full, "for": text, "total": self._job(name, start)["total"]})
            if not start.waits:
                break
            text = max(start.waits, key=lambda text: self._end_of_wait(start, text))
            name = self._target(name, text, starts)
        return chain

    def _end(self, start: StartRecord) -> tuple[float, bool]:
        """Return when a start was over, as far as that is known; what goes on is later than what is over."""
        if start.done is not None:
            return start.done, False
        return (start.wanted, False) if start.over else (self._now, True)

    def _end_of_wait(self, start: StartRecord, text: str) -> float:
        until = start.waits[text].until
        return self._now if until is None else until

    def _target(self, name: JobName, text: str, starts: dict[JobName, StartRecord]) -> JobName | None:
        """Return the job that a dependency means; of several the one that was ready last."""
        if self._watch is None:
            return None
        found = [target for one, target, _ in self._watch.needs(self._jobs[name]) if str(one) == text]
        return max((one for one in found if one in starts), key=lambda one: self._end(starts[one]), default=None)
