"""``python -m bench.http_flat``: what ten thousand requests of every kind leave behind in gafferd.

That is nothing: as many descriptors as before, and the memory that was there after the first ones. Every operation of
the API is asked, with what it wants and with what it refuses, on connections that are kept and on some that are not,
and by clients that leave in the middle.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple

COMMAND = [sys.executable, "-m", "gaffer.daemon.main"]
JSON = {"Content-Type": "application/json"}
JOB = {"name": "flat", "cmd": "sleep 1000", "start": False}
#: A new connection for every so many requests.
KEPT = 20
#: How long the last processes may take to end, in seconds.
PATIENCE = 30
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class Ask(NamedTuple):
    """One request; ``body`` is made JSON unless it is bytes already."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = JSON


class Footprint(NamedTuple):
    """What a process holds.

    :param resident: bytes.
    """

    descriptors: int
    resident: int


#: The life of a job over both families of routes, then what only looks, then what is refused.
ROUND = (
    Ask("POST", "/jobs/bench", JOB),
    Ask("PUT", "/jobs/bench/flat", {**JOB, "numprocesses": 2}),
    Ask("POST", "/jobs/bench/flat/numprocesses", {"scale": "+1"}),
    Ask("POST", "/jobs/bench/flat/state", b"1"),
    Ask("POST", "/jobs/bench/flat/commit", {}),
    Ask("POST", "/jobs/bench/flat/signal", {"signal": "TERM"}),
    Ask("POST", "/jobs/bench/flat/restart"),
    Ask("POST", "/jobs/bench/flat/state", b"0"),
    Ask("DELETE", "/jobs/bench/flat"),
    Ask("POST", "/processes", {**JOB, "name": "bench.flat"}),
    Ask("POST", "/processes/bench.flat/_start"),
    Ask("POST", "/processes/bench.flat/_add"),
    Ask("POST", "/processes/bench.flat/_add/2"),
    Ask("POST", "/processes/bench.flat/_sub"),
    Ask("POST", "/processes/bench.flat/_sub/2"),
    Ask("PUT", "/processes/bench.flat", JOB),
    Ask("POST", "/processes/bench.flat/_restart"),
    Ask("POST", "/processes/bench.flat/_signal/15"),
    Ask("POST", "/processes/bench.flat/_stop"),
    Ask("POST", "/groups/bench/_start"),
    Ask("POST", "/groups/bench/_restart"),
    Ask("POST", "/groups/bench/_stop"),
    Ask("DELETE", "/groups/bench"),
    Ask("POST", "/jobs/bench", JOB),
    Ask("DELETE", "/processes/bench.flat"),
    Ask("POST", "/PID/signal", {"signal": "CONT"}),
    Ask("POST", "/processes/PID/_signal/CONT"),
    Ask("PUT", "/processes/PID", {"cmd": "sleep 1000", "numprocesses": 2}),
    Ask("DELETE", "/PID"),
    Ask("POST", "/processes/PID/_stop"),
    Ask("DELETE", "/processes/PID"),
    *(
        Ask(method, path)
        for path in (
            *(
                "/",
                "/ping",
                "/version",
                "/sessions",
                "/jobs",
                "/info",
                "/pids",
                "/plugins",
                "/health",
                "/strays",
                "/stop_order",
            ),
            *("/openapi.json", "/docs"),
            *("/jobs/default", "/jobs/default/web", "/jobs/default/web/stats", "/jobs/default/web/numprocesses"),
            *(
                "/jobs/default/web/state",
                "/jobs/default/web/why",
                "/jobs/default/web/pids",
                "/PID",
                "/PID/stats",
                "/processes",
            ),
            *("/processes?running=true", "/processes/web", "/processes/PID", "/processes/web/_pids", "/status/web"),
            *("/groups", "/groups/default", "/stats", "/stats/web", "/stats/web/PID"),
        )
        for method in ("GET", "HEAD", "OPTIONS")
    ),
    Ask("POST", "/reload"),
    Ask("DELETE", "/strays"),
    Ask("GET", "/nothing"),
    Ask("PATCH", "/jobs"),
    Ask("GET", "/jobs/default/ghost"),
    Ask("GET", "/jobs/%00"),
    Ask("GET", "/processes?running=maybe"),
    Ask("POST", "/jobs/default", {"name": "bad", "cmd": 5}),
    Ask("POST", "/jobs/default", b"{"),
    Ask("POST", "/jobs/default", b"[" * 5000),
    Ask("POST", "/jobs/default", b'"' + b"x" * (1 << 20) + b'"'),
    Ask("POST", "/jobs/default", b"a=b", {"Content-Type": "text/plain"}),
    Ask("GET", "/ping", None, {"Host": "evil.example"}),
    Ask("GET", "/ping", None, {"Origin": "https://evil.example"}),
)


