"""gafferd's own log tells when a job is in trouble, why, and when it is well again.

Without it, a job that cannot run is only seen by those who ask. A line is written shortly after an end, so that it says
what follows and a hundred ends at once are one line; the same trouble is told again once a minute at most.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Callable

import gevent

from gaffer import Plugin, hookimpl
from gaffer.api import Int, NotFound

if TYPE_CHECKING:
    from gaffer import Manager, Process
    from gaffer.api import ExitStatus, Job, Options

__all__ = ["JobLogPlugin"]

log = logging.getLogger("gaffer.jobs")

#: Seconds after an end until its line is written: by then it is decided what follows.
DELAY = 0.25
#: Seconds without a new end after which a job that runs is well again.
WELL = 10.0
#: Seconds until the same trouble is told again.
AGAIN = 60.0
_TROUBLE = ("backoff", "flapping", "failed")


class _Trouble:
    """Events of a job since its last line."""

    def __init__(self) -> None:
        self.cause = ""
        self.ends = 0
        #: What was told last, and when.
        self.told: tuple[str, str] | None = None
        self.at = 0.0
        self.timer: Any = None


class JobLogPlugin(Plugin):
    """Logs unexpected exits, failed starts, pauses and recoveries.

    :param later: ``later(seconds, function, *args)`` calls it then and returns what can be killed.
    :param clock: seconds, never going back.
    """

    name = "joblog"
    description = "logs unexpected ends of processes, failed starts, and when a job is well again"

    def __init__(
        self, later: Callable[..., Any] = gevent.spawn_later, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._later, self._clock = later, clock
        self._manager: Manager | None = None
        self._jobs: dict[str, _Trouble] = {}
        self._ended: dict[int, ExitStatus] = {}
        self._limit: int | None = None

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare when gafferd counts as unwell."""
        help = "jobs in trouble from which on health is not ok; by default their number does not matter"
        options.add("health_max_troubled", Int(1, 1_000_000), None, help, needs_restart=False)

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Begin."""
        self._manager = manager
        self._limit = manager.option("health_max_troubled")

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Read the option again."""
        self._limit = manager.option("health_max_troubled")

    @hookimpl
    def gaffer_exited(self, process: Process, status: ExitStatus) -> None:
        """Remember how a process ended until it is known why."""
        self._ended[process.pid] = status

    @hookimpl
    def gaffer_reaped(self, job: Job, process: Process, reason: str) -> None:
        """Note an end that no stop has caused."""
        status = self._ended.pop(process.pid, None)
        if status is not None and reason == "exit" and not process.committed:
            clean = status.signal is None and status.code in job.config.exit_codes
            self._note(job.name.full, "" if clean else f"process {process.pid} ended unexpectedly with {status}")

    @hookimpl
    def gaffer_spawn_failed(self, job: Job, error: Exception) -> None:
        """Note a start that failed."""
        self._note(job.name.full, f"cannot be started: {error}")

    @hookimpl
    def gaffer_job_started(self, job: Job) -> None:
        """Look at a job that had failed a while after it was started by hand."""
        name = job.name.full
        if name in self._jobs:
            self._look_in(WELL, name, self._jobs[name])

    @hookimpl
    def gaffer_job_unloaded(self, job: Job) -> None:
        """Forget a job."""
        self._forget(job.name.full)

    @hookimpl
    def gaffer_health(self) -> dict[str, Any]:
        """Return how many jobs are in trouble."""
        count = len(self._jobs)
        if self._limit is not None and count >= self._limit:
            return {"ok": False, "troubled": count, "reason": f"{count} jobs are in trouble (health_max_troubled)"}
        return {"ok": True, "troubled": count}

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """End."""
        for name in list(self._jobs):
            self._forget(name)

    def _note(self, name: str, cause: str) -> None:
        trouble = self._jobs.setdefault(name, _Trouble())
        trouble.cause = cause or trouble.cause
        trouble.ends += 1
        self._look_in(DELAY, name, trouble)

    def _look_in(self, seconds: float, name: str, trouble: _Trouble) -> None:
        if trouble.timer is not None:
            trouble.timer.kill(block=False)
        trouble.timer = self._later(seconds, self._look, name)

    def _forget(self, name: str) -> None:
        trouble = self._jobs.pop(name, None)
        if trouble is not None and trouble.timer is not None:
            trouble.timer.kill(block=False)

    def _look(self, name: str) -> None:
        trouble = self._jobs[name]
        trouble.timer = None
        try:
            found = self._manager.info(name)  # type: ignore[union-attr]
        except NotFound:
            del self._jobs[name]
            return
        if trouble.ends:
            self._tell(name, trouble, found)
        elif found["state"] not in _TROUBLE:
            if trouble.told is not None and found["state"] in ("running", "starting"):
                log.info("%s is well again: up for %.0f s", name, found["uptime"])
            del self._jobs[name]
            return
        if found["state"] == "stopped" or not trouble.told and found["state"] not in _TROUBLE:
            del self._jobs[name]
        elif found["state"] != "failed":  # a start by hand ends that
            self._look_in(max(WELL, found["retry_in"] or 0.0), name, trouble)

    def _tell(self, name: str, trouble: _Trouble, found: dict[str, Any]) -> None:
        """Log the ends since the last line, unless the same was told a short while ago."""
        state, cause = found["state"], trouble.cause or found["reason"] or ""
        if not cause and state not in _TROUBLE:
            trouble.ends = 0  # it ended as it should
            return
        told, now = (state, cause.partition(" ended")[2] or cause), self._clock()
        if told == trouble.told and now - trouble.at < AGAIN:
            return
        times = f" ({trouble.ends} times)" if trouble.ends > 1 else ""
        level = logging.ERROR if state == "failed" else logging.WARNING
        log.log(level, "%s: %s%s; %s", name, cause or "it ended too soon", times, _what_follows(name, found))
        trouble.told, trouble.at, trouble.ends, trouble.cause = told, now, 0, ""


def _what_follows(name: str, found: dict[str, Any]) -> str:
    state = found["state"]
    if state == "failed":
        return f"it is not started again: {found['reason'] or 'gaffer gave it up'}; 'gafferctl start {name}' tries anew"
    if state in ("backoff", "flapping"):
        often = "it dies too often, " if state == "flapping" else ""
        return f"{often}next start in {found['retry_in'] or 0.0:.1f} s"
    return "it was started again" if found["running"] else "it is not started again"
