"""Feeds: longpoll, continuous and eventsource over any source (docs/http-api.rst).

A feed is a WSGI body that waits for its source, sends a heartbeat when there is no
item, and ends when the source ends, the client leaves or the server stops. It holds
no more than the items that it is sending.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple

from gevent.event import Event

from ...errors import BadRequest
from ...events.time_slice import TimeSlice
from ..requests.replies import COMMON_HEADERS, Reply
from ..server.disconnect import DisconnectWatcher
from .feed_encoders import Encoder, EventStreamEncoder, JsonLinesEncoder, RawEncoder
from .feed_parameters import EVENT_STREAM
from .sources import LiveSource

if TYPE_CHECKING:
    from ...commands.identity import Identity
    from ..requests.request import Request

FEEDS = ("longpoll", "continuous", "eventsource")
#: What ``heartbeat=true`` means, in seconds.
DEFAULT_HEARTBEAT = 60.0
_MAX_HEARTBEAT = 86_400.0
_MOST_TAIL = 1_000_000_000


class FeedRequest(NamedTuple):
    """Parameters of a feed that a request asks for.

    :param heartbeat: seconds between two signs of life, None for none.
    :param since: the position after which to begin, as the client names it.
    :param tail: begin with so many of the last items that are kept.
    """

    feed: str = "longpoll"
    heartbeat: float | None = None
    since: str | None = None
    tail: int | None = None


def read_feed_request(request: Request) -> FeedRequest:
    """Return what *request* asks for: ``?feed=``, ``heartbeat``, ``since`` or the header Last-Event-ID, ``tail``.

    :raises BadRequest: naming what is wrong.
    """
    query = request.query
    feed = query.get("feed", "longpoll")
    if feed not in FEEDS:
        raise BadRequest(f"feed must be {', '.join(FEEDS[:-1])} or {FEEDS[-1]}, not {feed[:40]!r}")
    # What the header says is newer: a browser that comes back repeats the URL.
    since = request.headers.get("Last-Event-ID") or query.get("since")
    return FeedRequest(feed, _heartbeat(query.get("heartbeat")), since, read_count(query.get("tail"), "tail"))


def _heartbeat(text: str | None) -> float | None:
    if text is None or text == "false":
        return None
    if text == "true":
        return DEFAULT_HEARTBEAT
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= _MAX_HEARTBEAT:
        raise BadRequest(f"heartbeat must be true or a number of seconds from 0.1 to {_MAX_HEARTBEAT:g}, not {text!r}")
    return seconds


def read_count(text: str | None, name: str) -> int | None:
    """Return a number of things that a query asks for.

    :raises BadRequest: it is none.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise BadRequest(f"{name} must be a number from 0 up, not {text[:40]!r}")
    return min(int(text), _MOST_TAIL)


class StreamGap(ConnectionError):
    """Bytes are missing in an answer that cannot say so: its connection is closed instead."""


class SourceReader:
    """Wait for items of a source, until the client has left or the server stops.

    :param connection: the request's ``gaffer.connection``; None for a client that cannot leave.
    :param identity: of the client; no more items are read once its key is no longer valid.

    Close it; the source is closed with it.
    """

    def __init__(self, source: LiveSource, connection: Any = None, identity: Identity | None = None) -> None:
        self.source = source
        self._bell = Event()
        self._connection = connection
        self._ending = False
        self._turn = TimeSlice()
        self._departure: DisconnectWatcher | None = None
        source.wake = self._bell.set
        self._identity = identity
        if identity is not None:
            identity.endings.add(self.end)
        if connection is not None:
            self._departure = DisconnectWatcher(connection.sock, self._bell.set)
            connection.keep_alive()
            connection.take_time()
            connection.endings.add(self.end)

    @property
    def gone(self) -> bool:
        """True when the client has left."""
        return self._departure is not None and self._departure.gone

    @property
    def over(self) -> bool:
        """True when this client will get no more items."""
        return self._ending or self.gone or self.source.ended

    @property
    def _is_revoked(self) -> bool:
        return self._identity is not None and self._identity.ended

    def end(self) -> None:
        """End after the items that are there now."""
        self._ending = True
        self._bell.set()

    def take(self, timeout: float | None = None) -> list[Any]:
        """Return the next items, waiting for them; nothing after *timeout* seconds, or when it is over."""
        # Events that this client may not see wake it, but do not restart the heartbeat.
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # Also after waiting: one line may have woken a thousand.
            self._turn.give_way(bulk=True)
            self._bell.clear()
            items = [] if self.gone or self._is_revoked else self.source.take()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if items or self.over or not self._bell.wait(left):
                return items

    def close(self) -> None:
        """Close the source, and stop watching the connection."""
        self.source.wake = None
        self.source.close()
        if self._identity is not None:
            self._identity.endings.discard(self.end)
        if self._departure is not None:
            self._departure.close()
            self._connection.endings.discard(self.end)


