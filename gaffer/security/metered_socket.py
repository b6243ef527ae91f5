"""Bounds for what a server sends: bytes, seconds, and giving way while it is read.

The libraries that speak HTTP and websockets read from a socket for as long as the other side goes on with a status
line, headers, chunks or frames. A :class:`Metered` socket stops them from below, whatever they are reading.
"""

from __future__ import annotations

import io
import time
from typing import Any, Callable

from ..errors import GafferError

#: Bytes per second below which an answer counts as dripping, once its seconds have passed.
RATE = 16_384
#: Seconds of reading after which others have their turn.
_SLICE = 0.005
_PAUSE = 1e-6
#: Bytes of one read, whatever the other side says is coming.
_PIECE = 262_144


class TooMuch(GafferError):
    """A server sends more than its answer may have."""

    code = "too_much"
    status = 502


class Meter:
    """The bytes and seconds left for one answer.

    :param give_way: lets others work if it is their turn; called before each read. By default ``time.sleep`` is called
        now and then, which is enough where few read.
    """

    __slots__ = ("_limit", "_left", "_deadline", "_rate", "_worked", "_give_way")

    def __init__(self, give_way: Callable[[], object] | None = None) -> None:
        self._give_way = give_way or self._rest
        self._worked = time.monotonic()
        self.begin(0)

    def begin(self, limit: int, seconds: float | None = None, rate: int = RATE) -> None:
        """Begin a new answer.

        :param limit: bytes that it may have, with heads, chunks and control frames.
        :param seconds: that it may take; None for any time. Each *rate* bytes of it give one second more.
        """
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._rate = rate
        self.allow(limit)

    def allow(self, limit: int) -> None:
        """Let the rest of the answer have *limit* bytes; its time goes on."""
        self._limit = self._left = limit

    def until(self, deadline: float | None) -> None:
        """Let reading end at *deadline* (of ``time.monotonic``); what was read of a message counts on."""
        self._deadline = deadline
        self._rate = 0

    def wait(self) -> None:
        """Give way if it is time to. To be called before each read.

        :raises TimeoutError: the answer takes too long.
        """
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise TimeoutError("the answer took too long")
        self._give_way()

    def _rest(self) -> None:
        if time.monotonic() - self._worked > _SLICE:
            time.sleep(_PAUSE)
            self._worked = time.monotonic()

    def count(self, size: int) -> None:
        """Count what was read.

        :raises TooMuch: it is more than the answer may have.
        """
        self._left -= size
        if self._left < 0:
            raise TooMuch(f"its answer does not end within {self._limit} bytes")
        if self._deadline is not None and self._rate:
            self._deadline += size / self._rate


class Metered:
    """A socket whose reads are metered; everything else is the socket's own."""

    def __init__(self, sock: Any, meter: Meter) -> None:
        self._metered = sock
        self.meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metered, name)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive at most *size* bytes."""
        self.meter.wait()
        data: bytes = self._metered.recv(min(size, _PIECE), flags)
        self.meter.count(len(data))
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Receive into a buffer."""
        self.meter.wait()
        got: int = self._metered.recv_into(buffer, size, flags)
        self.meter.count(got)
        return got

    def makefile(self, mode: str = "r", buffering: int | None = None, **options: Any) -> Any:
        """Return a file; one that is read in binary, as http.client does, is metered too."""
        if mode != "rb":
            return self._metered.makefile(mode, buffering, **options)
        raw = _Raw(self._metered.makefile("rb", buffering=0), self.meter)
        return raw if buffering == 0 else io.BufferedReader(raw)


class _Raw(io.RawIOBase):
    """The unbuffered file of a socket."""

    def __init__(self, file: Any, meter: Meter) -> None:
        self._file, self._meter = file, meter

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._file.fileno())

    def readinto(self, buffer: Any) -> int | None:
        self._meter.wait()
        # A read may be as large as what was announced.
        got: int | None = self._file.readinto(memoryview(buffer)[:_PIECE])
        self._meter.count(got or 0)
        return got

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            super().close()
