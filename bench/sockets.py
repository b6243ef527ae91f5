"""Websocket clients that take little time themselves, and one program that has many of them.

Run as a program, so that reading costs gafferd nothing but another core: ``sockets.py PORT PATH COUNT SIZE``
reads SIZE bytes with each of COUNT websockets. It says ``ready`` when all are open, and in the end one line of JSON.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
import zlib
from typing import Iterator

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
#: Seconds without anything after which a reader gives up.
SILENCE = 5.0
_RECEIVE = 1 << 20


class Socket:
    """One websocket.

    :param receive: bytes that the kernel may keep for it; by default what it likes.
    """

    def __init__(self, port: int, path: str, receive: int = 0) -> None:
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(30)
        self.sock.connect(("127.0.0.1", port))
        self.sock.sendall(HANDSHAKE.format(path=path).encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(4096)
            assert data, self.buffer
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        assert b" 101 " in head, head

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, data: bytes, opcode: int = TEXT) -> None:
        """Send a short message; the mask of zeros is a mask."""
        assert len(data) < 65536
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self.sock.sendall(bytes([0x80 | opcode]) + size + bytes(4) + data)

    def receive(self) -> bool:
        """Take what there is; tells whether the connection goes on."""
        data = self.sock.recv(_RECEIVE)
        self.buffer += data
        return bool(data)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield the whole frames that were received: opcode and payload. Pings are answered."""
        at, buffer = 0, self.buffer
        while len(buffer) - at >= 2:
            size, begin = buffer[at + 1], at + 2
            if size >= 126:
                begin += 2 if size == 126 else 8
                size = int.from_bytes(buffer[at + 2 : begin], "big") if len(buffer) >= begin else len(buffer)
            if len(buffer) < begin + size:
                break
            opcode = buffer[at] & 0x0F
            if opcode == PING:
                self.send(buffer[begin : begin + size], PONG)
            yield opcode, buffer[begin : begin + size]
            at = begin + size
        self.buffer = buffer[at:]

    def close(self) -> None:
        self.sock.close()


class Reader:
    """Counts and checks what one websocket gets."""

    def __init__(self, sock: Socket) -> None:
        self.sock = sock
        self.size = self.checksum = 0

    def read(self) -> bool:
        """Take what there is; tells whether there will be more."""
        going_on = self.sock.receive()
        for opcode, data in self.sock.frames():
            if opcode == CLOSE:
                return False
            if opcode not in (PING, PONG):
                self.size += len(data)
                self.checksum = zlib.crc32(data, self.checksum)
        return going_on


def read_all(readers: list[Reader], size: int) -> float:
    """Let all readers read *size* bytes each; returns the seconds from the first byte to the last."""
    selector = selectors.DefaultSelector()
    for reader in readers:
        selector.register(reader.sock, selectors.EVENT_READ, reader)
    began = 0.0
    last = time.monotonic()
    while selector.get_map() and (events := selector.select(SILENCE if began else 60)):
        began = began or time.monotonic()
        for key, _ in events:
            if not key.data.read() or key.data.size >= size:
                selector.unregister(key.fileobj)
        last = time.monotonic()
    return last - began


def main(port: int, path: str, count: int, size: int) -> None:
    from writer import BLOCK

    readers = [Reader(Socket(port, path)) for _ in range(count)]
    print("ready", flush=True)
    seconds = read_all(readers, size)
    expected = 0
    for begin in range(0, size, len(BLOCK)):
        expected = zlib.crc32(BLOCK[: min(len(BLOCK), size - begin)], expected)
    exact = [reader.size == size and reader.checksum == expected for reader in readers]
    print(json.dumps({"seconds": seconds, "bytes": [reader.size for reader in readers], "exact": exact}), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
