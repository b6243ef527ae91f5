"""The URLs of a lookupd (docs/topologies.rst)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Iterable

from ..commands.command import Arg
from ..commands.schemas import STRING
from ..config.names import check_name, parse_job_name
from ..errors import BadRequest
from ..version import __version__
from ..web.requests.routes import Route
from ..web.sockjs import routes as sockjs

if TYPE_CHECKING:
    from ..web.requests.replies import Reply
    from ..web.requests.request import Request
    from .node_protocol import NodeSessions

_WATCH = "/lookup"
_SOCKET: dict[str, Any] = {"method": "GET", "status": 101, "also": (426,), "tag": "lookup", "first_message": True}
#: Bytes that a message of a watcher may have: there is nothing that it could say.
_MOST_HEARD = 4096
_STATE = Arg("state", STRING, "1: begin with what is there already, up to the event ready", required=False)


def routes(sessions: NodeSessions, origins: Iterable[str] = ()) -> list[Route]:
    """Return the routes of the lookupd that has these *sessions*.

    :param origins: web origins whose pages may watch.
    """
    answers = Answers(sessions)
    open_: dict[str, Any] = {"method": "GET", "permission": None, "tag": "lookup"}
    read: dict[str, Any] = {"method": "GET", "permission": "read", "tag": "lookup"}
    name = Arg("name", STRING, "a job, in any spelling")
    session = Arg("sessionid", STRING, "a session")
    return [
        Route(path="/", handler=answers.welcome, summary="who is there", **open_),
        Route(path="/ping", handler=answers.ping, summary="OK", media="text/plain", **open_),
        Route(path="/version", handler=answers.version, summary="the version", **open_),
        Route(path="/health", handler=answers.health, summary="the registry and the connections", **read),
        Route(path="/nodes", handler=answers.nodes, summary="all nodes", **read),
        Route(path="/sessions", handler=answers.sessions, summary="all sessions with their jobs", **read),
        Route(path="/sessions/<node>", handler=answers.sessions, summary="those of the nodes of one name", **read),
        Route(path="/jobs", handler=answers.jobs, summary="all jobs, and where they are", **read),
        Route(path="/findJob", handler=answers.find_job, summary="where a job is", parameters=(name,), **read),
        Route(
            path="/findSession",
            handler=answers.find_session,
            summary="where the jobs of a session are",
            parameters=(session,),
            **read,
        ),
        Route(path="/ws", handler=answers.node, permission="write", summary="a websocket: for nodes", **_SOCKET),
        Route(
            path="/lookup",
            handler=answers.watch,
            permission="read",
            summary="a websocket: what changes",
            parameters=(_STATE,),
            **_SOCKET,
        ),
        Route(
            path="/lookup/websocket",
            handler=answers.watch,
            permission="read",
            summary="the same",
            parameters=(_STATE,),
            **_SOCKET,
        ),
        *_sockjs(sessions, origins),
    ]


def _sockjs(sessions: NodeSessions, origins: Iterable[str]) -> list[Route]:
    """Return the routes of ``/lookup`` for browsers without websockets."""

    def make(request: Request) -> Any:
        from ..web.requests.authentication import ACCESS
        from .sockets import LateWatchTap, WatchTap

        if request.environ.get(ACCESS) is None or request.identity is not None:
            return WatchTap(sessions.registry).belong(request.identity)
        return LateWatchTap(sessions.registry, request.environ)

    found = sockjs.sockjs_routes(_WATCH, sockjs.lazy_service(make, None, lambda: origins), tag="lookup", raw=False)
    # What is watched is the whole, and not what one key may see of it.
    return [replace(route, target=None) for route in found if route.path != _WATCH]


class Answers:
    """The handlers of the routes."""

    def __init__(self, sessions: NodeSessions) -> None:
        self._sessions = sessions
        self._registry = sessions.registry

    def _current(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return *answer*, marked if it may be out of date."""
        stale = self._sessions.backend.stale()
        return answer if stale is None else {**answer, "stale": stale}

    def welcome(self, request: Request) -> dict[str, Any]:
        """``/``."""
        return {"welcome": "gaffer-lookupd", "version": __version__}

    def ping(self, request: Request) -> str:
        """``/ping``."""
        return "OK"

    def version(self, request: Request) -> dict[str, Any]:
        """``/version``."""
        return {"name": "gaffer_lookupd", "version": __version__}

    def health(self, request: Request) -> dict[str, Any]:
        """``/health``."""
        sessions, backend = self._sessions, self._sessions.backend
        registry = {"name": backend.name, **backend.health()}
        report = {
            "ok": backend.stale() is None and "problem" not in registry,
            "nodes": len(self._registry.nodes),
            "connected": sessions.identified,
            "connections": sessions.open,
            "expired": sessions.expired,
            "registry": registry,
        }
        return self._current(report)

    def nodes(self, request: Request) -> dict[str, Any]:
        """``/nodes``."""
        lost = self._sessions.lost()
        shown: dict[str, Any] = {"nodes": [info.shown() for info in self._registry.infos()]}
        return self._current({**shown, "lost": lost} if lost else shown)

    def sessions(self, request: Request, node: str | None = None) -> dict[str, Any]:
        """``/sessions[/NODE]``."""
        found: dict[str, dict[str, Any]] = {}
        for name in self._registry.jobs(node):
            found.setdefault(name.partition(".")[0], {})[name] = self._registry.sources(name, node)
        sessions = [{"sessionid": id, "jobs": jobs} for id, jobs in found.items()]
        return self._current({"nb_sessions": len(sessions), "sessions": sessions})

    def jobs(self, request: Request) -> dict[str, Any]:
        """``/jobs``."""
        jobs = [self._job(name) for name in self._registry.jobs()]
        return self._current({"nb_jobs": len(jobs), "jobs": jobs})

    def _job(self, name: str) -> dict[str, Any]:
        return {"name": name, "sources": self._registry.sources(name)}

    def find_job(self, request: Request) -> dict[str, Any]:
        """``/findJob?name=``."""
        return self._current(self._job(parse_job_name(_wanted(request, "name")).full))

    def find_session(self, request: Request) -> dict[str, Any]:
        """``/findSession?sessionid=``."""
        session = check_name(_wanted(request, "sessionid"), "session name")
        jobs = [self._job(name) for name in self._registry.jobs() if name.startswith(f"{session}.")]
        return self._current({"sessionid": session, "nb_jobs": len(jobs), "jobs": jobs})

    def node(self, request: Request) -> Reply:
        """``/ws``."""
        from ..web.websocket.late_auth import accept_with_late_auth
        from .node_protocol import MOST_TEXT
        from .sockets import serve_node

        def open_() -> Any:
            request.check("write")  # the key may have come as the first message
            return lambda websocket: serve_node(websocket, self._sessions)

        request.environ["gaffer.max_body"] = MOST_TEXT
        return accept_with_late_auth(request, open_)

    def watch(self, request: Request) -> Reply:
        """``/lookup``: a websocket, and for SockJS clients that only look whether we are there, a greeting."""
        if request.environ.get("HTTP_UPGRADE", "").lower() != "websocket" and request.path == _WATCH:
            from ..web.sockjs.pages import greeting

            return greeting()
        from ..web.websocket.late_auth import accept_with_late_auth
        from .sockets import serve_watcher

        state = request.query.get("state") in ("1", "true")

        def open_() -> Any:
            request.check("read")
            return lambda websocket: serve_watcher(websocket, self._registry, state)

        request.environ["gaffer.max_body"] = _MOST_HEARD
        return accept_with_late_auth(request, open_)


def _wanted(request: Request, parameter: str) -> str:
    value = request.query.get(parameter)
    if not value:
        raise BadRequest(f"a parameter is missing: ?{parameter}=…")
    return str(value)
