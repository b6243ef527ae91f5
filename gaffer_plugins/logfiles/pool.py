"""Native threads that write: whatever a disk does to them, the event loop goes on.

Native, and with native locks, because gafferd's own threads are greenlets, and a greenlet that waits for a disk holds
up all of them.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Any, Callable, Protocol

import gevent
from gevent.monkey import get_original

log = logging.getLogger("gaffer.logfiles")

#: Threads that write. One that a disk holds up costs the others nothing, until so many are held up.
THREADS = 4
#: Niceness of the thread that compresses.
_NICE = 10


class Work(Protocol):
    """Something that a thread does."""

    def work(self) -> None: ...


def make_lock() -> Any:
    """Return a lock for native threads."""
    return get_original("_thread", "allocate_lock")()


class Pool:
    """Starts its threads when they are needed, and ends them at :meth:`close`."""

    def __init__(self, threads: int = THREADS) -> None:
        self._loop = gevent.get_hub().loop
        self._most = threads
        self._started = 0
        self._idle = 0
        self._lock = make_lock()
        make_queue = get_original("queue", "SimpleQueue")
        self._works: Any = make_queue()
        self._chores: Any = None
        self._make_queue = make_queue
        self._closed = False

    def give(self, work: Work) -> None:
        """Let a thread do *work*; nothing happens once the pool is closed."""
        if self._closed:
            return
        with self._lock:
            missing = not self._idle and self._started < self._most
            self._started += missing
        if missing:
            self._start(self._run)
        self._works.put(work)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            work = self._works.get()
            with self._lock:
                self._idle -= 1
            if work is None:
                return
            self._guard(work.work)

    def chore(self, function: Callable[[], Any]) -> None:
        """Let the thread for what takes long call *function*; after what it has to do already."""
        with self._lock:
            first = self._chores is None
            if first:
                self._chores = self._make_queue()
        if first:
            self._start(self._do_chores)
        self._chores.put(function)

    def _do_chores(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, get_original("_thread", "get_native_id")(), _NICE)
        while (function := self._chores.get()) is not None:
            self._guard(function)

    @staticmethod
    def _start(function: Callable[[], None]) -> None:
        get_original("_thread", "start_new_thread")(function, ())

    def _guard(self, function: Callable[[], Any]) -> None:
        try:
            function()
        except Exception as error:  # a fault of ours; the thread must go on
            self.say(log.error, "writing log files failed: %r", error)

    def say(self, function: Callable[..., Any], *args: Any) -> None:
        """Call *function* in the hub: logging's locks, for one, are not for native threads."""
        self._loop.run_callback_threadsafe(function, *args)

    def close(self) -> None:
        """Let the threads end when they have done what they were given."""
        self._closed = True
        for _ in range(self._started):
            self._works.put(None)
        if self._chores is not None:
            self._chores.put(None)
