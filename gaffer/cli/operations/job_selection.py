"""Resolve the names on a command line to jobs and processes."""

from __future__ import annotations

from typing import Any, Sequence

from ...config.names import JobName, check_name, parse_job_name
from ...errors import BadRequest, Conflict, NotFound, nearest
from ...httpclient import Process, Server

ALL = "all"


def find_jobs(server: Server, names: Sequence[str]) -> list[JobName]:
    """Return the jobs that *names* select, each once, in order.

    :param names: job names in any spelling, ``SESSION.*``, or ``all``.
    :raises BadRequest: a name that no job can have.
    :raises NotFound: a session without jobs. Single jobs are not looked up.
    """
    found: dict[JobName, None] = {}
    for name in names:
        found.update(dict.fromkeys(_expand(server, name)))
    return list(found)


def find_info(server: Server, name: JobName) -> dict[str, Any]:
    """Return the info of a job.

    :raises NotFound: there is no such job; the nearest name is told.
    """
    try:
        return server.info(name)
    except NotFound as error:
        raise NotFound(f"{error}{nearest(name.short, server.processes())}") from None


def is_pattern(name: str) -> bool:
    """Return whether *name* is a pattern."""
    return name == ALL or name[-2:] in (".*", ":*", "/*")


def session_of(pattern: str) -> str | None:
    """Return the session that a pattern selects; None for ``all``."""
    return None if pattern == ALL else check_name(pattern[:-2], "session name")


def _expand(server: Server, name: str) -> list[JobName]:
    if is_pattern(name):
        return [parse_job_name(job) for job in server.jobs(session_of(name))]
    return [parse_job_name(name)]


def find_processes(server: Server, target: str, every: bool = False) -> list[Process]:
    """Return the process that *target* names: a pid, or a job that has one.

    :param every: take all processes of a job that has several.
    :raises Conflict: the job has none. :raises BadRequest: it has several.
    """
    if target.isdigit():
        return [Process(server, int(target))]
    name = parse_job_name(target)
    pids = server.pids(name)
    if not pids:
        raise Conflict(f"{name} has no process; 'gafferctl start {name}' starts it")
    if len(pids) > 1 and not every:
        raise BadRequest(f"{name} has {len(pids)} processes; give the pid of one: {', '.join(map(str, pids))}")
    return [Process(server, pid) for pid in pids]
