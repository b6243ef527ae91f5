"""Which jobs the names on a command line mean."""

from __future__ import annotations

from typing import Sequence

from ..httpclient import Server
from ..names import JobName, check_name, parse_job_name

ALL = "all"


def find_jobs(server: Server, names: Sequence[str]) -> list[JobName]:
    """Return the jobs that *names* mean, each once, in order.

    :param names: job names in any spelling, ``SESSION.*``, or ``all``.
    :raises BadRequest: a name that no job can have.
    :raises NotFound: a session without jobs. Single jobs are not looked up.
    """
    found: dict[JobName, None] = {}
    for name in names:
        found.update(dict.fromkeys(_expand(server, name)))
    return list(found)


def is_pattern(name: str) -> bool:
    """Tell whether *name* means any number of jobs."""
    return name == ALL or name[-2:] in (".*", ":*", "/*")


def _expand(server: Server, name: str) -> list[JobName]:
    if name == ALL:
        return [parse_job_name(job) for job in server.jobs()]
    if is_pattern(name):
        return [parse_job_name(job) for job in server.jobs(check_name(name[:-2], "session name"))]
    return [parse_job_name(name)]
