"""The jobs of a manager: loaded ones by name, and unloaded ones that still have processes."""

from __future__ import annotations

from typing import Any

from ..config.jobconfig import JobConfig
from ..config.names import JobName, check_name, parse_job_name
from ..errors import Conflict, NotFound
from ..supervisor.job import Job


class JobTable:
    """Jobs by name, in the order of their start."""

    def __init__(self) -> None:
        self._jobs: dict[JobName, Job] = {}
        self._leaving: set[Job] = set()
        self._loaded = 0

    def __contains__(self, name: JobName) -> bool:
        return name in self._jobs

    def add(self, config: JobConfig) -> Job:
        """Make a job; nothing of it starts beside the processes of an unloaded one of that name.

        :raises Conflict: there is a job of that name.
        """
        name = config.job_name
        if name in self._jobs:
            raise Conflict(f"job {name} exists already; update it, or unload it first")
        self._loaded += 1
        job = self._jobs[name] = Job(config, self._loaded)
        job.blocked = self._is_leaving(name)
        return job

    def _is_leaving(self, name: JobName) -> bool:
        return any(job.name == name for job in self._leaving)

    def unload(self, job: Job) -> bool:
        """Take a job out, but for its processes; return False if it was taken out before."""
        if self._jobs.get(job.name) is not job:
            return False
        del self._jobs[job.name]
        self._leaving.add(job)
        return True

    def remove(self, job: Job) -> Job | None:
        """Forget an unloaded job without processes; return the job of its name that had to wait for that."""
        self._leaving.discard(job)
        successor = self._jobs.get(job.name)
        if successor is None or not successor.blocked or self._is_leaving(job.name):
            return None
        return successor

    def get(self, name: Any, sessionid: str | None = None) -> Job:
        """Return a job by any spelling of its name, or by its configuration.

        :raises NotFound: no such job.
        """
        parsed = name.job_name if isinstance(name, JobConfig) else parse_job_name(name)
        if sessionid is not None:
            parsed = JobName(check_name(sessionid, "session name"), parsed.job)
        job = self._jobs.get(parsed)
        if job is None:
            raise NotFound(f"no job '{parsed}'; 'gafferctl processes' lists them")
        return job

    def names(self, sessionid: str | None = None) -> list[JobName]:
        """Return the names of all jobs, or of one session's, sorted.

        :raises NotFound: no such session.
        """
        if sessionid is not None and check_name(sessionid, "session name") not in self.sessions:
            raise NotFound(f"no session '{sessionid}'; 'gafferctl sessions' lists them")
        return [name for name in sorted(self._jobs) if sessionid in (None, name.session)]

    @property
    def sessions(self) -> list[str]:
        """The sessions that have jobs."""
        return sorted({name.session for name in self._jobs})

    def in_order(self) -> list[Job]:
        """Return the loaded jobs in start order."""
        key = lambda job: (job.config.priority is None, job.config.priority or 0, job.order)  # noqa: E731
        return sorted(self._jobs.values(), key=key)

    def all(self) -> list[Job]:
        """Return every job in start order, unloaded ones last."""
        return [*self.in_order(), *self._leaving]
