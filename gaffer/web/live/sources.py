"""Pull-based sources for feeds and websockets: a reader polls ``take()`` and is woken when items arrive.

A source queues nothing without bound: it is a cursor of a ring, or a follower of the
event log, so a slow reader affects no other one and is told how much it missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, TypeVar

from ...errors import BadRequest
from ...events.event_log import EventLog, PublishedEvent
from ...process.ring_buffer import CURSOR_READ_SIZE, Ring
from ..requests.replies import encode_json

if TYPE_CHECKING:
    from ...commands.authorization import VisibleJobs
    from ...process.streams import Reader

T = TypeVar("T")


class LiveItem(NamedTuple):
    """Item of a source: bytes of a stream, an event, statistics, or the notice of a gap.

    :param id: the position after this item, for ``?since=`` and Last-Event-ID.
    :param event: its name: a stream's label, an event's name, ``gap``.
    :param data: bytes of a stream, or JSON.
    :param lost: of a gap: how many bytes or events are missing.
    :param encoded: what readers made of it, for all who have the same item; None if there is one reader.
    """

    id: str
    event: str
    data: bytes
    lost: int = 0
    encoded: dict[Any, Any] | None = None

    def encode_once(self, key: Any, encode: Callable[[], T]) -> T:
        """Return what *encode* makes of this item; it is called once for all readers of it.

        :param key: what the result depends on, beside the item.
        """
        if self.encoded is None:
            return encode()
        if key not in self.encoded:
            self.encoded[key] = encode()
        made: T = self.encoded[key]
        return made


class LiveSource(Protocol):
    """Protocol of a source of items."""

    #: Called when there is more, or no more will come; it may be called in the hub, so it must only set something.
    wake: Callable[[], None] | None
    #: Whether the items are bytes of a stream; else they are JSON.
    raw: bool

    def take(self) -> list[LiveItem]:
        """Return the items that there are now; never waits."""

    @property
    def ended(self) -> bool:
        """True when everything was taken and nothing will follow."""

    def close(self) -> None:
        """Follow no longer."""


class Wakeable:
    """Base of what its reader is woken by; it has an attribute ``wake``, set by the reader."""

    __slots__ = ()
    wake: Callable[[], None] | None

    def notify(self) -> None:
        """Wake the reader, if there is one: there is more, or nothing will come any more."""
        if self.wake is not None:
            self.wake()


class PositionIds:
    """Conversion of positions to and from the ids that clients see: ``LIFE-NUMBER``.

    :param life: distinguishes this run of the program from others, where the same number meant something else.
    """

    __slots__ = ("life",)

    def __init__(self, life: str) -> None:
        self.life = life

    def text(self, number: int) -> str:
        """Return the id of the position *number*."""
        return f"{self.life}-{number}"

    def number(self, text: str) -> int | None:
        """Return the position of an id, None if it is of another life. A number alone is of this one.

        :raises BadRequest: it is no position.
        """
        life, _, number = text.strip().removesuffix("+").rpartition("-")
        if not (number.isascii() and number.isdigit()) or len(number) > 18:
            raise BadRequest(f"{text[:40]!r} is no position; send what was the id, or a number")
        return int(number) if life in ("", self.life) else None


def position_ids(manager: Any) -> PositionIds:
    """Return the positions of a manager's streams and events."""
    return PositionIds(manager.node_id[:6])


def gap(ids: PositionIds, number: int, lost: int) -> LiveItem:
    """Return the notice that *lost* bytes or events before *number* are missing."""
    return LiveItem(ids.text(number), "gap", str(lost).encode(), lost)


def start_position(ring: Ring, ids: PositionIds, since: str | None, tail: int | None) -> int | None:
    """Return the position in *ring* that a client asks for, None if it asks for none.

    :param since: the position after the last byte that it has; one of another life means all that is kept.
    :param tail: the last lines that it wants.
    :raises BadRequest: *since* is no position.
    """
    if since is not None:
        number = ids.number(since)
        return ring.start if number is None else number
    return None if tail is None else ring.tail(tail)


