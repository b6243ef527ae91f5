"""The URLs of a SockJS service below a prefix. Importing this costs nothing: neither gevent nor a server."""

from __future__ import annotations

from typing import Any, Callable, Iterable

from ...commands.command import Arg
from ...commands.schemas import BOOLEAN, COUNT, STRING, Schema, listed, returns
from ..requests.request import Request
from ..requests.routes import Route
from . import PAGE, PLAIN, SCRIPT, SockJSLimits

#: What may stand between ``iframe`` and ``.html``.
VERSION = "^-[A-Za-z0-9._+-]{0,64}$"
_PART: Schema = {"type": "string", "pattern": r"^[^/.]+$", "examples": ["000"]}
_PLACES = (
    Arg("server", _PART, "any; a load balancer may go by it"),
    Arg("id", _PART, "the session's id, which the client makes up"),
)
_CALLBACK = Arg(
    "c", {"type": "string", "pattern": r"^[A-Za-z0-9_.-]{1,128}$", "examples": ["callback"]}, "the function to call"
)
_INFO = returns(websocket=BOOLEAN, cookie_needed=BOOLEAN, origins=listed(STRING), entropy=COUNT)
_MESSAGES: Schema = {"type": "array", "items": STRING, "examples": [['{"event": "NOP"}']]}

#: Method, what comes after the prefix and the session, a description, and what differs from other routes.
_RECEIVE: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("POST", "xhr", "polling: one frame", {"media": SCRIPT}),
    ("POST", "xhr_streaming", "streaming: frames, one a line", {"media": SCRIPT}),
    ("GET", "eventsource", "streaming: frames as server-sent events", {"media": "text/event-stream"}),
    ("GET", "htmlfile", "streaming: frames as scripts of a page", {"media": PAGE}),
    ("GET", "jsonp", "polling: one frame, as a script", {"media": SCRIPT}),
)
_SEND: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("xhr_send", 204, {}),
    ("jsonp_send", 200, {"media": PLAIN, "result": STRING}),
)


class LazyService:
    """A service that is made when the first request for it comes: until then, gafferd need not load what it needs.

    :param make: makes it.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.made: Any = None

    def handler(self, name: str) -> Callable[..., Any]:
        """Return a handler that calls the service's method *name*."""

        def handle(request: Request, **places: Any) -> Any:
            if self.made is None:
                self.made = self._make()
            return getattr(self.made, name)(request, **places)

        return handle

    def close(self) -> None:
        """Close the service, if there is one."""
        if self.made is not None:
            self.made.close()


def lazy_service(
    make: Callable[[Request], Any], limits: SockJSLimits | None = None, origins: Callable[[], Iterable[str]] = tuple
) -> LazyService:
    """Return a service that is made when the first request for it comes.

    :param make: makes the peer of each new session; the request is the session's first.
    :param origins: returns the web origins whose pages may frame its iframe, besides its own: ``allowed_origins``.
    """

    def service() -> Any:
        from .service import SockJS

        return SockJS(make, limits, origins)

    return LazyService(service)


def sockjs_routes(
    prefix: str, service: LazyService, permission: str | None = "read", tag: str = "Live", raw: bool = True
) -> list[Route]:
    """Return the routes of a service.

    :param prefix: where, without a slash at the end: ``/channel``.
    :param service: what :func:`lazy_service` returned.
    :param permission: who may have a session; the other URLs are open to everybody.
    :param raw: have ``/websocket`` as well, for clients that know websockets and not SockJS.
    """
    handler, common = service.handler, {"tag": tag}
    session = f"{prefix}/<server>/<id>"
    # Who has no header for a key says it first of all; what each may see is the peer's business.
    seated: dict[str, Any] = {**common, "permission": permission, "target": "visible", "first_message": True}
    found = [*_open_routes(prefix, handler, tag)]
    for method, name, summary, more in _RECEIVE:
        called = (_CALLBACK,) if name in ("htmlfile", "jsonp") else ()
        found.append(
            Route(
                method=method,
                path=f"{session}/{name}",
                handler=handler(name),
                summary=f"SockJS {summary}",
                parameters=(*_PLACES, *called),
                raw=method == "POST",
                carries=True,
                result=STRING,
                also=(503, *((500,) if called else ())),
                **{**seated, **more},
            )
        )
    for name, status, more in _SEND:
        found.append(
            Route(
                method="POST",
                path=f"{session}/{name}",
                handler=handler(name),
                summary="SockJS messages of a client",
                parameters=_PLACES,
                body=_MESSAGES,
                raw=True,
                carries=True,
                status=status,
                also=(500,),
                **{**seated, **more},
            )
        )
    socket = Route(
        method="GET",
        path=f"{session}/websocket",
        handler=handler("websocket"),
        summary="a websocket: SockJS frames and messages",
        parameters=_PLACES,
        status=101,
        **seated,
    )
    plain = Route(
        method="GET",
        path=f"{prefix}/websocket",
        handler=handler("raw_websocket"),
        summary="a websocket: messages as they are, without SockJS",
        status=101,
        **seated,
    )
    return [*found, socket, *([plain] if raw else ())]


def _open_routes(prefix: str, handler: Callable[[str], Any], tag: str) -> list[Route]:
    version = Arg(
        "version", {"type": "string", "pattern": VERSION, "examples": ["-1.6.1"]}, "the client's, after a dash"
    )
    pages: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("", "greeting", "SockJS says hello", {"media": PLAIN, "result": STRING}),
        ("/", "greeting", "SockJS says hello", {"media": PLAIN, "result": STRING}),
        (
            "/info",
            "info",
            "what this SockJS service can",
            {"media": "application/json; charset=UTF-8", "result": _INFO},
        ),
        ("/iframe.html", "iframe", "SockJS for pages of other origins", {"media": PAGE, "result": STRING}),
        (
            "/iframe<version>.html",
            "iframe",
            "SockJS for pages of other origins",
            {"media": PAGE, "result": STRING, "parameters": (version,)},
        ),
        ("/sockjs.min.js", "library", "the SockJS client for browsers", {"media": SCRIPT, "result": STRING}),
    )
    return [
        Route(
            "GET", prefix + path, handler=handler(name), permission=None, summary=summary, tag=tag, also=(304,), **more
        )
        for path, name, summary, more in pages
    ]
