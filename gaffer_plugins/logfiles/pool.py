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

from gaffer.api import start_thread

log = logging.getLogger("gaffer.logfiles")

#: Threads that write. One that a disk holds up costs the others nothing, until so many are held up.
THREADS = 4
#: If no thread can be started, it is tried again after so many seconds.
RETRY = 1.0
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
        self._choring = False
        self._closed = False
        #: Runs while the system gives no thread at all.
        self._retry: Any = None

    def give(self, work: Work) -> None:
        """Let a thread do *work*; nothing happens once the pool is closed."""
        if self._closed:
            return
        self._works.put(work)
        with self._lock:
            missing = not self._idle and self._started < self._most
        if missing:
            self._start_one()

    def _start_one(self) -> None:
        """Start a thread; if the system gives none, those that there are do the work, or it is tried again."""
        if start_thread(self._run):
            with self._lock:
                self._started += 1
        elif not self._started and self._retry is None:
            self._retry = self._loop.timer(RETRY)
            self._retry.start(self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if not self._closed and not self._started:
            self._start_one()

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
            if self._chores is None:
                self._chores = self._make_queue()
            self._chores.put(function)
            if not self._choring:
                self._choring = start_thread(self._do_chores)

    def _do_chores(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, get_original("_thread", "get_native_id")(), _NICE)
        while (function := self._chores.get()) is not None:
            self._guard(function)

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
        if self._retry is not None:
            self._retry.stop()
        for _ in range(self._started):
            self._works.put(None)
        if self._chores is not None:
            self._chores.put(None)
