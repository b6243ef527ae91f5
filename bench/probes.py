"""``python -m bench.probes``: what 500 jobs cost that are asked by HTTP each second, beside a bare loop of gevent.

The bare loop makes the same requests, with the same timeouts and pauses, and nothing else. The server that both ask is
a program of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .http_flat import COMMAND
from .procfs import cpu_ns

#: Ports of the server: with one alone the kernel would run out of numbers for connections.
PORTS = 20
#: Seconds before the measurement, and of it.
BEFORE, MEASURED = 4.0, 15.0
PINGER = Path(__file__).parent / "pinger.py"
_REQUEST = (
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bare\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"


def serve() -> None:
    """Answer requests at many ports, which are printed; ends with stdin."""
    import gevent
    from gevent.server import StreamServer

    def handle(sock, address):
        while sock.recv(4096):
            sock.sendall(_ANSWER)

    servers = [StreamServer(("127.0.0.1", 0), handle, backlog=1024) for _ in range(PORTS)]
    for server in servers:
        server.start()
    print(json.dumps([server.server_port for server in servers]), flush=True)
    gevent.get_hub().threadpool.spawn(sys.stdin.read).get()


def loop(ports: list[int], count: int) -> None:
    """Make the requests of *count* probes; ends with stdin."""
    import random

    import gevent
    from gevent import socket

    def ask(port):
        sock = socket.create_connection(("127.0.0.1", port))
        while True:
            with gevent.Timeout(5.0):
                sock.sendall(_REQUEST)
                assert sock.recv(16384).startswith(b"HTTP/1.1 200")
            gevent.sleep(random.uniform(0.9, 1.1))

    for number in range(count):
        gevent.spawn_later(random.random(), ask, ports[number % len(ports)])
    gevent.get_hub().threadpool.spawn(sys.stdin.read).get()


@contextmanager
def program(*words: str, **options) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


def share(pid: int) -> float:
    """Return how much of a processor a program needs, in per cent."""
    before, began = cpu_ns([pid]), time.monotonic()
    time.sleep(MEASURED)
    return (cpu_ns([pid]) - before) / (time.monotonic() - began) / 1e7


def gafferd(ports: list[int], count: int) -> tuple[float, dict[str, float]]:
    """Return the share of a gafferd with so many jobs, asked if there are *ports*, and what /ping takes meanwhile."""
    import http.client
    import socket

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "g.ini"
        probe = "ready = http://127.0.0.1:{}/healthz\n"
        config.write_text(
            "".join(
                f"[process:job{number}]\ncmd = sleep 100000\n"
                + (probe.format(ports[number % len(ports)]) if ports else "")
                for number in range(count)
            )
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with program(*COMMAND, "--bind", f"127.0.0.1:{port}", str(config), stderr=subprocess.DEVNULL) as process:

            def info() -> dict:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", "/info")
                return json.loads(connection.getresponse().read())

            while True:
                time.sleep(1.0)
                try:
                    text = json.dumps(info())
                except OSError:
                    continue
                if text.count('"state": "running"') == count:
                    break
            time.sleep(BEFORE)
            with program(sys.executable, str(PINGER), str(port), stdout=subprocess.PIPE) as pinger:
                time.sleep(MEASURED)
                pinger.stdin.write(b"\n")
                pinger.stdin.flush()
                pings = json.loads(pinger.stdout.readline())
            # Without the pings: a hundred requests a second are not what probes cost.
            alone = share(process.pid)
        return alone, pings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.probes", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="jobs (%(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    if options.loop:
        return loop(json.loads(options.loop), options.count)
    here = (sys.executable, "-m", "bench.probes")
    with program(*here, "--serve", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        ports = json.loads(server.stdout.readline())
        with program(*here, "--count", str(options.count), "--loop", json.dumps(ports)) as process:
            time.sleep(BEFORE)
            bare = share(process.pid)
        silent, _ = gafferd([], options.count)
        asked, pings = gafferd(ports, options.count)
    print(f"{options.count} probes by HTTP each second: {asked - silent:.1f} % of a processor ({silent:.1f} % without)")
    print(f"a bare loop of the same requests: {bare:.1f} %; gaffer needs {(asked - silent) / bare:.2f} times that")
    print(f"/ping meanwhile: median {pings['p50_ms']:.1f} ms, p99 {pings['p99_ms']:.1f} ms")


if __name__ == "__main__":
    main()
