"""The URLs: which of them reads, writes or watches what, and what is wrong with a wish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer.api import RESERVED_LABELS, BadRequest, Bool, MethodNotAllowed, NotFound, of_job, problem_of
from gaffer.api.web import (
    BOOLEAN,
    COUNT,
    EVENT_STREAM,
    FEED,
    HEARTBEAT,
    LABEL,
    LINES,
    OK,
    STRING,
    TEXT_MEDIA,
    Arg,
    Route,
    Schema,
)

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Ring
    from gaffer.api.web import FeedRequest, PositionIds, Reply, Request

TAG = "Live"
BYTES = "application/octet-stream"
JSON = "application/json"
#: Seconds that a writer waits for a process that does not read.
WRITE_TIMEOUT = 10.0

_LABEL = Arg("label", LABEL, "what the job's redirect_output or custom_streams call it")
_EOF = Arg("eof", BOOLEAN, "true closes the stream after what is written: the process reads an end of file", False)
_HOLD = Arg("hold", BOOLEAN, "true holds the process up instead of losing bytes; needs the permission to write", False)
_PART = {"type": "string", "pattern": "^[A-Za-z0-9_+-]{1,128}$", "examples": ["spawn"]}
_EVENT: Schema = {"type": "object", "properties": {"event": STRING}, "required": ["event"]}
_N = Arg("n", COUNT, "the last n lines, at most 10000; by default 1000", required=False)
_DATE = r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_TIME: Schema = {
    "type": "string",
    "pattern": rf"^([0-9]{{1,10}}(\.[0-9]{{1,6}})?|[0-9]{{1,6}}[smhd]|{_DATE})$",
    "examples": ["10m"],
}
_SINCE = Arg("since", _TIME, "lines since then: seconds since 1970, a date and time, or 30s, 10m, 2h, 1d ago", False)
_FOLLOW = Arg("follow", BOOLEAN, "true goes on with what comes, also of processes that are started later", False)
_FORMAT = Arg("format", {"type": "string", "enum": ["text", "json"]}, "json: with pid, label and time", False)
_ONE = Arg("label", {**STRING, "examples": ["stdout"]}, "lines of this stream only", required=False)
LOGS = (_N, _SINCE, _ONE, _FOLLOW, _FORMAT, HEARTBEAT)


def routes(manager: Manager) -> list[Route]:
    """Return the routes for the processes and events of *manager*."""
    live = Live(manager)
    watch = [
        Route(
            "GET",
            "/watch" + "".join(f"/<p{letter}>" for letter in "abcd"[:parts]),
            handler=live.watch,
            permission="read",
            target="visible",
            tag=TAG,
            summary="events as they happen" if not parts else f"events whose names begin so, {parts} parts",
            parameters=(*(Arg(f"p{letter}", _PART, "a part of the name") for letter in "abcd"[:parts]), *FEED),
            result=_EVENT,
            media=(JSON, LINES, EVENT_STREAM),
            also=(204, 404),
        )
        for parts in range(5)
    ]
    return [
        Route(
            "GET",
            "/streams/<pid:int>/<label>",
            handler=live.read,
            permission="read",
            tag=TAG,
            summary="output of a process",
            parameters=(_LABEL, *FEED, _HOLD),
            result=STRING,
            media=(BYTES, EVENT_STREAM),
            also=(204, 405),
        ),
        Route(
            "POST",
            "/streams/<pid:int>/<label>",
            handler=live.write,
            permission="write",
            raw=True,
            tag=TAG,
            summary="write to a process: stdin, or one of its custom streams",
            parameters=(_LABEL, _EOF),
            body=STRING,
            result=OK,
            also=(409, 503),
        ),
        *watch,
        Route(
            "GET",
            "/jobs/<session>/<job>/logs",
            handler=live.logs,
            permission="read",
            tag=TAG,
            summary="stored output of all processes of a job",
            parameters=LOGS,
            result=STRING,
            media=(TEXT_MEDIA, LINES),
        ),
        Route(
            "GET",
            "/<pid:int>/logs",
            handler=live.process_logs,
            permission="read",
            tag=TAG,
            summary="stored output of one process",
            parameters=LOGS,
            result=STRING,
            media=(TEXT_MEDIA, LINES),
        ),
    ]


class Live:
    """The handlers of the routes."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def read(self, request: Request, pid: int, label: str) -> Reply:
        """Follow one output of a process, which may have ended a while ago."""
        from gaffer.api.web import HoldingSource, OutputSource, PolledSource, follow, position_ids, read_feed_request

        if label in RESERVED_LABELS:
            raise MethodNotAllowed(f"{label} is written, not read: POST to it", ["OPTIONS", "POST"])
        wish, ids = read_feed_request(request), position_ids(self._manager)
        process = self._manager.find_process(pid)
        stream, hold = process.reader(process.labels(label)[0]), flag(request, "hold")
        polled = wish.feed == "longpoll" and wish.since is None and wish.tail is None and not stream.ring.ended
        if polled and not hold and request.method != "HEAD":
            return follow(request, PolledSource(stream.ring, label, ids), wish, BYTES)
        place = first(stream.ring, wish, ids)
        if not hold:
            return follow(request, OutputSource(stream.ring, label, ids, place), wish, BYTES)
        if wish.feed == "longpoll":
            raise BadRequest("hold is for feeds that go on: feed=continuous or feed=eventsource")
        request.check("write", of_job(process.name))
        return follow(request, HoldingSource(stream, label, ids, place), wish, BYTES)

    def write(self, request: Request, pid: int, label: str) -> dict[str, bool]:
        """Write the body; wait while the process leaves too much unread."""
        eof = flag(request, "eof")
        writer = self._manager.get_process(pid).writer(None if label in RESERVED_LABELS else label)
        data = request.read()
        if data:
            writer.deliver(data, WRITE_TIMEOUT, request.check_still)
        if eof:
            writer.finish()
        return {"ok": True}

    def watch(self, request: Request, **parts: str) -> Reply:
        """Follow the events that the path selects."""
        from gaffer.api.web import EventsSource, follow, position_ids, read_feed_request

        pattern = ".".join(parts[name] for name in sorted(parts))
        if problem := problem_of(pattern):
            raise NotFound(problem)
        wish, ids, log = read_feed_request(request), position_ids(self._manager), self._manager.events
        since = None
        if wish.since is not None:
            number = ids.number(wish.since)
            since = log.last + 1 if number is None else number
        view = self._manager.access.view(request.identity)
        events = EventsSource(log, pattern, ids, since, wish.tail or 0, view)
        return follow(request, events, wish, LINES if wish.feed == "continuous" else JSON)

    def logs(self, request: Request, session: str, job: str) -> Reply:
        """Show the stored output of a job."""
        from .logs import show_job

        return show_job(self._manager, request, f"{session}.{job}")

    def process_logs(self, request: Request, pid: int) -> Reply:
        """Show the stored output of a process."""
        from .logs import show_process

        return show_process(self._manager, request, pid)


def first(ring: Ring, wish: FeedRequest, ids: PositionIds) -> int:
    """Return the position of *ring* at which a feed begins.

    Unless it is said, that is the end; of what has ended, the beginning.
    """
    from gaffer.api.web import start_position

    asked = start_position(ring, ids, wish.since, wish.tail)
    if asked is not None:
        return asked
    return ring.start if ring.ended else ring.end


def flag(request: Request, name: str) -> bool:
    """Return a parameter of the query that is true or false.

    :raises BadRequest: it is neither.
    """
    said: Any = request.query.get(name)
    if said is None:
        return False
    try:
        return bool(Bool().parse(said))
    except ValueError as error:
        raise BadRequest(f"{name}: {error}") from error
