"""``HttpHandler`` of gaffer 0.5: the HTTP API as an application of a program's own manager."""

from __future__ import annotations

import inspect
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping

from gaffer import hookimpl
from gaffer.api import BadRequest, Endpoint
from gaffer.api.web import Route
from gaffer.util import is_ssl, parse_ssl_options

from . import HttpPlugin

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api.web import AccessRules, Request

#: Methods that a handler of a program's own answers, with who may use them.
_METHODS = {"GET": "read", "POST": "manage", "PUT": "manage", "PATCH": "manage", "DELETE": "manage"}


class HttpEndpoint:
    """A place where HTTP is served.

    :param uri: ``host:port``, ``[v6]:port`` or ``unix:/path``, also with ``http://`` or ``https://`` before it; several
        with commas, or a list.
    :param backlog: connections that may wait to be accepted.
    :param ssl_options: ``certfile``, ``keyfile`` and ``ca_certs``, as a mapping; with them it is HTTPS.
    :raises BadRequest: the address and the options do not agree.
    """

    def __init__(
        self,
        uri: str | Iterable[str] = "127.0.0.1:5000",
        backlog: int = 128,
        ssl_options: Mapping[str, Any] | None = None,
    ) -> None:
        uris = [one.strip() for one in uri.split(",")] if isinstance(uri, str) else list(uri)
        self.uri, self.backlog = uri if isinstance(uri, str) else ",".join(uris), backlog
        self.ssl_options = parse_ssl_options(ssl_options or {})
        self.addresses = tuple(_address(one) for one in uris)
        for one in uris:
            if is_ssl(one) and "certfile" not in self.ssl_options:
                raise BadRequest(f"{one} needs a certificate: ssl_options={{'certfile': …, 'keyfile': …}}")
            if self.ssl_options and one.startswith("http://"):
                raise BadRequest(f"{one} has a certificate; it must be https://")

    def as_endpoint(self) -> Endpoint:
        """Return it as the settings have it."""
        tls: dict[str, Any] = {name: self.ssl_options.get(key) for name, key in _TLS.items()}
        return Endpoint("embedder", self.addresses, self.backlog, source="HttpEndpoint", **tls)


def _address(uri: str) -> str:
    return uri.partition("://")[2].rstrip("/") if uri.startswith(("http://", "https://")) else uri


_TLS = {"certfile": "certfile", "keyfile": "keyfile", "cacert": "ca_certs"}


class HttpHandler(HttpPlugin):
    """The HTTP API: ``Manager(apps=[HttpHandler()])``.

    :param endpoints: where to listen; 127.0.0.1:5000 without any.
    :param handlers: more URLs, ``(path, what answers)``. A WSGI application answers everything below its path. A
        function of one argument, the :class:`gaffer.web.requests.request.Request`, answers the path itself with JSON
        data, ``str``, ``bytes`` or None; parameters of the path, ``/hello/<name>``, are its further arguments.
    :param rules: who may come; by default only our own user and root.
    """

    description = "the HTTP API, as an application"

    def __init__(
        self,
        endpoints: Iterable[HttpEndpoint | Endpoint | str] = (),
        handlers: Iterable[tuple[str, Callable[..., Any]]] = (),
        rules: AccessRules | None = None,
    ) -> None:
        given = [one.as_endpoint() if isinstance(one, HttpEndpoint) else one for one in endpoints]
        super().__init__(given or None, rules)
        self.handlers = list(handlers)

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the API and the program's own handlers."""
        own = [route for path, answer in self.handlers for route in own_routes(path, answer)]
        return [*super().gaffer_routes(manager), *own]


def own_routes(path: str, answer: Callable[..., Any]) -> list[Route]:
    """Return the routes of one handler of a program's own."""
    summary = (inspect.getdoc(answer) or "").partition("\n")[0] or "answered by the embedding program"
    if not is_wsgi(path, answer):
        return [
            Route(method, path, handler=answer, permission=permission, summary=summary)
            for method, permission in _METHODS.items()
        ]
    prefix = path.rstrip("/")
    mounted = Mounted(prefix, answer)
    return [
        Route(method, below, handler=mounted, permission=permission, summary=summary, raw=True, media="*/*")
        for below in dict.fromkeys((path, f"{prefix}/", f"{prefix}/<rest:path>"))
        for method, permission in _METHODS.items()
    ]


def is_wsgi(path: str, answer: Callable[..., Any]) -> bool:
    """Tell a WSGI application, which takes two arguments, from a function of one."""
    if "<" in path:
        return False
    try:
        inspect.signature(answer).bind("environ", "start_response")
    except (TypeError, ValueError):
        return False
    return True


class Mounted:
    """A handler of routes that passes requests on to a WSGI application below *prefix*."""

    def __init__(self, prefix: str, app: Callable[..., Iterable[bytes]]) -> None:
        self._prefix, self._app = prefix, app

    def __call__(self, request: Request, rest: str | None = None) -> Any:
        """Answer one request; the application's own answer is passed on as it comes."""
        import bottle

        environ = dict(request.environ)
        path: str = environ["PATH_INFO"]
        # Our own routes see text; WSGI wants its bytes, each as one character (PEP 3333).
        environ["PATH_INFO"] = path[len(self._prefix) :].encode().decode("latin-1")
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + self._prefix
        status, headers, body = run_wsgi(self._app, environ)
        response = bottle.HTTPResponse(body, status)
        for name, value in headers:
            response.add_header(name, value)
        return response


def run_wsgi(
    app: Callable[..., Iterable[bytes]], environ: dict[str, Any]
) -> tuple[str, list[tuple[str, str]], Iterable[bytes]]:
    """Call a WSGI application; returns status, headers and body."""
    begun: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        begun[:] = [status, headers]
        return written.append

    body = ApplicationBody(app(environ, start_response))
    if not begun:
        body.begin()  # a generator begins its answer with its first chunk
    body.ahead[:0] = written
    return begun[0], begun[1], body


class ApplicationBody:
    """The body of an application's answer, of which the beginning may have been read already."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._rest = iter(chunks)
        self.ahead: list[bytes] = []

    def begin(self) -> None:
        """Read the first chunk."""
        self.ahead += islice(self._rest, 1)

    def __iter__(self) -> Iterator[bytes]:
        yield from self.ahead
        yield from self._rest

    def close(self) -> None:
        """Tell the application that its answer was sent, or is not wanted any more."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
