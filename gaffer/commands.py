"""The command table: every operation with its arguments and permission (DESIGN §1.6).

HTTP, sockets and command lines all enter here, so arguments are checked, permission
is decided and errors get their code in one place. Nothing in here imports gevent.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NamedTuple

from .errors import BadRequest, InvalidConfig, NotFound, nearest
from .version import __version__

if TYPE_CHECKING:
    from .manager import Manager

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list, tuple),
    "null": (type(None),),
}

STRING: Schema = {"type": "string"}
NAMES: Schema = {"type": "array", "items": STRING}
PIDS: Schema = {"type": "array", "items": {"type": "integer"}}
OBJECT: Schema = {"type": "object"}


def returns(**properties: Schema) -> Schema:
    """Return the schema of an object that has exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


OK: Schema = returns(ok={"type": "boolean"})


class Arg(NamedTuple):
    """One argument of a command.

    :param schema: JSON Schema; its ``type`` is checked here.
    """

    name: str
    schema: Schema
    help: str
    required: bool = True


class Command(NamedTuple):
    """One operation.

    :param permission: None (open), ``read``, ``write``, ``manage`` or ``admin``.
    :param target: what the permission is asked about: ``job``, ``session``, ``process`` or None.
    :param run: called with the manager and the arguments by name.
    :param result: JSON Schema of what it returns.
    """

    name: str
    help: str
    permission: str | None
    target: str | None
    args: tuple[Arg, ...]
    run: Callable[..., Any]
    result: Schema


JOB = Arg("name", STRING, "the job, in any spelling")
PID = Arg("pid", {"type": "integer"}, "the process, gaffer's own id")
SESSION = Arg("sessionid", STRING, "the session", required=False)
CONFIG = Arg("config", OBJECT, "the job's settings (CONTRACT §2)")
SIGNAL = Arg("signal", {"type": ["integer", "string"]}, "number or name, with or without SIG")
START = Arg("start", {"type": "boolean"}, "start it now", required=False)


def _ok(run: Callable[..., Any]) -> Callable[..., dict[str, bool]]:
    """Wrap an operation that has no result of its own."""

    def call(manager: Manager, **args: Any) -> dict[str, bool]:
        run(manager, **args)
        return {"ok": True}

    return call


def _state(manager: Manager, name: str) -> int:
    return int(manager.job(name).active)


def _set_state(manager: Manager, name: str, state: int) -> dict[str, bool]:
    operations = {0: manager.stop_job, 1: manager.start_job, 2: manager.reload}
    if isinstance(state, bool) or state not in operations:
        raise BadRequest(f"state must be 0 (stop), 1 (start) or 2 (reload), not {state!r}")
    operations[state](name)
    return {"ok": True}


def _stop_all(manager: Manager) -> None:
    for job in reversed(manager.all_jobs()):
        with suppress(NotFound):  # unloaded meanwhile
            manager.stop_job(job.name)


