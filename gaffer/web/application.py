"""The WSGI application made of routes.

bottle finds the route; its global ``request`` and ``response`` are not used, because they belong to a thread and
this application serves greenlets of programs that are not monkey-patched.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Callable, Iterable

import bottle

from ..commands.authorization import is_named
from ..errors import BadRequest, GafferError, MethodNotAllowed, NotFound, UriTooLong
from ..plugins.calling import Killed
from .requests.authentication import ACCESS, ARGUMENTS, IDENTITY, JSON, NOTED, admit, origin_of
from .requests.replies import (
    INTERNAL_ERROR,
    TEXT_MEDIA,
    Reply,
    StartResponse,
    empty,
    error_of,
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
    from ..process.sampler import Sampler

log = logging.getLogger("gaffer.web")

MAX_PATH = 4096
Run = Callable[[str, dict[str, Any], Any], Any]
Answer = Callable[[Request, dict[str, Any]], Any]
_INVISIBLE = re.compile(f"[{INVISIBLE_CHARACTERS}]")
_SAFE = ("GET", "HEAD", "OPTIONS")


class App:
    """The routes as one WSGI application.

    :param routes: checked ones, see :func:`gaffer.web.requests.routes.check_routes`.
    :param run: ``run(command, arguments, identity)`` carries out the routes that name a command; the application
        itself tells plugins of it.
    :param max_body: how many bytes a request's body may have.
    :param access: decides who may use which route; without it everybody may use all of them.
    :param sampler: measures for the feeds of live routes.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        run: Run | None = None,
        max_body: int = MAX_BODY,
        access: Authorization | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.max_body = max_body
        self._access = access
        self._sampler = sampler
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
            from .live.samples import SampleSource, read_interval

            wish, interval = read_feed_request(request), read_interval(request.query.get("interval"))
            if wish.feed == "longpoll":
                return answer(request, parameters)

            def measure() -> Any:
                return answer(request, dict(parameters))

            assert self._sampler is not None, f"{route} needs a sampler"
            measure()  # whatever forbids it is said now, and not by an empty feed
            other = tuple(pair for pair in request.query.allitems() if pair[0] not in NAMES)
            # Others see other parts of it.
            key = (route.path, *parameters.values(), other, request.identity)
            source = SampleSource(self._sampler, key, route.live, measure, interval)
            return follow(request, source, wish, LINES)

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
        except Killed:
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
        if route.command is not None and "%2" in path:
            # Escaped slashes separate no parts of a path, but a session from a job in a name.
            parameters = {name: _with_slashes(value) for name, value in parameters.items()}
        environ["gaffer.max_body"], environ["gaffer.route"] = self.max_body, route
        result = self._answered(environ, route, answer, parameters)
        kind = type(result)
        if kind is dict or kind is list:
            return json_reply(result, status)
        return as_reply(result, status)

    def _answered(self, environ: dict[str, Any], route: Route, answer: Answer, parameters: dict[str, Any]) -> Any:
        """Authorize a request, parse it, carry it out, and tell plugins once what was asked for and what came of it."""
        try:
            if self._access is not None:
                self._authorize(self._access, environ, route, parameters)
            if not route.raw and environ["REQUEST_METHOD"] not in _SAFE:
                check_content_type(environ)
            result = answer(Request(environ), parameters)
        except BaseException as error:
            self._note(environ, route, parameters, error)
            raise
        self._note(environ, route, parameters, None if route.command is not None else _failure(result))
        return result

    def _authorize(
        self, access: Authorization, environ: dict[str, Any], route: Route, parameters: dict[str, Any]
    ) -> None:
        """Reject those who may not use *route*. A command checks that itself, but only once its body was parsed."""
        environ[ACCESS] = access
        if admit(environ, route) and (route.handler is not None or route.arguments is not None):
            named = path_arguments(parameters)
            if route.handler is not None or is_named(route.target, named):
                access.check_target(environ[IDENTITY], route.permission, route.target, named)
        if environ.get(IDENTITY) is None and environ["REQUEST_METHOD"] not in _SAFE:
            limit_body(environ)

    def _note(
        self, environ: dict[str, Any], route: Route, parameters: dict[str, Any], error: BaseException | None
    ) -> None:
        """Tell plugins of a request (``gaffer_command_run``)."""
        if isinstance(error, bottle.HTTPResponse):
            error = _failure(error)
        if self._access is None or not _is_told(route, error):
            return
        args = environ.get(ARGUMENTS)
        if args is None:
            args = parameters if route.command is None else path_arguments(parameters)
            args = {**args, **environ.get(NOTED, {}), **({"body": environ[JSON]} if JSON in environ else {})}
        command = route.command or str(route)
        self._access.note(command, route.permission, args, environ.get(IDENTITY), origin_of(environ), error)

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
        raise UriTooLong(f"the URL's path is longer than {MAX_PATH} characters")
    if not path.isprintable() and _INVISIBLE.search(path):
        raise BadRequest("the URL's path holds control characters or others that cannot be seen")
    return path or "/"


def _with_slashes(value: Any) -> Any:
    return value.replace("%2F", "/").replace("%2f", "/") if isinstance(value, str) else value


def path_arguments(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the path's parameters as arguments: a session with a job is the ``name``, one alone the ``sessionid``."""
    if "session" not in parameters:
        return parameters
    others = {name: value for name, value in parameters.items() if name not in ("session", "job")}
    if "job" in parameters:
        session = parameters["session"]  # clients of gaffer 0.5 write /jobs/S/S.J, too
        return {"name": f"{session}.{parameters['job'].removeprefix(f'{session}.')}", **others}
    return {"sessionid": parameters["session"], **others}


def _is_told(route: Route, error: BaseException | None) -> bool:
    """Tell whether plugins are told of a request: of a handler's not if it only looked, or carried messages."""
    if route.command is not None:
        return True
    if error is not None:
        return not (isinstance(error, NotFound) and route.method in _SAFE)
    return not route.carries and (route.permission is not None or route.method not in _SAFE)


def _failure(result: Any) -> GafferError | None:
    """Return the error that the answer of a handler is, None for others."""
    if isinstance(result, Reply):
        status, sentence = int(result.status[:3]), result.status
    elif isinstance(result, bottle.HTTPResponse):
        status = result.status_code
        sentence = str(result.body if isinstance(result, bottle.HTTPError) and result.body else result.status_line)
    else:
        return None
    return error_of(status, sentence) if status >= 400 else None


def _answer(route: Route, run: Run | None) -> Answer:
    """Return the one function that answers *route*: decided once, not at every request."""
    if route.handler is not None:
        handler = route.handler
        return lambda request, parameters: handler(request, **parameters)
    assert run is not None and route.command is not None, f"{route} needs a table of commands"
    command, arguments, shape = route.command, route.arguments, route.reply

    def answer(request: Request, parameters: dict[str, Any]) -> Any:
        args = path_arguments(parameters) if arguments is None else arguments(request, parameters)
        request.environ[ARGUMENTS] = args
        result = run(command, args, request.identity)
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
        return reply(result.encode("utf-8", "replace"), TEXT_MEDIA, status)
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
