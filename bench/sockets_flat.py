"""``python -m bench.sockets_flat``: what clients of ``/channel`` cost while they are idle, and what they leave behind.

A thousand of each kind connect, follow all events and say nothing: how much memory that is and how much CPU time. Then
thousands come, speak and go, politely and not: afterwards there are as many descriptors as before, and as much memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import socket
import time
from typing import Any, Callable, NamedTuple

from .http_flat import Footprint, footprint, gafferd
from .procfs import cpu_ns, pss_mb

#: How long nobody does anything, in seconds, and what a client waits for an answer.
QUIET, PATIENCE = 10.0, 30.0
#: How long a session waits for its client to come back, in seconds.
FORGOTTEN = 0.5
_HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_SUBSCRIBE = json.dumps({"event": "SUB", "data": {"topic": "EVENTS"}})
_HEARD = b"subscription_success"
_numbers = itertools.count()


def frame(text: str) -> bytes:
    """Return a text message as a client's frame."""
    data, mask = text.encode(), b"\0\0\0\0"
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + mask + data


class Visitor:
    """One client's connection."""

    def __init__(self, port: int, method: str, path: str, headers: str = "", body: bytes = b"") -> None:
        self.port, self.path = port, path
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.seen = b""
        if method == "POST":
            headers += f"Content-Length: {len(body)}\r\n"
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode() + body)

    def until(self, text: bytes) -> None:
        """Read until *text* came."""
        while text not in self.seen:
            data = self.sock.recv(65536)
            assert data, f"{self.path} ended without {text!r}: {self.seen[-300:]!r}"
            self.seen = (self.seen + data)[-8192:]

    def close(self) -> None:
        self.sock.close()


def raw(port: int) -> Visitor:
    """Follow all events over ``/channel/websocket``."""
    visitor = Visitor(port, "GET", "/channel/websocket", _HANDSHAKE)
    visitor.until(b"\r\n\r\n")
    visitor.sock.sendall(frame(_SUBSCRIBE))
    visitor.until(_HEARD)
    return visitor


def sockjs(port: int) -> Visitor:
    """Follow all events over a websocket of SockJS."""
    visitor = Visitor(port, "GET", f"{_session()}/websocket", _HANDSHAKE)
    visitor.sock.sendall(frame(json.dumps([_SUBSCRIBE])))
    visitor.until(_HEARD)
    return visitor


def streaming(port: int) -> Visitor:
    """Follow all events over ``xhr_streaming``."""
    path = _session()
    visitor = Visitor(port, "POST", f"{path}/xhr_streaming")
    visitor.until(b"o\n")
    sender = Visitor(port, "POST", f"{path}/xhr_send", "Connection: close\r\n", json.dumps([_SUBSCRIBE]).encode())
    sender.until(b" 204 ")
    sender.close()
    visitor.until(_HEARD)
    return visitor


def polling(port: int) -> Visitor:
    """Poll twice over one connection and say something in between."""
    path = _session()
    visitor = Visitor(port, "POST", f"{path}/xhr")
    visitor.until(b"o\n")
    for name, body, answer in (("xhr_send", json.dumps([_SUBSCRIBE]).encode(), b" 204 "), ("xhr", b"", _HEARD)):
        head = f"POST {path}/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        visitor.sock.sendall(head.encode() + body)
        visitor.until(answer)
    return visitor


def _session() -> str:
    return f"/channel/000/{os.getpid()}-{next(_numbers)}"


#: Those that stay connected, and all.
IDLE: dict[str, Callable[[int], Visitor]] = {
    "raw websocket": raw,
    "SockJS websocket": sockjs,
    "xhr_streaming": streaming,
}
ALL: dict[str, Callable[[int], Visitor]] = {**IDLE, "polling": polling}


def polite(visitor: Visitor) -> None:
    """Close a websocket as it should be; cut off everything else."""
    if "websocket" in visitor.path:
        visitor.sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        visitor.until(b"\x88\x02\x03\xe8")
    visitor.close()


