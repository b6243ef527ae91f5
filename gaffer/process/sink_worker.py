"""Sinks of plugins, called so that a slow or failing one affects only itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Protocol, Sequence

from ..events.outbox import Outbox

if TYPE_CHECKING:
    from .streams import Reader

log = logging.getLogger("gaffer.streams")

#: Writes that may wait for a sink that takes its time; with one more the sink is given up.
MAX_QUEUED_WRITES = 256


class Sink(Protocol):
    """Receives the output of one stream; ``write`` must not block.

    It may have an attribute ``full``: while that is true, the stream is read a moment later, so that a writer to a disk
    can keep up with a process that is faster. Whatever a sink says, a pause ends after a second.

    One that may hold processes up for longer, as a terminal may, has ``attach(reader)``, which is called before
    anything is written, and calls the reader's ``pause`` and ``resume``.

    ``attach`` and ``close`` are called in a greenlet of the sink's own, where they may wait.
    """

    def write(self, data: bytes) -> Any: ...

    def close(self) -> Any: ...


class SinkWorker:
    """The calls of one sink: in place where they hold up nothing, else in a greenlet of its own, always in order.

    Reason 37 tells why. A sink that raises, or leaves too many writes waiting, is closed and gets nothing more.

    :param owner: how the log names the sink.
    :param outboxes: where the queue is to be found while it exists, for those who flush and close.
    """

    __slots__ = ("owner", "_sink", "_attach", "_outboxes", "_outbox", "_closed", "_failed")

    def __init__(self, sink: Sink, owner: str, outboxes: set[Outbox] | None = None) -> None:
        self.owner = owner
        self._sink = sink
        self._attach = _attach_of(sink, owner)
        self._outboxes = outboxes
        #: Made when first needed: most sinks have one only at their end.
        self._outbox: Outbox | None = None
        #: Whether it gets nothing more, though what was queued before an orderly close is still to come.
        self._closed = False
        #: Whether it gets only its ``close``.
        self._failed = False

    def attach(self, reader: Reader) -> None:
        """Queue the sink's ``attach``, if it has one."""
        if self._attach is not None:
            self._put("attach", self._attach, reader)

    def write(self, data: bytes) -> None:
        """Pass *data* on; called in the hub, where a sink that tries to wait fails."""
        if self._outbox is not None and self._outbox.busy:
            self.queue(data)
        elif not self._closed:
            self._call("write", self._sink.write, data)

    def queue(self, data: bytes) -> None:
        """Pass *data* on a moment later; for callers that a sink could hold up."""
        if self._closed:
            return
        if self._outbox is not None and self._outbox.queued >= MAX_QUEUED_WRITES:
            log.error("%s takes nothing and is closed: %d writes wait for it", self.owner, self._outbox.queued)
            self._failed = True
            self._outbox.close()
            self.close()
        else:
            self._put("write", self._sink.write, data)

    @property
    def full(self) -> bool:
        """If true, the stream is read a little later (reason 18)."""
        try:
            return not self._closed and bool(getattr(self._sink, "full", False))
        except Exception as error:
            log.error("%s failed to report whether it is full: %r", self.owner, error)
            return False

    def close(self) -> None:
        """Queue the sink's ``close``, once; never waits."""
        if not self._closed:
            self._closed = True
            self._queue().put("close", self._close)

    def _put(self, name: str, function: Callable[[Any], Any], argument: Any) -> None:
        self._queue().put(name, self._call, (name, function, argument))

    def _call(self, name: str, function: Callable[[Any], Any], argument: Any) -> None:
        if self._failed:
            return
        try:
            function(argument)
        except (Exception, SystemExit) as error:  # the latter would end the whole program from here
            log.error("%s failed in %s and is closed: %r", self.owner, name, error, exc_info=error)
            self._failed = True
            self.close()

    def _close(self) -> None:
        try:
            self._sink.close()
        finally:
            if self._outboxes is not None and self._outbox is not None:
                self._outboxes.discard(self._outbox)

    def _queue(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox(self.owner, MAX_QUEUED_WRITES + 2)  # attach and close fit in any case
            if self._outboxes is not None:
                self._outboxes.add(self._outbox)
        return self._outbox


def _attach_of(sink: Sink, owner: str) -> Callable[[Any], Any] | None:
    try:
        attach: Callable[[Any], Any] | None = getattr(sink, "attach", None)
    except Exception as error:
        log.error("%s cannot be attached: %r", owner, error, exc_info=error)
        return None
    return attach


#: Sinks of one process, by label of the stream.
Sinks = Mapping[str, "Sequence[Sink | SinkWorker]"]


def workers(sinks: Iterable[Sink | SinkWorker] | None, label: str) -> list[SinkWorker] | None:
    """Return *sinks* of the stream *label*, each with a worker."""
    if not sinks:
        return None
    return [sink if isinstance(sink, SinkWorker) else SinkWorker(sink, f"a sink of {label}") for sink in sinks]
