"""Signals to a program: handlers note the number, greenlets do the work."""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from typing import Any, Callable, Mapping

import gevent

log = logging.getLogger("gafferd")

STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Signals:
    """Calls an action, in a greenlet of its own, for each signal that arrives.

    The handlers are Python's: a signal ignored by SIG_IGN would be ignored in
    every child too, whereas handlers are reset when one is executed.

    :param loop: gevent's loop.
    :param actions: signal number to what to call, without arguments; None does nothing.
    """

    def __init__(self, loop: Any, actions: Mapping[int, Callable[[], Any] | None]) -> None:
        self._actions = dict(actions)
        self._arrived: deque[int] = deque()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watcher = loop.io(self._reader, 1)
        self._before: dict[int, Any] = {}
        self._wakeup = -1
        #: Signals whose action runs, and whether they have arrived again since it began.
        self._running: dict[int, bool] = {}

    def install(self) -> None:
        """Handle the signals from now on; those that arrive before the loop runs wait for it.

        :raises ValueError: this is not the main thread; nothing was changed.
        """
        # Python's handlers run between two instructions, which a sleeping loop does not execute: the byte wakes it.
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._watcher.start(self._wake)
        for number in self._actions:
            self._before[number] = signal.signal(number, self._note)

    def finish(self) -> None:
        """Everything is stopped: one more signal to stop ends the process, whatever still holds it up."""
        for number in self._before.keys() & set(STOP):
            signal.signal(number, lambda number, frame: os._exit(0))

    def remove(self) -> None:
        """Put back what was there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        signal.set_wakeup_fd(self._wakeup)
        self.close()

    def close(self) -> None:
        """Give back the descriptors."""
        self._watcher.stop()
        self._watcher.close()
        os.close(self._reader)
        os.close(self._writer)

    def arrived(self, *numbers: int) -> bool:
        """Tell whether one of *numbers* has arrived and was not acted upon yet."""
        return any(number in numbers for number in self._arrived)

    def _note(self, number: int, frame: Any) -> None:
        self._arrived.append(number)

    def _wake(self) -> None:
        try:
            while os.read(self._reader, 4096):
                pass
        except BlockingIOError:
            pass
        while self._arrived:
            number = self._arrived.popleft()
            action = self._actions[number]
            if action is None:
                continue
            if number in STOP:
                gevent.spawn(action)  # a second one means more than the first
            elif number in self._running:
                self._running[number] = True
            else:
                self._running[number] = False
                gevent.spawn(self._act, number, action)

    def _act(self, number: int, action: Callable[[], Any]) -> None:
        """Call *action*, and once more for all signals of this kind that arrived meanwhile."""
        try:
            while True:
                self._running[number] = False  # those that arrived before it begins are part of it
                action()
                if not self._running[number]:
                    return
        finally:
            del self._running[number]
