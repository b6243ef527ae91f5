"""The server's end of a websocket (RFC 6455), fit for strangers.

Messages have a size limit, senders take turns, every end has its close code, and a silent peer gets a ping.
"""

from __future__ import annotations

import logging
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Sequence

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from geventwebsocket.exceptions import WebSocketError

from ...events.time_slice import TimeSlice
from ...websocket.frames import (
    BINARY,
    CLOSE,
    NORMAL,
    NOT_TEXT,
    PING,
    PONG,
    TRY_AGAIN_LATER,
    FrameDecoder,
    FrameError,
    WebSocketFrame,
    decode_close,
    encode_close,
    encode_frame,
    message_parts,
)
from ..requests.request import MAX_UNAUTHENTICATED_BYTES
from ..server.socket_writer import send_parts

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


class Closed(WebSocketError):  # type: ignore[misc]
    """The websocket is closed; nothing can be sent."""


class WebSocket:
    """A websocket after its handshake.

    :param environ: the request's WSGI environment.
    :param sock: the connection.
    :param early: what the peer sent after its request.
    :param limit: bytes that a message may have.
    """

    def __init__(self, environ: dict[str, Any], sock: Any, early: bytes, limit: int) -> None:
        self.environ = environ
        self.closed = False
        #: The code with which the peer closed it; 0 if it did not, and also if it only answered our close.
        self.peer_code = 0
        self._sock = sock
        self._decoder = FrameDecoder(limit, masked=True, data=early)
        self._turn = BoundedSemaphore(1)
        self._asked = False
        #: Set when something is received, while another greenlet waits for a sign of life.
        self._heard: Event | None = None
        self._closing = False
        self._parting: gevent.Greenlet | None = None
        self._pace = TimeSlice()
        #: Its slot among all websockets, where those are counted.
        self.slot: Slot | None = None

    # -- receiving ------------------------------------------------------------------------------

    def receive(self) -> str | bytes | None:
        """Wait for a message: text or bytes; None when the websocket is closed, by either end."""
        try:
            return None if self.closed else self.read_message()
        except FrameError as error:
            self._refuse(error.code, str(error))
        except (OSError, WebSocketError):
            self._gone()
        return None

    def read_message(self) -> str | bytes | None:
        """Return the next message; None after a close frame."""
        while True:
            self._pace.give_way()
            frame = self._decoder.take()
            if frame is None:
                if self._decoder.missing:
                    self._fill()
            elif frame.opcode < CLOSE:
                self._pace.give_way()  # before it is worked on
                return self._message(frame)
            elif not self._control(frame):
                return None

    @staticmethod
    def _message(frame: WebSocketFrame) -> str | bytes:
        if frame.opcode == BINARY:
            return frame.payload
        try:
            return frame.payload.decode()
        except UnicodeDecodeError:
            raise FrameError(NOT_TEXT, "a text message must be UTF-8") from None

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
            if self._heard is not None:
                self._heard.set()
            self._decoder.feed(data)
            return

    def _ask(self) -> None:
        if self._turn.locked():
            return  # it leaves something unread; that has a limit of its own
        if self._asked:
            raise Closed("the peer is silent")
        self._asked = True
        self.send_frame(b"", PING)

    def is_alive(self, seconds: float) -> bool:
        """Ask the peer for a sign of life; tells whether one comes within *seconds*. Another greenlet must receive."""
        heard = self._heard = Event()
        # In a greenlet of its own: half a frame must not be broken off, and one that is stuck has a limit of its own.
        gevent.spawn(self._ping_quietly)
        try:
            heard.wait(seconds)
            return heard.is_set() and not self.closed
        finally:
            self._heard = None

    def _ping_quietly(self) -> None:
        with suppress(Closed):
            self.send_frame(b"", PING)

    def _control(self, frame: WebSocketFrame) -> bool:
        """Act on a control frame; returns whether the websocket goes on."""
        if frame.opcode == PING and not self._closing:
            self.send_frame(frame.payload, PONG)
        elif frame.opcode == CLOSE:
            code, _ = decode_close(frame.payload)
            self.peer_code = 0 if self._closing else code
            self._say_close(code, "")
            self._gone()
            return False
        return True

    # -- sending --------------------------------------------------------------------------------

    def send(self, message: str | bytes, binary: bool | None = None) -> None:
        """Send a message: text as text, bytes as binary; waits while the peer does not read.

        :raises Closed: the websocket is closed.
        """
        self._write(message_parts(message, binary))

    def send_all(self, messages: Iterable[str | bytes]) -> None:
        """Send several messages at once; see :meth:`send`."""
        self._write([part for message in messages for part in message_parts(message)])

    def send_frame(self, message: bytes, opcode: int) -> None:
        """Send one whole frame; see :meth:`send`."""
        self._write((encode_frame(message, opcode),), opcode == CLOSE)

    def _write(self, parts: Sequence[bytes], last: bool = False) -> None:
        """Send whole frames; others that send wait for their turn."""
        with self._turn:
            if self.closed or self._closing:
                raise Closed("the websocket is closed")
            self._closing = last
            self._sock.settimeout(SEND_TIMEOUT)
            try:
                send_parts(self._sock, parts, self._pace)
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
        limit = self._decoder.limit
        self._decoder.limit = min(limit, MAX_UNAUTHENTICATED_BYTES)
        if self.slot is not None:
            self.slot.make_evictable(
                lambda: gevent.spawn(self.close, TRY_AGAIN_LATER, "others need the place; send the key at once")
            )
        try:
            yield
        finally:
            self._decoder.limit = limit
            if self.slot is not None:
                self.slot.keep()

    def _say_close(self, code: int, message: str | bytes) -> None:
        try:
            # One that is stuck with something unread would not read this, either.
            with gevent.Timeout(CLOSE_TIMEOUT, Closed("the peer does not read")):
                self.send_frame(encode_close(code, message), CLOSE)
        except Closed:
            log.debug("a websocket was closed without a close frame")

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
        if self._heard is not None:
            self._heard.set()
        if self._parting is not None:
            self._parting.kill(block=False)

    def _cut(self) -> None:
        """End the connection whatever the peer does; a waiting :meth:`receive` returns."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
