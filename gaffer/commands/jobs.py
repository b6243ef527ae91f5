"""Commands about one job, and the lists of jobs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterator

from ..config.fields import Environment, Seconds
from ..config.names import check_name
from ..errors import BadRequest, InvalidConfig, NotFound
from . import visibility
from .command import CHANGES, CONFIG, GROUP, IN_SESSION, JOB, SIGNAL, START, Arg, command
from .schemas import BOOLEAN, COUNT, NAMES, PID, PIDS, listed, refer, returns

if TYPE_CHECKING:
    from ..manager.manager import Manager

_STATE = Arg("state", {"type": "integer", "enum": [0, 1, 2], "examples": [1]}, "1 start, 0 stop, 2 reload")
_SCALE = Arg(
    "scale",
    {
        "type": ["integer", "string"],
        "pattern": "^[+=-]?[0-9]{1,9}$",
        "minimum": -999_999_999,
        "maximum": 999_999_999,
        "examples": ["+1"],
    },
    "2, '+1', '-1' or '=3'",
)
_GRACEFUL_TIMEOUT = Arg("graceful_timeout", Seconds.schema, "seconds between the stop signal and KILL", required=False)
_MORE_ENV = Arg("env", Environment.schema, "more environment variables", required=False)
_ROLLING = Arg("rolling", BOOLEAN, "one after another, each when the one before is ready", required=False)
_NUMBER = returns(numprocesses={**COUNT, "examples": [2]})


# -- looking ------------------------------------------------------------------------------------


@command(
    "jobs", permission="read", target="visible", args=(IN_SESSION,), returns=returns(jobs=NAMES), show=visibility.jobs
)
def jobs(manager: Manager, sessionid: str | None = None) -> dict[str, Any]:
    """Full names of all jobs, or of a session's."""
    return {"jobs": names_in(manager, sessionid)}


@command(
    "infos",
    permission="read",
    target="visible",
    args=(IN_SESSION,),
    returns=returns(jobs=listed(refer("JobInfo"))),
    show=visibility.infos,
    each="jobs",
)
def infos(manager: Manager, sessionid: str | None = None) -> Iterator[dict[str, Any]]:
    """All jobs, or those of a session, with their state and settings."""
    for name in names_in(manager, sessionid):
        with suppress(NotFound):  # unloaded meanwhile
            yield manager.info(name)


def names_in(manager: Manager, sessionid: str | None) -> list[str]:
    """Return the full names of all jobs, or of a session's; a session that cannot be seen is like one without jobs."""
    if sessionid is not None:
        check_name(sessionid, "session")
    return [name for name in manager.jobs() if sessionid is None or name.startswith(f"{sessionid}.")]


@command("info", permission="read", target="job", args=(JOB,), returns=refer("JobInfo"), show=visibility.info)
def info(manager: Manager, name: str) -> dict[str, Any]:
    """A job with its state and its settings."""
    return manager.info(name)


@command(
    "status",
    permission="read",
    target="job",
    args=(JOB,),
    returns=returns(active={**BOOLEAN, "examples": [True]}, running=COUNT, max_processes=COUNT, numprocesses=COUNT),
)
def status(manager: Manager, name: str) -> dict[str, Any]:
    """The short status of a job: whether it is wanted up, and how many of its processes live."""
    # The short form that gaffer 0.4 had.
    found = manager.info(name)
    short = {key: found[key] for key in ("active", "running", "max_processes")}
    return {**short, "numprocesses": found["max_processes"]}


@command("why", permission="read", target="job", args=(JOB,), returns=refer("Cause"), show=visibility.why)
def why(manager: Manager, name: str) -> dict[str, Any]:
    """Why a job is in its state: a chain of causes, in sentences."""
    return manager.why(name)


@command("job_pids", permission="read", target="job", args=(JOB,), returns=returns(pids=PIDS))
def job_pids(manager: Manager, name: str) -> dict[str, Any]:
    """Pids of one job's processes."""
    return {"pids": manager.pids(name)}


@command("state", permission="read", target="job", args=(JOB,), returns={"type": "integer", "enum": [0, 1]})
def state(manager: Manager, name: str) -> int:
    """1 if the job is wanted up, else 0."""
    return int(manager.job(name).active)


