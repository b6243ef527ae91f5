"""Websockets (RFC 6455): gevent-websocket's, made fit for strangers.

Its frame headers and codes are used. Replaced is what let a client stop the
program, or reserve its memory: messages have a size limit and every frame is
masked, unmasking and UTF-8 are done by C code once a message, senders take
turns, every end has its close code, and a silent peer gets a ping.
"""

from __future__ import annotations

import logging
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterable, Iterator

import gevent
from gevent.lock import BoundedSemaphore
from geventwebsocket.exceptions import ProtocolError, WebSocketError
from geventwebsocket.websocket import Header
from geventwebsocket.websocket import WebSocket as Base

from ..requests.request import MAX_UNAUTHENTICATED_BYTES
from ..server.time_slice import TimeSlice
from .frames import (
    NORMAL,
    NOT_TEXT,
    PROTOCOL,
    TOO_BIG,
    TRY_AGAIN_LATER,
    FrameError,
    encode_frame,
    encode_message,
    read_header,
    shorten_reason,
    unmask,
)

if TYPE_CHECKING:
    from ..server.slots import Slot

log = logging.getLogger("gaffer.web")

#: A peer that is silent this long is asked whether it is there, and given as long again, in seconds.
PING_INTERVAL = 30.0
#: How long a peer may leave unread what it is sent before it is cut off, in seconds.
SEND_TIMEOUT = 300.0
#: How long the other half of a closing handshake is waited for, in seconds.
CLOSE_TIMEOUT = 2.0
#: How much is still read from a peer that is being refused, so that it can read why.
_LINGER_BYTES = 16 << 20
_RECEIVE_BYTES = 65_536
#: Frames that a message may come in: many tiny ones would cost more than what they hold.
_MAX_FRAMES = 16_384


class Closed(WebSocketError):  # type: ignore[misc]
    """The websocket is closed; nothing can be sent."""


