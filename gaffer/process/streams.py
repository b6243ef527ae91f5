"""Streams of processes: always drained into bounded rings, written without waiting.

A child never blocks for want of a reader: whatever arrives is read at once
and kept in a ring of the latest bytes; older ones are dropped and counted. A
reader is a position in that ring, so nothing is copied per reader. Bytes never
pass through hooks; plugins get them by opening a sink.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections import deque
from contextlib import suppress
from typing import Any, Callable, Iterable

from gevent.event import Event

from ..errors import Conflict, Unavailable
from ..events.emitter import thread_id
from ..events.time_slice import rounds_here
from .ring_buffer import RING_SIZE, Ring, RingLimits
from .sink_worker import Sink, SinkWorker, workers

log = logging.getLogger("gaffer.streams")

#: Bytes of one read. A pipe that holds more is read again while its share of the round lasts (reason 38).
READ_SIZE = 65_536
#: Bytes of stderr kept of a stream that is not redirected, for the tail of failures.
TAIL_SIZE = 8_192
#: Bytes that may wait to be written to a child's stdin.
MAX_UNREAD_INPUT = 1_048_576
#: Asked of the kernel for redirected streams; fewer wake-ups for chatty children (fcntl(2), F_SETPIPE_SZ).
PIPE_SIZE = 1_048_576
#: Output that comes in small pieces is collected in its pipe: after a read of less than so many bytes that follows
#: another such within so many seconds, the next one comes so many seconds later (reason 39).
SHORT_READ = 32_768
SHORT_READ_GAP = 0.004
SHORT_READ_REST = 0.001
#: A stream whose sinks are full is read again after so many seconds …
FULL_SINK_PAUSE = 0.0003
#: … and in any case after so many.
MAX_FULL_SINK_PAUSE = 1.0
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)


class Reader:
    """Drains one descriptor into a ring and the sinks that plugins opened.

    :param loop: gevent's hub loop.
    :param label: the stream's name.
    :param fd: a descriptor that is ours from now on.
    :param size: bytes kept.
    :param limits: how far the ring may grow while a reader is attached.
    :param exited: asked at the end of the stream: if its process has exited too, its end closes this reader.
    """

    __slots__ = (
        "label",
        "fd",
        "size",
        "over",
        "sinks",
        "at_end",
        "_limits",
        "_exited",
        "_ring",
        "_watcher",
        "_timer",
        "_holders",
        "_rounds",
        "_terminal",
        "_short_read_at",
        "_resting",
    )

    def __init__(
        self,
        loop: Any,
        label: str,
        fd: int,
        size: int = RING_SIZE,
        sinks: Iterable[Sink | SinkWorker] | None = None,
        limits: RingLimits | None = None,
        exited: Callable[[], bool] | None = None,
    ) -> None:
        self.label = label
        self.fd = fd
        self.size = size
        #: If true, nothing will be read any more.
        self.over = False
        self.sinks = workers(sinks, label)
        self._limits = limits
        self._exited = exited
        #: If true, the end was reached and :meth:`close` is left to the end of the process.
        self.at_end = False
        self._ring: Ring | None = None
        os.set_blocking(fd, False)
        self._watcher = loop.io(fd, 1)
        self._watcher.start(self._readable)
        #: Runs while reading pauses.
        self._timer: Any = None
        #: Those for whose sake nothing is read.
        self._holders: set[Any] = set()
        self._rounds = rounds_here()
        #: A terminal keeps no more than 4 KiB: what writes to it would wait for us.
        self._terminal = os.isatty(fd)
        self._short_read_at = 0.0
        #: Made when first needed.
        self._resting: Any = None
        for sink in self.sinks or ():
            sink.attach(self)

    def pause(self, holder: Any = None) -> None:
        """Read nothing until :meth:`resume`: the child waits when its pipe is full. At its end all is read anyway.

        :param holder: distinguishes those who pause; all of them have to resume.
        """
        self._holders.add(holder)
        if self.fd >= 0:
            self._watcher.stop()

    def resume(self, holder: Any = None) -> None:
        """Read again; nothing happens after the end."""
        if holder not in self._holders:
            return
        self._holders.remove(holder)
        if self.fd >= 0 and self._timer is None and not self._holders and not self.at_end:
            self._watcher.start(self._readable)

    @property
    def ring(self) -> Ring:
        """The ring, made when first needed: most children of a large job say nothing."""
        if self._ring is None:
            self._ring = Ring(self.size, self._limits)
            self._ring.ended = self.over
        return self._ring

    @property
    def held(self) -> int:
        """The number of bytes in the ring; none is made for the answer."""
        return 0 if self._ring is None else self._ring.held

    def _readable(self) -> None:
        try:
            size = self._read_once()
            if size == READ_SIZE:
                size = self._read_more()
            if size and self.sinks and self._full():
                self._pause()
            elif size and size < SHORT_READ and not self._terminal:
                self._short_read()
        except Exception as error:  # a callback of the loop must not raise
            log.error("reading %s failed: %r; the stream is closed", self.label, error)
            self.close()

    def _read_more(self) -> int:
        """Read on while the pipe holds more and its share of the round lasts; return the size of the last read."""
        self._short_read_at = 0.0
        size, until = READ_SIZE, self._rounds.read_until()
        while size == READ_SIZE and time.monotonic() < until:
            if self._holders or self.sinks and self._full():
                break
            size = self._read_once()
        return size

    def _short_read(self) -> None:
        """Read nothing for a moment if output comes in small pieces, so that it is not read piece by piece."""
        now = time.monotonic()
        before, self._short_read_at = self._short_read_at, now
        if now - before >= SHORT_READ_GAP:
            return
        self._watcher.stop()
        if self._resting is None:
            self._resting = self._watcher.loop.timer(SHORT_READ_REST, SHORT_READ_REST)
        self._resting.start(self._rested)

    def _rested(self) -> None:
        self._resting.stop()
        if not self._holders and self._timer is None and not self.at_end:
            self._watcher.start(self._readable)
            self._readable()

    def _read_once(self, in_hub: bool = True) -> int:
        """Read one chunk; return its size, 0 if there is no more for now."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ECONNRESET):  # a terminal or a socket whose other end is gone
                log.warning("reading %s failed: %s", self.label, error)
            data = b""
        if not data:
            self._end_reached()
            return 0
        self.ring.append(data)
        for sink in self.sinks or ():
            if in_hub:
                sink.write(data)
            else:
                sink.queue(data)
        return len(data)

    def _end_reached(self) -> None:
        """Close; but at the end of a process, which mostly is the end of its output too, what follows comes first."""
        if self._exited is not None and self._exited():
            self.at_end = True
            self._watcher.stop()
        else:
            self.close()

    def _full(self) -> bool:
        return any(sink.full for sink in self.sinks or ())

    def _pause(self) -> None:
        """Read nothing until the sinks have room; the loop does other things meanwhile."""
        until = time.monotonic() + MAX_FULL_SINK_PAUSE
        timer = self._timer = self._watcher.loop.timer(FULL_SINK_PAUSE, FULL_SINK_PAUSE)
        self._watcher.stop()

        def go_on() -> None:
            if not self._full() or time.monotonic() > until:
                self._stop_timer()
                if not self._holders:
                    self._watcher.start(self._readable)

        timer.start(go_on)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def drain(self) -> None:
        """Read what is there, without waiting for an end that a grandchild may hold back (reason 7).

        Bounded, so that a grandchild that floods cannot hold up the caller.
        """
        budget = 64
        while self.fd >= 0 and budget and not self.at_end and self._read_once(in_hub=False):
            budget -= 1

    def close(self) -> None:
        """Close the descriptor and the sinks; what the ring holds can still be read."""
        if self.fd < 0:
            return
        self._stop_timer()
        if self._resting is not None:
            self._resting.stop()
            self._resting.close()
            self._resting = None
        self._watcher.stop()
        self._watcher.close()
        self._exited = None
        fd, self.fd = self.fd, -1
        with suppress(OSError):  # closed by other code: a fault there, which the read has logged
            os.close(fd)
        self._end()

    def _end(self) -> None:
        for sink in self.sinks or ():
            sink.close()
        self.sinks = None
        self.over = True
        if self._ring is not None:
            self._ring.finish()


