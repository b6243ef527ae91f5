"""Writing to a terminal that may be stuck, without the event loop ever waiting for it."""

from __future__ import annotations

import logging
import os
from typing import IO, Callable, Protocol

import gevent
from gevent.event import Event

from gaffer.api import ThreadWriter, native

log = logging.getLogger("gaffer.console")

#: Bytes that may wait for the terminal; lines that come when there are more are dropped and counted.
LIMIT = 1_048_576
#: What one call writes, in bytes: a waiter sees from time to time that it goes on.
PIECE = 131_072
#: How long a stopping manager waits for the terminal, in seconds.
TERMINAL_TIMEOUT = 1.0


class ConsoleWriter(ThreadWriter):
    """A bounded queue of lines for a terminal, which may have been stopped with Ctrl-S.

    :param stream: a text stream with a descriptor, or any object with ``write(text)``.
    :param limit: bytes that may wait.
    """

    def __init__(self, stream: IO[str], limit: int = LIMIT) -> None:
        super().__init__(limit)
        self._stream = stream
        self.dropped = self._pieces = self._lost = 0
        self._broken = False

    @property
    def full(self) -> bool:
        """True if more lines would be dropped."""
        return self._put - self._done > self._limit

    def drop(self, lines: int) -> None:
        """Count *lines* that were not even formatted, because the writer is full."""
        self.dropped += lines
        self._lost += lines

    def take_lost(self) -> int:
        """Return how many lines were dropped since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def write(self, text: str, lines: int = 1) -> None:
        """Queue *text* of that many *lines*; never waits."""
        if self._closed or self._broken:
            return
        if self.full:
            self.drop(lines)
            return
        self._enqueue(text.encode("utf-8", "replace"))

    def _write_batch(self, parts: list[bytes]) -> None:
        if self._broken:
            return
        data = b"".join(parts)
        try:
            descriptor = _descriptor(self._stream)
            if descriptor is None:
                self._stream.write(data.decode("utf-8"))
                self._stream.flush()
            else:
                self._write_all(descriptor, data)
        except (OSError, ValueError) as error:  # the terminal is gone, or the pipe's reader
            self._broken = True
            log.info("the console is gone: %s", error)

    def _write_all(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view[:PIECE]) :]
                self._pieces += 1
            except BlockingIOError:  # another program at the terminal made it non-blocking
                poll = native("select", "poll")()
                poll.register(descriptor, 4)
                poll.poll()

    def _wait(self, written: Event) -> bool:
        return bool(written.wait(TERMINAL_TIMEOUT))


class PausableSource(Protocol):
    """Source of bytes that can be paused."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class PatientWriter(ConsoleWriter):
    """Drops nothing: while the terminal is slow, those who write wait, as if they had it for themselves.

    :param gone: called in the hub when the reader is gone: the terminal is closed, or a pipe's other end.
    """

    #: How long nothing may go out at the end before the rest is given up, in seconds.
    TERMINAL_TIMEOUT = 3.0

    def __init__(self, stream: IO[str], gone: Callable[[], object] = lambda: None, limit: int = LIMIT) -> None:
        super().__init__(stream, limit)
        self._gone = gone
        self._sources: list[PausableSource] = []
        self._async = gevent.get_hub().loop.async_(ref=False)
        self._async.start(self._look)

    @property
    def unwritten(self) -> int:
        """Bytes that were not written."""
        return 0 if self._broken else self._put - self._done

    def put(self, data: bytes, source: PausableSource | None = None) -> None:
        """Queue *data*; if too much waits then, *source* is paused until there is room."""
        if self._closed or self._broken:
            return
        self._enqueue(data)
        if self.full and source is not None and source not in self._sources:
            self._sources.append(source)
            source.pause()
            self._look()  # it may have been written meanwhile

    def write(self, text: str, lines: int = 1) -> None:
        """Queue *text*; nothing is ever dropped."""
        self.put(text.encode("utf-8", "replace"))

    def _written(self) -> None:
        if self._broken or (self._sources and self._put - self._done < self._limit // 2):
            self._async.send()

    def _look(self) -> None:
        if self._broken or self._put - self._done < self._limit // 2:
            sources, self._sources = self._sources, []
            for source in sources:
                source.resume()
        if self._broken and not self._closed:
            self._closed = True
            self._gone()

    def _wait(self, written: Event) -> bool:
        before = self._pieces
        while not written.wait(self.TERMINAL_TIMEOUT):
            if self._pieces == before:
                return False
            before = self._pieces
        return True


def _descriptor(stream: IO[str]) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError):  # io.StringIO, or a test's capture
        return None
