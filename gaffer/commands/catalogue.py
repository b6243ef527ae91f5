"""The rows of the command table: what can be done, with which arguments, and what comes back."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..config.fields import Environment, Seconds
from ..config.fields import Signal as SignalKind
from ..version import __version__
from . import operations, visibility
from .operations import done, of_session
from .schemas import (
    BOOLEAN,
    COUNT,
    JOB_NAME,
    NAMES,
    OK,
    PID,
    PIDS,
    PLAIN_NAME,
    SHORT_NAME,
    STRING,
    Schema,
    listed,
    refer,
    returns,
)


class Arg(NamedTuple):
    """Argument of a command.

    :param schema: JSON Schema; its ``type`` is checked here.
    """

    name: str
    schema: Schema
    help: str
    required: bool = True


class Command(NamedTuple):
    """Operation of the command table.

    :param permission: None (open), ``read``, ``write``, ``manage`` or ``admin``.
    :param target: what the permission is asked about: ``job``, ``session``, ``process``, None for the node, or
        ``visible``: it is about all jobs, and whoever has a key sees of it what they may read.
    :param run: called with the manager and the arguments by name.
    :param result: JSON Schema of what it returns; it may refer to :func:`gaffer.commands.schemas.definitions`.
    :param errors: statuses of the errors that are its own, beside 400 and, for what is not there, 404.
    :param show: ``show(manager, result, view)`` returns what somebody may see of the result who may not see everything.
    :param waits: *run* waits before it does something, and is given ``check``, which raises once whoever asks may not.
    """

    name: str
    help: str
    permission: str | None
    target: str | None
    args: tuple[Arg, ...]
    run: Callable[..., Any]
    result: Schema
    errors: tuple[int, ...] = ()
    show: Callable[[Any, Any, Any], Any] | None = None
    waits: bool = False


JOB = Arg("name", JOB_NAME, "the job, in any spelling")
PROCESS = Arg("pid", PID, "the process, gaffer's own id")
SESSION = Arg("sessionid", PLAIN_NAME, "the session")
IN_SESSION = SESSION._replace(required=False)
CONFIG = Arg("config", {"type": "object", **refer("Job")}, "the job's settings")
CHANGES = CONFIG._replace(schema={"type": "object", **refer("JobUpdate")})
SIGNAL = Arg("signal", {"type": ["integer", "string"], **SignalKind.schema}, "number or name, with or without SIG")
START = Arg("start", BOOLEAN, "start it now", required=False)
STATE = Arg("state", {"type": "integer", "enum": [0, 1, 2], "examples": [1]}, "1 start, 0 stop, 2 reload")
SCALE = Arg(
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
GRACEFUL_TIMEOUT = Arg("graceful_timeout", Seconds.schema, "seconds between the stop signal and KILL", required=False)
MORE_ENV = Arg("env", Environment.schema, "more environment variables", required=False)
RUNNING = Arg("running", BOOLEAN, "the pids of live processes instead", required=False)

_VERSION: Schema = {"type": "string", "examples": [__version__]}
_NUMBER = returns(numprocesses={**COUNT, "examples": [2]})
_STATUS = returns(active={**BOOLEAN, "examples": [True]}, running=COUNT, max_processes=COUNT, numprocesses=COUNT)

_NODE: tuple[Command, ...] = (
    Command(
        "welcome",
        "greet",
        None,
        None,
        (),
        lambda manager: {"welcome": "gaffer", "version": __version__},
        returns(welcome={"const": "gaffer"}, version=_VERSION),
    ),
    Command("ping", "answer OK once jobs are loaded", None, None, (), lambda manager: "OK", {"const": "OK"}),
    Command(
        "version",
        "name and version",
        None,
        None,
        (),
        lambda manager: {"name": "gaffer", "version": __version__},
        returns(name={"const": "gaffer"}, version=_VERSION),
    ),
    Command(
        "plugins",
        "the plugins and whether they are loaded",
        "read",
        None,
        (),
        operations.plugins,
        returns(plugins=listed(refer("Plugin"))),
    ),
    Command("health", "whether all is well", "read", None, (), lambda manager: manager.health(), refer("Health")),
    Command(
        "reload_config",
        "read the configuration again and touch only the jobs that it changes",
        "admin",
        None,
        (),
        operations.reload_config,
        refer("Reloaded"),
        (409, 422, 503),
    ),
    Command("stop_all", "stop every job", "admin", None, (), operations.stop_all, OK),
    Command("shutdown", "stop everything and end gaffer", "admin", None, (), operations.shutdown, OK),
)

_LISTS: tuple[Command, ...] = (
    Command(
        "sessions",
        "sessions that have jobs",
        "read",
        "visible",
        (),
        lambda manager: {"sessions": manager.sessions},
        returns(sessions=listed({**STRING, "examples": ["default"]})),
        show=visibility.sessions,
    ),
    Command(
        "jobs",
        "full names of all jobs",
        "read",
        "visible",
        (),
        lambda manager: {"jobs": manager.jobs()},
        returns(jobs=NAMES),
        show=visibility.jobs,
    ),
    Command(
        "session_jobs",
        "jobs of one session",
        "read",
        "visible",
        (SESSION,),
        lambda manager, sessionid: {"sessionid": sessionid, "jobs": manager.jobs(sessionid)},
        returns(sessionid={**STRING, "examples": ["default"]}, jobs=NAMES),
        show=visibility.session_jobs,
    ),
    Command(
        "pids",
        "pids of all processes",
        "read",
        "visible",
        (),
        lambda manager: {"pids": manager.pids()},
        returns(pids=PIDS),
        show=visibility.pids,
    ),
    Command(
        "processes",
        "short names of all jobs, or pids of all processes",
        "read",
        "visible",
        (RUNNING,),
        operations.processes,
        {"anyOf": [listed(SHORT_NAME), PIDS]},
        show=visibility.processes,
    ),
    Command(
        "all_stats",
        "statistics of all jobs",
        "read",
        "visible",
        (),
        lambda manager: {"jobs": manager.all_stats()},
        returns(jobs=listed(refer("JobStats"))),
        (503,),
        visibility.all_stats,
    ),
)

_JOBS: tuple[Command, ...] = (
    Command(
        "info",
        "a job with its state and its settings",
        "read",
        "job",
        (JOB,),
        lambda manager, name: manager.info(name),
        refer("JobInfo"),
        show=visibility.info,
    ),
    Command(
        "status",
        "whether a job is wanted up, and how many of its processes live",
        "read",
        "job",
        (JOB,),
        operations.status,
        _STATUS,
    ),
    Command(
        "job_pids",
        "pids of one job's processes",
        "read",
        "job",
        (JOB,),
        lambda manager, name: {"pids": manager.pids(name)},
        returns(pids=PIDS),
    ),
    Command(
        "load", "load a job", "manage", "session", (CONFIG, IN_SESSION, START), operations.load, OK, (409, 422, 503)
    ),
    Command(
        "update",
        "change a job; it stays up or down as it is",
        "manage",
        "job",
        (CHANGES, IN_SESSION, START),
        operations.update,
        OK,
        (409, 422, 503),
    ),
    Command("unload", "stop and remove a job", "manage", "job", (JOB,), operations.unload, OK, (409,)),
    Command("start_job", "start a job", "manage", "job", (JOB,), done("start_job"), OK, (503,)),
    Command("stop_job", "stop a job", "manage", "job", (JOB,), done("stop_job"), OK),
    Command("reload_job", "reset the number and replace all processes", "manage", "job", (JOB,), done("reload"), OK),
    Command(
        "restart_job",
        "replace all processes; a stopped job is started",
        "manage",
        "job",
        (JOB,),
        done("restart_job"),
        OK,
        (503,),
    ),
    Command(
        "state",
        "1 if the job is wanted up, else 0",
        "read",
        "job",
        (JOB,),
        operations.state,
        {"type": "integer", "enum": [0, 1]},
    ),
    Command("set_state", "1 start, 0 stop, 2 reload", "manage", "job", (JOB, STATE), operations.set_state, OK, (503,)),
    Command(
        "numprocesses",
        "the wanted number of processes",
        "read",
        "job",
        (JOB,),
        lambda manager, name: {"numprocesses": manager.job(name).wanted},
        _NUMBER,
    ),
    Command(
        "scale",
        "change the wanted number: 2 and +2 add, -1 removes, =3 sets",
        "manage",
        "job",
        (JOB, SCALE),
        lambda manager, name, scale: {"numprocesses": manager.scale(name, scale)},
        _NUMBER,
        (409,),
    ),
    Command(
        "killall",
        "send a signal to a job's processes",
        "manage",
        "job",
        (JOB, SIGNAL),
        operations.killall,
        returns(ok={"const": True}, signalled={**COUNT, "description": "how many processes got it"}),
    ),
    Command(
        "stats",
        "statistics of a job's processes, with their sums",
        "read",
        "job",
        (JOB,),
        lambda manager, name: manager.stats(name),
        refer("JobStats"),
        (503,),
        visibility.stats,
    ),
    Command(
        "commit",
        "start one extra process, not counted and not replaced",
        "manage",
        "job",
        (JOB, GRACEFUL_TIMEOUT, MORE_ENV),
        operations.commit,
        returns(pid=PID),
        (409, 503),
    ),
)

_SESSIONS: tuple[Command, ...] = (
    Command(
        "start_session",
        "start all jobs of a session",
        "manage",
        "session",
        (SESSION,),
        of_session("start_job"),
        OK,
        (503,),
    ),
    Command(
        "stop_session",
        "stop all jobs of a session",
        "manage",
        "session",
        (SESSION,),
        of_session("stop_job", backwards=True),
        OK,
    ),
    Command(
        "restart_session",
        "replace all processes of a session; stopped jobs are started",
        "manage",
        "session",
        (SESSION,),
        of_session("restart_job"),
        OK,
        (503,),
    ),
    Command(
        "unload_session",
        "stop and remove all jobs of a session",
        "manage",
        "session",
        (SESSION,),
        of_session("unload", backwards=True),
        OK,
        (409,),
    ),
)

_PROCESSES: tuple[Command, ...] = (
    Command(
        "process_info",
        "one process",
        "read",
        "process",
        (PROCESS,),
        lambda manager, pid: manager.process_info(pid),
        refer("ProcessInfo"),
        show=visibility.settings,
    ),
    Command(
        "process_template",
        "one process with all settings that it runs with",
        "read",
        "process",
        (PROCESS,),
        operations.process_template,
        refer("ProcessTemplate"),
        show=visibility.settings,
    ),
    Command(
        "process_stats",
        "statistics of one process",
        "read",
        "process",
        (PROCESS, JOB._replace(required=False, help="its job; that of another one is not found")),
        operations.process_stats,
        returns(stats=refer("ProcessStats")),
        (503,),
        visibility.process_stats,
    ),
    Command(
        "stop_process",
        "stop one process; its job replaces it",
        "manage",
        "process",
        (PROCESS,),
        done("stop_process"),
        OK,
    ),
    Command(
        "update_of_process",
        "change the job of a process; it stays up or down as it is",
        "manage",
        "process",
        (PROCESS, CHANGES, START),
        operations.update_of_process,
        OK,
        (409, 422, 503),
    ),
    Command("kill", "send a signal to one process", "manage", "process", (PROCESS, SIGNAL), operations.kill, OK),
)

COMMANDS: tuple[Command, ...] = (*_NODE, *_LISTS, *_JOBS, *_SESSIONS, *_PROCESSES)
