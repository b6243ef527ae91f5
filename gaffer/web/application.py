"""The WSGI application made of routes.

bottle finds the route; its global ``request`` and ``response`` are not used, because they belong to a thread and
this application serves greenlets of programs that are not monkey-patched.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Callable, Iterable

import bottle
from greenlet import GreenletExit

from ..errors import BadRequest, GafferError, MethodNotAllowed, NotFound
from .requests.authentication import ACCESS, IDENTITY, JSON, NOTED, admit, origin_of
from .requests.replies import (
    INTERNAL_ERROR,
    Reply,
    StartResponse,
    empty,
    error_reply,
    json_reply,
    problem,
    reply,
    status_line,
)
from .requests.request import MAX_BODY, Request, check_content_type, limit_body
from .requests.routes import INVISIBLE_CHARACTERS, METHODS, Route

if TYPE_CHECKING:
    from ..commands.authorization import Authorization
    from .live.stats_board import Board

log = logging.getLogger("gaffer.web")

MAX_PATH = 4096
Run = Callable[[str, dict[str, Any], Any, str], Any]
Answer = Callable[[Request, dict[str, Any]], Any]
_INVISIBLE = re.compile(f"[{INVISIBLE_CHARACTERS}]")
_SAFE = ("GET", "HEAD", "OPTIONS")


class App:
    """The routes as one WSGI application.

    :param routes: checked ones, see :func:`gaffer.web.requests.routes.check_routes`.
    :param run: ``run(command, arguments, identity, origin)`` carries out the routes that name a command.
    :param max_body: how many bytes a request's body may have.
    :param access: decides who may use which route; without it everybody may use all of them.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        run: Run | None = None,
        max_body: int = MAX_BODY,
        access: Authorization | None = None,
    ) -> None:
        self.max_body = max_body
        self._access = access
        #: Made when somebody looks.
        self._board: Board | None = None
        self.routes = list(routes)
        self._router = bottle.Router()
        for route in self.routes:
            answer = _answer(route, run)
            if route.live:
                answer = self._live(route, answer)
            self._router.add(route.path, route.method, (answer, status_line(route.status), route))

    def _live(self, route: Route, answer: Answer) -> Answer:
        """Return what answers *route*, and with ``?feed=`` answers it again and again."""

        def live(request: Request, parameters: dict[str, Any]) -> Any:
            if not request.query:
                return answer(request, parameters)
            from .live.feed_parameters import LINES, NAMES
            from .live.feeds import follow, read_feed_request
            from .live.stats_board import Board, read_interval

            wish, interval = read_feed_request(request), read_interval(request.query.get("interval"))
            if wish.feed == "longpoll":
                return answer(request, parameters)

            def measure() -> Any:
                return answer(request, dict(parameters))

            measure()  # whatever forbids it is said now, and not by an empty feed
            self._board = self._board or Board()
            other = tuple(pair for pair in request.query.allitems() if pair[0] not in NAMES)
            # Others see other parts of it.
            key = (route.path, *parameters.values(), other, request.identity)
            look = self._board.look(key, route.live, measure, interval)
            return follow(request, look, wish, LINES)

        return live

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        answer = self.reply(environ)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer.send(start_response)
        _close(answer.body)
        return answer._replace(body=()).send(start_response)

    def reply(self, environ: dict[str, Any]) -> Reply:
        """Return the answer to one request; whatever happens, there is one."""
        try:
            return self._reply(environ)
        except GafferError as error:
            return error_reply(error)
        except bottle.HTTPResponse as response:
            return bottle_reply(response)
        except GreenletExit:
            raise
        except BaseException as error:  # SystemExit and gevent.Timeout too: one request's trouble, not the server's
            log.error("%s %s failed: %r", environ["REQUEST_METHOD"], environ["PATH_INFO"], error, exc_info=error)
            return problem(500, INTERNAL_ERROR)

    def _reply(self, environ: dict[str, Any]) -> Reply:
        method = environ["REQUEST_METHOD"]
        environ["PATH_INFO"] = path = decode_path(environ["PATH_INFO"])
        if method == "OPTIONS":
            return empty(extra=[("Allow", ", ".join(self.allowed(path)))])
        if method not in METHODS:
            raise MethodNotAllowed(f"unknown method {method[:20]}", self.allowed(path))
        try:
            (answer, status, route), parameters = self._router.match(environ)
        except bottle.HTTPError as error:
            raise self._unmatched(error, method, path) from None
        environ["gaffer.max_body"], environ["gaffer.route"] = self.max_body, route
        result = self._answered(environ, route, answer, parameters)
        kind = type(result)
        if kind is dict or kind is list:
            return json_reply(result, status)
        return as_reply(result, status)

    def _answered(self, environ: dict[str, Any], route: Route, answer: Answer, parameters: dict[str, Any]) -> Any:
        """Return what *answer* does, and tell who asked for it; a command that is run tells that itself."""
        given = dict(parameters)
        running = False
        try:
            if self._access is not None:
                self._admit(self._access, environ, route, parameters)
                if environ.get(IDENTITY) is None and environ["REQUEST_METHOD"] not in _SAFE:
                    limit_body(environ)
            if not route.raw and environ["REQUEST_METHOD"] not in _SAFE:
                check_content_type(environ)
            running = route.command is not None
            result = answer(Request(environ), parameters)
        except Exception as error:
            if not running:
                self._note(environ, route, given, error)
            raise
        if not running and not route.carries and (route.permission is not None or route.method not in _SAFE):
            self._note(environ, route, given)
        return result

    def _note(
        self, environ: dict[str, Any], route: Route, parameters: dict[str, Any], error: Exception | None = None
    ) -> None:
        if self._access is not None and not isinstance(error, (NotFound, bottle.HTTPResponse)):
            command = str(route) if route.command is None else route.command
            who, origin = environ.get(IDENTITY), origin_of(environ)
            body = {"body": environ[JSON]} if JSON in environ else {}
            said = {**parameters, **environ.get(NOTED, {}), **body}
            self._access.note(command, route.permission, said, who, origin, error)

    def _admit(self, access: Authorization, environ: dict[str, Any], route: Route, parameters: dict[str, Any]) -> None:
        """Refuse whoever may not use *route*; a command's own permission is checked where it is run."""
        environ[ACCESS] = access
        if admit(environ, route) and route.handler is not None:
            access.check_target(environ[IDENTITY], route.permission, route.target, named_target(parameters))

    def _unmatched(self, error: bottle.HTTPError, method: str, path: str) -> GafferError:
        if error.status_code == 405:
            return MethodNotAllowed(f"{method[:20]} is not possible at {path}", self.allowed(path))
        if error.status_code == 400:
            return BadRequest(f"the URL {path[:200]} holds a number that is too long")
        return NotFound(f"there is nothing at {path[:200]}")

    def allowed(self, path: str) -> list[str]:
        """Return the methods that work at *path*, OPTIONS among them.

        :raises NotFound: no route has that path.
        """
        if path == "*":
            return [*_SAFE, "POST", "PUT", "DELETE"]
        try:
            self._router.match({"REQUEST_METHOD": "OPTIONS", "PATH_INFO": path})
        except bottle.HTTPError as error:
            if error.status_code != 405:
                raise NotFound(f"there is nothing at {path[:200]}") from None
            methods = set(error.headers["Allow"].split(","))
        return sorted({*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))


