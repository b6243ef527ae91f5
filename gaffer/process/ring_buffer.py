"""Rings of the latest bytes of a stream, and cursors in them.

A ring keeps what was read last; older bytes are dropped and counted. A reader
is a :class:`Cursor`: a position, so that nothing is copied or queued for
a reader, and one that comes too late learns how many bytes it missed. While
cursors follow, a ring grows to hold what the slowest of them has not read yet,
within limits that all rings of a manager share; a cursor that lets it run full
holds nothing back any more, until it reads again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Callable, Iterable, NamedTuple

log = logging.getLogger("gaffer.streams")

#: Bytes of output that a ring keeps.
RING_SIZE = 65_536
#: Bytes that it may hold while a reader is attached …
GROWN_SIZE = 4_194_304
#: … and that all rings together may hold beyond what they keep anyway.
GROWN_TOTAL = 16_777_216
#: What one read of a cursor takes unless it says otherwise.
CURSOR_READ_SIZE = 65_536
#: Pieces that a ring with several readers remembers for those who come to the same place.
SHARED_PIECES = 4
#: Chunks are put together up to this many bytes …
SMALL_CHUNK = 4_096
#: … when they come within this many seconds, so that each byte's time is about right …
MERGE_SECONDS = 0.05
#: … or when there are this many chunks, so that output that drips takes no more memory than other output.
MAX_SMALL_CHUNKS = 128
#: A ring that overlaps its size by a chunk has not grown.
_MAX_OVERLAP = 65_536


class Chunk(NamedTuple):
    """Bytes as they were read.

    :param offset: the position of the first of them in the stream: a sequence number in bytes.
    :param at: monotonic seconds when the first of them was read.
    :param time: the same moment in seconds since 1970.
    """

    offset: int
    data: bytes
    at: float
    time: float


class Piece(NamedTuple):
    """Bytes for all readers at the same place.

    :param end: the position after them.
    :param encoded: what readers made of them, by whatever it depends on, so that it is made once; None for a lone
        reader.
    """

    data: bytes
    end: int
    encoded: dict[Any, Any] | None = None


_NOTHING = Piece(b"", 0)


class RingLimits:
    """Limits on the rings of one manager; changes count for rings made later.

    :param size: bytes that each keeps.
    :param most: bytes that one may hold while a reader is attached.
    :param total: bytes by which all of them together may exceed what they keep.
    """

    __slots__ = ("size", "most", "total", "grown")

    def __init__(self, size: int = RING_SIZE, most: int = GROWN_SIZE, total: int = GROWN_TOTAL) -> None:
        self.size = size
        self.most = most
        self.total = total
        #: Bytes by which rings exceed what they keep at the moment.
        self.grown = 0


class Ring:
    """The latest bytes of a stream.

    :param size: how many bytes are kept, at least 1; whole chunks are dropped, so a little
        more can be there.
    :param limits: how far it may grow while a reader is attached; without them not at all.
    """

    __slots__ = (
        "size",
        "end",
        "ended",
        "polled",
        "_limits",
        "_chunks",
        "_held",
        "_grown",
        "_cursors",
        "_waiting",
        "_slowest",
        "_look_at",
        "_pieces",
    )

    def __init__(self, size: int = RING_SIZE, limits: RingLimits | None = None) -> None:
        self.size = size
        #: Bytes ever written: the position after the last one.
        self.end = 0
        #: If true, nothing will be added any more.
        self.ended = False
        #: The position after what was given to readers that ask again and again without saying what they have.
        self.polled: int | None = None
        self._limits = limits
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._grown = 0
        self._cursors: dict[Cursor, None] = {}
        #: The cursors that are to be woken by what comes next.
        self._waiting: list[Cursor] = []
        #: No cursor that is not behind is at an earlier position than this; it is looked again at the second one.
        self._slowest = self._look_at = 0
        self._pieces: dict[tuple[int, int], tuple[Piece, bool]] = {}

    @property
    def start(self) -> int:
        """The position of the oldest byte still kept."""
        return self.end - self._held

    @property
    def held(self) -> int:
        """The number of bytes kept."""
        return self._held

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The bytes kept, oldest first, with their times."""
        return tuple(self._chunks)

    @property
    def readers(self) -> int:
        """The number of cursors."""
        return len(self._cursors)

    def append(self, data: bytes) -> None:
        """Add *data*; the oldest chunks go while enough stays."""
        now = time.monotonic()
        last = self._chunks[-1] if self._chunks else None
        if last is not None and self._belongs(last, data, now):
            self._chunks[-1] = Chunk(last.offset, last.data + data, last.at, last.time)
        else:
            self._chunks.append(Chunk(self.end, data, now, time.time()))
        self.end += len(data)
        self._held += len(data)
        if self._held > self.size:
            self._trim()
        if self._waiting:
            self._wake()

    def _belongs(self, last: Chunk, data: bytes, now: float) -> bool:
        """Return True if *data* makes the last chunk longer: a child that writes byte by byte would cost a
        hundred times what it wrote."""
        if len(last.data) + len(data) > min(SMALL_CHUNK, self.size // 16):
            return False
        return now - last.at < MERGE_SECONDS or len(self._chunks) >= MAX_SMALL_CHUNKS

    def _trim(self) -> None:
        """Drop the oldest chunks that neither the size nor a reader needs."""
        needed = self._needed()
        chunks = self._chunks
        while self._held - len(chunks[0].data) >= self.size and chunks[0].offset + len(chunks[0].data) <= needed:
            self._held -= len(chunks.popleft().data)
        if self._limits is not None:
            grown = max(0, self._held - self.size - _MAX_OVERLAP)
            self._limits.grown += grown - self._grown
            self._grown = grown

    def _needed(self) -> int:
        """Return the position from which on readers still need what is there.

        Those that let the ring reach its limit are left behind, all at once: one long gap is better than many.
        """
        limits = self._limits
        if limits is None or not self._cursors:
            return self.end
        if self.end - self._slowest > self.size:
            too_much = self.end - self._slowest > limits.most or limits.grown > limits.total
            if too_much or self.end >= self._look_at:
                # Not at every chunk: with a thousand readers, looking at all of them takes longer than to read it.
                self._look_at = self.end + len(self._cursors) * self.size // 256
                self._slowest = min((one.position for one in self._cursors if not one.behind), default=self.end)
        needed = self._slowest
        if self.end - needed <= self.size or self.end - needed <= limits.most and limits.grown <= limits.total:
            return needed
        self._slowest = self.end - self.size
        for cursor in self._cursors:
            cursor.behind = cursor.behind or cursor.position < self._slowest
        return self.end

    def _wake(self) -> None:
        """Wake the cursors that have read since they were woken the last time."""
        waiting, self._waiting = self._waiting, []
        for cursor in waiting:
            cursor.waits = False
            if cursor.wake is not None:
                try:
                    cursor.wake()
                except Exception as error:  # one reader's trouble is neither the stream's nor the other readers'
                    cursor.wake = None
                    log.error("a reader of a stream cannot be woken: %r", error, exc_info=error)

    def finish(self) -> None:
        """Say that this was all."""
        if not self.ended:
            self.ended = True
            self._wake()

    def read(self, position: int = 0, most: int | None = None) -> tuple[int, bytes, int]:
        """Return ``(lost, data, next position)``: what is kept from *position* on.

        ``lost`` counts the bytes between *position* and the oldest kept one.

        :param most: how many bytes to return at the most, whole chunks if the first of them fits; all without it.
        """
        start = max(position, self.start)
        newer: list[Chunk] = []
        # From the end, because most who ask have read everything but the last chunk.
        for chunk in reversed(self._chunks):
            if chunk.offset + len(chunk.data) <= start:
                break
            newer.append(chunk)
        data = _join(reversed(newer), start, most)
        return max(0, self.start - position), data, min(start, self.end) + len(data)

    def piece(self, position: int, most: int) -> tuple[int, Piece]:
        """Return ``(lost, piece)`` as :meth:`read` does: the same one to all who read at the same place."""
        start = max(position, self.start)
        if start >= self.end:
            return 0, _NOTHING
        piece, whole = self._pieces.get((start, most), (_NOTHING, False))
        if not whole and piece.end != self.end:
            _, data, end = self.read(start, most)
            if len(self._cursors) < 2:
                return start - position, Piece(data, end)
            if len(self._pieces) >= SHARED_PIECES:
                del self._pieces[next(iter(self._pieces))]
            piece = Piece(data, end, {})
            # What was everything is read again once there is more.
            self._pieces[start, most] = piece, end < self.end
        return start - position, piece

    def tail(self, lines: int) -> int:
        """Return the position where the last *lines* kept lines begin; what has no end yet is a line, too."""
        data = self.read()[1]
        at = len(data) - 1 if data.endswith(b"\n") else len(data)
        for _ in range(lines):
            if at <= 0:
                return self.start
            at = data.rfind(b"\n", 0, at)
            if at < 0:
                return self.start
        return self.end if lines <= 0 else self.start + at + 1

    def follow(self, position: int | None = None, wake: Callable[[], None] | None = None) -> Cursor:
        """Return a new cursor; see there."""
        return Cursor(self, position, wake)


def _join(chunks: Iterable[Chunk], start: int, most: int | None) -> bytes:
    """Return the bytes of *chunks* from position *start* on, at most *most* of them."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        part = chunk.data[start - chunk.offset :] if chunk.offset < start else chunk.data
        size += len(part)
        if most is not None and size > most:
            # Readers meet where chunks end, so that a piece serves many of them.
            parts = parts or [part[:most]]
            break
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Cursor:
    """The position of a reader in a ring.

    :param position: where to begin; by default at the end, so that it reads what comes from now on.
    :param wake: called when there is more, or no more will come; in the hub, so it must only set something. It is
        called once until the next read: a thousand who are late need not be told of each chunk.

    Close it when it is not needed any more.
    """

    __slots__ = ("ring", "position", "behind", "waits", "wake")

    def __init__(self, ring: Ring, position: int | None = None, wake: Callable[[], None] | None = None) -> None:
        self.ring = ring
        self.position = ring.end if position is None else min(position, ring.end)
        #: If true, it let the ring run full; bytes are missing when it reads.
        self.behind = False
        self.wake = wake
        ring._cursors[self] = None
        ring._slowest = min(ring._slowest, self.position)
        #: If true, it is woken by what comes next.
        self.waits = True
        ring._waiting.append(self)

    def read(self, most: int = CURSOR_READ_SIZE) -> tuple[int, bytes]:
        """Return ``(lost, data)``: how many bytes were missed, and those that follow; never waits.

        :param most: how many bytes to return at the most.
        """
        lost, piece = self.take(most)
        return lost, piece.data

    def take(self, most: int = CURSOR_READ_SIZE) -> tuple[int, Piece]:
        """Read as :meth:`read`; the bytes come as a piece, which other readers at this place get, too."""
        ring = self.ring
        lost, piece = ring.piece(self.position, most)
        self.position = max(self.position, piece.end)
        if self.behind:
            self.behind = False
            ring._slowest = min(ring._slowest, self.position)
        if not self.waits and not ring.ended and self in ring._cursors:
            self.waits = True
            ring._waiting.append(self)
        return lost, piece

    @property
    def ended(self) -> bool:
        """True once everything was read and nothing will come."""
        return self.ring.ended and self.position >= self.ring.end

    def close(self) -> None:
        """Follow no longer; what only this reader needed is dropped."""
        ring = self.ring
        self.wake = None
        if self not in ring._cursors:
            return
        del ring._cursors[self]
        ring._look_at = 0
        if len(ring._cursors) < 2:
            ring._pieces.clear()
        if ring._held > ring.size:
            ring._trim()
