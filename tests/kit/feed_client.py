"""A client of feeds, in bytes: it reads as little or as much as a test wants."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import gevent

from tests.kit.web import Answer, connect, parse


class Sse(NamedTuple):
    """One server-sent event."""

    id: str
    event: str
    data: str


class Reader:
    """One request on a connection of its own, whose answer is read as it comes."""

    def __init__(self, address: Any, path: str, headers: str = "", method: str = "GET") -> None:
        self.sock = connect(address)
        self._buffer = b""
        self.body = b""
        #: Whether the answer came to its proper end.
        self.complete = False
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        self.answer = self._head()

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        self._buffer += data
        return bool(data)

    def _head(self) -> Answer:
        while b"\r\n\r\n" not in self._buffer:
            assert self._more(), self._buffer
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return parse(head + b"\r\n\r\n")

    def chunk(self) -> bytes:
        """Return the next chunk of the body; nothing at its end, or when the connection is broken off."""
        while not (found := re.match(rb"([0-9a-f]+)\r\n", self._buffer)):
            if not self._more():
                return b""
        size, begin = int(found.group(1), 16), found.end()
        while len(self._buffer) < begin + size + 2:
            if not self._more():
                return b""
        data = self._buffer[begin : begin + size]
        self._buffer = self._buffer[begin + size + 2 :]
        self.body += data
        self.complete = self.complete or not size
        return data

    def whole(self) -> bytes:
        """Return the body of an answer that says how long it is."""
        size = int(self.answer.headers["content-length"])
        while len(self._buffer) < size and self._more():
            pass
        return self._buffer

    def until(self, end: bytes) -> bytes:
        """Read until the body ends in *end*; returns all of it."""
        with gevent.Timeout(10, AssertionError(f"{end!r} never came: {self.body[-500:]!r}")):
            while not self.body.endswith(end):
                assert self.chunk(), f"it ended without {end!r}: {self.body[-500:]!r}"
        return self.body

    def rest(self) -> bytes:
        """Read to the end; returns the whole body."""
        with gevent.Timeout(10, AssertionError(f"it never ends: {self.body[-500:]!r}")):
            while self.chunk():
                pass
        return self.body

    def events(self, count: int) -> list[Sse]:
        """Read until there are *count* server-sent events, and return them."""
        with gevent.Timeout(10, AssertionError(f"too few events: {self.body!r}")):
            while len(events(self.body)) < count:
                assert self.chunk(), self.body
        return events(self.body)

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def events(body: bytes) -> list[Sse]:
    """Return the events in *body* as a browser would (HTML standard, §9.2.6)."""
    found, last_id = [], ""
    fields: dict[str, list[str]] = {}
    for line in re.split(r"\r\n|\r|\n", body.decode()):
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "id" in fields:
            last_id = fields["id"][-1]
        if "data" in fields:
            found.append(Sse(last_id, fields.get("event", ["message"])[-1], "\n".join(fields["data"])))
        fields = {}
    return found