class Full(Unavailable):
    """The child left too much unread; nothing of what was to be written was taken."""


class Writer:
    """Writes to a child; what does not fit yet is kept, within a bound.

    :param fd: a descriptor that is ours from now on.
    :param two_way: it is one of a socket that is read, too.
    """

    __slots__ = ("label", "fd", "_loop", "_thread", "_two_way", "_watcher", "_waiting", "_size", "_finish", "_room")

    def __init__(self, loop: Any, label: str, fd: int, two_way: bool = False) -> None:
        self.label = label
        self.fd = fd
        self._loop = loop
        self._thread = thread_id()
        self._two_way = two_way
        self._watcher: Any = None
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._finish = False
        #: Set when something was written; made when a waiter needs it.
        self._room: Event | None = None
        os.set_blocking(fd, False)

    def write(self, data: bytes) -> None:
        """Write *data*, or keep it until the child reads; never waits. From any thread, whole and in order.

        :raises Full: ``MAX_UNREAD_INPUT`` bytes wait already. :raises Conflict: the stream is closed. For other threads
            both go to the log.
        """
        if thread_id() != self._thread:
            self._loop.run_callback_threadsafe(self._write_for_thread, data)
            return
        if self.fd < 0 or self._finish:
            raise Conflict(f"{self.label} is closed: the process does not read it any more")
        if self._size and self._size + len(data) > MAX_UNREAD_INPUT:
            raise Full(f"{self.label} is full: the process left {self._size} bytes unread; try again later")
        self._waiting.append(memoryview(data))
        self._size += len(data)
        if self._watcher is None:
            self._flush()

    def _write_for_thread(self, data: bytes) -> None:
        try:
            self.write(data)
        except (Unavailable, Conflict) as error:
            log.warning("%d bytes that another thread wrote are lost: %s", len(data), error)

    def deliver(self, data: bytes, timeout: float, check: Callable[[], None] = lambda: None) -> None:
        """Write *data*, all of it or nothing; while there is no room, wait until the child has read enough.

        :param timeout: seconds to wait at the most.
        :param check: called after each wait; raises if *data* is not to be written any more.
        :raises Full: it took longer. :raises Conflict: the stream is closed.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.write(data)
                return
            except Full:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                self._room = self._room or Event()
                self._room.clear()
                self._room.wait(left)
                check()

    def _flush(self) -> None:
        try:
            while self._waiting:
                data = self._waiting[0]
                done = os.write(self.fd, data)
                self._size -= done
                if self._room is not None:
                    self._room.set()
                if done < len(data):
                    self._waiting[0] = data[done:]
                else:
                    self._waiting.popleft()
        except (BlockingIOError, InterruptedError):
            self._wait()
            return
        except OSError as error:
            self.close()
            reason = "the process does not read it any more" if error.errno == errno.EPIPE else error.strerror
            raise Conflict(f"{self.label} is closed: {reason}") from error
        self._unwatch()
        if self._finish:
            self.close()

    def _wait(self) -> None:
        if self._watcher is None:
            self._watcher = self._loop.io(self.fd, 2)
            self._watcher.start(self._writable)

    def _writable(self) -> None:
        try:
            self._flush()
        except Conflict:
            pass  # the bytes went nowhere because the child is going; its exit says so

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def finish(self) -> None:
        """Close once everything is written: the child reads an end of file."""
        self._finish = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Close at once; what was not written is lost."""
        self._unwatch()
        self._waiting.clear()
        self._size = 0
        if self.fd >= 0:
            if self._two_way:
                _hang_up(self.fd)
            os.close(self.fd)
            self.fd = -1
        if self._room is not None:
            self._room.set()


