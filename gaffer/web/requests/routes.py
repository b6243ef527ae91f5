"""Routes that plugins offer, and their validation.

Importing this module costs nothing: neither bottle nor gevent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, Iterable

from ...commands.authorization import TARGETS
from ...errors import PluginError

if TYPE_CHECKING:
    from ...commands.command import Arg
    from ...commands.schemas import Schema
    from .request import Request

#: Who may use a route. ``None`` is everybody; the others are permissions of a key, each containing the ones before.
PERMISSIONS = (None, "read", "write", "manage", "admin")
#: The value of ``Route.target`` when the path's parameters say what it is about.
BY_PATH = "by path"
#: The value of ``Route.permission`` when nothing was said, which is not the same as "everybody".
UNDECLARED = "undeclared"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")

#: Characters that no path may hold, for use in regular expressions: controls, and what is invisible or turns text
#: around and so makes a name look like another one.
INVISIBLE_CHARACTERS = r"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"

_PATH = re.compile(r"(?:/(?:[A-Za-z0-9_.~+@$-]|<[a-z_]+(?::(?:int|path))?>)*)+\Z")
_PARAMETER = re.compile(r"<([a-z_]+)((?::(?:int|path))?)>")


@dataclass(frozen=True)
class Route:
    """Method and path of the HTTP API with the command or handler that answers; see ``gaffer_routes``.

    :param method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``. HEAD follows from GET and OPTIONS from
        all of them. GET must not change state.
    :param path: ``/jobs/<session>/<job>``, ``/<pid:int>``, ``/files/<path:path>`` for a rest with slashes.
    :param command: the name of a command of the manager's table that answers.
    :param handler: a function ``handler(request, **parameters)`` that answers instead of a command. It returns
        JSON data, ``str`` for text, ``bytes``, ``None`` for nothing, a ``gaffer.api.web.Reply`` or a
        ``bottle.HTTPResponse``; it raises :class:`gaffer.errors.GafferError`. ``request`` is a
        :class:`gaffer.web.requests.request.Request`, not bottle's global.
    :param permission: one of :data:`PERMISSIONS`. A handler's must be declared; a command has its own.
    :param target: what a handler's permission is asked about: ``job``, ``session``, ``process``, None for the node, or
        ``visible`` for what shows everybody the part that they may read, which is the handler's work then. By default
        it is what the path's parameters ``session`` and ``job``, or ``pid``, name, and without those the node.
    :param first_message: a websocket whose first message may be ``AUTH:<key>``. While ``request.identity`` is None,
        the handler has to wait for it (``gaffer.web.websocket.late_auth``).
    :param status: the HTTP status of success.
    :param arguments: ``arguments(request, parameters)`` makes the command's arguments; by default they are
        the path's parameters, where a session with a job becomes ``name``, and one alone ``sessionid``.
    :param reply: ``reply(result)`` makes the answer from the command's result; by default it is the result.
    :param raw: the body may be anything, not only JSON.
    :param carries: its requests only carry messages, whose commands are told one by one (``gaffer_command_run``), so
        that a request itself is told only if it fails.
    :param live: what an item is called when ``?feed=continuous`` or ``eventsource`` asks for the answer, which must be
        JSON, again and again; ``""`` if that makes no sense.

    The others are for those who read: ``/openapi.json``, ``/docs`` and the reference show them, nothing checks them.

    :param summary: one line; by default the command's.
    :param tag: the chapter of the reference; by default the plugin's name.
    :param parameters: what is to be said about parameters of the path that are no arguments of the command, and
        about those of the query: every one that is not in the path.
    :param body: what the body has to be: a JSON Schema, the name of the command's argument that it is, or the names of
        the arguments that are its keys. None means that no body is wanted.
    :param result: JSON Schema of the answer; by default the command's result.
    :param media: the type of the answer, or several, the first of which is what *result* describes.
    :param also: statuses that it answers beside *status*, the command's own errors and those that every route has.
    """

    method: str
    path: str
    command: str | None = None
    handler: Callable[..., Any] | None = None
    permission: str | None = UNDECLARED
    target: str | None = BY_PATH
    first_message: bool = False
    status: int = 200
    arguments: Callable[[Request, dict[str, Any]], dict[str, Any]] | None = None
    reply: Callable[[Any], Any] | None = None
    raw: bool = False
    carries: bool = False
    live: str = ""
    summary: str = ""
    tag: str = field(default="", compare=False)
    parameters: tuple[Arg, ...] = ()
    body: str | tuple[str, ...] | Schema | None = None
    result: Schema | None = None
    media: str | tuple[str, ...] = "application/json"
    also: tuple[int, ...] = ()
    shape: tuple[str, str] = field(init=False, repr=False, compare=False, default=("", ""))

    def __post_init__(self) -> None:
        # What the path looks like without the names of its parameters: two routes of one shape are duplicates.
        object.__setattr__(self, "shape", (self.method, _PARAMETER.sub(r"<\2>", self.path)))
        if self.target == BY_PATH:
            object.__setattr__(self, "target", _target_of(dict(self.places)))

    @property
    def places(self) -> list[tuple[str, str]]:
        """The path's parameters in order: name and kind, which is ``int``, ``path`` or nothing."""
        return [(name, kind.lstrip(":")) for name, kind in _PARAMETER.findall(self.path)]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _target_of(places: dict[str, str]) -> str | None:
    """Return what a path with these parameters is about."""
    if "session" in places:
        return "job" if "job" in places else "session"
    return "process" if places.get("pid") == "int" else None


def problem_of(route: Route, commands: Callable[[str], bool]) -> str | None:
    """Return what is wrong with *route* by itself, or None.

    :param commands: tells whether a command of that name exists.
    """
    if route.method not in METHODS:
        return f"unknown method {route.method!r}; use one of {', '.join(METHODS)}"
    if not _PATH.match(route.path) or len(dict(route.places)) != len(route.places):
        return "the path must look like /jobs/<session>/<job>, /<pid:int> or /files/<path:path>"
    if (route.command is None) == (route.handler is None):
        return "exactly one of command and handler is needed"
    if route.command is not None and not commands(route.command):
        return f"there is no command {route.command!r}"
    if route.handler is not None and route.permission == UNDECLARED:
        return "no permission is declared; set permission=None if every client may use it"
    if route.permission not in (*PERMISSIONS, UNDECLARED):
        return f"unknown permission {route.permission!r}; use one of {', '.join(map(str, PERMISSIONS))}"
    if route.target not in TARGETS:
        return f"unknown target {route.target!r}; use one of {', '.join(map(str, TARGETS))}"
    return None


def check_routes(
    offers: Iterable[tuple[str, Iterable[Route]]], commands: Callable[[str], bool] = lambda name: True
) -> list[Route]:
    """Return the routes of all plugins in one list, the order kept.

    :param offers: ``(plugin name, its routes)``.
    :param commands: tells whether a command of that name exists.
    :raises PluginError: a route is wrong, or two plugins answer one URL; one line for each, with the plugins' names.
    """
    found: dict[tuple[str, str], tuple[str, Route]] = {}
    problems: list[str] = []
    for plugin, routes in offers:
        for route in routes:
            route = route if route.tag else replace(route, tag=plugin)
            wrong = problem_of(route, commands)
            if wrong is not None:
                problems.append(f"plugin {plugin}: route {route}: {wrong}")
            elif route.shape in found:
                problems.append(
                    f"plugins {found[route.shape][0]} and {plugin} both answer {route}; leave one out with --no-plugin"
                )
            else:
                found[route.shape] = (plugin, route)
    if problems:
        raise PluginError("\n".join(problems))
    return [route for _, route in found.values()]
