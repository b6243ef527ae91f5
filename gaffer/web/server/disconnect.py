"""Noticing that a client has left while there is nothing to send it.

A server that only waits for something to tell would never see it. The kernel
does: it says "the other end sends no more" (POLLRDHUP, poll(2)) even while bytes
that the client sent wait unread. A client that closes only its own direction
counts as gone, too: it cannot be told from one that closed both.
"""

from __future__ import annotations

import select
from typing import Any, Callable

import gevent
from gevent import monkey

#: How often a connection is looked at that has bytes waiting, so that it is always readable, in seconds.
RECHECK = 1.0
_RDHUP = getattr(select, "POLLRDHUP", 0x2000)
_LEFT = _RDHUP | 0x10 | 0x08 | 0x20  # POLLHUP, POLLERR, POLLNVAL


class DisconnectWatcher:
    """Watches one connection.

    :param sock: a gevent socket, also one of TLS.
    :param left: called once, in the hub, when the client has left; it must only set something.

    Close it before the socket.
    """

    __slots__ = ("gone", "_fd", "_left", "_loop", "_poll", "_watcher")

    def __init__(self, sock: Any, left: Callable[[], None]) -> None:
        #: Whether the client has left.
        self.gone = False
        self._fd = sock.fileno()
        self._left = left
        self._loop = gevent.get_hub().loop
        # A patched poll() would switch to the hub, which calls this.
        self._poll = monkey.get_original("select", "poll")()
        self._poll.register(self._fd, _LEFT)
        self._watcher = self._loop.io(self._fd, 1)
        self._watcher.start(self._readable)

    def _readable(self) -> None:
        if self.look():
            return
        # Bytes: a request that comes too early, or a record of TLS. It stays readable, so it is looked at now and then.
        self.close()
        self._watcher = self._loop.timer(RECHECK, RECHECK)
        self._watcher.start(self.look)

    def look(self) -> bool:
        """Ask the kernel; returns whether the client has left."""
        if not self.gone and self._poll.poll(0):
            self.gone = True
            self.close()
            self._left()
        return self.gone

    def close(self) -> None:
        """Watch no longer."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
