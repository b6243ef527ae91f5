"""Fuzz where requests end: ``python -m tests.fuzz.framing --seconds 60 [--seed N]``.

Random requests, right ones and such as every layer refuses, each followed by a sentinel on the same connection: the
connection ends, or the sentinel is answered once and as itself. No answer to HEAD has a body.
"""

from __future__ import annotations

import argparse
import http.client
import io
import random
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.server import start
from tests.programs.gafferd import Gafferd

SENTINEL = b"GET /nothing-but-the-sentinel HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
MARK = b"nothing-but-the-sentinel"
METHODS = ["GET", "POST", "PUT", "POST", "HEAD", "HEAD", "OPTIONS", "PATCH", "BREW"]
PATHS = [
    *(
        "/ping",
        "/jobs",
        "/jobs/default/web",
        "/jobs",
        "/jobs/default/web/numprocesses",
        "/nothing",
        "/channel/websocket",
        "/1/channel",
    ),
    *("/wstreams/1", "/channel/info", "/channel/0/a/xhr_send", "/channel/iframe.html", "/streams/1/stdin", "/docs"),
    *("/openapi.json", "/_plugin/x/y", "/keys", "/auth", "/health", "http://localhost/ping"),
]
READERS = ["/jobs", "/jobs/default/web/numprocesses", "/jobs/default/web/signal", "/auth"]
HEADERS = [
    *("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "X-Api-Key: wrong", "Authorization: Bearer other"),
    *("Content-Type: application/json", "Content-Type: text/plain", "Expect: 100-continue", "Connection: keep-alive"),
    *("Connection: Upgrade\r\nUpgrade: websocket", "Connection: Upgrade\r\nUpgrade: h2c", "Upgrade: websocket"),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12", "Sec-WebSocket-Version: 13"),
]
BODIES = [b"", b"x", b'{"scale": "+0"}', b"{}", b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n", b"x" * 70_000]
LENGTHS = ["Content-Length: 5, 5", "Content-Length: +5", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: x"]
CHUNKS = [
    *(b"%x\r\n%b\r\n0\r\n\r\n", b"%x;a=b\r\n%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n0\r\nA: b\r\n\r\n"),
    b"%x\r\n%bX\r\n0\r\n\r\n",
]


def make(dice: random.Random) -> tuple[str, bytes]:
    """Return the method of a request, and the request. None is an accepted handshake, or asks for an endless feed."""
    method, body = dice.choice(METHODS), dice.choice(BODIES)
    if dice.random() < 0.3:  # one whose body is read, with a single oddity
        lines = [f"POST {dice.choice(READERS)} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        method, lines = "POST", [*lines, dice.choice([header for header in HEADERS if "Content-Type" not in header])]
    else:
        lines = [f"{method} {dice.choice(PATHS)} HTTP/1.{dice.choice('1111110')}"]
        lines += ["Host: " + dice.choice(["localhost"] * 6 + ["evil.example", "a, b"])]
        lines += dice.sample(HEADERS, dice.choice([0, 1, 1, 2, 3]))
    kind = dice.randrange(6)
    if kind == 0:
        lines, body = [*lines, dice.choice(LENGTHS)], body
    elif kind == 1 and body:
        lines += ["Transfer-Encoding: chunked", *dice.choice([[], [], ["Content-Length: 3"]])]
        body = dice.choice(CHUNKS) % (len(body), body)
    elif kind == 2:
        body = b""
    else:
        lines += [f"Content-Length: {len(body)}"]
    return method, "\r\n".join([*lines, "", ""]).encode() + body


def exchange(port: int, data: bytes) -> bytes:
    """Return all that is answered until the connection ends."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        try:
            sock.sendall(data)
            while chunk := sock.recv(65536):
                found += chunk
        except ConnectionError:
            pass  # it was closed while something was left unread
    return found


class Stream:
    """What was received, for http.client."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.file.close = lambda: None  # type: ignore[method-assign]

    def makefile(self, mode: str) -> Any:
        return self.file


def problem(method: str, answer: bytes) -> str:
    """Return what is wrong with the answers to one request and the sentinel; nothing if they are right."""
    stream, bodies = Stream(answer), []
    for expected in (method, "GET"):
        if stream.file.tell() == len(answer):
            break
        one = http.client.HTTPResponse(stream, method=expected)  # type: ignore[arg-type]
        try:
            one.begin()
            bodies.append(one.read())
        except http.client.HTTPException as error:
            return f"an answer is not well-framed: {error!r}"
    if stream.file.tell() != len(answer):
        return "there is more than two answers"
    if len(bodies) == 2 and MARK not in bodies[1]:
        return "the sentinel was answered as something else"
    return "the sentinel was taken for the first request" if bodies and MARK in bodies[0] else ""


def fuzz(gafferd: Gafferd, seconds: float, seed: int, most: int = 10**9) -> tuple[int, int, list[str]]:
    """Return how many requests were made, how often the sentinel was answered, and what was wrong."""
    until, count, answered = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until and count < most:
        dice = random.Random(f"{seed}:{count}")
        method, data = make(dice)
        try:
            answer = exchange(gafferd.port, data + SENTINEL)
        except TimeoutError:
            return count, answered, [f"seed {seed}, request {count}: the connection stays open\n{data[:600]!r}"]
        count, answered = count + 1, answered + (MARK in answer)
        if wrong := problem(method, answer):
            return count, answered, [f"seed {seed}, request {count - 1}: {wrong}\n{data[:600]!r}\n{answer[:900]!r}"]
    return count, answered, []


def main() -> int:
    """Fuzz; returns how many things were wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gaffer-fuzz-") as folder, start(Path(folder)) as gafferd:
        count, answered, wrong = fuzz(gafferd, given.seconds, given.seed)
    print(f"seed {given.seed}: {count} requests, {answered} sentinels answered")
    print("\n".join(wrong) or "nothing found")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
