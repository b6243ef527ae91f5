"""The URLs of websockets. Whatever forbids one is found out before the handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gaffer.api import RESERVED_LABELS, BadRequest, Forbidden, IONotRedirected, NotFound, of_job
from gaffer.api.web import LABEL, SINCE, TAIL, Arg, Route, Schema

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Process
    from gaffer.api.web import Reply, Request

    from .process_channel import FirstFrame

TAG = "Live"
READ, WRITE, BOTH = 1, 2, 3

_MODE: Schema = {"type": "string", "enum": ["1", "2", "3"], "examples": ["3"]}
_MODE_ARG = Arg("mode", _MODE, "1 reads, 2 writes, 3 does both", required=False)
_STREAM = Arg("stream", LABEL, "a label of redirect_output or custom_streams, or stdin")
_SOCKET: dict[str, Any] = {"method": "GET", "status": 101, "tag": TAG, "also": (426,)}


def routes(manager: Manager) -> list[Route]:
    """Return the routes for the processes of *manager*."""
    sockets = Sockets(manager)
    return [
        Route(
            path="/wstreams/<pid:int>",
            handler=sockets.plain,
            permission="write",
            summary="a websocket: messages are written to stdin, the first redirected output comes back",
            parameters=(SINCE, TAIL),
            **_SOCKET,
        ),
        Route(
            path="/<pid:int>/channel",
            first_message=True,
            handler=sockets.channel,
            permission="read",
            summary="a websocket: framed reading of the first redirected output and writing of stdin",
            parameters=(_MODE_ARG, SINCE, TAIL),
            **_SOCKET,
        ),
        Route(
            path="/<pid:int>/channel/<stream>",
            first_message=True,
            handler=sockets.channel,
            permission="read",
            summary="a websocket: framed reading and writing of one stream",
            parameters=(_STREAM, _MODE_ARG, SINCE, TAIL),
            **_SOCKET,
        ),
        Route(
            path="/channel/websocket",
            first_message=True,
            handler=sockets.manager_channel,
            permission="read",
            target="visible",
            summary="a websocket: subscriptions and commands in JSON",
            **_SOCKET,
        ),
    ]


class Sockets:
    """The handlers of the routes."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def plain(self, request: Request, pid: int) -> Reply:
        """``/wstreams/PID``."""
        from gaffer.api.web import accept_with_late_auth, check_upgrade

        from .raw_stream import talk

        check_upgrade(request.environ)
        process = self._manager.get_process(pid)
        label = first_output(process)
        if label is None and process.stdin is None:
            raise IONotRedirected(f"neither output nor stdin of {process.name} is redirected; set redirect_output")
        place = self._place(request, process, label)

        def serve(websocket: Any) -> None:
            talk(websocket, self._source(process, label, place), process, may_write(request, process))

        return accept_with_late_auth(request, lambda: serve)

    def channel(self, request: Request, pid: int, stream: str = "") -> Reply:
        """``/PID/channel[/STREAM]``."""
        from gaffer.api.web import accept_with_late_auth, check_upgrade

        from .process_channel import FirstFrame

        check_upgrade(request.environ)
        first = FirstFrame()
        return accept_with_late_auth(request, lambda: self._open(request, pid, stream, first), first.unwrap)

    def _open(self, request: Request, pid: int, stream: str, first: FirstFrame) -> Callable[[Any], Any]:
        """Return what serves a channel, once it is known who wants it."""
        from .process_channel import FramedChannel

        self._manager.access.check_target(request.identity, "read", "process", {"pid": pid})
        process, mode = self._manager.get_process(pid), read_mode(request.query.get("mode"))
        label = readable(process, stream) if mode & READ else None
        if mode == READ and label is None:
            raise BadRequest(f"{stream} is written, not read; use mode=2")
        check_write = may_write(request, process)
        refused = unwritable(process, stream, mode, check_write)
        if refused is not None and (mode == WRITE or label is None):
            raise refused
        place = self._place(request, process, label)

        def serve(websocket: Any) -> None:
            writer = None if refused is not None else process.writer(stream or None)
            source = self._source(process, label, place)
            FramedChannel(source, writer, refused, pid, check_write, first).serve(websocket)

        return serve

    def manager_channel(self, request: Request) -> Reply:
        """``/channel/websocket``."""
        from gaffer.api.web import ChannelSession, accept_websocket

        from .manager_channel import talk

        def serve(websocket: Any) -> None:
            # The session waits for the key itself, if none came.
            talk(websocket, ChannelSession(self._manager, request.identity, request.environ))

        return accept_websocket(request, serve)

    def _place(self, request: Request, process: Process, label: str | None) -> int | None:
        """Return the position that the request asks for."""
        from gaffer.api.web import position_ids, read_count, start_position

        tail = read_count(request.query.get("tail"), "tail")
        if label is None:
            return None
        return start_position(process.reader(label).ring, position_ids(self._manager), request.query.get("since"), tail)

    def _source(self, process: Process, label: str | None, place: int | None) -> Any:
        from gaffer.api.web import OutputSource, position_ids

        from .process_channel import ExitSource

        if label is None:
            return ExitSource(self._manager.events, process)
        return OutputSource(process.reader(label).ring, label, position_ids(self._manager), place)


def first_output(process: Process) -> str | None:
    """Return the label of the first redirected output, None if there is none."""
    return process.config.redirect_output[0] if process.config.redirect_output else None


def readable(process: Process, stream: str) -> str | None:
    """Return the label to read; None where there is nothing that could be.

    :raises NotFound: there is no such stream. :raises IONotRedirected: it is not redirected.
    """
    if stream in RESERVED_LABELS:
        return None
    if stream:
        return process.labels(stream)[0]
    label = first_output(process)
    if label is None and process.stdin is None:
        process.labels()  # says what to do
    return label


def may_write(request: Request, process: Process) -> Callable[[], None]:
    """Return what raises :class:`~gaffer.errors.Forbidden` once the caller may not write to *process*."""
    resource = of_job(process.name)
    return lambda: request.check("write", resource)


def unwritable(
    process: Process, stream: str, mode: int, check_write: Callable[[], None] = lambda: None
) -> Forbidden | NotFound | None:
    """Return why the stream cannot be written, None if it can."""
    if not mode & WRITE:
        return Forbidden("mode=1 is for reading; open the channel with mode=3 to write, too")
    try:
        check_write()
        process.writer(stream or None)
    except (Forbidden, NotFound) as error:
        return error
    return None


def read_mode(text: str | None) -> int:
    """Return what a channel is for; both unless it is said.

    :raises BadRequest: it is no mode.
    """
    if text is None:
        return BOTH
    if text in ("1", "2", "3"):
        return int(text)
    raise BadRequest(f"mode must be 1 (read), 2 (write) or 3 (both), not {str(text)[:40]!r}")