def halfway(visitor: Visitor) -> None:
    """Leave in the middle of a frame."""
    visitor.sock.sendall(b"\x81\xfe\xff")
    visitor.close()


def broken(visitor: Visitor) -> None:
    """Send what is none, and do not wait for the answer."""
    visitor.sock.sendall(b"\x81\x05hello")
    visitor.close()


LEAVE: tuple[Callable[[Visitor], None], ...] = (polite, Visitor.close, halfway, broken)


class Idle(NamedTuple):
    """What *count* idle clients cost.

    :param memory: bytes of each.
    :param cpu: CPU seconds of all in an hour.
    """

    kind: str
    count: int
    memory: float
    cpu: float


def idle(kind: str, count: int, quiet: float) -> Idle:
    """Measure one kind in a gafferd of its own, so that no memory is used again."""
    with gafferd(1) as (process, client):
        IDLE[kind](client.port).close()
        time.sleep(1)
        before = pss_mb([process.pid])
        visitors = [IDLE[kind](client.port) for _ in range(count)]
        time.sleep(1)
        memory = (pss_mb([process.pid]) - before) * 1e6 / count
        spent = cpu_ns([process.pid])
        time.sleep(quiet)
        spent = cpu_ns([process.pid]) - spent
        for visitor in visitors:
            visitor.close()
    return Idle(kind, count, memory, spent / 1e9 / quiet * 3600)


def come_and_go(count: int) -> tuple[Footprint, Footprint]:
    """Return what gafferd holds before and after so many visits; half as many come first, so that all is loaded."""
    with gafferd(1) as (process, client):
        visit(client.port, max(count // 2, 200))
        _forget(client)
        before = footprint(process, client, 1)
        visit(client.port, count)
        _forget(client)
        return before, footprint(process, client, 1)


def visit(port: int, count: int) -> None:
    """Let so many of every kind come and go in every way."""
    kinds = itertools.cycle(itertools.product(ALL.values(), LEAVE))
    for connect, leave in itertools.islice(kinds, count):
        try:
            leave(connect(port))
        except ConnectionError:
            pass  # gafferd was faster


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sockets_flat", description=__doc__)
    parser.add_argument("--idle", type=int, default=1000, help="clients that stay, of each kind")
    parser.add_argument("--visits", type=int, default=10_000, help="clients that come and go")
    parser.add_argument("--quiet", type=float, default=QUIET, help="seconds in which nobody does anything")
    options = parser.parse_args(argv)
    _make_room()
    before, after = come_and_go(options.visits)
    print(
        f"{options.visits} visits: descriptors {before.descriptors} -> {after.descriptors}, "
        f"memory {before.resident / 1e6:.1f} -> {after.resident / 1e6:.1f} MB, "
        f"{(after.resident - before.resident) / options.visits:.0f} bytes a visit",
        flush=True,
    )
    for kind in IDLE if options.idle else ():
        one = idle(kind, options.idle, options.quiet)
        print(
            f"{one.count} idle, {one.kind}: {one.memory * one.count / 1e6:.1f} MB, {one.memory / 1000:.1f} kB each, "
            f"{one.cpu:.1f} CPU s an hour",
            flush=True,
        )


def _make_room() -> None:
    """Allow what a thousand clients at one address need, and sessions of those that come and go within seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for option in ("HTTP_MAX_CONNECTIONS", "HTTP_MAX_PEER_CONNECTIONS", "HTTP_MAX_WEBSOCKETS", "SOCKJS_SESSIONS"):
        os.environ[f"GAFFERD_{option}"] = "100000"
    os.environ["GAFFERD_SOCKJS_TIMEOUT"] = str(FORGOTTEN)


def _forget(client: Any) -> None:
    """Wait until sessions that nobody comes back to are given up."""
    time.sleep(2 * FORGOTTEN)
    client.close()


if __name__ == "__main__":
    main()
