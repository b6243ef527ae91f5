"""Attacks on everything that reads of a client: each is what an endless, or a dripping, peer sends there."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from functools import partial
from typing import NamedTuple

from .under_attack import Attack, connect, drip, flood, masked, upgrade

#: A job that reads what is written to it; its process is the second one.
SINK = "[process:sink]\ncmd = cat\nredirect_input = true\n"
_HOST = b"Host: localhost\r\n"
_PING = b"GET /ping HTTP/1.1\r\n" + _HOST + b"\r\n"
_STATIC = upgrade("/channel/websocket")


def _post(path: str, more: str, kind: str = "application/json") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{more}\r\n\r\n".encode()


_CHUNKED = "Transfer-Encoding: chunked"


class Flood(NamedTuple):
    """Something sent again and again.

    :param data: what. :param first: what precedes it. :param reads: whether the answers are read.
    :param lookupd: whether a lookupd reads the like, too.
    """

    data: bytes
    first: bytes = b""
    reads: bool = False
    lookupd: bool = False

    def endless(self) -> Attack:
        """Return the attack that sends it as fast as it is taken."""
        return partial(flood, data=self.data, first=self.first, reads=self.reads)

    def dripping(self) -> Attack:
        """Return the attack that sends it byte by byte."""
        return partial(drip, data=self.data, first=self.first)


FLOODS = {
    "empty lines before a request": Flood(b"\r\n", lookupd=True),
    "a header line without end": Flood(b"a", b"GET / HTTP/1.1\r\nX: ", lookupd=True),
    "headers without end": Flood(b"X: a\r\n", b"GET / HTTP/1.1\r\n", lookupd=True),
    "pipelined requests": Flood(_PING, reads=True, lookupd=True),
    "pipelined requests that are refused": Flood(b"GET /nothing HTTP/1.1\r\n" + _HOST + b"\r\n", reads=True),
    "a body that is not read": Flood(b"x" * 1000, _post("/ping", f"Content-Length: {10**12}"), lookupd=True),
    "a body longer than it may be": Flood(b"x" * 1000, _post("/jobs/default", f"Content-Length: {10**12}")),
    "bodies that are no JSON": Flood(_post("/jobs/default", "Content-Length: 65536") + b"[" * 65_536, reads=True),
    "bodies of many values": Flood(
        _post("/jobs/default", "Content-Length: 1000000") + b"[" + b"[],0" * 249_999 + b"[]]", reads=True
    ),
    "tiny chunks": Flood(b"1\r\na\r\n", _post("/jobs/default", _CHUNKED)),
    "chunks with extensions": Flood(b"1;a=b\r\na\r\n", _post("/jobs/default", _CHUNKED)),
    "a chunk's line without end": Flood(b"a", _post("/jobs/default", _CHUNKED) + b"1;"),
    "trailers without end": Flood(b"X: a\r\n", _post("/jobs/default", _CHUNKED) + b"0\r\n"),
    "a body for stdin without end": Flood(b"x" * 1000, _post("/streams/2/stdin", _CHUNKED, "text/plain")),
    "bodies for stdin": Flood(
        _post("/streams/2/stdin", "Content-Length: 10000", "text/plain") + b"x" * 10_000, reads=True
    ),
    "websocket: pings": Flood(masked(0x9), _STATIC, reads=True),
    "websocket: pings whose answers are not read": Flood(masked(0x9, b"x" * 125), _STATIC),
    "websocket: pongs": Flood(masked(0xA), _STATIC),
    "websocket: a message in empty frames": Flood(masked(0, fin=False), _STATIC + masked(1, b"", fin=False)),
    "websocket: empty messages": Flood(masked(1), _STATIC, reads=True),
    "websocket: messages": Flood(masked(1, b'{"event": "NOP"}'), _STATIC, reads=True),
    "websocket: commands": Flood(
        masked(1, b'{"event": "CMD", "data": {"identity": 1, "name": "jobs"}}'), _STATIC, reads=True
    ),
    "websocket: a frame longer than it may be": Flood(
        b"x" * 1000, _STATIC + b"\x81\xff" + (1 << 40).to_bytes(8, "big")
    ),
    "a lookupd's words": Flood(masked(1, b'{"msgid": 1, "type": "PING"}'), upgrade("/ws"), True, lookupd=True),
    "a lookupd's pings": Flood(masked(0x9), upgrade("/ws"), True, lookupd=True),
    "what a lookupd's watcher says": Flood(masked(1, b'{"event": "STATE"}'), upgrade("/lookup"), True, lookupd=True),
    "SockJS websocket: messages": Flood(
        masked(1, json.dumps(['{"event": "NOP"}']).encode()), upgrade("/channel/a/b/websocket"), reads=True
    ),
}

_numbers = itertools.count()


def sockjs_sending(port: int) -> None:
    """Send messages to a SockJS session, a thousand in each request; another client receives."""
    path = f"/channel/0/{next(_numbers)}"
    receiver = connect(port)
    receiver.sendall(_post(f"{path}/xhr_streaming", "Content-Length: 0"))
    receiver.recv(1)
    messages = json.dumps(['{"event": "NOP"}'] * 1000).encode()
    flood(port, _post(f"{path}/xhr_send", f"Content-Length: {len(messages)}") + messages, reads=True)


def connections(port: int) -> None:
    """Open connections as fast as they are accepted, ask once on each, and read nothing."""
    held: list[socket.socket] = []
    while True:
        sock = connect(port)
        sock.sendall(_PING)
        held.append(sock)
        if len(held) > 100:
            held.pop(0).close()


def many(attack: Attack, connections: int) -> Attack:
    """Return *attack* done by so many threads at once."""
    return together([attack] * connections)


def together(attacks: list[Attack]) -> Attack:
    """Return all of them, at once."""
    return partial(_attack_all, attacks)


def _attack_all(attacks: list[Attack], port: int) -> None:
    threads = [threading.Thread(target=_quietly, args=(one, port), daemon=True) for one in attacks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _quietly(attack: Attack, port: int) -> None:
    try:
        attack(port)
    except OSError:
        pass


#: Attacks that are more than one thing sent again and again.
OTHERS: dict[str, Attack] = {"SockJS: messages by xhr_send": sockjs_sending, "connections": connections}


def endless() -> dict[str, Attack]:
    """Return all attacks on gafferd by peers without end."""
    return {**{name: one.endless() for name, one in FLOODS.items() if "lookupd's" not in name}, **OTHERS}


def endless_for_lookupd() -> dict[str, Attack]:
    """Return all attacks on gaffer_lookupd by peers without end."""
    return {name: one.endless() for name, one in FLOODS.items() if one.lookupd}
