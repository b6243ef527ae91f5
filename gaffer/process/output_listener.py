"""Listeners to output: a callable that is slow or fails affects only itself (reason 16)."""

from __future__ import annotations

from typing import Any, Callable

from ..events.outbox import Outbox
from .ring_buffer import Cursor, Ring

#: Called with the label and the message; see :class:`OutputListener`.
OutputCallback = Callable[[str, dict[str, Any]], Any]


class OutputListener:
    """Calls ``listener(label, message)`` with the output of one stream, in a greenlet of its own.

    A message is ``{"event": label, "name": job, "pid": gaffer's pid, "data": bytes, "lost": n}``; *lost* counts
    the bytes that are missing before *data*, because the listener was too slow for them. Bytes come as they
    were read, so a line or a character may be split between two messages.

    :param process: names the job and the pid; it may be about to start.
    """

    __slots__ = ("label", "listener", "_process", "_cursor", "_outbox", "_queued")

    def __init__(self, process: Any, label: str, listener: OutputCallback) -> None:
        self.label = label
        self.listener = listener
        self._process = process
        self._cursor: Cursor | None = None
        self._outbox = Outbox(f"listener {getattr(listener, '__name__', listener)!s} of {label} of {process.name}")
        self._queued = False

    def follow(self, ring: Ring) -> None:
        """Pass on what comes into *ring* from now on."""
        self._cursor = ring.follow(wake=self._wake)

    def _wake(self) -> None:
        """Queue a call; the ring does this in the hub."""
        if not self._queued:
            self._queued = self._outbox.put(self.label, self._pass_on)

    def _pass_on(self) -> None:
        self._queued = False
        cursor = self._cursor
        if cursor is None:
            return
        lost, data = cursor.read()
        if cursor.ended:
            cursor.close()
        elif cursor.position < cursor.ring.end:
            self._wake()
        if data or lost:
            process = self._process
            message = {"event": self.label, "name": process.name.short, "pid": process.pid, "data": data, "lost": lost}
            self.listener(self.label, message)

    def close(self) -> None:
        """Pass on nothing more, not even what was read already."""
        self._outbox.close()
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