def decode_path(path: str) -> str:
    """Return the path of a WSGI environment as text.

    :raises BadRequest: it is not UTF-8, too long or holds control characters.
    """
    if not path.isascii():
        try:
            path = path.encode("latin-1").decode("utf-8")
        except UnicodeError:
            raise BadRequest("the URL's path is not UTF-8") from None
    if len(path) > MAX_PATH:
        raise BadRequest(f"the URL's path is longer than {MAX_PATH} characters")
    if not path.isprintable() and _INVISIBLE.search(path):
        raise BadRequest("the URL's path holds control characters or others that cannot be seen")
    return path or "/"


def path_arguments(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the path's parameters as a command's arguments: session and job together are its ``name``."""
    if "job" not in parameters:
        return parameters
    session, job = parameters.pop("session"), parameters.pop("job")
    return {"name": f"{session}.{job}", **parameters}


def named_target(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the path's parameters as the arguments that say what a permission is asked about."""
    if "job" in parameters and "session" in parameters:
        return {"name": f"{parameters['session']}.{parameters['job']}"}
    return {**parameters, "sessionid": parameters.get("session")}


def _answer(route: Route, run: Run | None) -> Answer:
    """Return the one function that answers *route*: decided once, not at every request."""
    if route.handler is not None:
        handler = route.handler
        return lambda request, parameters: handler(request, **parameters)
    assert run is not None and route.command is not None, f"{route} needs a table of commands"
    command, arguments, shape = route.command, route.arguments or path_arguments, route.reply

    def answer(request: Request, parameters: dict[str, Any]) -> Any:
        given = arguments(request, parameters)
        result = run(command, given, request.identity, origin_of(request.environ))
        return result if shape is None else shape(result)

    return answer


def as_reply(result: Any, status: str) -> Reply:
    """Return what a handler returned as an answer with *status*."""
    if isinstance(result, Reply):
        return result
    if isinstance(result, bottle.HTTPResponse):
        return bottle_reply(result)
    if result is None:
        return empty("204 No Content" if status.startswith("200") else status)
    if isinstance(result, str):
        return reply(result.encode("utf-8", "replace"), "text/plain; charset=utf-8", status)
    if isinstance(result, bytes):
        return reply(result, "application/octet-stream", status)
    return json_reply(result, status)


def bottle_reply(response: bottle.HTTPResponse) -> Reply:
    """Return bottle's response object as an answer; its errors become JSON."""
    if isinstance(response, bottle.HTTPError):
        return problem(response.status_code, str(response.body or response.status_line))
    body = response.body
    if isinstance(body, str):
        body = body.encode("utf-8")
    if isinstance(body, bytes):
        response.headers.setdefault("Content-Length", str(len(body)))
        body = (body,)
    return Reply(response.status_line, response.headerlist, body)


def _close(body: Any) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
