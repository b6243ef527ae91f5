"""Fuzz where requests end: ``python -m tests.fuzz.framing --seconds 60 [--seed N]``.

Random requests, right ones and such as every layer refuses, followed by a sentinel on the same connection: the sentinel
is answered once and as itself, unless an answer before it said that the connection ends. No answer to HEAD has a body.
Through nginx and haproxy, the sentinel is another client's, and is always answered.
"""

from __future__ import annotations

import argparse
import http.client
import io
import random
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.contrib.proxies import PROXIES, Client, Proxy
from tests.fuzz.server import JOBS
from tests.kit.gafferd import Gafferd

OPTIONS = "http_head_timeout = 1\nhttp_body_timeout = 1\nhttp_idle_timeout = 2\nhttp_max_body = 20000\n"
#: What is no request.
BAD = "BAD"
#: In the path of the sentinel, whose answer names it.
MARK = b"nothing-but-the-sentinel"
METHODS = ["GET", "POST", "PUT", "POST", "HEAD", "HEAD", "OPTIONS", "PATCH", "BREW"]
PATHS = [
    *("/ping", "/jobs", "/jobs/default/web", "/jobs", "/jobs/default/web/numprocesses", "/nothing"),
    *("/channel/websocket", "/1/channel", "/wstreams/1", "/channel/info", "/channel/0/a/xhr_send"),
    *("/channel/iframe.html", "/streams/1/stdin", "/docs", "/openapi.json", "/_plugin/x/y", "/keys", "/auth"),
    *("/health", "http://localhost/ping"),
]
READERS = [
    *("/jobs/default", "/jobs/default", "/jobs/default/web/numprocesses", "/jobs/default/web/signal", "/auth"),
    *("/streams/1/stdin", "/streams/1/stdin"),
]
ONCE = b'{"name": "once", "cmd": "sleep 1000"}'
HEADERS = [
    *("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "X-Api-Key: wrong", "Authorization: Bearer other"),
    *("Content-Type: application/json", "Content-Type: text/plain", "Expect: 100-continue", "Connection: keep-alive"),
    *("Connection: Upgrade\r\nUpgrade: websocket", "Connection: Upgrade\r\nUpgrade: h2c", "Upgrade: websocket"),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12", "Sec-WebSocket-Version: 13"),
]
#: Those of 30,000 bytes and more are longer than the limit; only the longest is not worth skipping.
BODIES = [b"", b"x", b'{"scale": "+0"}', b"{}", b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n", ONCE]
BODIES += [b"x" * 2000, b"x" * 30_000, b"x" * 70_000]
LENGTHS = ["Content-Length: 5, 5", "Content-Length: +5", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: x"]
CHUNKS = [
    *(b"%x\r\n%b\r\n0\r\n\r\n", b"%x;a=b\r\n%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n0\r\nA: b\r\n\r\n"),
    *(b"000%x \r\n%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n000\r\n\r\n"),
]
BAD_CHUNKS = [
    *(b"%x\r\n%bX\r\n0\r\n\r\n", b"+%x\r\n%b\r\n0\r\n\r\n", b"0x%x\r\n%b\r\n0\r\n\r\n", b"%x\n%b\n0\n\n"),
    *(b"-%x\r\n%b\r\n0\r\n\r\n", b"%xg\r\n%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n\r\n\r\n", b"%x\r\n%b\r\n0\r\nA b\r\n\r\n"),
    *(b"%x;\x00\r\n%b\r\n0\r\n\r\n", b"0000000000000000%x\r\n%b\r\n0\r\n\r\n", b"%x\r\n%b0\r\n\r\n"),
]
HANDSHAKE = [
    *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
#: Frames of a websocket, masked with zeros: text, a ping, a close, one without a mask, one with RSV bits, a long one.
FRAMES = [
    *(b"\x81\x82\0\0\0\0{}", b"\x89\x80\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe8", b"\x81\x02{}", b"\xf1\x80\0\0\0\0"),
    b"\x82\xfe\x01\x00\0\0\0\0" + b"x" * 256,
]


class Sent(NamedTuple):
    """A request, and how each of its answers is to be read: by its method, or ``BAD`` for a 400 that closes.

    :param open: its head announces more than is sent, so it takes what comes after it for its body.
    """

    data: bytes
    answers: tuple[str, ...]
    open: bool = False


def sentinel(number: int, close: bool = True) -> bytes:
    """Return the request after the others."""
    end = "\r\nConnection: close" if close else ""
    return f"GET /{MARK.decode()}-{number}- HTTP/1.1\r\nHost: localhost{end}\r\n\r\n".encode()


def make(dice: random.Random) -> Sent:
    """Return a request. None asks for an endless feed."""
    kind = dice.random()
    if kind < 0.05:
        lines = [f"GET {dice.choice(['/channel/websocket', '/1/channel', '/wstreams/1'])} HTTP/1.1", "Host: localhost"]
        frames = b"".join(dice.choices(FRAMES, k=dice.randrange(4)))
        return Sent(_head([*lines, *HANDSHAKE]) + frames, ("GET",))
    method, body = dice.choice(METHODS), dice.choice(BODIES)
    if kind < 0.35:  # one whose body is read, with a single oddity
        lines = [f"POST {dice.choice(READERS)} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        method, lines = "POST", [*lines, dice.choice([header for header in HEADERS if "Content-Type" not in header])]
    elif kind < 0.4:
        method, lines = "DELETE", ["DELETE /jobs/default/once HTTP/1.1", "Host: localhost"]
    else:
        lines = [f"{method} {dice.choice(PATHS)} HTTP/1.{dice.choice('1111110')}"]
        lines += ["Host: " + dice.choice(["localhost"] * 6 + ["evil.example", "a, b"])]
        lines += dice.sample(HEADERS, dice.choice([0, 1, 1, 2, 3]))
    return _framed(dice, method, lines, body)


def _framed(dice: random.Random, method: str, lines: list[str], body: bytes) -> Sent:
    """Add a body in one of many ways."""
    kind = dice.randrange(12)
    if kind == 0:
        return Sent(_head([*lines, dice.choice(LENGTHS)]) + body, (method,))
    if kind in (1, 2) and body:
        lines += ["Transfer-Encoding: chunked", *dice.choice([[], [], ["Content-Length: 3"]])]
        return Sent(_head(lines) + dice.choice(CHUNKS + BAD_CHUNKS) % (len(body), body), (method,))
    if kind == 3:  # shorter than the body, whose rest is no request
        return Sent(_head([*lines, f"Content-Length: {dice.randrange(20)}"]) + b"x" * 20 + b"\r\n\r\n", (method, BAD))
    if kind == 4 and body:  # longer than it, by more than what comes after it
        return Sent(_head([*lines, f"Content-Length: {len(body) + 9000}"]) + body, (method,), True)
    if kind in (5, 6):
        return Sent(_head(lines), (method,))
    return Sent(_head([*lines, f"Content-Length: {len(body)}"]) + body, (method,))


def _head(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def pipeline(dice: random.Random) -> list[Sent]:
    """Return one to four requests for one connection; only the last one may be open."""
    found: list[Sent] = []
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        found.append(make(dice))
        if found[-1].open:
            break
    return found


def exchange(port: int, data: bytes, all_said: bool) -> bytes:
    """Return all that is answered until the connection ends.

    :param all_said: tell that nothing more comes.
    """
    found = b""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        try:
            sock.sendall(data)
            if all_said:
                sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65536):
                found += chunk
        except OSError:  # ENOTCONN too, from shutdown()
            pass  # it was closed while something was left unread
    return found


class Stream:
    """What was received, for http.client."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.file.close = lambda: None  # type: ignore[method-assign]

    def makefile(self, mode: str) -> Any:
        return self.file


def problem(sent: list[Sent], number: int, answer: bytes) -> str:
    """Return what is wrong with the answers to the requests and to the sentinel; nothing if they are right."""
    stream = Stream(answer)
    expected = [(method, one) for one in sent for method in one.answers]
    mark = b"%b-%d-" % (MARK, number)
    why_ended = "nothing was answered"
    for method, one in [*expected, ("GET", None)]:
        if stream.file.tell() == len(answer):
            return why_ended
        got = http.client.HTTPResponse(stream, method="GET" if method == BAD else method)  # type: ignore[arg-type]
        try:
            got.begin()
            body = got.read() if got.status != 101 else b""
        except http.client.HTTPException as error:
            return f"an answer is not well-framed: {error!r}"
        if (mark in body) != (one is None):
            return "the sentinel's answer is at the wrong place"
        if wrong := _wrong(got, method):
            return wrong
        if got.status == 101:
            return "HTTP goes on after a 101" if b"HTTP/1." in answer[stream.file.tell() :] else ""
        closes = "close" in got.headers.get("Connection", "").lower() or (one is not None and one.open)
        why_ended = "" if closes else f"the connection ended after a {got.status} that did not say so"
        if closes:
            break
    return "" if stream.file.tell() == len(answer) else "there is more after the last answer"


def _wrong(got: http.client.HTTPResponse, method: str) -> str:
    if method == BAD and (got.status, got.headers.get("Connection")) != (400, "close"):
        return "what is no request was answered as one"
    return f"a {got.status}" if got.status in (500, 502, 504) else ""


def fuzz(gafferd: Gafferd, seconds: float, seed: int, most: int = 10**9) -> tuple[int, int, list[str]]:
    """Return how many connections were made, how often the sentinel was answered, and what was wrong."""
    until, count, answered = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until and count < most:
        sent = pipeline(random.Random(f"{seed}:{count}"))
        data = b"".join(one.data for one in sent)
        try:
            answer = exchange(gafferd.port, data + sentinel(count), count % 10 > 0)
            wrong = problem(sent, count, answer)
        except TimeoutError:
            answer, wrong = b"", "the connection stays open"
        if wrong:
            return count, answered, [f"seed {seed}, connection {count}: {wrong}\n{data[:900]!r}\n{answer[:1500]!r}"]
        count, answered = count + 1, answered + (MARK in answer)
    return count, answered, []


def fuzz_through(proxy: Proxy, seconds: float, seed: int) -> tuple[int, int, list[str]]:
    """Let a client send random requests through *proxy*, each followed by the sentinel of another.

    Return how many, how often both shared the connection to gafferd, and what was wrong.
    """
    until, count, shared = time.monotonic() + seconds, 0, 0
    with Client(proxy.port) as victim:
        while time.monotonic() < until:
            data = b"".join(one.data for one in pipeline(random.Random(f"{seed}:{count}")))
            with Client(proxy.port) as attacker:
                try:
                    attacker.ask(sentinel(count, close=False))
                    attacker.patience = 0.05
                    attacker.ask(data)
                except (OSError, http.client.HTTPException):
                    pass  # it is refused, or waits for more
                before = proxy.upstream()
                try:
                    status, body, _ = victim.ask(sentinel(count, close=False))
                except (OSError, http.client.HTTPException) as error:
                    status, body = 0, repr(error).encode()
            if status != 404 or b"%b-%d-" % (MARK, count) not in body:
                return count, shared, [f"seed {seed}, request {count}: {status} {body!r}\n{data[:900]!r}"]
            count, shared = count + 1, shared + (proxy.upstream() <= before)
    return count, shared, []


def main() -> int:
    """Fuzz; returns 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given: Any = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="gaffer-fuzz-") as folder:
        with Gafferd(Path(folder), JOBS, OPTIONS).start().ready() as gafferd:
            count, answered, wrong = fuzz(gafferd, given.seconds, given.seed)
        print(f"seed {given.seed}: {count} connections, {answered} sentinels answered")
        found += wrong
    for name, run in PROXIES.items():
        if shutil.which(name) is None and shutil.which(name, path="/usr/sbin") is None:
            print(f"{name} is not installed")
            continue
        with tempfile.TemporaryDirectory(prefix="gaffer-fuzz-") as folder, run(Path(folder), JOBS, OPTIONS) as proxy:
            count, shared, wrong = fuzz_through(proxy, given.seconds, given.seed)
        print(f"seed {given.seed}: {count} requests through {name}, {shared} on a connection that was shared")
        found += wrong
    print("\n".join(found) or "nothing found")
    return min(1, len(found))


if __name__ == "__main__":
    sys.exit(main())
