"""Servers that never end what they answer: for everything that reads answers, in processes of their own.

A :class:`Flood` is what such a server sends after a request: *first*, and then *again* for ever, as fast as it is
taken or byte by byte. :data:`ANSWERS` are those to HTTP requests, :data:`FRAMES` those to websockets.
:func:`serve` is an attack for ``under_attack(..., early=True)``; :class:`Server` is one to talk to from a test.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from typing import Any, Iterable, Iterator, NamedTuple

from tests.kit.under_attack import forkserver, listening

#: Whether a server sends as fast as it can, or a byte at a time.
ENDLESS, DRIPPING = "endless", "dripping"
MANNERS = (ENDLESS, DRIPPING)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_GREAT = 1 << 33
#: Bytes that buffers of the system take of an endless answer before it is read, twice.
BUFFERS = 16 << 20


class Flood(NamedTuple):
    """What is sent.

    :param websocket: whether *first* follows the answer that makes a websocket of the connection.
    :param only: what the path of a request has in it; others get an answer as etcd gives it, with an end.
    """

    first: bytes
    again: bytes
    websocket: bool = False
    only: bytes = b""


def text(words: bytes) -> bytes:
    """Return a server's text frame."""
    size = len(words)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return b"\x81" + length + words


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
#: By what never ends.
ANSWERS = {
    "a status line": Flood(b"HTTP/1.1 200 ", b"x"),
    "100 Continue": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers of a 100": Flood(b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n"),
    "headers": Flood(_OK, b"X: y\r\n"),
    "a header": Flood(_OK + b"X: ", b"x"),
    "a body": Flood(_OK + b"Content-Length: %d\r\n\r\n" % _GREAT, b"x"),
    "a body until the end": Flood(_OK + b"\r\n", b"x"),
    "small chunks": Flood(_CHUNKED, b"2\r\nxx\r\n"),
    "a chunk": Flood(_CHUNKED + b"%x\r\n" % _GREAT, b"x"),
    "the head of a chunk": Flood(_CHUNKED, b"0"),
    "the extension of a chunk": Flood(_CHUNKED + b"1;", b"x"),
    "trailers": Flood(_CHUNKED + b"0\r\n", b"X: y\r\n"),
    "the body of an error": Flood(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % _GREAT, b"x"),
    "empty lines": Flood(_CHUNKED, b"1\r\n\n\r\n"),
}
#: After the answer that makes a websocket of the connection.
FRAMES = {
    "pings": Flood(b"", b"\x89\x00", True),
    "pongs": Flood(b"", b"\x8a\x00", True),
    "empty fragments": Flood(b"\x01\x00", b"\x00\x00", True),
    "fragments": Flood(b"\x01\x01x", b"\x00\x01x", True),
    "a frame": Flood(b"\x82\x7f" + _GREAT.to_bytes(8, "big"), b"x", True),
    "messages": Flood(b"", text(b"{}"), True),
    "arrays in arrays": Flood(b"", text(b"[" * 60_000), True),
}
_IDENTIFIED = text(b'{"ok": true, "msgid": 1, "ping_interval": 1}')
#: What a lookupd may do to a node that it has let in.
LINKS = {f"{name} after the handshake": flood for name, flood in FRAMES.items()} | {
    f"{name} after a registration": Flood(_IDENTIFIED + flood.first, flood.again, True)
    for name, flood in FRAMES.items()
}
_REVISION = _OK + b'Content-Length: 27\r\nConnection: close\r\n\r\n{"header":{"revision":"1"}}'
_CHANGE = b'{"result":{"header":{"revision":"1"},"events":[]}}\n'
#: What etcd may do to who watches.
WATCHES = {
    "a line": Flood(_CHUNKED, b"4\r\nxxxx\r\n", only=b"/watch"),
    "changes": Flood(_CHUNKED, b"%x\r\n%s\r\n" % (len(_CHANGE), _CHANGE), only=b"/watch"),
    "a chunk": Flood(_CHUNKED + b"%x\r\n" % _GREAT, b"x", only=b"/watch"),
    "the head of a chunk": Flood(_CHUNKED, b"0", only=b"/watch"),
    "100 Continue": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n", only=b"/watch"),
}
#: Sent at once by feeds that never have anything to say.
FEEDS = {
    "beats": Flood(_CHUNKED, b"4\r\n: x\n\r\n"),
    "data without an end": Flood(_CHUNKED, b"8\r\ndata: x\n\r\n"),
    "a line": Flood(_CHUNKED, b"4\r\nxxxx\r\n"),
}


def serve(floods: Iterable[tuple[socket.socket, Flood]], manner: str, _port: int = 0) -> None:
    """Serve each at its listening socket, for ever; *_port* is the attacked program's, which comes by itself."""
    threads = [threading.Thread(target=_accept, args=(*one, manner, _Sent(None)), daemon=True) for one in floods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Server:
    """One such server; use it as a context."""

    def __init__(self, flood: Flood, manner: str = ENDLESS) -> None:
        self._socket = listening()
        self._sent: Any = forkserver.Value("Q", 0)
        self._process = forkserver.Process(
            target=_accept, args=(self._socket, flood, manner, _Sent(self._sent)), daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    @property
    def sent(self) -> int:
        """How many bytes were taken from it, or fill buffers of the system."""
        return int(self._sent.value)

    def __enter__(self) -> Server:
        self._process.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.join()
        self._socket.close()


class _Sent:
    def __init__(self, value: Any) -> None:
        self._value = value

    def count(self, size: int) -> None:
        if self._value is not None:
            with self._value.get_lock():
                self._value.value += size


def _accept(sock: socket.socket, flood: Flood, manner: str, sent: _Sent) -> None:
    while True:
        connection, _ = sock.accept()
        threading.Thread(target=_answer, args=(connection, flood, manner, sent), daemon=True).start()


def _answer(connection: socket.socket, flood: Flood, manner: str, sent: _Sent) -> None:
    try:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(65_536)
                if not data:
                    return
                request += data
            if flood.only not in request.partition(b"\r\n")[0]:
                connection.sendall(_REVISION)
                return
            threading.Thread(target=_drain, args=(connection,), daemon=True).start()
            connection.sendall((_shake_hands(request) if flood.websocket else b"") + flood.first)
            for data in _pieces(flood, manner):
                connection.sendall(data)
                sent.count(len(data))
    except OSError:
        pass  # it has been enough for the client


def _pieces(flood: Flood, manner: str) -> Iterator[bytes]:
    if manner == ENDLESS:
        many = flood.again * max(1, 65_536 // len(flood.again))
        while True:
            yield many
    while True:
        for byte in flood.again:
            time.sleep(0.02)
            yield bytes((byte,))


def _drain(connection: socket.socket) -> None:
    try:
        while connection.recv(1 << 20):
            pass
    except OSError:
        pass


def _shake_hands(request: bytes) -> bytes:
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    accepted = base64.b64encode(hashlib.sha1((found[1] if found else b"") + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
    )
