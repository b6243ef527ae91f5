"""Operations that are more, or less, than one method of the manager; the command table names them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Mapping

from ..config.names import JobName, parse_job_name
from ..errors import BadRequest, InvalidConfig, NotFound

if TYPE_CHECKING:
    from ..manager.manager import Manager
    from ..supervisor.job import Job


def done(operation: str) -> Callable[..., dict[str, bool]]:
    """Return a call of a manager's *operation* that has no result of its own."""

    def call(manager: Manager, **args: Any) -> dict[str, bool]:
        getattr(manager, operation)(**args)
        return {"ok": True}

    return call


# -- jobs -----------------------------------------------------------------------


def load(
    manager: Manager, config: dict[str, Any], sessionid: str | None = None, start: bool | None = None
) -> dict[str, bool]:
    """Load a job whose settings came from outside."""
    manager.load(_from_outside(config), sessionid, start=start)
    return {"ok": True}


def unload(manager: Manager, name: str) -> dict[str, bool]:
    """Stop and remove a job."""
    manager.unload(name)
    return {"ok": True}


def update(
    manager: Manager, config: dict[str, Any], sessionid: str | None = None, start: bool | None = None
) -> dict[str, bool]:
    """Change a job; the new settings came from outside."""
    manager.update(_from_outside(config), sessionid, start=start)
    return {"ok": True}


def update_of_process(manager: Manager, pid: int, config: dict[str, Any], start: bool | None = None) -> dict[str, bool]:
    """Change the job of a process.

    :raises BadRequest: *config* names another job.
    """
    name: JobName = manager.get_process(pid).name
    if "name" in config and not _is_called(config["name"], name):
        raise BadRequest(f"process {pid} belongs to job '{name}', but the job is called {config['name']!r}")
    return update(manager, {**config, "name": name.full}, start=start)


def _is_called(said: Any, name: JobName) -> bool:
    with suppress(BadRequest):
        return parse_job_name(said) == name
    return False


def _from_outside(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings; descriptors in them would be gaffer's own, not those of whoever asks."""
    if "custom_channels" in config:
        raise InvalidConfig("custom_channels: can be set from Python only")
    return config


def state(manager: Manager, name: str) -> int:
    """Return 1 if a job is wanted up, else 0."""
    return int(manager.job(name).active)


def set_state(manager: Manager, name: str, state: int) -> dict[str, bool]:
    """Start, stop or reload a job."""
    operations = {0: manager.stop_job, 1: manager.start_job, 2: manager.reload}
    if isinstance(state, bool) or state not in operations:
        raise BadRequest(f"state must be 0 (stop), 1 (start) or 2 (reload), not {state!r}")
    operations[state](name)
    return {"ok": True}


def status(manager: Manager, name: str) -> dict[str, Any]:
    """Return the short form of a job's state that gaffer 0.4 had."""
    info = manager.info(name)
    return {
        "active": info["active"],
        "running": info["running"],
        "max_processes": info["max_processes"],
        "numprocesses": info["max_processes"],
    }


def killall(manager: Manager, name: str, signal: int | str) -> dict[str, Any]:
    """Send a signal to a job's processes; one without any is fine."""
    return {"ok": True, "signalled": manager.killall(name, signal)}


def commit(
    manager: Manager, name: str, graceful_timeout: float | None = None, env: dict[str, str] | None = None
) -> dict[str, int]:
    """Start one extra process."""
    return {"pid": manager.commit(name, graceful_timeout, env)}


# -- several jobs -----------------------------------------------------------------


def processes(manager: Manager, running: bool = False) -> list[Any]:
    """Return the short names of all jobs, or the pids of all processes."""
    return manager.pids() if running else [parse_job_name(name).short for name in manager.jobs()]


def of_session(operation: str, backwards: bool = False) -> Callable[..., dict[str, bool]]:
    """Return a call of a manager's *operation* on every job of a session, in the order of their start.

    The first one that is refused ends it; those before it are done by then.
    """

    def call(manager: Manager, sessionid: str) -> dict[str, bool]:
        manager.jobs(sessionid)  # raises NotFound
        return _each(manager, operation, backwards, lambda job: job.name.session == sessionid)

    return call


def stop_all(manager: Manager) -> dict[str, bool]:
    """Stop every job."""
    return _each(manager, "stop_job", True, lambda job: True)


def _each(manager: Manager, operation: str, backwards: bool, wanted: Callable[[Job], bool]) -> dict[str, bool]:
    # A name can be there twice: while a job is leaving, its successor may be loaded already.
    names = list(dict.fromkeys(job.name for job in manager.all_jobs() if wanted(job)))
    for name in reversed(names) if backwards else names:
        with suppress(NotFound):  # unloaded meanwhile
            getattr(manager, operation)(name)
    return {"ok": True}


# -- processes ----------------------------------------------------------------------


def process_template(manager: Manager, pid: int) -> dict[str, Any]:
    """Return the settings that a process runs with, and what is known of it."""
    process = manager.get_process(pid)
    return {**process.config.to_dict(), **process.info}


def process_stats(manager: Manager, pid: int, name: str | None = None) -> dict[str, Any]:
    """Return the statistics of a process.

    :param name: its job; that of another one is not found.
    """
    if name is not None and manager.get_process(pid).name != manager.job(name).name:
        raise NotFound(f"job '{parse_job_name(name)}' has no process {pid}")
    return {"stats": manager.process_stats(pid)}


def kill(manager: Manager, pid: int, signal: int | str) -> dict[str, bool]:
    """Send a signal to one process."""
    manager.kill(pid, signal)
    return {"ok": True}


# -- the node -------------------------------------------------------------------------


def plugins(manager: Manager) -> dict[str, Any]:
    """Return every plugin with its state."""
    muted = {name for name, counters in manager.hooks.counters().items() if counters["muted"]}
    return {"plugins": [info._asdict() for info in manager.plugins.list(muted)]}


def reload_config(manager: Manager) -> dict[str, Any]:
    """Read the configuration again; gafferd replaces this by its own reading of files."""
    reload: Callable[[], Mapping[str, Any]] = getattr(manager, "reader", None) or manager.reload_config
    return {"ok": True, **reload()}


def shutdown(manager: Manager) -> dict[str, bool]:
    """Stop everything, once the answer is under way."""
    manager.later(manager.stop)
    return {"ok": True}
