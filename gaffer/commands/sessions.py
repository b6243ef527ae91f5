"""Commands about several jobs at once: a session, or all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Iterable

from ..errors import NotFound
from . import visibility
from .command import SESSION, command
from .schemas import NAMES, STRING, listed, returns

if TYPE_CHECKING:
    from ..config.names import JobName
    from ..manager.manager import Manager
    from ..supervisor.job import Job


@command(
    "sessions",
    permission="read",
    target="visible",
    returns=returns(sessions=listed({**STRING, "examples": ["default"]})),
    show=visibility.sessions,
)
def sessions(manager: Manager) -> dict[str, Any]:
    """Sessions that have jobs."""
    return {"sessions": manager.sessions}


@command(
    "session_jobs",
    permission="read",
    target="visible",
    args=(SESSION,),
    returns=returns(sessionid={**STRING, "examples": ["default"]}, jobs=NAMES),
    show=visibility.session_jobs,
)
def session_jobs(manager: Manager, sessionid: str) -> dict[str, Any]:
    """Jobs of one session."""
    return {"sessionid": sessionid, "jobs": manager.jobs(sessionid)}


@command("start_session", permission="manage", target="session", args=(SESSION,), errors=(503,))
def start_session(manager: Manager, sessionid: str) -> None:
    """Start all jobs of a session."""
    _each(manager.start_job, _jobs(manager, sessionid))


@command("stop_session", permission="manage", target="session", args=(SESSION,))
def stop_session(manager: Manager, sessionid: str) -> None:
    """Stop all jobs of a session."""
    manager.stop_in_order(_jobs(manager, sessionid), manager.stop_job)


@command("restart_session", permission="manage", target="session", args=(SESSION,), errors=(503,))
def restart_session(manager: Manager, sessionid: str) -> None:
    """Replace all processes of a session; stopped jobs are started."""
    jobs = _jobs(manager, sessionid)
    if len(manager.stop_groups(jobs)) > 1:
        manager.stop_in_order(jobs, manager.stop_job)
    _each(manager.restart_job, jobs)


@command("unload_session", permission="manage", target="session", args=(SESSION,), errors=(409,))
def unload_session(manager: Manager, sessionid: str) -> None:
    """Stop and remove all jobs of a session."""
    manager.stop_in_order(_jobs(manager, sessionid), manager.unload)


@command(
    "stop_order",
    permission="read",
    target="visible",
    returns=returns(groups={"type": "array", "items": NAMES, "examples": [[["default.web"], ["default.db"]]]}),
    show=visibility.stop_order,
)
def stop_order(manager: Manager) -> dict[str, Any]:
    """Groups of jobs in the order in which they are stopped: each when the one before it has ended."""
    groups = manager.stop_groups(_jobs(manager))
    return {"groups": [list(dict.fromkeys(job.name.full for job in group)) for group in groups]}


@command("stop_all", permission="admin")
def stop_all(manager: Manager) -> None:
    """Stop every job."""
    manager.stop_in_order(_jobs(manager), manager.stop_job)


def _jobs(manager: Manager, sessionid: str | None = None) -> list[Job]:
    """Return jobs in the order of their start.

    :raises NotFound: the session has none.
    """
    manager.jobs(sessionid)
    return [job for job in manager.all_jobs() if sessionid in (None, job.name.session)]


def _each(operation: Callable[[JobName], Any], jobs: Iterable[Job]) -> None:
    """Call *operation* with each name; the first one that is refused ends it, those before it are done by then."""
    # A name can be there twice: while a job is leaving, its successor may be loaded already.
    for name in dict.fromkeys(job.name for job in jobs):
        with suppress(NotFound):  # unloaded meanwhile
            operation(name)
