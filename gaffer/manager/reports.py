"""Reports of jobs, statistics and health. Nothing is changed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import NotFound, Unavailable
from ..process.process import Process
from ..supervisor.job import Job

if TYPE_CHECKING:
    from .manager import Manager

_TROUBLE = ("failed", "flapping", "backoff")


def job_info(job: Job, now: float) -> dict[str, Any]:
    """Return what ``GET /jobs/S/J`` shows (docs/http-api.rst).

    :param now: time of the engine's clock.
    """
    live = _live(job)
    return {
        "name": job.name.full,
        "active": job.active,
        "running": len(live),
        "running_out": len(job.extras),
        "max_processes": job.wanted,
        "processes": [process.pid for process in live],
        "state": job.state(now),
        "config": {**job.config.to_dict(), "name": job.name.full},
        "restarts": job.restarts,
        "uptime": now - min(process.started for process in live) if live else 0.0,
        "uptimes": [now - process.started for process in live],
        "last_exit": job.last_exit_info,
        "retry_in": job.retry_in(now),
        "reason": "; ".join(job.reasons()) or None,
        "stderr": list(job.stderr_tail),
    }


def sample(manager: Manager, processes: list[Process]) -> list[dict[str, Any]]:
    """Measure processes now; those that have gone are left out.

    :raises Unavailable: no plugin collects statistics.
    """
    if not manager.hooks.implemented("gaffer_sample"):
        raise Unavailable("no plugin collects statistics; load the plugin 'stats'")
    answer = manager.hooks.ask_first("gaffer_sample", manager=manager, processes=processes) or {}
    return [answer[process.pid] for process in processes if process.pid in answer]


def job_stats(manager: Manager, job: Job) -> dict[str, Any]:
    """Return the statistics of a job's processes with their sums (docs/http-api.rst)."""
    return _summed(job, sample(manager, _live(job)))


def all_stats(manager: Manager, jobs: list[Job]) -> list[dict[str, Any]]:
    """Return the statistics of several jobs, from one look at all their processes."""
    of_job = [(job, [process.pid for process in _live(job)]) for job in jobs]
    measured = sample(manager, [process for job in jobs for process in _live(job)])
    samples = {one["pid"]: one for one in measured}
    return [_summed(job, [samples[pid] for pid in pids if pid in samples]) for job, pids in of_job]


def _live(job: Job) -> list[Process]:
    return [copy.process for copy in job.live()]


def _summed(job: Job, samples: list[dict[str, Any]]) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": job.name.full, "stats": samples}
    for key in ("cpu", "mem"):
        values = [one[key] for one in samples]
        shown |= {key: sum(values), f"max_{key}": max(values, default=0), f"min_{key}": min(values, default=0)}
    return shown


def process_stats(manager: Manager, process: Process) -> dict[str, Any]:
    """Return the statistics of one process."""
    samples = sample(manager, [process])
    if not samples:
        raise NotFound(f"process {process.pid} has exited meanwhile")
    return samples[0]


def health(manager: Manager) -> dict[str, Any]:
    """Return whether all is well, with the counters of every plugin."""
    reports = _plugin_reports(manager)
    now = manager.engine.clock()
    jobs = manager.all_jobs()
    return {
        "ok": manager.active and all(report["ok"] for report in reports.values()),
        "state": manager.state,
        "uptime": manager.uptime(),
        "jobs": len(jobs),
        "processes": len(manager.running),
        "troubled": sorted(job.name.full for job in jobs if job.state(now) in _TROUBLE),
        "plugins": reports,
    }


def _plugin_reports(manager: Manager) -> dict[str, dict[str, Any]]:
    reports: dict[str, dict[str, Any]] = {}
    for plugin, answer in manager.hooks.attempts("gaffer_health", manager=manager):
        if isinstance(answer, BaseException):
            answer = {"ok": False, "reason": f"{type(answer).__name__}: {answer}"}
        if answer is not None:
            reports[plugin] = dict(answer)
    for plugin, counters in manager.hooks.counters().items():
        report = reports.setdefault(plugin, {})
        report.update(counters)
        report["ok"] = report.get("ok", True) and not counters["muted"]
    for report in reports.values():
        report.setdefault("ok", True)
    return reports
