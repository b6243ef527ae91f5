"""Limits of one session: jobs, processes of a job, processes in all.

A key that may manage a session may start any program, but not so many that nothing is left for others. Jobs of
gafferd's own configuration are not bounded: who may write that file may change these numbers, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable

from gaffer import Plugin, Veto, hookimpl
from gaffer.api import Int, parse_job_name

if TYPE_CHECKING:
    from gaffer import JobConfig, Manager
    from gaffer.api import Job, Options

__all__ = ["QuotasPlugin"]

_COUNT = Int(1, 100_000)
#: Option, default and help.
OPTIONS = (
    ("max_session_jobs", 1000, "jobs that one session may have; jobs of the configuration are never rejected"),
    ("max_job_processes", 1000, "processes that one job may be scaled to, committed ones included"),
    ("max_session_processes", 2000, "the same for the jobs of one session together"),
)
#: What the configuration asks for is granted.
_TRUSTED = ("config", "reload")


class QuotasPlugin(Plugin):
    """Refuses jobs and processes beyond the limits."""

    name = "quotas"
    description = "limits of jobs and processes for each session"

    def __init__(self) -> None:
        self._manager: Manager | None = None
        self._limits = {option: default for option, default, _ in OPTIONS}

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare the limits."""
        for option, default, help in OPTIONS:
            options.add(option, _COUNT, default, help, needs_restart=False)

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Read the limits."""
        self._manager = manager
        self._read(manager)

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Read them again."""
        self._read(manager)

    def _read(self, manager: Manager) -> None:
        for name, limit in self._limits.items():
            self._limits[name] = manager.option(name, limit)

    @hookimpl
    def gaffer_before_load(self, draft: dict[str, Any], previous: JobConfig | None, origin: str) -> None:
        """Refuse a job too many, and one with too many processes."""
        if origin in _TRUSTED or self._manager is None:
            return
        name = parse_job_name(draft["name"])
        others = [job for job in self._manager.all_jobs() if job.name.session == name.session and job.name != name]
        most = self._limits["max_session_jobs"]
        if previous is None and len(others) >= most:
            raise Veto(f"session {name.session} has {most} jobs, which is all that max_session_jobs allows")
        # What is there already may stay as it is.
        if previous is None or draft.get("numprocesses", 1) > previous.numprocesses:
            self._check(name, draft.get("numprocesses", 1), others)

    @hookimpl
    def gaffer_before_scale(self, job: Job, count: int) -> None:
        """Refuse too many processes; fewer than there are is always fine."""
        if self._manager is not None and count > job.wanted:
            same = [one for one in self._manager.all_jobs() if one.name.session == job.name.session and one is not job]
            self._check(job.name, count + job.out, same)

    @hookimpl
    def gaffer_before_commit(self, job: Job) -> None:
        """Refuse an extra process too many."""
        if self._manager is not None:
            same = [one for one in self._manager.all_jobs() if one.name.session == job.name.session and one is not job]
            self._check(job.name, job.wanted + job.out, same)

    def _check(self, name: Any, count: int, others: Iterable[Job]) -> None:
        most = self._limits["max_job_processes"]
        if count > most:
            raise Veto(f"job {name} may have at most {most} processes, not {count} (max_job_processes)")
        total, most = count + sum(job.wanted + job.out for job in others), self._limits["max_session_processes"]
        if total > most:
            raise Veto(f"session {name.session} may have at most {most} processes, not {total} (max_session_processes)")
