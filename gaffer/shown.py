"""What is left of a command's result for somebody who may not see everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import NotFound
from .names import parse_job_name

if TYPE_CHECKING:
    from .access import View
    from .manager import Manager

#: What stands for a value that is not shown.
HIDDEN = "***"


def _jobs(manager: Manager, view: View) -> list[str]:
    return [name for name in manager.jobs() if view.reads(name)]


def sessions(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return the sessions with a job that may be read."""
    seen = {parse_job_name(name).session for name in _jobs(manager, view)}
    return {"sessions": [session for session in result["sessions"] if session in seen]}


def jobs(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return the names of jobs that may be read."""
    return {**result, "jobs": [name for name in result["jobs"] if view.reads(name)]}


def session_jobs(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return the jobs of a session that may be read; without any it is as if there was no such session."""
    found = jobs(manager, result, view)
    if not found["jobs"]:
        raise NotFound(f"no session '{result['sessionid']}'; 'gafferctl sessions' lists them")
    return found


def pids(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return the pids of processes whose jobs may be read."""
    return {"pids": [pid for pid in result["pids"] if view.reads_pid(pid)]}


def processes(manager: Manager, result: list[Any], view: View) -> list[Any]:
    """Return names of jobs, or pids, that may be read."""
    return [one for one in result if (view.reads(one) if isinstance(one, str) else view.reads_pid(one))]


def all_stats(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return the statistics of jobs that may be read."""
    return {"jobs": [one for one in result["jobs"] if view.reads(one["name"])]}


def info(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return a job, its environment hidden from those who may not manage it."""
    return {**result, "config": settings(manager, result["config"], view)}


def settings(manager: Manager, result: dict[str, Any], view: View) -> dict[str, Any]:
    """Return settings or a process, the values of its environment hidden from those who may not manage the job."""
    if not result.get("env") or view.manages(result["name"]):
        return result
    return {**result, "env": dict.fromkeys(result["env"], HIDDEN)}
