"""Writing from a native thread: a disk that is full or a terminal that is stopped never holds up the event loop."""

from __future__ import annotations

from typing import Any, Callable

import gevent
from gevent.event import Event

from ..events.unpatched import native


def start_thread(run: Callable[[], None]) -> bool:
    """Start a native thread; return False if the system gives none at the moment (RLIMIT_NPROC, setrlimit(2))."""
    try:
        native("_thread", "start_new_thread")(run, ())
    except RuntimeError:
        return False
    return True


class ThreadWriter:
    """A bounded queue of bytes, and the native thread that writes them.

    It starts with the first ones, or with later ones if the system gave no thread before.

    Native, because the system call blocks its thread. Each counter has one writer, so no lock is needed. Subclasses
    define :meth:`_write_batch` and :meth:`_wait`.

    :param limit: bytes that may wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._put = self._done = 0
        self._started = self._closed = False
        self._queue: Any = native("queue", "SimpleQueue")()

    def _enqueue(self, data: bytes) -> None:
        self._put += len(data)
        self._queue.put(data)
        if not self._started:
            self._started = start_thread(self._run)

    def _run(self) -> None:
        """The thread: everything that waits goes out in one call."""
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty() and isinstance(batch[-1], bytes):
                batch.append(self._queue.get())
            parts = [one for one in batch if isinstance(one, bytes)]
            if parts:
                self._write_batch(parts)
            self._done += sum(map(len, parts))
            self._written()
            if not isinstance(batch[-1], bytes):
                self._finish()
                batch[-1].send()
                return

    def _write_batch(self, parts: list[bytes]) -> None:
        """Write *parts*, in the thread."""
        raise NotImplementedError

    def _written(self) -> None:
        """Called in the thread after every batch."""

    def _finish(self) -> None:
        """Called when nothing more will be written, in the thread if it was started."""

    def _wait(self, written: Event) -> bool:
        """Wait for the last batch as long as it is worthwhile; returns whether it is written."""
        raise NotImplementedError

    def close(self) -> None:
        """Wait a moment until everything is written; later data is ignored."""
        if self._closed:
            return
        self._closed = True
        if not self._started and not self._queue.empty():
            self._started = start_thread(self._run)
        if not self._started:
            self._finish()
            return
        written = Event()
        watcher = gevent.get_hub().loop.async_(ref=False)
        watcher.start(written.set)
        self._queue.put(watcher)
        if self._wait(written):
            watcher.close()  # else the thread may still use it