class FeedBody:
    """The body of an answer that goes on as long as its source.

    :param beat: what is sent every *heartbeat* seconds while there is nothing else to send.
    :param once: the first items are all.
    """

    #: The head is sent before the first item, so that the client knows that it is connected.
    prompt = True

    def __init__(
        self, waiter: SourceReader, encoder: Encoder, heartbeat: float | None, beat: bytes = b"\n", once: bool = False
    ) -> None:
        self._waiter = waiter
        self._encoder = encoder
        self._heartbeat = heartbeat
        self._beat = beat
        self._once = once

    def __iter__(self) -> Iterator[bytes]:
        waiter, encoder = self._waiter, self._encoder
        while True:
            # Text that waits for the rest of its line waits no longer than a moment.
            patience = encoder.patience
            items = waiter.take(patience or self._heartbeat)
            if any(item.lost for item in items) and encoder.exact:
                raise StreamGap("the client is too slow")
            if self._once:
                items = items[:1]
            over = not items and waiter.over
            if items:
                parts = encoder.encode(items)
            else:
                parts = [encoder.flush(over) if over or patience else self._beat]
            over = over or self._once and bool(items)
            # While the client does not read, only what it is being sent is held.
            del items
            while parts:
                yield parts.pop(0)
            if over:
                return

    def close(self) -> None:
        """WSGI's way to say that the answer ended, however it did."""
        self._waiter.close()


def follow(request: Request, source: LiveSource, asked: FeedRequest, media: str) -> Reply:
    """Return the answer that follows *source*; it is closed in any case.

    :param media: the type of the items, for feeds that are not eventsource.
    """
    waiter = SourceReader(source, request.environ.get("gaffer.connection"), request.identity)
    try:
        encoder, beat = _encoder(source, asked)
        if request.method == "HEAD":
            return Reply("200 OK", _headers(asked, media), _EmptyBody(waiter))
        if asked.feed == "longpoll" and asked.heartbeat is None:
            return _longpoll_reply(waiter, encoder, media)
    except BaseException:
        waiter.close()
        raise
    feed = FeedBody(waiter, encoder, asked.heartbeat, beat, once=asked.feed == "longpoll")
    return Reply("200 OK", _headers(asked, media), feed)


class _EmptyBody:
    """An empty body, for HEAD, that closes the source."""

    def __init__(self, waiter: SourceReader) -> None:
        self.close: Callable[[], None] = waiter.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


def _encoder(source: LiveSource, asked: FeedRequest) -> tuple[Encoder, bytes]:
    if asked.feed == "eventsource":
        return EventStreamEncoder(source.raw), b":\r\n\r\n"
    return RawEncoder() if source.raw else JsonLinesEncoder(), b"\n"


def _headers(asked: FeedRequest, media: str) -> list[tuple[str, str]]:
    kind = EVENT_STREAM if asked.feed == "eventsource" else media
    # A proxy that collects an answer before it passes it on would never pass on this one.
    return [("Content-Type", kind), *COMMON_HEADERS, ("X-Accel-Buffering", "no")]


def _longpoll_reply(waiter: SourceReader, encoder: Encoder, media: str) -> Reply:
    """Wait for one item and return it as a whole answer; 204 when none will ever come."""
    try:
        items = waiter.take()
        missing = [item for item in items if item.lost and encoder.exact]
        items = [item for item in items if item not in missing][:1]
    finally:
        waiter.close()
    if not items:
        return Reply("204 No Content", list(COMMON_HEADERS), ())
    body = b"".join(encoder.encode(items))
    headers = [
        ("Content-Type", media),
        ("Content-Length", str(len(body))),
        *COMMON_HEADERS,
        ("Last-Event-ID", items[0].id),
    ]
    headers += [("Gaffer-Lost", str(item.lost)) for item in missing]
    return Reply("200 OK", headers, (body,))