@command("numprocesses", permission="read", target="job", args=(JOB,), returns=_NUMBER)
def numprocesses(manager: Manager, name: str) -> dict[str, int]:
    """The wanted number of processes."""
    return {"numprocesses": manager.job(name).wanted}


# -- loading ------------------------------------------------------------------------------------


@command("load", permission="manage", target="session", args=(CONFIG, IN_SESSION, START), errors=(409, 422, 503))
def load(manager: Manager, config: dict[str, Any], sessionid: str | None = None, start: bool | None = None) -> None:
    """Load a job."""
    manager.load(from_outside(config), sessionid, start=start)


@command("update", permission="manage", target="job", args=(CHANGES, IN_SESSION, START), errors=(409, 422, 503))
def update(manager: Manager, config: dict[str, Any], sessionid: str | None = None, start: bool | None = None) -> None:
    """Change a job; it stays up or down as it is."""
    manager.update(from_outside(config), sessionid, start=start)


@command("unload", permission="manage", target="job", args=(JOB, IN_SESSION), errors=(409,))
def unload(manager: Manager, name: str) -> None:
    """Stop and remove a job."""
    manager.unload(name)


def from_outside(config: dict[str, Any]) -> dict[str, Any]:
    """Return settings that came from outside.

    :raises InvalidConfig: descriptors are among them, which would be gaffer's own, not the caller's.
    """
    if "custom_channels" in config:
        raise InvalidConfig("custom_channels: can be set from Python only")
    return config


# -- doing --------------------------------------------------------------------------------------


@command("start_job", permission="manage", target="job", args=(JOB,), errors=(503,))
def start_job(manager: Manager, name: str) -> None:
    """Start a job."""
    manager.start_job(name)


@command("stop_job", permission="manage", target="job", args=(JOB,))
def stop_job(manager: Manager, name: str) -> None:
    """Stop a job."""
    manager.stop_job(name)


@command("reload_job", permission="manage", target="job", args=(JOB, IN_SESSION))
def reload_job(manager: Manager, name: str) -> None:
    """Reset the number and replace all processes, as the job's reload settings say."""
    manager.reload(name)


@command("restart_job", permission="manage", target="job", args=(JOB, _ROLLING), errors=(503,))
def restart_job(manager: Manager, name: str, rolling: bool = False) -> None:
    """Replace all processes; a stopped job is started."""
    manager.restart_job(name, rolling)


@command("stopall", permission="manage", target="job", args=(JOB,))
def stopall(manager: Manager, name: str) -> None:
    """Stop all processes of a job; they are replaced."""
    manager.stopall(name)


@command("set_state", permission="manage", target="job", args=(JOB, _STATE), errors=(503,))
def set_state(manager: Manager, name: str, state: int) -> None:
    """1 start, 0 stop, 2 reload."""
    operations = {0: manager.stop_job, 1: manager.start_job, 2: manager.reload}
    if isinstance(state, bool) or state not in operations:
        raise BadRequest(f"state must be 0 (stop), 1 (start) or 2 (reload), not {state!r}")
    operations[state](name)


@command("scale", permission="manage", target="job", args=(JOB, _SCALE), returns=_NUMBER, errors=(409,))
def scale(manager: Manager, name: str, scale: int | str) -> dict[str, int]:
    """Change the wanted number: 2 and +2 add, -1 removes, =3 sets."""
    return {"numprocesses": manager.scale(name, scale)}


@command(
    "killall",
    permission="manage",
    target="job",
    args=(JOB, SIGNAL, GROUP),
    returns=returns(ok={"const": True}, signalled={**COUNT, "description": "how many processes got it"}),
)
def killall(manager: Manager, name: str, signal: int | str, group: bool = False) -> dict[str, Any]:
    """Send a signal to a job's processes."""
    return {"ok": True, "signalled": manager.killall(name, signal, group)}  # a job without any is fine


@command(
    "commit",
    permission="manage",
    target="job",
    args=(JOB, _GRACEFUL_TIMEOUT, _MORE_ENV),
    returns=returns(pid=PID),
    errors=(409, 503),
)
def commit(
    manager: Manager, name: str, graceful_timeout: float | None = None, env: dict[str, str] | None = None
) -> dict[str, int]:
    """Start one extra process, not counted and not replaced."""
    return {"pid": manager.commit(name, graceful_timeout, env)}
