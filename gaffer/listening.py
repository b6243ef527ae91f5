"""Hearing what processes say: a sink that passes output on to a callable."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

from .outbox import Outbox

#: Bytes that may wait for one slow listener; the oldest are dropped then, counted and told.
LIMIT = 4_194_304


class OutputListener:
    """Calls ``listener(label, message)`` with the output of one stream, in a greenlet of its own.

    A message is ``{"event": label, "name": job, "pid": gaffer's pid, "data": bytes, "lost": n}``; *lost* counts
    the bytes that are missing before *data*, because the listener was too slow for them. Output is passed
    on as it was read, so a line or a character may be split between two messages.

    :param process: names the job and the pid; it may be about to start.
    """

    __slots__ = ("label", "listener", "_process", "_waiting", "_size", "_lost", "_outbox")

    def __init__(self, process: Any, label: str, listener: Callable[[str, dict[str, Any]], Any]) -> None:
        self.label = label
        self.listener = listener
        self._process = process
        self._waiting: deque[bytes] = deque()
        self._size = self._lost = 0
        name = getattr(listener, "__name__", listener)
        self._outbox = Outbox(f"listener {name!s} of {label} of {process.name}")

    def write(self, data: bytes) -> None:
        """Take output as it was read; never waits."""
        if not self._waiting and not self._outbox.put(self.label, self._pass_on):
            return  # muted: it failed too often
        self._waiting.append(data)
        self._size += len(data)
        while self._size > LIMIT:
            dropped = len(self._waiting.popleft())
            self._size -= dropped
            self._lost += dropped

    def _pass_on(self) -> None:
        data, lost = b"".join(self._waiting), self._lost
        self._waiting.clear()
        self._size = self._lost = 0
        process = self._process
        message = {"event": self.label, "name": process.name.short, "pid": process.pid, "data": data, "lost": lost}
        self.listener(self.label, message)

    def close(self) -> None:
        """The stream has ended; what waits is still passed on."""

    def forget(self) -> None:
        """The listener wants no more, not even what waits."""
        self._outbox.close()
        self._waiting.clear()
