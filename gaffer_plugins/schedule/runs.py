"""Runs of scheduled jobs: when each is due, what overlaps, and what became of the latest."""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

import gevent

from gaffer import Hold, hookimpl
from gaffer.api import Conflict, GafferError

from .timetable import next_run

if TYPE_CHECKING:
    from gaffer import JobConfig, Manager
    from gaffer.api import ExitStatus, Job, Process, SpawnPlan

log = logging.getLogger("gaffer.schedule")

#: Runs of each job that are remembered.
KEPT = 50
#: Runs that wait for the one before, with ``overlap = queue``.
MOST_QUEUED = 10
#: Lines of output that are remembered of a run.
LINES = 10
#: The clock of the machine may be set, and a machine may sleep: it is looked at again after so many seconds.
LONGEST_SLEEP = 50.0
#: A run that is later than this was missed: the machine slept, or its clock was set; in seconds.
LATE = 60.0


#: Settings that say when a job runs.
_TIMES = {"schedule", "every", "timezone", "jitter"}


class Run:
    """Run of a job."""

    __slots__ = ("pid", "due", "started", "ended", "status", "lines", "error")

    def __init__(self, due: float, started: float) -> None:
        self.due, self.started = due, started
        self.pid: int | None = None
        self.ended: float | None = None
        self.status: str | None = None
        self.lines: list[str] = []
        #: Why it was not started.
        self.error: str | None = None

    def shown(self) -> dict[str, Any]:
        """Return the run as JSON shows it."""
        seconds = None if self.ended is None else self.ended - self.started
        return {
            "pid": self.pid,
            "due": self.due,
            "started": self.started,
            "seconds": seconds,
            "status": self.status,
            "error": self.error,
            "lines": self.lines,
        }


