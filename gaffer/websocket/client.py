"""The client's end of a websocket, on any connected socket; the handshake is websocket-client's."""

from __future__ import annotations

import os
import threading
from typing import Any, ContextManager, Mapping

from .frames import CLOSE, NORMAL, PING, PONG, TEXT, FrameDecoder, WebSocketFrame, encode_close, encode_frame

#: Bytes of one read; no more than a frame needs are read, so the socket is readable while something has come.
_READ_BYTES = 65_536


class ClientWebSocket:
    """A websocket after its handshake. What is read is neither timed nor counted here: *sock* may do so.

    :param sock: a connected socket; the caller closes it.
    :param url: ``ws://host:port/path``, for the handshake.
    :param limit: bytes that a message may have.
    :param lock: held while a frame is sent; of greenlets where several of them send.
    :raises websocket.WebSocketException, OSError: there is no websocket.
    """

    def __init__(
        self, sock: Any, url: str, headers: Mapping[str, str], limit: int, lock: ContextManager[Any] | None = None
    ) -> None:
        import websocket

        self.sock = sock
        self._lock = lock or threading.Lock()
        self._closing = False
        self._decoder = FrameDecoder(limit, masked=False)
        handshake: Any = websocket.WebSocket(enable_multithread=False)
        handshake.connect(url, socket=sock, header=dict(headers), suppress_origin=True, redirect_limit=0)

    def receive(self) -> WebSocketFrame:
        """Return the next message or close frame. Pings are answered, and so is a close.

        :raises FrameError: what came is not allowed. :raises OSError: the connection is lost; after a TimeoutError,
            the call may be repeated.
        """
        while True:
            frame = self._decoder.take()
            if frame is None:
                self._read()
            elif frame.opcode == PING:
                self.send(frame.payload, PONG)
            elif frame.opcode == CLOSE:
                self.send_close()
                return frame
            elif frame.opcode != PONG:
                return frame

    def _read(self) -> None:
        if self._decoder.missing:
            data = self.sock.recv(min(self._decoder.missing, _READ_BYTES))
            if not data:
                raise ConnectionResetError("the peer has left")
            self._decoder.feed(data)

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send a message or a control frame.

        :raises OSError: the connection is lost.
        """
        with self._lock:
            self.sock.sendall(encode_frame(payload, opcode, os.urandom(4)))

    def send_close(self, code: int = NORMAL, reason: str = "") -> None:
        """Send a close frame, unless one was sent.

        :raises OSError: the connection is lost.
        """
        if not self._closing:
            self._closing = True
            self.send(encode_close(code, reason), CLOSE)
