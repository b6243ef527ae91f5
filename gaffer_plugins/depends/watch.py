"""The part of the plugin that takes part in starts and stops; registered with the first job that depends on another.

A start is held as long as a condition does not hold. Whatever changes one is told to plugins, so for each event the
jobs that depend on the one it is about are looked at again, in one greenlet and each once however many events there
were; a start is released if its reason has changed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple

import gevent

from gaffer import Hold, hookimpl
from gaffer.api import EVERY, NotFound, parse_dependency

from .conditions import SHOWN, holds, is_lost, listed, why
from .problems import dependencies, targets
from .timing import StartRecord, seen

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Dependency, Job, JobName, Process

log = logging.getLogger("gaffer.depends")

#: Jobs that the answer to "why" names.
MOST_CAUSES = 10


class Waiting(NamedTuple):
    """Conditions that a job waits for.

    :param reason: sentences; ``""`` if it need not wait.
    :param names: the jobs.
    """

    reason: str = ""
    names: tuple[str, ...] = ()


class DependencyWatch:
    """Holds and releases the starts of jobs that depend on others.

    :param clock: monotonic seconds.
    """

    description = "holds starts until what a job depends on is ready"

    def __init__(self, manager: Manager, clock: Callable[[], float]) -> None:
        self._manager, self._clock = manager, clock
        #: What each job depends on, and the jobs that depend on each; ``*`` stands for all of a session.
        self._needs: dict[JobName, tuple[str, ...]] = {}
        self._dependents: dict[JobName, set[JobName]] = {}
        self._waiting: dict[JobName, Waiting] = {}
        #: Jobs that go on, or were stopped, without something they depend on.
        self._lost: set[JobName] = set()
        #: Jobs to be looked at again, in order.
        self._changed: dict[JobName, None] = {}
        self._worker: gevent.Greenlet | None = None
        #: Jobs of the configuration that a reload is about to load: they are not stopped for good.
        self.coming: set[JobName] = set()
        #: The latest start of each job.
        self.starts: dict[JobName, StartRecord] = {}
        for job in manager.all_jobs():
            if job.active:
                self.starts[job.name] = seen(job) or StartRecord(clock())

    # -- starts -----------------------------------------------------------------
    @hookimpl
    def gaffer_before_spawn(self, job: Job) -> None:
        """Hold the start of a job whose conditions do not hold; one that has started goes on, unless it says else."""
        if not self._index(job) or job.started and job.config.on_lost == "keep":
            return
        waiting = self._evaluate(job)
        self._keep(job.name, waiting)
        if waiting.reason:
            raise Hold(waiting.reason)

    def _evaluate(self, job: Job) -> Waiting:
        """Return what a job waits for now."""
        now, unmet = self._clock(), {}
        start = self.start_of(job.name)
        for one, name, other in self.needs(job):
            if not holds(other, one.condition) or other is None and name in self.coming:
                unmet[name, one.condition] = str(one), other
        start.note((text for text, _ in unmet.values()), now)
        reasons = [
            why(name, condition, other, now, self._waits_for)
            for (name, condition), (_, other) in list(unmet.items())[:SHOWN]
        ]
        if len(unmet) > SHOWN:
            reasons.append(f"and {len(unmet) - SHOWN} more")
        return Waiting("; ".join(reasons), tuple(dict.fromkeys(str(name) for name, _ in unmet)))

    def needs(self, job: Job) -> Iterator[tuple[Dependency, JobName, Job | None]]:
        """Yield what a job depends on, with the jobs that it means; None for one that is not there."""
        names: dict[JobName, None] | None = None
        for one in dependencies(job.config):
            if one.job == EVERY and names is None:
                names = dict.fromkeys(other.name for other in self._manager.all_jobs())
            for name in targets(job.config, one, names or ()) or [one.name(job.name.session)]:
                yield one, name, self._find(name)

    def _find(self, name: JobName) -> Job | None:
        """Return a job, one that was unloaded as long as its processes live."""
        manager = self._manager
        if manager.has_job(name):
            return manager.job(name)
        return next((job for job in manager.all_jobs() if job.name == name), None)

    def _waits_for(self, name: JobName) -> tuple[str, ...]:
        return self._waiting.get(name, Waiting()).names

    def _keep(self, name: JobName, waiting: Waiting) -> None:
        """Remember what a job waits for; starts that were held for another reason are asked about again."""
        before = self._waiting.get(name)
        self._waiting[name] = waiting
        if before is not None and before != waiting:
            self._manager.release(name)

    def _index(self, job: Job) -> bool:
        """Keep the index of what depends on what; return whether *job* depends on anything."""
        needs = job.config.depends_on
        if self._needs.get(job.name, ()) != needs:
            self._forget(job.name)
            if needs:
                self._needs[job.name] = needs
                for text in needs:
                    self._dependents.setdefault(parse_dependency(text).name(job.name.session), set()).add(job.name)
        return bool(needs)

    def _forget(self, name: JobName) -> None:
        for text in self._needs.pop(name, ()):
            key = parse_dependency(text).name(name.session)
            others = self._dependents.get(key, set())
            others.discard(name)
            if not others:
                self._dependents.pop(key, None)
        self._waiting.pop(name, None)
        self._lost.discard(name)

    # -- what happened ------------------------------------------------------------
    def _heard(self, name: JobName, itself: bool = False) -> None:
        """Look again at the jobs that depend on *name*."""
        for key in (name, name._replace(job=EVERY)):
            self._changed.update(dict.fromkeys(self._dependents.get(key, ())))
        if itself and name in self._needs:
            self._changed[name] = None
        if self._changed and self._worker is None:
            self._worker = gevent.spawn(self._work)

    def _work(self) -> None:
        from gaffer.api.web import TimeSlice

        turn = TimeSlice()
        try:
            while self._changed:
                name = next(iter(self._changed))
                del self._changed[name]
                try:
                    self._look(name)
                except NotFound:
                    pass  # unloaded meanwhile
                except Exception as error:
                    log.error("looking at what %s depends on failed: %r", name, error, exc_info=error)
                turn.give_way()
        finally:
            self._worker = None

    def _look(self, name: JobName) -> None:
        job = self._manager.job(name)
        if name in self._waiting:
            self._keep(name, self._evaluate(job))
        if job.config.on_lost != "keep":
            self._follow(job)

    def _follow(self, job: Job) -> None:
        """Stop, or restart, a job that goes on without what it depends on."""
        if not job.active or not job.running:
            self._lost.discard(job.name)
            return
        needs = list(self.needs(job))
        if job.name not in self._lost:
            gone = [f"{name}:{one.condition}" for one, name, other in needs if is_lost(other, one.condition)]
            if gone:
                self._lost.add(job.name)
                if job.config.on_lost == "stop":
                    log.info("%s is stopped until %s is back (on_lost = stop)", job.name, listed(gone))
                    self._waiting.setdefault(job.name, Waiting())
                    self._manager.stopall(job.name)
        elif all(holds(other, one.condition) for one, _, other in needs):
            self._lost.discard(job.name)
            if job.config.on_lost == "restart":
                log.info("%s is restarted: all that it depends on is back (on_lost = restart)", job.name)
                self._manager.stopall(job.name)

    @hookimpl
    def gaffer_job_loaded(self, job: Job) -> None:
        """Look at the jobs that wait for it."""
        self._heard(job.name)

    @hookimpl
    def gaffer_job_updated(self, job: Job) -> None:
        """Look at what it depends on now, too."""
        self._index(job)
        self._heard(job.name, itself=True)

    @hookimpl
    def gaffer_job_scaled(self, job: Job) -> None:
        """Fewer processes may all be ready."""
        self._heard(job.name)

    @hookimpl
    def gaffer_job_started(self, job: Job) -> None:
        """Begin a new record of its start."""
        self.start_of(job.name)
        self._heard(job.name)

    @hookimpl
    def gaffer_spawned(self, job: Job, process: Process) -> None:
        """Take down when its first process was started."""
        start = self.start_of(job.name)
        if start.spawned is None and not process.committed:
            start.note((), process.started)
            start.spawned = process.started
        self._heard(job.name, itself=True)

    @hookimpl
    def gaffer_process_ready(self, job: Job) -> None:
        """Take down when all its processes were ready."""
        start = self.starts.get(job.name)
        if start is not None and start.ready is None and job.ready >= job.wanted:
            start.ready = self._clock()
        self._heard(job.name)

    @hookimpl
    def gaffer_process_unready(self, job: Job) -> None:
        """Look at the jobs that depend on it."""
        self._heard(job.name)

    @hookimpl
    def gaffer_signalled(self, job: Job) -> None:
        """A stop begins: look at the jobs that depend on it before its process has ended."""
        self._heard(job.name)

    @hookimpl
    def gaffer_exited(self, job: Job) -> None:
        """Look at the jobs that depend on it."""
        self._heard(job.name)

    @hookimpl
    def gaffer_reaped(self, job: Job) -> None:
        """Look at the jobs that depend on it."""
        self._heard(job.name)

    @hookimpl
    def gaffer_spawn_failed(self, job: Job) -> None:
        """Look at the jobs that depend on it: their reason changes."""
        self._heard(job.name)

    @hookimpl
    def gaffer_job_waiting(self, job: Job) -> None:
        """Look at the jobs that depend on it: their reason changes."""
        self._heard(job.name)

    @hookimpl
    def gaffer_job_stopped(self, job: Job) -> None:
        """Close the record of its start."""
        start = self.starts.get(job.name)
        if start is not None and not job.active:
            start.over = True
            if start.ended is None and job.wanted and job.completed >= job.wanted:
                start.ended = self._clock()
        self._heard(job.name)

    @hookimpl
    def gaffer_job_unloaded(self, job: Job) -> None:
        """Forget it."""
        if not self._manager.has_job(job.name):
            self._forget(job.name)
            self.starts.pop(job.name, None)
        self._heard(job.name)

    @hookimpl
    def gaffer_config_reloaded(self) -> None:
        """All jobs of the configuration are loaded."""
        coming, self.coming = self.coming, set()
        for name in coming:
            self._heard(name)

    def start_of(self, name: JobName) -> StartRecord:
        """Return the record of a job's latest start, a new one if that is over."""
        start = self.starts.get(name)
        if start is None or start.over:
            start = self.starts[name] = StartRecord(self._clock())
        return start

    # -- stops --------------------------------------------------------------------
    @hookimpl
    def gaffer_stop_order(self) -> list[tuple[JobName, JobName]]:
        """Stop what depends on a job before it; all jobs are looked at, for one may depend on another by a third."""
        jobs = self._manager.all_jobs()
        names = dict.fromkeys(job.name for job in jobs)
        return [
            (job.name, name)
            for job in jobs
            for one in dependencies(job.config)
            if one.condition != "stopped"
            for name in targets(job.config, one, names)
        ]

    # -- what others see ------------------------------------------------------------
    @hookimpl
    def gaffer_why(self, job: Job) -> list[dict[str, str]]:
        """Name the jobs that it waits for, or goes on without."""
        waits = job.state(self._clock()) == "waiting"
        found: list[dict[str, str]] = []
        for one, name, other in self.needs(job):
            if waits and not holds(other, one.condition):
                found.append({"text": f"it depends on {name}:{one.condition}", "job": name.full})
            elif job.running and is_lost(other, one.condition):
                policy = job.config.on_lost
                found.append(
                    {"text": f"it goes on without {name}:{one.condition} (on_lost = {policy})", "job": name.full}
                )
        return found[:MOST_CAUSES]

    def health(self) -> dict[str, Any]:
        """Return how many jobs depend on others, and how many of them wait."""
        now = self._clock()
        jobs = [job for job in map(self._find, self._needs) if job is not None]
        return {"dependents": len(jobs), "waiting": sum(job.state(now) == "waiting" for job in jobs)}
