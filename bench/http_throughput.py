"""``python -m bench.http_throughput``: what the HTTP API costs beside a bare bottle application.

Both answer the same questions on gevent.pywsgi with TCP_NODELAY, patched as gafferd is, to 16 clients that keep their
connections. They take turns; only the ratio within one run says something. gaffer keeps 500 children alive meanwhile.
After that, a single client asks gaffer one question after the other and takes the time of each.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Iterator

from .figures import p99

#: Of a job with one process, and of that process; the other children belong to another job.
QUESTIONS = ("/jobs/default/web/state", "/jobs/default/web", "/1")

PATCH = """
from gevent import monkey
monkey.patch_all(subprocess=False, os=False, signal=False)
import sys
"""

GAFFER = (
    PATCH
    + """
import gaffer, gevent
from gaffer_plugins.http import HttpPlugin
http = HttpPlugin(["127.0.0.1:0"])
with gaffer.Manager(plugins=[http]) as manager:
    manager.load(gaffer.JobConfig("web", "sleep 1000"))
    manager.load(gaffer.JobConfig("crowd", "sleep 1000", numprocesses=int(sys.argv[1]) - 1))
    while len(manager.running) < int(sys.argv[1]) or not http.serving:
        gevent.sleep(0.01)
    print(http.urls[0].rpartition(":")[2], flush=True)
    gevent.os.tp_read(0, 1)
"""
)

BOTTLE = (
    PATCH
    + """
import json, socket, bottle
from gevent.pywsgi import WSGIServer
job, process = json.loads(sys.argv[1])
app = bottle.Bottle()

@app.get("/jobs/<session>/<job>/state")
def state(session, job):
    bottle.response.content_type = "text/plain"
    return "1"

@app.get("/jobs/<session>/<name>")
def info(session, name):
    return job

@app.get("/<pid:int>")
def one(pid):
    return process

listener = socket.create_server(("127.0.0.1", 0), backlog=128)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(listener.getsockname()[1], flush=True)
WSGIServer(listener, app, log=None).serve_forever()
"""
)


@contextmanager
def server(code: str, argument: str) -> Iterator[int]:
    """Run *code* in a process of its own; gives the port that it prints."""
    command = [sys.executable, "-c", code, argument]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdin and process.stdout
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        process.stdout.close()


def rate(port: int, path: str, clients: int, seconds: float) -> float:
    """Return how many requests a second *clients* connections get answered."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n".encode()
    poll = select.epoll()
    sockets = {}
    for _ in range(clients):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[sock.fileno()] = (sock, Answer())
        poll.register(sock, select.EPOLLIN)
        sock.sendall(request)
    count, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        for descriptor, _ in poll.poll(1):
            sock, answer = sockets[descriptor]
            if answer.feed(sock.recv(65536)):
                count += 1
                sock.sendall(request)
    took = time.monotonic() - began
    poll.close()
    for sock, _ in sockets.values():
        sock.close()
    return count / took


class Answer:
    """Puts one answer after the other together."""

    def __init__(self) -> None:
        self.got = b""

    def feed(self, data: bytes) -> bool:
        """Take *data*; tells whether the answer is complete."""
        assert data, "the server closed the connection"
        self.got += data
        head, separator, body = self.got.partition(b"\r\n\r\n")
        if not separator:
            return False
        assert head.startswith(b"HTTP/1.1 200"), head
        start = head.lower().index(b"content-length:") + 15
        length = int(head[start:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return False
        self.got = b""
        return True


def latencies(port: int, path: str, seconds: float) -> list[float]:
    """Return how many milliseconds each answer took, in ascending order, for a client that asks alone."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    took = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer, end = Answer(), time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            sock.sendall(request)
            while not answer.feed(sock.recv(65536)):
                pass
            took.append(1000 * (time.monotonic() - began))
    return sorted(took)


def fetch(port: int, path: str) -> dict[str, object]:
    """Return the JSON at *path*."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    found: dict[str, object] = json.loads(data.partition(b"\r\n\r\n")[2])
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.http_throughput", description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--children", type=int, default=500, help="processes that gaffer keeps alive")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--runs", type=int, default=3, help="turns of each")
    options = parser.parse_args(argv)
    with server(GAFFER, str(options.children)) as ours:
        known = json.dumps([fetch(ours, path) for path in QUESTIONS[1:]])
        with server(BOTTLE, known) as bare:
            compare(bare, ours, options)
        for path in QUESTIONS:
            took = latencies(ours, path, options.seconds)
            print(f"GET {path}, one client: p50 {took[len(took) // 2]:.2f} ms, p99 {p99(took):.2f} ms", flush=True)


def compare(bare: int, ours: int, options: argparse.Namespace) -> None:
    """Print how many questions a second the servers at two ports answer."""
    for path in QUESTIONS:
        rates: dict[int, list[float]] = {bare: [], ours: []}
        for _ in range(options.runs):
            for port in rates:
                rates[port].append(rate(port, path, options.clients, options.seconds))
        bottle, gaffer = statistics.median(rates[bare]), statistics.median(rates[ours])
        print(f"GET {path}: bottle {bottle:.0f}/s, gaffer {gaffer:.0f}/s, ratio {gaffer / bottle:.2f}", flush=True)


if __name__ == "__main__":
    main()