class WebSocket(Base):  # type: ignore[misc]
    """A websocket after its handshake.

    :param environ: the request's WSGI environment.
    :param sock: the connection.
    :param early: what the peer sent after its request.
    :param limit: bytes that a message may have.
    """

    def __init__(self, environ: dict[str, Any], sock: Any, early: bytes, limit: int) -> None:
        # The base would make a validator and bind methods of a stream; none of it is needed.
        self.environ = environ
        self.closed = False
        #: The code with which the peer closed it; 0 if it did not, and also if it only answered our close.
        self.peer_code = 0
        self.stream = self
        self._sock = sock
        self._buffer = bytearray(early)
        self._limit = limit
        self._turn = BoundedSemaphore(1)
        self._asked = False
        self._closing = False
        self._parting: gevent.Greenlet | None = None
        self._pace = TimeSlice()
        #: Its slot among all websockets, where those are counted.
        self.slot: Slot | None = None

    def __del__(self) -> None:
        """Do nothing, where the base would write to the connection at any odd moment."""

    # -- receiving ------------------------------------------------------------------------------

    def receive(self) -> str | bytes | None:
        """Wait for a message: text or bytes; None when the websocket is closed, whoever did it."""
        try:
            return None if self.closed else self.read_message()
        except FrameError as error:
            self._refuse(error.code, str(error))
        except ProtocolError as error:
            self._refuse(PROTOCOL, str(error) or "not a frame")
        except (OSError, WebSocketError):
            self._gone()
        return None

    def read_message(self) -> str | bytes | None:
        """Return the next message; None after a close frame."""
        kind, parts, size, frames = None, [], 0, 0
        while True:
            header, payload = self.read_frame(self._limit - size)
            if header.opcode >= self.OPCODE_CLOSE:
                if not self._control(header, payload):
                    return None
                continue
            if (header.opcode == self.OPCODE_CONTINUATION) == (kind is None):
                raise FrameError(PROTOCOL, "fragments are mixed up")
            kind = header.opcode if kind is None else kind
            size += len(payload)
            frames += 1
            if frames > _MAX_FRAMES:
                raise FrameError(TOO_BIG, f"a message may come in {_MAX_FRAMES} frames")
            if payload:
                parts.append(payload)
            if header.fin:
                self._pace.give_way()  # before anybody works on it
                return self._message(kind, b"".join(parts))

    def _message(self, kind: int, data: bytes) -> str | bytes:
        if kind == self.OPCODE_BINARY:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise FrameError(NOT_TEXT, "a text message must be UTF-8") from None

    def read_frame(self, limit: int | None = None) -> tuple[Header, bytes]:
        """Return the next frame; its payload is unmasked.

        :param limit: bytes that its payload may have.
        """
        self._pace.give_way()
        header = read_header(self, limit, self._limit)
        return header, unmask(self.read(header.length), header.mask)

    def read(self, size: int) -> bytes:
        """Return exactly *size* bytes of the connection; the base reads headers through it."""
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self) -> None:
        """Wait for more; a silent peer is asked once, then given up.

        :raises Closed: it is gone.
        """
        while True:
            self._pace.give_way()
            self._sock.settimeout(PING_INTERVAL)
            try:
                data = self._sock.recv(_RECEIVE_BYTES)
            except TimeoutError:
                self._ask()
                continue
            if not data:
                raise Closed("the peer has left")
            self._asked = False
            self._buffer += data
            return

    def _ask(self) -> None:
        if self._turn.locked():
            return  # it leaves something unread; that has a limit of its own
        if self._asked:
            raise Closed("the peer is silent")
        self._asked = True
        self.send_frame(b"", self.OPCODE_PING)

    def _control(self, header: Header, payload: bytes) -> bool:
        """Act on a control frame; returns whether the websocket goes on."""
        if header.opcode == self.OPCODE_PING and not self._closing:
            self.send_frame(payload, self.OPCODE_PONG)
        elif header.opcode == self.OPCODE_CLOSE:
            self._answer_close(payload)
            return False
        return True

    def _answer_close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NORMAL
        if len(payload) == 1 or not self._is_valid_close_code(code) or code > 4999:
            raise FrameError(PROTOCOL, "that is no close code")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise FrameError(NOT_TEXT, "the reason of a close must be UTF-8") from None
        self.peer_code = 0 if self._closing else code
        self._say_close(code, "")
        self._gone()

    # -- sending --------------------------------------------------------------------------------

    def send(self, message: str | bytes, binary: bool | None = None) -> None:
        """Send a message: text as text, bytes as binary; waits while the peer does not read.

        :raises Closed: the websocket is closed.
        """
        self._write(encode_message(message, binary))

    def send_all(self, messages: Iterable[str | bytes]) -> None:
        """Send several messages at once; see :meth:`send`."""
        self._write(b"".join(map(encode_message, messages)))

    def send_frame(self, message: bytes, opcode: int) -> None:
        """Send one whole frame; see :meth:`send`."""
        self._write(encode_frame(message, opcode), opcode == self.OPCODE_CLOSE)

    def _write(self, data: bytes, last: bool = False) -> None:
        """Send whole frames; others that send wait for their turn."""
        with self._turn:
            if self.closed or self._closing:
                raise Closed("the websocket is closed")
            self._closing = last
            self._sock.settimeout(SEND_TIMEOUT)
            try:
                self._sock.sendall(data)
            except OSError as error:
                self._cut()
                raise Closed(f"the peer has left: {error}") from error

    # -- closing --------------------------------------------------------------------------------

    def close(self, code: int = NORMAL, message: str | bytes = "") -> None:
        """Send a close frame; the receiving greenlet waits for the peer's answer.

        :param code: see RFC 6455 §7.4.
        :param message: the reason, at most 123 bytes are sent.
        """
        if self.closed or self._parting is not None:
            return
        self._parting = gevent.spawn_later(CLOSE_TIMEOUT, self._cut)
        self._say_close(code, message)

    @contextmanager
    def as_unauthenticated(self) -> Iterator[None]:
        """Accept short messages only, and let others take the slot, until the peer is authenticated."""
        limit, self._limit = self._limit, min(self._limit, MAX_UNAUTHENTICATED_BYTES)
        if self.slot is not None:
            self.slot.make_evictable(
                lambda: gevent.spawn(self.close, TRY_AGAIN_LATER, "others need the place; send the key at once")
            )
        try:
            yield
        finally:
            self._limit = limit
            if self.slot is not None:
                self.slot.keep()

    def _say_close(self, code: int, message: str | bytes) -> None:
        reason = message.encode("utf-8", "replace") if isinstance(message, str) else message
        try:
            # One that is stuck with something unread would not read this, either.
            with gevent.Timeout(CLOSE_TIMEOUT, Closed("the peer does not read")):
                self.send_frame(code.to_bytes(2, "big") + shorten_reason(reason), self.OPCODE_CLOSE)
        except Closed:
            log.debug("a websocket was closed without a word")

    def _refuse(self, code: int, reason: str) -> None:
        """Close, and let the peer read why: closing while it still sends would destroy that on its way."""
        self._say_close(code, reason)
        try:
            self._sock.shutdown(socket.SHUT_WR)
            left = _LINGER_BYTES
            with gevent.Timeout(CLOSE_TIMEOUT, False):
                while left > 0 and (data := self._sock.recv(_RECEIVE_BYTES)):
                    left -= len(data)
                    self._pace.give_way()
        except OSError:
            pass
        self._gone()

    def _gone(self) -> None:
        """Nothing will be received any more."""
        self.closed = True
        if self._parting is not None:
            self._parting.kill(block=False)

    def _cut(self) -> None:
        """End the connection whatever the peer does; whoever receives notices it."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
