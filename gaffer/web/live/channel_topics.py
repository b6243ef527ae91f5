"""Topics: ``EVENTS[:pattern]``, ``JOB:s.j``, ``PROCESS:pid``, ``STATS:pid|s.j`` and ``STREAM:pid[.label]``."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Protocol

from ...commands.visibility import without_secrets
from ...errors import BadRequest
from .feeds import read_count
from .samples import SampleSource, read_interval
from .sources import EventsSource, LiveItem, LiveSource, OutputSource, position_ids, start_position
from .utf8_stream import Utf8Decoder

if TYPE_CHECKING:
    from ...commands.identity import Identity
    from ...config.names import JobName
    from ...manager.manager import Manager

MAX_TOPIC_CHARACTERS = 500
#: Bytes of one stream that are taken at a time.
MAX_PIECE_BYTES = 65_536


class TopicPart(Protocol):
    """Messages of ``/channel`` made from the items of one source."""

    @property
    def source(self) -> LiveSource: ...

    def take(self) -> list[str]: ...


class TopicSubscription:
    """Subscription of one client to one topic, made of one or more parts."""

    def __init__(self, parts: list[TopicPart]) -> None:
        self._parts = parts

    def follow(self, wake: Callable[[], None]) -> None:
        """Call *wake* when there is something to take, now if there is already."""
        for part in self._parts:
            part.source.wake = wake
        wake()

    def take(self) -> list[str]:
        """Return the messages that there are."""
        return [message for part in self._parts for message in part.take()]

    @property
    def ended(self) -> bool:
        """True when nothing more will come."""
        return all(part.source.ended for part in self._parts)

    def close(self) -> None:
        for part in self._parts:
            part.source.wake = None
            part.source.close()


class JsonMessages:
    """Messages of items that are JSON objects: events and statistics.

    :param frame: makes the data of a message of an item's JSON.
    """

    def __init__(self, source: LiveSource, topic: str, frame: Callable[[str], str]) -> None:
        self.source = source
        self._topic = json.dumps(topic)
        self._frame = frame
        self._told = False

    def take(self) -> list[str]:
        messages = [self._message(item) for item in self.source.take()]
        if self.source.ended and not self._told:
            self._told = True
            messages.append(_event(f'{{"event": "end", "topic": {self._topic}}}'))
        return messages

    def _message(self, item: LiveItem) -> str:
        return _gap(self._topic, item) if item.lost else _event(self._frame(item.data.decode()))


class StreamMessages:
    """Messages of one stream, its bytes decoded to text."""

    def __init__(self, source: OutputSource, topic: str, pid: int, label: str) -> None:
        self.source = source
        self._topic = json.dumps(topic)
        self._about = {"topic": topic, "pid": pid, "label": label}
        self._text = Utf8Decoder()
        self._told = False

    def take(self) -> list[str]:
        messages = []
        for item in self.source.take(MAX_PIECE_BYTES):
            if item.lost:
                # Half a character before the gap will never be whole.
                messages += self._words(self._text.feed(b"", last=True), item)
                messages.append(_gap(self._topic, item))
            else:
                key = ("topic", self._topic, self._text.state)
                words, self._text.state = item.encode_once(key, partial(self._encode, item))
                messages += words
        if self.source.ended and not self._told:
            self._told = True
            messages += self._words(self._text.feed(b"", last=True), None)
            messages.append(_event(json.dumps({"event": "end", **self._about}, ensure_ascii=False)))
        return messages

    def _encode(self, item: LiveItem) -> tuple[list[str], tuple[bytes, int]]:
        """Return the messages of an item, and the state of the decoder after it."""
        return self._words(self._text.feed(item.data), item), self._text.state

    def _words(self, text: str, item: LiveItem | None) -> list[str]:
        if not text:
            return []
        said = {"event": "stream", **self._about, "data": text}
        if item is not None:
            said["id"] = item.id
        return [_event(json.dumps(said, ensure_ascii=False))]


def _event(data: str) -> str:
    return f'{{"event": "gaffer:event", "data": {data}}}'


def _gap(topic: str, item: LiveItem) -> str:
    return f'{{"event": "gaffer:gap", "data": {{"topic": {topic}, "lost": {item.lost}}}}}'


def subscribe(
    manager: Manager, topic: str, options: dict[str, Any], identity: Identity | None = None
) -> TopicSubscription:
    """Return a new subscription to *topic*.

    :param identity: of the subscriber; None where none is needed, or it is not authenticated.
    :param options: ``since`` or ``tail`` say where to begin, as in feeds; ``interval`` is the seconds between
        two measurements.
    :raises GafferError: there is no such topic, or nothing that it could be about.
    """
    kind, _, rest = topic[: MAX_TOPIC_CHARACTERS + 1].partition(":")
    make = _KINDS.get(kind)
    if make is None or len(topic) > MAX_TOPIC_CHARACTERS:
        raise BadRequest(f"there is no topic {topic[:40]!r}; there are EVENTS, JOB, PROCESS, STATS and STREAM")
    if not rest and make is not _events:
        raise BadRequest(f"{kind} needs a target: {kind}:{'session.job' if kind == 'JOB' else 'pid'}")
    _check(manager, identity, kind, rest)
    options = {**options, "view": manager.access.view(identity)}
    return TopicSubscription(make(manager, topic, rest, options))


def _check(manager: Manager, identity: Identity | None, kind: str, rest: str) -> None:
    """Check that *identity* may read the target of a topic; ``EVENTS`` is filtered by permissions instead."""
    access = manager.access
    if kind == "EVENTS":
        access.check_target(identity, "read", "visible", {})
        return
    pid = rest.partition(".")[0]
    if kind == "JOB" or not pid.isdigit():
        access.check_target(identity, "read", "job", {"name": rest})
    else:
        access.check_target(identity, "read", "process", {"pid": _pid(pid)})


def _events(manager: Manager, topic: str, pattern: str, options: dict[str, Any]) -> list[TopicPart]:
    since, tail = _place(options)
    ids, log = position_ids(manager), manager.events
    number = None
    if since is not None:
        number = ids.number(since)
        number = log.last + 1 if number is None else number
    named = json.dumps(topic)
    # The event's own JSON, with the topic in front of it.
    events = EventsSource(log, pattern, ids, number, tail or 0, options["view"])
    return [JsonMessages(events, topic, lambda data: f'{{"topic": {named}, {data[1:]}')]


def _job(manager: Manager, topic: str, name: str, options: dict[str, Any]) -> list[TopicPart]:
    return _events(manager, topic, f"job.{manager.job(name).name.full}", options)


def _process(manager: Manager, topic: str, pid: str, options: dict[str, Any]) -> list[TopicPart]:
    return _events(manager, topic, f"proc.{manager.get_process(_pid(pid)).pid}", options)


def _stats(manager: Manager, topic: str, whose: str, options: dict[str, Any]) -> list[TopicPart]:
    interval = read_interval(options.get("interval"))
    name: JobName
    about: dict[str, Any]
    measure: Callable[[], Any]
    if whose.isdigit():
        process = manager.get_process(_pid(whose))
        name, about, measure = process.name, {"pid": process.pid}, lambda: manager.process_stats(process.pid)
    else:
        name = manager.job(whose).name
        about, measure = {"name": name.full}, lambda: manager.stats(name.full)
    measure()  # errors are raised now, not in a message later
    view = options["view"]
    hidden = view is not None and not view.manages(name)
    shown = (lambda: without_secrets(manager, measure(), name)) if hidden else measure
    head = json.dumps({"event": "stats", "topic": topic, **about}, ensure_ascii=False)[:-1]
    source = SampleSource(manager.statistics, ("stats", hidden, *about.values()), "stats", shown, interval)
    return [JsonMessages(source, topic, lambda data: f'{head}, "stats": {data}}}')]


def _stream(manager: Manager, topic: str, whose: str, options: dict[str, Any]) -> list[TopicPart]:
    pid, _, label = whose.partition(".")
    process = manager.find_process(_pid(pid))
    since, tail = _place(options)
    ids = position_ids(manager)
    parts: list[TopicPart] = []
    for one in process.labels(label):
        ring = process.reader(one).ring
        place = start_position(ring, ids, since, tail)
        if place is None and ring.ended:
            place = ring.start
        parts.append(StreamMessages(OutputSource(ring, one, ids, place), topic, process.pid, one))
    return parts


def _place(options: dict[str, Any]) -> tuple[str | None, int | None]:
    since, tail = options.get("since"), options.get("tail")
    return None if since is None else str(since), None if tail is None else read_count(str(tail), "tail")


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise BadRequest(f"{text[:40]!r} is no pid")
    return int(text)


_KINDS: dict[str, Callable[..., list[TopicPart]]] = {
    "EVENTS": _events,
    "JOB": _job,
    "PROCESS": _process,
    "STATS": _stats,
    "STREAM": _stream,
}
