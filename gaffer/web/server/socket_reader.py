"""Reading from a socket in time slices, so that a fast sender does not keep others from being served."""

from __future__ import annotations

import io
from typing import Any

from ...events.time_slice import TimeSlice


class SocketReader(io.RawIOBase):
    """A socket as a raw stream whose reads give way: a fast sender must not keep others from being served.

    :param turn: the time slice of the reading greenlet.
    """

    def __init__(self, sock: Any, turn: TimeSlice) -> None:
        self._sock = sock
        self._turn = turn

    def readable(self) -> bool:
        """True, always (io.RawIOBase)."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for our turn, then for something; not afterwards, where an interruption would lose what has come."""
        self._turn.give_way()
        size: int = self._sock.recv_into(buffer)
        return size
