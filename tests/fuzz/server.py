"""Fuzz a real gafferd over raw sockets: ``python -m tests.fuzz.server --seconds 60 [--seed N]``.

Heads that two servers could read differently, bad chunks, absurd headers, half requests, websockets that go wrong:
no answer is a 5xx, no connection hangs, gafferd does not grow, and it serves the next one.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.kit.gafferd import Gafferd

#: A gafferd that waits less than usual.
OPTIONS = "http_head_timeout = 1\nhttp_body_timeout = 1\nhttp_idle_timeout = 2\n"
JOBS = (
    "[process:web]\ncmd = sleep 1000\nredirect_output = out\nredirect_input = true\n[process:kept]\ncmd = sleep 1000\n"
)
#: Longer than any of its patience, in seconds.
PATIENCE = 10.0
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
#: Sessions, longpolls and feeds wait for something to happen, as they should; they are no hang.
WAITING = ("/watch", "/streams", "/channel", "/wstreams", "feed=", "follow=")

METHODS = ["GET", "POST", "PUT", "DELETE"] * 5 + ["HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "G\0T", ""]
PATHS = [
    *("/", "/ping", "/jobs", "/jobs/default", "/jobs/default/web", "/jobs/default/web/numprocesses", "/1", "/1/stats"),
    *("/jobs/default/web/state", "/processes/web", "/_plugin/a/../../etc/passwd", "/%00"),
    *("/%", "/\xff", "*", "//", "http://x/"),
    *("/jobs/default/web/signal", "/openapi.json", "/docs"),
    *("/jobs/" + "a" * 9000, "/?" + "a=b&" * 500, "/x?a\tb", "/health"),
    *("/channel/websocket", "/wstreams/1", "/1/channel", "/channel/info", "/channel/0/a/xhr_send", "/auth", "/keys"),
]  # fmt: skip
HEADERS = [
    *("Host: localhost", "Host: evil.example", "Host: a, b", "Host: [::1", "Host:", "Hos\xfft: x", "host : localhost"),
    *("Content-Length: 5", "Content-Length: +5", "Content-Length: 5, 5", "Content-Length: 0x5", "Content-Length: -1"),
    *("Content-Length: 99999999999999999999", "Content-Length: 5 5", "Content_Length: 5", "Content-Length: \u0665"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: chunked, chunked"),
    *("Transfer-Encoding:\tchunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", " folded: line"),
    *("Content-Type: application/json", "Content-Type: text/plain", "Expect: 100-continue", "Expect: 200-ok"),
    *("Connection: close", "Connection: keep-alive", "Connection: Upgrade", "Connection: \x01", "Upgrade: h2c"),
    *("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    *("Sec-WebSocket-Version: 13", "Origin: http://x"),
    *("X-Api-Key: " + "k" * 5000, "Authorization: Basic \xff"),
    *("Authorization: Bearer ", "Cookie: " + "a=b;" * 999, "A:" * 20),
    *("X: y\0", "X: y\rZ: a", ": no name"),
    *("no colon", "X-" + "a" * 9000 + ": b", "Range: bytes=0-", "If-None-Match: *"),
]  # fmt: skip
BODIES = [
    *(b"", b"hello", b'{"scale": "+1"}', b"{}", b"[" * 2000),
    *(b'{"a": ' * 500, b'"\\ud800"', b"\xff\xfe", b"1" * 5000, b"nan"),
    *(b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhe\r\n0\r\n\r\n", b"5_0\r\n"),
    *(b"-5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n"),
    *(b"ffffffffffffffff\r\n", b"5;" + b"x" * 5000 + b"\r\n"),
    *(b"5\r\nhelloX\r\n", b"\r\n\r\n", b"GET /ping HTTP/1.1\r\n"),
    *(b"\x81\x85abcd\0\0\0\0\0", b"\x81\x05hello"),
    *(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x88\x80abcd", b"\xf1\x80abcd"),
]  # fmt: skip
ENDS = ["\r\n"] * 20 + ["\n", "\r", "\r\n\r\n", "\0\r\n"]


def make(dice: random.Random) -> bytes:
    """Return a request; some are right."""
    end = dice.choice(ENDS)
    version = dice.choice(["HTTP/1.1"] * 30 + ["HTTP/1.0", "HTTP/2.0", "HTTP/1.1 x", "", "http/1.1"])
    lines = [f"{dice.choice(METHODS)} {dice.choice(PATHS)} {version}", "Host: localhost"]
    lines += dice.sample(HEADERS, dice.choice([0, 1, 1, 1, 2, 2, 3, 5, 8]))
    if dice.random() < 0.02:
        lines += ["X: y"] * 150
    head = end.join(lines).encode("utf-8" if dice.random() < 0.2 else "latin-1", "replace") + (end * 2).encode()
    data = head + dice.choice(BODIES)
    if dice.random() < 0.1:
        at = dice.randrange(len(data))
        data = data[:at] + bytes(dice.choices(range(256), k=dice.randrange(4))) + data[at + dice.randrange(3) :]
    if dice.random() < 0.1:
        data = data[: dice.randrange(len(data) + 1)]
    return data + (data if dice.random() < 0.05 else b"")


def ask(port: int, data: bytes, dice: random.Random) -> bytes:
    """Send *data* in one or several pieces; return all that comes back.

    :raises TimeoutError: the connection stays open and silent.
    """
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        cut = dice.randrange(len(data) + 1) if dice.random() < 0.3 else len(data)
        found = b""
        try:
            sock.sendall(data[:cut])
            sock.sendall(data[cut:])
            if dice.random() < 0.97:
                sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65536):
                found += chunk
        except TimeoutError:
            raise
        except OSError:
            pass  # it was closed before all was sent
        return found


class Report:
    """What came of it."""

    def __init__(self) -> None:
        self.requests = 0
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    def add(self, data: bytes, answer: bytes) -> None:
        """Look at one answer."""
        self.requests += 1
        found = [int(status) for status in STATUS.findall(answer)]
        self.statuses.update(found)
        # 503 is what a session, or the outside, may answer; anything else of that kind is ours to mend.
        if any(status >= 500 and status != 503 for status in found):
            self.wrong.append(f"{data!r}\nwas answered\n{answer[:500]!r}")


def resident(pid: int) -> int:
    """Return the resident memory of a process, in KiB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