class FollowerSource(Wakeable):
    """Base of sources that read from one follower: a cursor of a ring, or a follower of the event log."""

    __slots__ = ("_follower",)

    def __init__(self, follower: Any) -> None:
        self._follower = follower

    @property
    def wake(self) -> Callable[[], None] | None:
        wake: Callable[[], None] | None = self._follower.wake
        return wake

    @wake.setter
    def wake(self, wake: Callable[[], None] | None) -> None:
        self._follower.wake = wake

    def close(self) -> None:
        """Follow no longer."""
        self._follower.close()


class OutputSource(FollowerSource):
    """Source of the output of one stream of a process.

    :param label: the name of the stream.
    :param position: where to begin; by default at the end.
    """

    raw = True
    __slots__ = ("_label", "_ids")

    def __init__(self, ring: Ring, label: str, ids: PositionIds, position: int | None = None) -> None:
        super().__init__(ring.follow(position))
        self._label = label
        self._ids = ids

    def take(self, most: int = CURSOR_READ_SIZE) -> list[LiveItem]:
        """Return the next bytes, after the notice of a gap if there was one."""
        lost, (data, end, encoded) = self._follower.take(most)
        items = [gap(self._ids, end - len(data), lost)] if lost else []
        if data:
            items.append(LiveItem(self._ids.text(end), self._label, data, encoded=encoded))
        return items

    @property
    def ended(self) -> bool:
        return bool(self._follower.ended)


class PolledSource(OutputSource):
    """Source for readers that ask again and again without a position: together they get each byte once."""

    __slots__ = ()

    def __init__(self, ring: Ring, label: str, ids: PositionIds) -> None:
        newest = ring.chunks[-1].offset if ring.chunks else ring.end
        super().__init__(ring, label, ids, newest if ring.polled is None else ring.polled)

    def take(self, most: int = CURSOR_READ_SIZE) -> list[LiveItem]:
        items = super().take(most)
        if items:
            self._follower.ring.polled = self._follower.position
        return items


class HoldingSource(OutputSource):
    """Source that holds up the process instead of losing bytes: it reads its output again once all was taken.

    :param stream: the :class:`gaffer.process.streams.Reader` of the output.
    """

    __slots__ = ("_stream", "_bell")

    def __init__(self, stream: Reader, label: str, ids: PositionIds, position: int | None = None) -> None:
        super().__init__(stream.ring, label, ids, position)
        self._stream = stream
        self._bell: Callable[[], None] | None = None
        self._follower.wake = self._hold
        self._hold()

    @property
    def wake(self) -> Callable[[], None] | None:
        return self._bell

    @wake.setter
    def wake(self, wake: Callable[[], None] | None) -> None:
        self._bell = wake

    def _hold(self) -> None:
        if self._follower.position < self._stream.ring.end:
            self._stream.pause(self)
        self.notify()

    def take(self, most: int = CURSOR_READ_SIZE) -> list[LiveItem]:
        items = super().take(most)
        if self._follower.position >= self._stream.ring.end:
            self._stream.resume(self)
        return items

    def close(self) -> None:
        super().close()
        self._stream.resume(self)


class EventsSource(FollowerSource):
    """Source of the events that a pattern selects, each as the JSON of docs/events.rst.

    :param since: see :class:`gaffer.events.event_log.Follower`.
    :param view: filter of what the reader may see; None is everything.
    """

    raw = False
    ended = False
    __slots__ = ("_log", "_ids", "_view")

    def __init__(
        self,
        log: EventLog,
        pattern: str,
        ids: PositionIds,
        since: int | None = None,
        tail: int = 0,
        view: VisibleJobs | None = None,
    ) -> None:
        self._log = log
        self._view = view
        super().__init__(log.follow(pattern, since, tail))
        self._ids = ids

    def take(self) -> list[LiveItem]:
        """Return the events that wait, after the notice of a gap if there was one."""
        lost, events = self._follower.take()
        seen = [event for event in events if self._view is None or self._view.reads_event(event.rest)]
        items = [LiveItem(self._ids.text(event.number), event.name, encode_event(event)) for event in seen]
        if lost:
            items.insert(0, gap(self._ids, events[0].number - 1 if events else self._log.last, lost))
        return items


def encode_event(event: PublishedEvent) -> bytes:
    """Return an event as JSON, which is kept: an event is encoded once for all its readers."""
    if event.encoded is None:
        event.encoded = encode_json(event.message)
    return event.encoded