def _from_outside(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings; descriptors in them would be gaffer's own, not those of whoever asks."""
    if "custom_channels" in config:
        raise InvalidConfig("custom_channels: can be set from Python only")
    return config


def _plugins(manager: Manager) -> dict[str, Any]:
    muted = {name for name, counters in manager.hooks.counters().items() if counters["muted"]}
    return {"plugins": [info._asdict() for info in manager.plugins.list(muted)]}


def _reload_config(manager: Manager) -> dict[str, Any]:
    """Read the configuration again; gafferd replaces this by its own reading of files."""
    reload = getattr(manager, "reader", None) or manager.reload_config
    return {"ok": True, **reload()}


def _shutdown(manager: Manager) -> None:
    manager.later(manager.stop)


COMMANDS: tuple[Command, ...] = (
    Command(
        "welcome",
        "greet",
        None,
        None,
        (),
        lambda manager: {"welcome": "gaffer", "version": __version__},
        returns(welcome=STRING, version=STRING),
    ),
    Command("ping", "answer OK once jobs are loaded", None, None, (), lambda manager: "OK", STRING),
    Command(
        "version",
        "name and version",
        None,
        None,
        (),
        lambda manager: {"name": "gaffer", "version": __version__},
        returns(name=STRING, version=STRING),
    ),
    Command(
        "sessions",
        "sessions that have jobs",
        "read",
        None,
        (),
        lambda manager: {"sessions": manager.sessions},
        returns(sessions=NAMES),
    ),
    Command(
        "jobs",
        "full names of all jobs",
        "read",
        None,
        (),
        lambda manager: {"jobs": manager.jobs()},
        returns(jobs=NAMES),
    ),
    Command(
        "session_jobs",
        "jobs of one session",
        "read",
        "session",
        (SESSION._replace(required=True),),
        lambda manager, sessionid: {"sessionid": sessionid, "jobs": manager.jobs(sessionid)},
        returns(sessionid=STRING, jobs=NAMES),
    ),
    Command(
        "pids", "pids of all processes", "read", None, (), lambda manager: {"pids": manager.pids()}, returns(pids=PIDS)
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
    Command("info", "a job with its state", "read", "job", (JOB,), lambda manager, name: manager.info(name), OBJECT),
    Command(
        "load",
        "load a job",
        "manage",
        "session",
        (CONFIG, SESSION, START),
        _ok(
            lambda manager, config, sessionid=None, start=None: manager.load(
                _from_outside(config), sessionid, start=start
            )
        ),
        OK,
    ),
    Command(
        "update",
        "change a job; it stays up or down as it is",
        "manage",
        "job",
        (CONFIG, SESSION, START),
        _ok(
            lambda manager, config, sessionid=None, start=None: manager.update(
                _from_outside(config), sessionid, start=start
            )
        ),
        OK,
    ),
    Command(
        "unload",
        "stop and remove a job",
        "manage",
        "job",
        (JOB,),
        _ok(lambda manager, name: manager.unload(name)),
        OK,
    ),
    Command(
        "start_job", "start a job", "manage", "job", (JOB,), _ok(lambda manager, name: manager.start_job(name)), OK
    ),
    Command("stop_job", "stop a job", "manage", "job", (JOB,), _ok(lambda manager, name: manager.stop_job(name)), OK),
    Command(
        "reload_job",
        "reset the number and replace all processes",
        "manage",
        "job",
        (JOB,),
        _ok(lambda manager, name: manager.reload(name)),
        OK,
    ),
    Command(
        "restart_job",
        "replace all processes; a stopped job is started",
        "manage",
        "job",
        (JOB,),
        _ok(lambda manager, name: manager.restart_job(name)),
        OK,
    ),
    Command("state", "1 if the job is wanted up, else 0", "read", "job", (JOB,), _state, {"type": "integer"}),
    Command(
        "set_state",
        "1 start, 0 stop, 2 reload",
        "manage",
        "job",
        (JOB, Arg("state", {"type": "integer"}, "1 start, 0 stop, 2 reload")),
        _set_state,
        OK,
    ),
    Command(
        "numprocesses",
        "the wanted number of processes",
        "read",
        "job",
        (JOB,),
        lambda manager, name: {"numprocesses": manager.job(name).wanted},
        returns(numprocesses={"type": "integer"}),
    ),
    Command(
        "scale",
        "change the wanted number: 2 and +2 add, -1 removes, =3 sets",
        "manage",
        "job",
        (JOB, Arg("scale", {"type": ["integer", "string"]}, "2, '+1', '-1' or '=3'")),
        lambda manager, name, scale: {"numprocesses": manager.scale(name, scale)},
        returns(numprocesses={"type": "integer"}),
    ),
    Command(
        "killall",
        "send a signal to a job's processes",
        "manage",
        "job",
        (JOB, SIGNAL),
        lambda manager, name, signal: {"ok": True, "signalled": manager.killall(name, signal)},
        OK,
    ),
    Command("stats", "statistics of a job", "read", "job", (JOB,), lambda manager, name: manager.stats(name), OBJECT),
    Command(
        "commit",
        "start one extra process, not counted and not replaced",
        "manage",
        "job",
        (
            JOB,
            Arg("graceful_timeout", {"type": "number"}, "seconds between the stop signal and KILL", required=False),
            Arg("env", OBJECT, "more environment variables", required=False),
        ),
        lambda manager, name, graceful_timeout=None, env=None: {"pid": manager.commit(name, graceful_timeout, env)},
        returns(pid={"type": "integer"}),
    ),
    Command(
        "process_info",
        "one process",
        "read",
        "process",
        (PID,),
        lambda manager, pid: manager.process_info(pid),
        OBJECT,
    ),
    Command(
        "process_stats",
        "statistics of one process",
        "read",
        "process",
        (PID,),
        lambda manager, pid: {"stats": manager.process_stats(pid)},
        returns(stats=OBJECT),
    ),
    Command(
        "stop_process",
        "stop one process; its job replaces it",
        "manage",
        "process",
        (PID,),
        _ok(lambda manager, pid: manager.stop_process(pid)),
        OK,
    ),
    Command(
        "kill",
        "send a signal to one process",
        "manage",
        "process",
        (PID, SIGNAL),
        _ok(lambda manager, pid, signal: manager.kill(pid, signal)),
        OK,
    ),
    Command("plugins", "loaded plugins", "read", None, (), _plugins, returns(plugins={"type": "array"})),
    Command("health", "whether all is well", "read", None, (), lambda manager: manager.health(), OBJECT),
    Command("reload_config", "read the configuration again", "admin", None, (), _reload_config, OK),
    Command("stop_all", "stop every job", "admin", None, (), _ok(_stop_all), OK),
    Command("shutdown", "stop everything and end gaffer", "admin", None, (), _ok(_shutdown), OK),
)


class CommandTable:
    """The commands of one manager.

    :param manager: what they operate on.
    """

    def __init__(self, manager: Manager, commands: tuple[Command, ...] = COMMANDS) -> None:
        self._manager = manager
        self._commands = {command.name: command for command in commands}

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def get(self, name: str) -> Command:
        """Return a command.

        :raises NotFound: there is none of that name.
        """
        command = self._commands.get(name)
        if command is None:
            raise NotFound(f"no command {name!r}{nearest(name, self._commands)}")
        return command

    def run(self, name: str, args: Mapping[str, Any] | None = None, identity: Any = None) -> Any:
        """Run a command; returns what can be shown as JSON.

        :param args: arguments by name.
        :param identity: who asks; everybody may do everything while no plugin decides.
        :raises GafferError: with the code that every transport shows.
        """
        command = self.get(name)
        return command.run(self._manager, **check_args(command, args or {}))


def check_args(command: Command, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were given, checked against the command's table.

    :raises BadRequest: one is unknown, missing or of the wrong type.
    """
    known = {arg.name: arg for arg in command.args}
    for key in args:
        if key not in known:
            raise BadRequest(f"{command.name} has no argument {key!r}{nearest(str(key), known)}")
    for arg in command.args:
        if arg.required and args.get(arg.name) is None:
            raise BadRequest(f"{command.name} needs {arg.name!r}: {arg.help}")
    return {key: _typed(known[key], value) for key, value in args.items() if value is not None}


def _typed(arg: Arg, value: Any) -> Any:
    names = arg.schema.get("type", list(_TYPES))
    names = [names] if isinstance(names, str) else names
    accepted = tuple(one for name in names for one in _TYPES[name])
    if not isinstance(value, accepted) or isinstance(value, bool) and "boolean" not in names:
        raise BadRequest(f"{arg.name} must be {' or '.join(names)}, not {value!r}")
    return value
