"""The command table: every operation with its arguments and permission.

HTTP, sockets and command lines all enter here, so arguments are checked, permission
is decided and errors get their code in one place. Nothing in here imports gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

from ..config.job_ports import PortTaken
from ..config.names import JobName, check_name, parse_job_name
from ..errors import BadRequest, NotFound, nearest
from ..events.caller import CALLER
from . import jobs, node, processes, sessions, statistics
from .command import Arg, Command

if TYPE_CHECKING:
    from ..manager.manager import Manager
    from .identity import Identity

_TOPICS = (node, sessions, jobs, processes, statistics)
#: The commands of all topics, in the order of their definition.
COMMANDS = tuple(one for topic in _TOPICS for one in vars(topic).values() if isinstance(one, Command))

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list, tuple),
    "null": (type(None),),
}


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

    def run(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        identity: Identity | None = None,
        origin: str = "",
        parse: Callable[[Command], Mapping[str, Any]] | None = None,
    ) -> Any:
        """Run a command and tell plugins of it (``gaffer_command_run``); returns what can be shown as JSON.

        :param args: arguments by name.
        :param identity: of the caller, from ``access.identify``; None is anonymous.
        :param origin: where from, for those who write it down.
        :param parse: returns the arguments instead; what it raises is told like any error of the command.
        :raises GafferError: with the code that every transport shows.
        """
        command, args = self.get(name), args or {}
        note = self._manager.access.note
        try:
            if parse is not None:
                args = parse(command)
            result = self.perform(name, args, identity)
            if command.each:
                result = {command.each: list(result[command.each])}
        except BaseException as error:
            note(name, command.permission, args, identity, origin, error)
            raise
        note(name, command.permission, args, identity, origin)
        return result

    def perform(self, name: str, args: Mapping[str, Any], identity: Identity | None) -> Any:
        """Run a command for a transport that tells plugins of its requests itself; see :meth:`run`.

        The items of a list may be found while they are iterated over, see :class:`~gaffer.commands.command.Command`.
        """
        command, access = self.get(name), self._manager.access
        if command.permission is not None and identity is None and access.strict:
            access.check(None, command.permission)  # before anything is said about the arguments
        given = check_args(command, args)
        target = "job" if command.target == "visible" and "name" in given else command.target
        access.check_target(identity, command.permission, target, given)
        if command.waits:
            named = dict(given)
            given["check"] = lambda: access.check_target(identity, command.permission, target, named)
        token = CALLER.set("a client" if identity is None else str(identity))
        try:
            result = command.run(self._manager, **given)
        except PortTaken as error:
            seen = access.view(identity)
            if seen is None or seen.reads(error.conflict.holder):
                raise
            raise error.for_others() from None
        finally:
            CALLER.reset(token)
        if result is None:
            return {"ok": True}
        view = None if command.show is None else access.view(identity)
        if command.show is not None and view is not None:
            result = command.show(self._manager, result, view)
        return {command.each: result} if command.each else result


def check_args(command: Command, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were given, checked against the command's table.

    :raises BadRequest: one is unknown, missing or of the wrong type.
    """
    known = {arg.name: arg for arg in command.args}
    for key in args:
        if key not in known:
            raise BadRequest(f"{command.name} has no argument {str(key)[:100]!r}{nearest(str(key), known)}")
    for arg in command.args:
        if arg.required and args.get(arg.name) is None:
            raise BadRequest(f"{command.name} needs {arg.name!r}: {arg.help}")
    given = {key: _typed(known[key], value) for key, value in args.items() if value is not None}
    if command.target == "job" and "name" in given and "sessionid" in given:
        # One name from here on: what is permitted is what is done.
        session = check_name(given.pop("sessionid"), "session name")
        given["name"] = JobName(session, parse_job_name(given["name"]).job).full
    return given


def _typed(arg: Arg, value: Any) -> Any:
    names = arg.schema.get("type", list(_TYPES))
    names = [names] if isinstance(names, str) else names
    accepted = tuple(one for name in names for one in _TYPES[name])
    if not isinstance(value, accepted) or isinstance(value, bool) and "boolean" not in names:
        raise BadRequest(f"{arg.name} must be {' or '.join(names)}, not {value!r}")
    return value
