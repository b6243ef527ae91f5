"""Feeds: events, figures and stored output as iterators.

A feed asks when it is made, so what is wrong with the question is said at once.
It beats while there is nothing to say; when the beats stay away, the connection
is dead. One whose items have ids comes back after a loss and goes on after the
last item that it has.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Generic, Iterator, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode

from .errors import CannotConnect, Disconnected, Quiet
from .streaming import ARRIVED_GRACE, Answering

if TYPE_CHECKING:
    from .transport import Transport

#: Seconds between two heartbeats of gafferd.
HEARTBEAT = 20.0
#: Heartbeats that may be missing before the connection counts as lost.
MAX_MISSED_HEARTBEATS = 3
#: Seconds before the first attempt to reconnect, and at most before another.
FIRST_DELAY, LONGEST_DELAY = 0.1, 2.0
#: A line, and the data of an event, may be this long, in bytes.
MAX_LINE_BYTES = 16 << 20

T = TypeVar("T", covariant=True)


class ServerEvent(NamedTuple):
    """A server-sent event.

    :param id: what a feed goes on after.
    :param event: its name: a stream's label, an event's name, ``gap``.
    :param data: its text.
    """

    id: str
    event: str
    data: str


class LogLine(NamedTuple):
    """A line of a process's output.

    :param pid: gaffer's own pid of the process.
    :param label: the stream: ``stdout``.
    :param time: seconds since 1970, when gafferd read it.
    :param line: without its end; what is no UTF-8 is replaced.
    :param lost: instead of a line: that many bytes are missing here, because they were read too slowly.
    """

    pid: int
    label: str
    time: float
    line: str
    lost: int = 0


class Parser(Protocol[T]):
    """A parser of lines to items."""

    @property
    def last(self) -> str:
        """The id of the last item, to go on after it; empty where there are none."""

    def line(self, line: bytes) -> T | None:
        """Add a line without its end; return the item that it completes."""


class EventParser:
    """Server-sent events, as the HTML standard defines them."""

    def __init__(self) -> None:
        self.last = ""
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._whole()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            self.last = value
        elif field == "event":
            self._event = value
        elif field == "data":
            # An empty line takes memory, too.
            self._size += len(value) + 64
            if self._size > MAX_LINE_BYTES:
                raise ValueError("an event is too long")
            self._data.append(value)
        return None

    def _whole(self) -> ServerEvent | None:
        data, event, self._data, self._event, self._size = self._data, self._event, [], "", 0
        return ServerEvent(self.last, event or "message", "\n".join(data)) if data else None


class JsonEventParser:
    """Server-sent events whose data is JSON."""

    def __init__(self) -> None:
        self._events = EventParser()

    @property
    def last(self) -> str:
        return self._events.last

    def line(self, line: bytes) -> dict[str, Any] | None:
        event = self._events.line(line)
        if event is None:
            return None
        if event.event == "gap":
            return {"event": "gap", "lost": int(event.data)}
        import json

        return dict(json.loads(event.data))


class JsonParser(Generic[T]):
    """A parser of JSON lines; empty lines are heartbeats.

    :param make: makes an item of a document.
    """

    last = ""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make

    def line(self, line: bytes) -> T | None:
        import json

        return self._make(json.loads(line)) if line.strip() else None


def log_line(document: dict[str, Any]) -> LogLine:
    """Return a line of ``/logs?format=json``."""
    return LogLine(**{"line": "", **document})


class Feed(Generic[T]):
    """Items as they come, of one GET. Iterate over it, or :meth:`take` one; close it, or use it as a context.

    :param path: what to ask, with *query*, in which None is left out.
    :param parser: makes items of what comes.
    :param timeout: seconds that iterating waits for an item before it raises Quiet, after which it may
        go on; None waits for ever.
    :param patience: seconds to try to come back after a loss; 0 raises CannotConnect at once.
    :param endless: whether its end can only mean that gafferd stops.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        query: dict[str, Any],
        parser: Parser[T],
        timeout: float | None = None,
        heartbeat: float | None = HEARTBEAT,
        patience: float = 0.0,
        endless: bool = False,
    ) -> None:
        self.timeout, self.patience = timeout, patience
        self._transport, self._endless, self._heartbeat = transport, endless, heartbeat
        self._path = with_query(path, {**query, "heartbeat": heartbeat})
        self._parser = parser
        self._data = bytearray()
        self._searched = 0
        self._over = False
        self._answering: Answering | None = self._ask()

    def _ask(self) -> Answering:
        headers = {"Last-Event-ID": self._parser.last} if self._parser.last else {}
        silence = self._heartbeat * MAX_MISSED_HEARTBEATS if self._heartbeat is not None else None
        return Answering(self._transport, self._path, {**headers, "Accept": "*/*"}, silence)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self.take(self.timeout)
        if item is None:
            raise StopIteration
        return item

    def take(self, timeout: float | None = None) -> T | None:
        """Return the next item; None at the end.

        :param timeout: seconds to wait; None waits for ever.
        :raises Quiet: nothing came in that time. :raises CannotConnect: the connection is lost.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._over:
            item = self._next_waiting()
            if item is not None:
                return item
            if deadline is not None and time.monotonic() > deadline + ARRIVED_GRACE:
                raise self._quiet(timeout)
            self._more(deadline, timeout)
        return None

    def _next_waiting(self) -> T | None:
        """Return the next item that has come already."""
        start, item = 0, None
        while item is None and (end := self._data.find(b"\n", max(start, self._searched))) >= 0:
            line, start = bytes(self._data[start:end]), end + 1
            item = self._parse(line.removesuffix(b"\r"))
        del self._data[:start]
        self._searched = len(self._data) if item is None else 0
        return item

    def _parse(self, line: bytes) -> T | None:
        try:
            return self._parser.line(line)
        except (ValueError, TypeError, KeyError, RecursionError):
            self.close()
            raise self._transport.stranger("GET", self._path) from None

    def _quiet(self, timeout: float | None) -> Quiet:
        return Quiet(f"nothing came from gafferd at {self._transport.uri} within {timeout:g} s")

    def _more(self, deadline: float | None, timeout: float | None) -> None:
        """Wait for more bytes; reconnect if none arrive."""
        try:
            if self._answering is None:
                raise Disconnected("the feed is closed")
            data = self._answering.read(None if deadline is None else deadline - time.monotonic())
            if data == b"" and self._endless:
                raise Disconnected(f"gafferd at {self._transport.uri} has ended the feed: it stops")
        except CannotConnect as loss:
            self._come_back(loss)
            return
        if data is None:
            raise self._quiet(timeout)
        self._data += data
        if not data:
            self.close()
        if len(self._data) > MAX_LINE_BYTES and self._data.find(b"\n", self._searched) < 0:
            self.close()
            raise self._transport.stranger("GET", self._path)

    def _come_back(self, loss: CannotConnect) -> None:
        """Request the feed again, from after the last item."""
        answering, self._answering = self._answering, None
        self._data, self._searched = bytearray(), 0
        if answering is None:
            self._over = True
            raise loss
        answering.close()
        deadline, pause = time.monotonic() + self.patience, FIRST_DELAY
        while True:
            if time.monotonic() + pause > deadline:
                self._over = True
                raise loss
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_DELAY)
            try:
                self._answering = self._ask()
                return
            except CannotConnect as error:
                loss = error

    def fileno(self) -> int:
        """Return the descriptor that is readable when something comes; what came with the last item is not seen."""
        return self._answering.fileno() if self._answering is not None else -1

    def close(self) -> None:
        """End the feed; iterating over it ends."""
        self._over = True
        if self._answering is not None:
            self._answering.close()
            self._answering = None

    def __enter__(self) -> Feed[T]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def with_query(path: str, query: dict[str, Any]) -> str:
    """Return *path* with a query, in which None is left out."""
    text = {key: _text(value) for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(text)}" if text else path


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
