"""Reports of jobs, statistics and health. Nothing is changed here."""

from __future__ import annotations

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Mapping

from ..errors import NotFound, Unavailable
from ..plugins.registry import Site
from ..process.process import Process
from ..supervisor.job import READY, STOPPING, Copy, Job
from ..util import process_tree

if TYPE_CHECKING:
    from .manager import Manager

log = logging.getLogger("gaffer.sites")

_TROUBLE = ("failed", "flapping", "backoff", "unready")


class Reports:
    """Read-only views of a manager, ready for JSON (docs/http-api.rst)."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    @cached_property
    def _epoch(self) -> float:
        """When the engine's clock was 0, in seconds since 1970; looked up once, so that times do not waver."""
        return time.time() - self._manager.engine.clock()

    def job(self, job: Job) -> dict[str, Any]:
        """Return what ``GET /jobs/S/J`` shows."""
        now, copies = self._manager.engine.clock(), list(job.live())
        live = [copy.process for copy in copies]
        return {
            "name": job.name.full,
            "active": job.active,
            "running": len(live),
            "ready": job.ready,
            "running_out": len(job.extras),
            "max_processes": job.wanted,
            "processes": [process.pid for process in live],
            "state": job.state(now),
            "config": {**job.config.to_dict(), "name": job.name.job},
            "restarts": job.restarts,
            "replacements": job.replacements,
            "uptime": now - min(process.started for process in live) if live else 0.0,
            "uptimes": [now - process.started for process in live],
            "last_exit": job.last_exit_info,
            "retry_in": job.retry_in(now),
            "stopping": self._stopping(copies, now),
            "reason": "; ".join(job.reasons()) or None,
            "stderr": list(job.stderr_tail),
            "readiness": [_readiness(copy, self._epoch) for copy in copies],
            "rolling": roll.report() if (roll := self._manager.rolls.get(job)) is not None else None,
            "plugins": self._added(job) if self._manager.hooks.implemented("gaffer_job_info") else {},
        }

    def _added(self, job: Job) -> dict[str, dict[str, Any]]:
        """Return what plugins add to the info of a job."""
        found: dict[str, dict[str, Any]] = {}
        for plugin, answer in self._manager.hooks.collect("gaffer_job_info", job=job):
            found.setdefault(plugin.partition(".")[0], {}).update(answer)
        return found

    def _stopping(self, copies: list[Copy], now: float) -> dict[str, float | None] | None:
        """Return when the first of *copies* was told to stop and when the last gets KILL, as times of the day."""
        termination = self._manager.engine.termination
        found = [termination.times(copy.process.pid) for copy in copies if copy.state == STOPPING]
        stops = [times for times in found if times is not None]
        if not stops:
            return None
        untils = [times.until for times in stops if times.until is not None]
        ago = time.time() - now
        since = round(min(times.since for times in stops) + ago, 3)  # the two clocks are not read at the same moment
        return {"since": since, "until": round(max(untils) + ago, 3) if untils else None}

    def measure(self, processes: list[Process]) -> list[dict[str, Any]]:
        """Measure processes now; those that have gone are left out.

        :raises Unavailable: no plugin collects statistics.
        """
        sample = self._sample(processes)
        return [sample[process.pid] for process in processes if process.pid in sample]

    def _sample(self, processes: list[Process]) -> Mapping[int, dict[str, Any]]:
        hooks = self._manager.hooks
        if not hooks.implemented("gaffer_sample"):
            raise Unavailable("no plugin collects statistics; load the plugin 'stats'")
        answer: Mapping[int, dict[str, Any]] | None
        answer = hooks.ask_first("gaffer_sample", manager=self._manager, processes=processes)
        return answer or {}

    def stats(self, jobs: list[Job]) -> list[dict[str, Any]]:
        """Return the statistics of jobs with their sums, from one look at all their processes."""
        live = [(job, _live(job)) for job in jobs]
        sample = self._sample([process for _, processes in live for process in processes])
        return [_summed(job, [sample[one.pid] for one in processes if one.pid in sample]) for job, processes in live]

    def process_stats(self, process: Process) -> dict[str, Any]:
        """Return the statistics of one process."""
        measured = self.measure([process])
        if not measured:
            raise NotFound(f"process {process.pid} has exited meanwhile")
        return measured[0]

    def health(self) -> dict[str, Any]:
        """Return whether all is well, with the counters of every plugin."""
        manager, plugins = self._manager, self._plugins()
        now, jobs = manager.engine.clock(), manager.job_table.all()
        return {
            "ok": manager.active and all(report["ok"] for report in plugins.values()),
            "state": manager.state,
            "uptime": manager.uptime(),
            "jobs": len(jobs),
            "processes": len(manager.running),
            "troubled": sorted(job.name.full for job in jobs if job.state(now) in _TROUBLE),
            "strays": len(manager.strays.find()),
            "plugins": plugins,
        }

    def sites(self) -> list[Site]:
        """Return all sites; what a plugin answers that is none is logged."""
        found = list(self._manager.plugins.sites)
        for plugin, sites in self._manager.hooks.collect("gaffer_sites", manager=self._manager):
            for site in sites:
                if isinstance(site, Site):
                    found.append(site)
                else:
                    log.error("plugin %s: gaffer_sites must return gaffer.Site objects, not %r", plugin, site)
        return found

    def _plugins(self) -> dict[str, dict[str, Any]]:
        hooks = self._manager.hooks
        reports: dict[str, dict[str, Any]] = {}
        for plugin, answer in hooks.attempts("gaffer_health", manager=self._manager):
            if isinstance(answer, BaseException):
                answer = {"ok": False, "reason": f"{type(answer).__name__}: {answer}"}
            if answer is not None:
                reports[plugin] = dict(answer)
        for plugin, counters in hooks.counters().items():
            report = reports.setdefault(plugin, {})
            report.update(counters)
            report["ok"] = report.get("ok", True) and not counters["muted"]
        for report in reports.values():
            report.setdefault("ok", True)
        return reports


def _readiness(copy: Copy, epoch: float) -> dict[str, Any]:
    return {
        "pid": copy.process.pid,
        "ready": copy.readiness == READY,
        "reason": copy.ready_reason or None,
        "since": epoch + copy.ready_since,
    }


def _live(job: Job) -> list[Process]:
    return [copy.process for copy in job.live()]


def _summed(job: Job, samples: list[dict[str, Any]]) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": job.name.full, "stats": samples}
    for key in ("cpu", "mem"):
        values = [sum(each[key] for each in process_tree(one)) for one in samples]
        shown |= {key: sum(values), f"max_{key}": max(values, default=0), f"min_{key}": min(values, default=0)}
    return shown
