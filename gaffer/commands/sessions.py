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
    _each(manager.start_job, _names(manager, sessionid))


@command("stop_session", permission="manage", target="session", args=(SESSION,))
def stop_session(manager: Manager, sessionid: str) -> None:
    """Stop all jobs of a session."""
    _each(manager.stop_job, reversed(_names(manager, sessionid)))


@command("restart_session", permission="manage", target="session", args=(SESSION,), errors=(503,))
def restart_session(manager: Manager, sessionid: str) -> None:
    """Replace all processes of a session; stopped jobs are started."""
    _each(manager.restart_job, _names(manager, sessionid))


@command("unload_session", permission="manage", target="session", args=(SESSION,), errors=(409,))
def unload_session(manager: Manager, sessionid: str) -> None:
    """Stop and remove all jobs of a session."""
    _each(manager.unload, reversed(_names(manager, sessionid)))


@command("stop_all", permission="admin")
def stop_all(manager: Manager) -> None:
    """Stop every job."""
    _each(manager.stop_job, reversed(_names(manager)))


def _names(manager: Manager, sessionid: str | None = None) -> list[JobName]:
    """Return the names of jobs in the order of their start.

    :raises NotFound: the session has none.
    """
    manager.jobs(sessionid)
    # A name can be there twice: while a job is leaving, its successor may be loaded already.
    return list(dict.fromkeys(job.name for job in manager.all_jobs() if sessionid in (None, job.name.session)))


def _each(operation: Callable[[JobName], Any], names: Iterable[JobName]) -> None:
    """Call *operation* with each name; the first one that is refused ends it, those before it are done by then."""
    for name in names:
        with suppress(NotFound):  # unloaded meanwhile
            operation(name)
