"""Commands and their arguments as values, and the decorator that makes a command of a function."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..config.fields import Signal as SignalKind
from .schemas import BOOLEAN, JOB_NAME, OK, PID, PLAIN_NAME, Schema, refer


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
        ``visible``: it is about all jobs, and a key sees those it may read.
    :param run: called with the manager and the arguments by name; without a result, the answer is ``{"ok": true}``.
    :param result: JSON Schema of what it returns; it may refer to :func:`gaffer.commands.schemas.definitions`.
    :param errors: statuses of the errors that are its own, beside 400 and, for what is not there, 404.
    :param show: ``show(manager, result, view)`` returns what a caller with fewer permissions may see of the result.
    :param each: the key of the list in the result, where *run* returns its items one by one instead: a transport can
        give way between two of them. *show* gets the items, too, and returns those that may be seen.
    :param waits: *run* waits before it does something, and is given ``check``, which raises once the caller may not.
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
    each: str = ""


def command(
    name: str,
    permission: str | None,
    target: str | None = None,
    args: tuple[Arg, ...] = (),
    returns: Schema = OK,
    errors: tuple[int, ...] = (),
    show: Callable[[Any, Any, Any], Any] | None = None,
    waits: bool = False,
    each: str = "",
) -> Callable[[Callable[..., Any]], Command]:
    """Make the :class:`Command` *name* of a function ``run(manager, **arguments)``; its docstring is the help."""

    def decorate(run: Callable[..., Any]) -> Command:
        first = (run.__doc__ or "").partition("\n")[0].rstrip(".")
        help = first[:1].lower() + first[1:]
        return Command(name, help, permission, target, args, run, returns, errors, show, waits, each)

    return decorate


# -- arguments of several commands --------------------------------------------------------------

JOB = Arg("name", JOB_NAME, "the job, in any spelling")
PROCESS = Arg("pid", PID, "the process, gaffer's own id")
SESSION = Arg("sessionid", PLAIN_NAME, "the session")
IN_SESSION = SESSION._replace(required=False)
CONFIG = Arg("config", {"type": "object", **refer("Job")}, "the job's settings")
CHANGES = CONFIG._replace(schema={"type": "object", **refer("JobUpdate")})
START = Arg("start", BOOLEAN, "start it now", required=False)
GROUP = Arg("group", BOOLEAN, "to all of the process' group too, as a stop", required=False)
SIGNAL = Arg("signal", {"type": ["integer", "string"], **SignalKind.schema}, "number or name, with or without SIG")
