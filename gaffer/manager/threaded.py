"""Managers in threads of their own, for programs that do not run gevent's loop: threads, asyncio, a prompt.

A program ends when its threads do, so a manager's thread would keep it from ending. One thread of the program waits
for all others and stops the managers then. An ``atexit`` function would come too late: Python calls those after it has
waited for threads, and lets no thread or process be started any more.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Callable

import gevent

from ..errors import Conflict, Unavailable
from ..events.emitter import thread_id
from ..events.unpatched import is_patched
from .manager import Manager


class ThreadedManager:
    """Manager in a thread of its own, used from any thread; it ends with the program, and its processes with it.

    Each method of :class:`Manager <gaffer.Manager>` is one of this class, too: it is called in the manager's thread,
    and the caller waits for its result. :meth:`submit` does not wait. Plugins, applications and listeners are called in
    the manager's thread, whose loop must not be blocked by them.

    It is a context manager, for ``with`` and ``async with``: started at the beginning of the block, stopped at its end.
    If it is not stopped, it stops when all other threads of the program have ended.

    :param make: makes the manager, in its thread; by default :class:`Manager <gaffer.Manager>`, with the keywords.
    """

    def __init__(self, make: Callable[..., Manager] = Manager, **keywords: Any) -> None:
        self._make: Callable[[], Manager] = partial(make, **keywords)
        self._manager: Manager | None = None
        self._thread: threading.Thread | None = None
        self._calls: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._stopping = self._ended = False

    def start(self) -> None:
        """Start the thread and, in it, the manager.

        :raises Conflict: it was started before, or gevent has patched the threads of this program.
        :raises GafferError: a plugin refused; nothing runs.
        """
        if is_patched("threading"):
            raise Conflict(
                "threads of this program are gevent's (monkey.patch_all()); use gaffer.Manager, which fits those"
            )
        with self._lock:
            if self._thread is not None:
                raise Conflict("the manager cannot be started a second time; make a new one")
            ready: Future[Manager] = Future()
            self._thread = threading.Thread(target=self._run, args=(ready,), name="gaffer manager")
        _program.add(self, self._thread)
        self._thread.start()
        ready.result()

    def _run(self, ready: Future[Manager]) -> None:
        try:
            try:
                # Made here, since a manager belongs to the thread that makes it.
                manager = self._manager = self._make()
                if self._stopping:
                    raise _stopped()
                manager.start()
            except BaseException as error:
                self._manager = None
                ready.set_exception(error)
                return
            ready.set_result(manager)
            manager.run()
        finally:
            with self._lock:
                self._ended = True
                left, self._calls = self._calls, set()
            for future in left:
                _settle(future, error=_stopped())
            _program.remove(self)
            gevent.get_hub().destroy(destroy_loop=True)

    def stop(self) -> None:
        """Stop the manager and wait for the end of its thread; nothing happens if it does not run."""
        if self._thread is None:
            return
        self._stopping = True
        manager = self._manager
        if manager is not None and not self._ended:
            manager.stop()
        if thread_id() != self._ident:
            self.wait_stopped()

    def run(self) -> None:
        """Wait until the manager has stopped and its thread has ended."""
        self.wait_stopped()

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Wait for the end of the manager's thread, at most *timeout* seconds; tells whether it has ended."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def _ident(self) -> int | None:
        return None if self._thread is None else self._thread.ident

    def submit(self, function: Callable[..., Any] | str, *args: Any, **keywords: Any) -> Future[Any]:
        """Call a function in the manager's thread, without waiting.

        asyncio awaits the result as ``await asyncio.wrap_future(manager.submit("load", config))``.

        :param function: a function that may use the manager, or the name of one of the manager's methods.
        :raises Unavailable: the manager does not run.
        """
        manager = self._running()
        call: Callable[..., Any] = getattr(manager, function) if isinstance(function, str) else function
        future: Future[Any] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = call(*args, **keywords)
                except BaseException as error:
                    _settle(future, error=error)
                else:
                    _settle(future, result)
            with self._lock:
                self._calls.discard(future)

        with self._lock:
            if self._ended:
                raise _stopped()
            self._calls.add(future)
            manager.later(run)
        return future

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"'ThreadedManager' has no attribute '{name}'")
        found = getattr(self._running(), name)
        return found if not callable(found) else lambda *args, **keywords: self._call(found, args, keywords)

    def _call(self, function: Callable[..., Any], args: Any, keywords: Any) -> Any:
        if thread_id() == self._ident:
            return function(*args, **keywords)  # a plugin or listener, which must not wait for its own thread
        return self.submit(function, *args, **keywords).result()

    def _running(self) -> Manager:
        if self._manager is None:
            raise Unavailable("the manager is not started; call start() first")
        return self._manager

    def __enter__(self) -> ThreadedManager:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> ThreadedManager:
        import asyncio

        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *exc: object) -> None:
        import asyncio

        await asyncio.to_thread(self.stop)


def _stopped() -> Unavailable:
    return Unavailable("the manager has stopped; make a new one")


def _settle(future: Future[Any], result: Any = None, error: BaseException | None = None) -> None:
    """Give a future its result, unless the end of the thread, or its caller, was faster."""
    with suppress(Exception):
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class _Program:
    """The managers of this program, which are stopped when nothing else is left of it."""

    def __init__(self) -> None:
        self._managers: dict[ThreadedManager, threading.Thread] = {}
        self._watched = False
        self._lock = threading.Lock()

    def add(self, manager: ThreadedManager, thread: threading.Thread) -> None:
        with self._lock:
            self._managers[manager] = thread
            if self._watched:
                return
            self._watched = True
        threading.Thread(target=self._watch, name="gaffer: end of the program", daemon=True).start()

    def remove(self, manager: ThreadedManager) -> None:
        with self._lock:
            self._managers.pop(manager, None)

    def _watch(self) -> None:
        while others := self._others():
            others[0].join()
        for manager in list(self._managers):
            manager.stop()

    def _others(self) -> list[threading.Thread]:
        ours = {*self._managers.values(), threading.current_thread()}
        return [one for one in threading.enumerate() if not one.daemon and one not in ours and one.is_alive()]


_program = _Program()