class Scheduled:
    """Scheduled job that is switched on or off, and its runs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.runs: deque[Run] = deque(maxlen=KEPT)
        self.live: dict[int, Run] = {}
        self.queued = 0
        self.missed = 0
        #: When it was switched on, and the next run is due; None while it is off.
        self.began: float | None = None
        self.next: float | None = None
        #: The number of its entry in the heap; older ones do not count.
        self.entry = -1


class Scheduler:
    """All scheduled jobs of a manager, and one sleep until the next run of them.

    :param clock: seconds since 1970.
    """

    description = "starts runs of scheduled jobs"

    def __init__(self, manager: Manager, clock: Callable[[], float] = time.time) -> None:
        self._manager, self._clock = manager, clock
        self._jobs: dict[Job, Scheduled] = {}
        self._heap: list[tuple[float, int, Scheduled]] = []
        self._numbers = itertools.count()
        self._sleep: gevent.Greenlet | None = None
        #: When it was last looked at the clock.
        self._looked = clock()

    # -- what a job is asked and told --------------------------------------------------------------
    @hookimpl
    def gaffer_before_spawn(self, job: Job, plan: SpawnPlan) -> None:
        """Hold what is no run: a scheduled job keeps no processes."""
        if plan.index < 0 or not is_scheduled(job.config):
            return
        known = self._known(job)
        if known.began is None:
            self._switch_on(known)
        raise Hold(self.sentence(known))

    @hookimpl
    def gaffer_job_stopped(self, job: Job) -> None:
        """Switch the schedule off."""
        self._switch_off(job)

    @hookimpl
    def gaffer_job_unloaded(self, job: Job) -> None:
        """Forget the job."""
        self._switch_off(job)
        self._jobs.pop(job, None)

    @hookimpl
    def gaffer_job_updated(self, job: Job, previous: JobConfig) -> None:
        """Take the new times."""
        known = self._jobs.get(job)
        if is_scheduled(job.config) and not is_scheduled(previous):
            self._manager.later(self._manager.stopall, job.name)  # what is started instead is held
        if known is None or known.began is None:
            return
        if not is_scheduled(job.config):
            self._switch_off(job)
        elif previous.changed(job.config) & _TIMES:
            self._plan(known, self._clock())
        self._manager.release(job.name)

    @hookimpl
    def gaffer_exited(self, job: Job, process: Process, status: ExitStatus) -> None:
        """Remember the end of a run; begin the one that waits for it."""
        known = self._jobs.get(job)
        run = None if known is None else known.live.pop(process.pid, None)
        if known is None or run is None:
            return
        run.ended, run.status, run.lines = self._clock(), str(status), last_lines(process)
        self._tell("run_finished", job, run, status=run.status, seconds=run.ended - run.started)
        self._start_queued(known)

    def _start_queued(self, known: Scheduled) -> None:
        if known.queued and not known.live:
            known.queued -= 1
            self._start(known, self._clock())

    @hookimpl
    def gaffer_job_info(self, job: Job) -> dict[str, Any] | None:
        """Say when the next run is, and what became of the latest."""
        if not is_scheduled(job.config):
            return None
        known = self._known(job)
        last = known.runs[-1].shown() if known.runs else None
        return {"next": known.next, "last": last, "live": len(known.live), "missed": known.missed}

    @hookimpl
    def gaffer_health(self) -> dict[str, Any]:
        """Say how many schedules are on, and what was left out."""
        known = list(self._jobs.values())
        return {
            "schedules": sum(one.began is not None for one in known),
            "live": sum(len(one.live) for one in known),
            "missed": sum(one.missed for one in known),
        }

    @hookimpl
    def gaffer_manager_stopping(self) -> None:
        """Begin no run any more."""
        self._jobs.clear()
        self._heap.clear()
        self._wake()

    # -- times -------------------------------------------------------------------------------------
    def sentence(self, known: Scheduled) -> str:
        """Return what the job waits for."""
        if known.next is None:
            return "its schedule is off"
        at = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(known.next))
        return f"the next run is at {at}"

    def _known(self, job: Job) -> Scheduled:
        known = self._jobs.get(job)
        if known is None:
            known = self._jobs[job] = Scheduled(job)
        return known

    def _switch_on(self, known: Scheduled) -> None:
        known.began = self._clock()
        self._plan(known, known.began)

    def _switch_off(self, job: Job) -> None:
        known = self._jobs.get(job)
        if known is not None:
            known.began = known.next = None
            known.entry, known.queued = -1, 0
            self._wake()

    def _plan(self, known: Scheduled, after: float) -> None:
        """Set the next run."""
        config = known.job.config
        assert known.began is not None
        due = next_run(config, after, known.began)
        known.next = due + random.uniform(0, config.get("jitter") or 0)
        known.entry = next(self._numbers)
        heapq.heappush(self._heap, (known.next, known.entry, known))
        self._wake()

    def _wake(self) -> None:
        """Sleep until the next run of all jobs, or end if there is none."""
        if self._sleep is not None:
            self._sleep.kill(block=False)
            self._sleep = None
        while self._heap and self._heap[0][1] != self._heap[0][2].entry:
            heapq.heappop(self._heap)
        if self._heap:
            left = min(max(0.0, self._heap[0][0] - self._clock()), LONGEST_SLEEP)
            self._sleep = gevent.spawn_later(left, self._woken)

    def _woken(self) -> None:
        self._sleep = None
        self.look()

    def look(self) -> None:
        """Begin the runs that are due."""
        now, before = self._clock(), self._looked
        self._looked = now
        if now < before:  # the clock was set back
            for known in list(self._jobs.values()):
                if known.began is not None:
                    known.began = min(known.began, now)
                    self._plan(known, now)
                    self._manager.release(known.job.name)
        while self._heap and self._heap[0][0] <= now:
            _, entry, known = heapq.heappop(self._heap)
            if entry == known.entry and known.next is not None:
                self._due(known, known.next, now)
        self._wake()

    def _due(self, known: Scheduled, due: float, now: float) -> None:
        self._plan(known, now)
        self._manager.release(known.job.name)  # its status says when the next one is
        if now - due > LATE and not known.job.config.get("catch_up"):
            self._miss(known, due, f"it was due {now - due:.0f} s ago: the machine slept, or its clock was set")
            return
        if known.live:
            self._overlap(known, due)
        else:
            self._start(known, due)

    def _overlap(self, known: Scheduled, due: float) -> None:
        overlap = known.job.config.get("overlap")
        if overlap == "queue" and known.queued < MOST_QUEUED:
            known.queued += 1
        elif overlap == "replace":
            known.queued = 1
            for pid in list(known.live):
                self._manager.later(self._end, pid)
        else:
            self._miss(known, due, "the run before it has not ended")

    def _end(self, pid: int) -> None:
        try:
            self._manager.stop_process(pid)
        except GafferError as error:
            log.debug("a run that is to be replaced: %s", error)

    def _miss(self, known: Scheduled, due: float, reason: str) -> None:
        known.missed += 1
        log.warning("job %s: a run was left out: %s", known.job.name, reason)
        self._tell("run_missed", known.job, None, due=due, reason=reason)

    # -- runs --------------------------------------------------------------------------------------
    def _start(self, known: Scheduled, due: float) -> None:
        self._manager.later(self.run, known.job, due)

    def run(self, job: Job, due: float | None = None) -> int:
        """Begin a run and return its pid.

        :raises GafferError: it cannot be started.
        """
        if not is_scheduled(job.config):
            raise Conflict(f"job {job.name} has no schedule; start it with gafferctl start {job.name}")
        known, now = self._known(job), self._clock()
        if due is not None and (known.began is None or not job.active):
            return 0  # it was switched off meanwhile
        run = Run(now if due is None else due, now)
        known.runs.append(run)
        try:
            run.pid = pid = self._manager.commit(job.name)
        except GafferError as error:
            run.error, run.ended = str(error), self._clock()
            log.error("job %s: a run could not be started: %s", job.name, error)
            if due is not None:
                self._start_queued(known)
                return 0
            raise
        known.live[pid] = run
        self._tell("run_started", job, run)
        return pid

    def runs(self, job: Job) -> dict[str, Any]:
        """Return the latest runs of a job, and when the next is due."""
        if not is_scheduled(job.config):
            raise Conflict(f"job {job.name} has no schedule")
        known = self._known(job)
        return {"next": known.next, "missed": known.missed, "runs": [run.shown() for run in known.runs]}

    def _tell(self, event: str, job: Job, run: Run | None, **more: Any) -> None:
        message = {"name": job.name.short, "session": job.name.session, "job": job.name.job, "time": self._clock()}
        about = {} if run is None else {"pid": run.pid, "due": run.due}
        events, hooks = self._manager.events, self._manager.hooks
        for published in events.record([f"schedule.{event}"], {**message, **about, **more}):
            hooks.tell("gaffer_event", event=published.message)


def is_scheduled(config: JobConfig) -> bool:
    """Tell whether a job has a schedule."""
    return bool(config.get("schedule") or config.get("every"))


def last_lines(process: Process) -> list[str]:
    """Return the last lines that a process wrote: its first output that is redirected, else stderr."""
    labels = list(process.config.redirect_output)
    if not labels:
        return process.stderr_tail()[-LINES:]
    data: bytes = process.reader(labels[0]).ring.read()[1]
    return data.decode("utf-8", "replace").splitlines()[-LINES:]
