"""Chunked bodies (RFC 9112 §7.1), read strictly: what two servers could cut at different places is refused.

pywsgi's own reader takes ``5_0`` and `` +5`` for sizes, goes on over a chunk that is followed by anything, and
answers some malformed ones with a traceback.
"""

from __future__ import annotations

import io
import re
from typing import Any, Callable

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n\Z")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n\Z")
#: Bytes of a chunk's first line, and of a trailer's; how many trailers there may be.
_LINE, _TRAILERS = 4096, 100
#: Bytes of all those lines together: many tiny chunks with long extensions are no body.
_OVERHEAD, _FREE = 16, 65_536


class BadChunk(OSError):
    """A malformed or truncated chunked body."""


class ChunkedBody(io.RawIOBase):
    """The bytes in the chunks that *rfile* gives.

    :param first: called before anything is read.
    """

    def __init__(self, rfile: Any, first: Callable[[], Any] = lambda: None) -> None:
        self._rfile = rfile
        self._first: Callable[[], Any] | None = first
        self._left = 0
        self._seen = self._lines = 0
        #: Whether the last chunk was read, and nothing of the body is to come.
        self.ended = False
        self._broken = False

    def readable(self) -> bool:
        """True, always (io.RawIOBase)."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is of the current chunk.

        :raises BadChunk: it is malformed, or ends early; then nothing more is read.
        """
        if self._broken:
            raise BadChunk("the chunks are malformed")
        try:
            return self._read(memoryview(buffer))
        except OSError:
            self._broken = True
            raise

    def _read(self, buffer: memoryview) -> int:
        if self.ended:
            return 0
        if self._first is not None:
            first, self._first = self._first, None
            first()
        if not self._left:
            self._left = self._next()
            if not self._left:
                self._skip_trailers()
                self.ended = True
                return 0
        data = self._rfile.read1(min(len(buffer), self._left))
        if not data:
            raise BadChunk("the client left in the middle of a chunk")
        buffer[: len(data)] = data
        self._left -= len(data)
        self._seen += len(data)
        if not self._left and self._line(3) != b"\r\n":
            raise BadChunk("a chunk is longer than its size line declares")
        return len(data)

    def _next(self) -> int:
        found = _SIZE.match(self._line(_LINE))
        if found is None:
            raise BadChunk("a chunk must begin with its size")
        return int(found.group(1), 16)

    def _line(self, most: int) -> bytes:
        line: bytes = self._rfile.readline(most)
        self._lines += len(line)
        if self._lines > _FREE + self._seen * _OVERHEAD:
            raise BadChunk("the chunks are tiny, and what is between them is not")
        return line

    def _skip_trailers(self) -> None:
        for _ in range(_TRAILERS):
            line = self._line(_LINE)
            if line == b"\r\n":
                return
            if not _TRAILER.match(line):
                raise BadChunk("a trailer must be NAME: VALUE on one line")
        raise BadChunk(f"more than {_TRAILERS} trailers")
