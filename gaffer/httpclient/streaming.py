"""An answer that goes on, read as it comes: for feeds.

The files that :mod:`http.client` reads from cannot tell whether they hold
something already, so waiting for one with a timeout is impossible; these can.
"""

from __future__ import annotations

import http.client
import select
import time
from typing import TYPE_CHECKING, Any, Mapping

from .transport import Response, read_body

if TYPE_CHECKING:
    from .transport import Transport

_READ_SIZE = 65_536
#: More bytes than the head of a chunk has.
_MAX_CHUNK_HEAD_BYTES = 1000
#: Seconds after a timeout in which data that has arrived is still read.
ARRIVED_GRACE = 0.25
#: Bytes of an error.
_MAX_ERROR_BYTES = 1 << 20


class Incoming:
    """A connection as the file that :class:`http.client.HTTPResponse` reads from, with timeouts."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        # While this is open the socket is, too, whatever http.client thinks of the connection.
        self._reference = sock.makefile("rb", buffering=0)
        self._data = b""
        self._poll: Any = None

    def ready(self, timeout: float | None) -> bool:
        """Wait until there is something, or the end; False when *timeout* seconds passed before."""
        if self._data or getattr(self._sock, "pending", int)():
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._sock, select.POLLIN)
        return bool(self._poll.poll(None if timeout is None else max(0, timeout) * 1000))

    def _fill(self) -> bool:
        data = self._sock.recv(_READ_SIZE)
        self._data += data
        return bool(data)

    def _cut(self, size: int) -> bytes:
        cut, self._data = self._data[:size], self._data[size:]
        return cut

    def readline(self, limit: int = -1) -> bytes:
        while (end := self._data.find(b"\n")) < 0 and not 0 <= limit <= len(self._data) and self._fill():
            pass
        size = end + 1 if end >= 0 else len(self._data)
        return self._cut(min(size, limit) if limit >= 0 else size)

    def read(self, size: int = -1) -> bytes:
        while not 0 <= size <= len(self._data) and self._fill():
            pass
        return self._cut(size if size >= 0 else len(self._data))

    def read1(self, size: int) -> bytes:
        if not self._data:
            self._fill()
        return self._cut(size)

    def flush(self) -> None:
        """Do nothing: it is only read from."""

    def close(self) -> None:
        self._reference.close()


class _Response(http.client.HTTPResponse):
    """A response that is read by http.client up to its body, and then by us."""

    incoming: Incoming

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        assert self.fp is not None
        self.fp.close()
        self.incoming = Incoming(sock)
        self.fp = self.incoming  # type: ignore[assignment]


class BodyDecoder:
    """A decoder of bodies; http.client would wait for the next chunk before it returns the last one.

    :param chunked: it comes in chunks (RFC 9112 §7.1).
    :param length: its length; None if only the end of the connection ends it.
    """

    def __init__(self, chunked: bool, length: int | None) -> None:
        self._chunked, self._left = chunked, 0 if chunked else length
        self._first = True
        self._data, self._at = b"", 0
        self.ended = not chunked and length == 0

    def feed(self, data: bytes) -> bytes:
        """Return what of the body has come with *data*; nothing means that the connection has ended.

        :raises http.client.HTTPException: it is cut, or no chunk.
        """
        if not data:
            if self._chunked or self._left is not None:
                raise http.client.IncompleteRead(b"")
            self.ended = True
        # Nothing is cut off from the front: small chunks would make a copy of the rest each.
        self._data, self._at = self._data[self._at :] + data, 0
        parts = bytearray()
        while self._at < len(self._data) and not self.ended and (self._left != 0 or self._begin()):
            end = len(self._data) if self._left is None else min(self._at + self._left, len(self._data))
            parts += memoryview(self._data)[self._at : end]
            if self._left is not None:
                self._left -= end - self._at
                self.ended = self.ended or not (self._chunked or self._left)
            self._at = end
        return bytes(parts)

    def _begin(self) -> bool:
        """Begin a chunk, after the end of the one before; False if its head is not complete."""
        start = self._at + (0 if self._first else 2)
        end = self._data.find(b"\r\n", start)
        if end < 0:
            if len(self._data) - self._at > _MAX_CHUNK_HEAD_BYTES:
                raise http.client.HTTPException("that is no chunk")
            return False
        try:
            self._left = int(self._data[start:end].partition(b";")[0], 16)
        except ValueError:
            raise http.client.HTTPException("that is no chunk") from None
        self._first, self._at = False, end + 2
        self.ended = not self._left
        return True


class Answering:
    """The answer to one GET, as it comes.

    :param headers: beside those of every request.
    :param silence: seconds without anything at all, after which the connection is thought dead; None waits for ever.
    :raises GafferError: see :meth:`~gaffer.httpclient.transport.Transport.request`.

    Close it.
    """

    def __init__(
        self, transport: Transport, path: str, headers: Mapping[str, str], silence: float | None = None
    ) -> None:
        self._transport, self._path, self._silence = transport, path, silence
        self._connection = transport.connected()
        self._connection.response_class = _Response
        with self._problems():
            self._connection.request("GET", transport.address.prefix + path, headers={**transport.headers, **headers})
            self._meter = transport.begin(self._connection)
            response = self._connection.getresponse()
        assert isinstance(response, _Response)
        self._response = response
        self._heard = time.monotonic()
        if response.status >= 300:
            self._refuse()
        self._body = BodyDecoder(bool(response.chunked), response.length)

    def _problems(self) -> Any:
        return self._transport.problems(self._connection, "GET", self._path)

    def _refuse(self) -> None:
        try:
            with self._problems():
                body = read_body(self._meter, self._response, _MAX_ERROR_BYTES)
        finally:
            self.close()
        if len(body) > _MAX_ERROR_BYTES:
            raise self._transport.endless("GET", self._path, _MAX_ERROR_BYTES)
        answer = Response(self._response.status, self._response.headers.get_content_type(), body)
        self._transport.checked("GET", self._path, answer)

    def fileno(self) -> int:
        """Return the descriptor that is readable when something comes."""
        return int(self._connection.sock.fileno()) if self._connection.sock is not None else -1

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the next bytes; ``b""`` at the end, None when nothing came within *timeout* seconds.

        :raises Disconnected: the answer was cut. :raises NoAnswer: nothing came for too long.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        incoming = self._response.incoming
        while not self._body.ended:
            # A feed may go on for ever; what is kept of it is bounded by the reader.
            self._meter.begin(_READ_SIZE)
            with self._problems():
                if not incoming.ready(self._patience(deadline)):
                    self._mind_the_silence()
                    return None
                data = self._body.feed(incoming.read1(_READ_SIZE))
            self._heard = time.monotonic()
            if data:
                return data
            if deadline is not None and time.monotonic() > deadline + ARRIVED_GRACE:
                return None
        return b""

    def _patience(self, deadline: float | None) -> float | None:
        """Return how long to wait: until *deadline*, or until the silence is too long."""
        if self._silence is not None:
            silent = self._heard + self._silence
            deadline = silent if deadline is None else min(deadline, silent)
        return None if deadline is None else deadline - time.monotonic()

    def _mind_the_silence(self) -> None:
        if self._silence is not None and time.monotonic() - self._heard >= self._silence:
            raise TimeoutError

    def close(self) -> None:
        """End the answer, wherever it is."""
        self._response.close()
        self._connection.close()
