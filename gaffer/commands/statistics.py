"""Commands about what processes use of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config.names import parse_job_name
from ..errors import NotFound
from . import visibility
from .command import IN_SESSION, JOB, PROCESS, command
from .jobs import names_in
from .schemas import listed, refer, returns

if TYPE_CHECKING:
    from ..manager.manager import Manager


@command(
    "all_stats",
    permission="read",
    target="visible",
    args=(IN_SESSION,),
    returns=returns(jobs=listed(refer("JobStats"))),
    errors=(503,),
    show=visibility.all_stats,
    each="jobs",
)
def all_stats(manager: Manager, sessionid: str | None = None) -> list[dict[str, Any]]:
    """Statistics of all jobs, or of those of a session."""
    return manager.reports.stats([manager.job(name) for name in names_in(manager, sessionid)])


@command(
    "stats",
    permission="read",
    target="job",
    args=(JOB,),
    returns=refer("JobStats"),
    errors=(503,),
    show=visibility.stats,
)
def stats(manager: Manager, name: str) -> dict[str, Any]:
    """Statistics of a job's processes, with their sums."""
    return manager.stats(name)


@command(
    "process_stats",
    permission="read",
    target="process",
    args=(PROCESS, JOB._replace(required=False, help="its job; that of another one is not found")),
    returns=returns(stats=refer("ProcessStats")),
    errors=(503,),
    show=visibility.process_stats,
)
def process_stats(manager: Manager, pid: int, name: str | None = None) -> dict[str, Any]:
    """Statistics of one process."""
    if name is not None and manager.get_process(pid).name != manager.job(name).name:
        raise NotFound(f"job '{parse_job_name(name)}' has no process {pid}")
    return {"stats": manager.process_stats(pid)}