def fuzz(gafferd: Gafferd, seconds: float, seed: int, most: int = 10**9) -> Report:
    """Ask for *seconds*, or *most* requests, whichever comes first."""
    dice, report = random.Random(seed), Report()
    until = time.monotonic() + seconds
    while time.monotonic() < until and report.requests < most and not report.wrong:
        data = make(dice)
        try:
            report.add(data, ask(gafferd.port, data, dice))
        except TimeoutError:
            if not any(word.encode() in data for word in WAITING):
                report.wrong.append(f"{data!r}\nwas not answered, and the connection stays open")
    return report


def start(folder: Path) -> Gafferd:
    """Return a gafferd that answers."""
    return Gafferd(folder, JOBS, OPTIONS).start().ready()


def main() -> int:
    """Fuzz; returns 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gaffer-fuzz-") as folder, start(Path(folder)) as gafferd:
        assert gafferd.process is not None
        fuzz(gafferd, given.seconds / 10, given.seed)
        before = resident(gafferd.process.pid)
        report = fuzz(gafferd, given.seconds, given.seed + 1)
        after = resident(gafferd.process.pid)
        alive = gafferd.get("/ping", text=True)
        log = gafferd.log.read_text()
    print(
        f"seed {given.seed}: {report.requests} requests in {given.seconds:g} s; {dict(sorted(report.statuses.items()))}"
    )
    print(f"resident {before} KiB, then {after} KiB; still answers {alive}; {log.count('Traceback')} tracebacks logged")
    print("\n".join(report.wrong) or "nothing found")
    return min(1, len(report.wrong) + log.count("Traceback"))


if __name__ == "__main__":
    sys.exit(main())