class Client:
    """Asks one gafferd.

    :param pid: what stands for ``PID`` in paths.
    """

    def __init__(self, port: int) -> None:
        self.port, self.pid, self.asked = port, 1, 0
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, ask: Ask) -> tuple[int, bytes]:
        """Send one request; return status and body. The status is never that of a defect."""
        if self._connection is None or self.asked % KEPT == 0:
            self.close()
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.asked += 1
        body = ask.body if ask.body is None or isinstance(ask.body, bytes) else json.dumps(ask.body)
        self._connection.request(ask.method, ask.path.replace("PID", str(self.pid)), body, ask.headers)
        answer = self._connection.getresponse()
        read = answer.read()
        assert answer.status < 500, (ask, answer.status, read)
        if answer.will_close:
            self.close()
        if ask.method == "DELETE" and "PID" in ask.path or ask.path.endswith("PID/_stop"):
            self.find()
        return answer.status, read

    def find(self) -> list[int]:
        """Return the pids of the job's processes; the first one that is not on its way out becomes :attr:`pid`."""
        pids: list[int] = json.loads(self.ask(Ask("GET", "/jobs/default/web/pids"))[1])["pids"]
        self.pid = pids[-1] if pids else self.pid
        return pids

    def leave(self) -> None:
        """Go away in the middle of a head, and of a body."""
        for raw in (b"GET /jobs HT", b"POST /jobs/default HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", self.port)) as sock:
                sock.sendall(raw)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def gafferd(children: int) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
    """Run gafferd with a job ``web``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "g.ini")
        with open(config, "w") as file:
            file.write(f"[process:web]\ncmd = sleep 1000\nnumprocesses = {children}\n")
        command = [*COMMAND, "--bind", f"127.0.0.1:{port}", "--error-log", f"{folder}/log", config]
        process = subprocess.Popen(command, env={**os.environ, "HOME": folder})
        try:
            yield process, _connected(process, port, children)
        finally:
            process.terminate()
            process.wait()


def _connected(process: subprocess.Popen[bytes], port: int, children: int) -> Client:
    client = Client(port)
    while True:
        try:
            pids = client.find()
        except OSError:
            assert process.poll() is None, "gafferd did not start"
            client.close()
            pids = []
        if len(pids) == children:
            return client
        time.sleep(0.05)


def ask_all(client: Client, requests: int) -> None:
    """Ask at least that many times: whole rounds, so that afterwards all is as it was."""
    for _ in range(0, requests, len(ROUND)):
        client.leave()
        for ask in ROUND:
            client.ask(ask)


def footprint(process: subprocess.Popen[bytes], client: Client, children: int) -> Footprint:
    """Return what gafferd holds once nobody is connected and only the job's own processes are left."""
    deadline = time.monotonic() + PATIENCE
    while len(json.loads(client.ask(Ask("GET", "/pids"))[1])["pids"]) != children:
        assert time.monotonic() < deadline, "processes are left that nobody wants"
        time.sleep(0.05)
    client.close()
    time.sleep(0.5)
    with open(f"/proc/{process.pid}/statm") as file:
        resident = int(file.read().split()[1]) * PAGE_SIZE
    return Footprint(len(os.listdir(f"/proc/{process.pid}/fd")), resident)


def measure(requests: int, children: int = 2) -> tuple[Footprint, Footprint]:
    """Return what gafferd holds before and after the requests; some more come first, so that all is loaded."""
    with gafferd(children) as (process, client):
        ask_all(client, max(requests // 5, 3 * len(ROUND)))
        before = footprint(process, client, children)
        ask_all(client, requests)
        return before, footprint(process, client, children)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.http_flat", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args(argv)
    before, after = measure(options.requests)
    grown = after.resident - before.resident
    print(
        f"{options.requests} requests of {len(ROUND)} kinds: "
        f"descriptors {before.descriptors} -> {after.descriptors}, "
        f"memory {before.resident / 1e6:.1f} -> {after.resident / 1e6:.1f} MB, "
        f"{grown / options.requests:.0f} bytes a request",
        flush=True,
    )


if __name__ == "__main__":
    main()