def _hang_up(fd: int) -> None:
    """Let the other end read an end of file, though the socket stays open for what it says."""
    import socket

    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
        sock.shutdown(socket.SHUT_WR)


class Duplex:
    """A custom stream: reader and writer on two descriptors of one socket."""

    __slots__ = ("reader", "writer")

    def __init__(
        self,
        loop: Any,
        label: str,
        fd: int,
        size: int = RING_SIZE,
        sinks: Iterable[Sink | SinkWorker] | None = None,
        limits: RingLimits | None = None,
    ) -> None:
        second = os.dup(fd)  # first of all: it may fail, and a reader would own the other one by then
        self.reader = Reader(loop, label, fd, size, sinks, limits)
        self.writer = Writer(loop, label, second, two_way=True)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


def make_pipe(large: bool = False) -> tuple[int, int]:
    """Return ``(read end, write end)``, both closed at exec (pipe2(2)).

    :param large: ask for ``PIPE_SIZE``; refused quietly where a user's limit is reached.
    """
    ends = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    if large:
        try:
            fcntl.fcntl(ends[1], _F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # over /proc/sys/fs/pipe-user-pages-soft: the default size does
    return ends


def last_lines(data: bytes, most: int) -> list[str]:
    """Return the last *most* lines of *data* as text, undecodable bytes replaced."""
    return data.decode("utf-8", "replace").splitlines()[-most:] if most > 0 else []
