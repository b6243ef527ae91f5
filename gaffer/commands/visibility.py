"""Filter command results by the caller's permissions."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterable, Iterator

from ..config.names import JobName, parse_job_name
from ..errors import NotFound, SpawnError
from ..process.environment import job_environment
from ..security.redact import HIDDEN, SHORTEST, redact, redact_text

if TYPE_CHECKING:
    from ..manager.manager import Manager
    from .authorization import VisibleJobs

#: What holds command lines, or holds what holds them.
_LINES = ("stats", "children", "cmdline")


def _jobs(manager: Manager, view: VisibleJobs) -> list[str]:
    return [name for name in manager.jobs() if view.reads(name)]


def sessions(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return the sessions with a job that may be read."""
    seen = {parse_job_name(name).session for name in _jobs(manager, view)}
    return {"sessions": [session for session in result["sessions"] if session in seen]}


def jobs(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return the names of jobs that may be read."""
    return {**result, "jobs": [name for name in result["jobs"] if view.reads(name)]}


def session_jobs(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return the jobs of a session that may be read; without any it is as if there was no such session."""
    found = jobs(manager, result, view)
    if not found["jobs"]:
        raise NotFound(f"no session '{result['sessionid']}'; 'gafferctl sessions' lists them")
    return found


def stop_order(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return the groups of jobs that may be read."""
    seen = [[name for name in group if view.reads(name)] for group in result["groups"]]
    return {"groups": [group for group in seen if group]}


def pids(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return the pids of processes whose jobs may be read."""
    return {"pids": [pid for pid in result["pids"] if view.reads_pid(pid)]}


def processes(manager: Manager, result: list[Any], view: VisibleJobs) -> list[Any]:
    """Return names of jobs, or pids, that may be read."""
    return [one for one in result if (view.reads(one) if isinstance(one, str) else view.reads_pid(one))]


def infos(manager: Manager, jobs: Iterable[dict[str, Any]], view: VisibleJobs) -> Iterator[dict[str, Any]]:
    """Yield the jobs that may be read, each as :func:`info` shows it."""
    return (info(manager, one, view) for one in jobs if view.reads(one["name"]))


def all_stats(manager: Manager, jobs: Iterable[dict[str, Any]], view: VisibleJobs) -> Iterator[dict[str, Any]]:
    """Yield the statistics of jobs that may be read."""
    return (stats(manager, one, view) for one in jobs if view.reads(one["name"]))


def why(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return the causes of a job's state, without what is known of other jobs that may not be read."""
    if result["job"] is not None and not view.reads(result["job"]):
        return {**result, "text": "another job is the cause", "do": None, "job": None, "causes": []}
    return {**result, "causes": [why(manager, one, view) for one in result["causes"]]}


def stats(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return a job's statistics; in the command lines, nothing of the environment of what may not be managed."""
    name = parse_job_name(result["name"])
    return result if view.manages(name) else without_secrets(manager, result, name)


def process_stats(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return a process' statistics, likewise."""
    process = manager.any_process(result["stats"]["pid"])
    if process is not None and view.manages(process.name):
        return result
    return {"stats": without_secrets(manager, result["stats"], None if process is None else process.name)}


def without_secrets(manager: Manager, figures: dict[str, Any], name: JobName | None) -> dict[str, Any]:
    """Return figures whose command lines, where ``$TOKEN`` is its value by now, hold no value of the environment."""
    secrets = _values(manager, name)
    cleaned: dict[str, Any] = _cleaned(figures, sorted(secrets, key=len, reverse=True))
    return cleaned


def _values(manager: Manager, name: JobName | None) -> set[str]:
    """Return the values of the environments that a job and its processes were given."""
    if name is None:
        return set()
    envs = [process.info["env"] for process in list(manager.running.values()) if process.name == name]
    if manager.has_job(name):
        config = manager.get(name)
        envs.append(config.env)
        if config.env_file:
            with suppress(SpawnError):
                system = os.environ
                envs.append({key: one for key, one in job_environment(config).items() if system.get(key) != one})
    return {value for env in envs for value in env.values() if len(value) >= SHORTEST}


def _cleaned(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(one, secrets) if key in _LINES else one for key, one in value.items()}
    if isinstance(value, list):
        return [_cleaned(one, secrets) for one in value]
    for secret in secrets if isinstance(value, str) else ():
        value = value.replace(secret, HIDDEN)
    return redact_text(value) if isinstance(value, str) else value


def info(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return a job, its environment hidden from those who may not manage it."""
    return {**result, "config": settings(manager, result["config"], view)}


def settings(manager: Manager, result: dict[str, Any], view: VisibleJobs) -> dict[str, Any]:
    """Return settings or a process, hidden from those who may not manage the job: its environment, and passwords."""
    if view.manages(result["name"]):
        return result
    hidden: dict[str, Any] = {key: redact(result[key]) for key in ("cmd", "args") if key in result}
    return {**result, **hidden, "env": dict.fromkeys(result.get("env") or (), HIDDEN)}
