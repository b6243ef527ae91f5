"""A websocket client that can do everything wrong, in bytes."""

from __future__ import annotations

import os
import struct
from typing import Any, NamedTuple

from tests.kit.web import connect, parse

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Frame(NamedTuple):
    """A frame that the server sent."""

    opcode: int
    data: bytes

    @property
    def code(self) -> int:
        """The code of a close frame."""
        return int.from_bytes(self.data[:2], "big")

    @property
    def reason(self) -> str:
        """Its reason."""
        return self.data[2:].decode()


def frame(
    data: bytes = b"", opcode: int = BINARY, fin: bool = True, mask: bytes | None = b"abcd", flags: int = 0
) -> bytes:
    """Return a frame of a client; without a *mask* it is one that no client may send."""
    size = len(data)
    masked = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | flags | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65536:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    if mask:
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return head + (mask or b"") + data


class Client:
    """One connection, after its handshake."""

    def __init__(self, address: Any, path: str = "/ws", headers: str = HANDSHAKE, more: bytes = b"") -> None:
        self.sock = connect(address)
        self.buffer = b""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode() + more)
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                break
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        self.answer = parse(self.buffer)
        self.buffer = rest if self.answer.status == 101 else b""
        assert head or not self.buffer

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        self.buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes | None:
        while len(self.buffer) < size:
            if not self._more():
                return None
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def receive(self) -> Frame | None:
        """Return the next frame; None when the server has closed the connection."""
        head = self._take(2)
        if head is None:
            return None
        assert not head[1] & 0x80, "a server masks nothing"
        assert head[0] & 0x80 and not head[0] & 0x70
        size = head[1]
        if size >= 126:
            length = self._take(2 if size == 126 else 8)
            assert length is not None
            size = int.from_bytes(length, "big")
        data = self._take(size)
        assert data is not None
        return Frame(head[0] & 0x0F, data)

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def say(self, data: bytes | str) -> None:
        """Send a message."""
        self.send(frame(data.encode(), TEXT) if isinstance(data, str) else frame(data))

    def leave(self, code: int = 1000) -> Frame | None:
        """Close as it should be; returns what the server says last."""
        self.send(frame(code.to_bytes(2, "big"), CLOSE))
        last = self.receive()
        self.close()
        return last

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def random_bytes(size: int) -> bytes:
    return os.urandom(size)
