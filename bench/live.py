"""``python -m bench.live``: what live output costs, with the limits that gaffer keeps.

One table: log files, websocket readers that keep up, a crowd of readers of one flooding process, readers that never
read while everything floods, idle websockets, and ten thousand that come and go. ``--only`` takes some of them,
``--seconds`` shortens the long ones.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from .http_flat import COMMAND
from .procfs import cpu_ns, pss_mb
from .sockets import CLOSE, PING, Socket

HERE = Path(__file__).parent
WRITER = HERE / "writer.py"
SIZE = 500_000_000
MB = 1e6
#: Bytes a second that one process writes for ten readers, the slowest first.
RATES = (12_000_000, 20_000_000, 35_000_000, 60_000_000)
READERS = 10
#: Seconds for which readers are measured at one rate.
READING = 6.0
FLOODERS = 20
IDLE = 1000
#: Readers of one flooding process, and seconds for which they are watched.
CROWD = 1000
WATCHED = 10.0
PATIENCE = 30.0
#: A process that answers, and room for all who come from one address.
ECHO = (
    "[gaffer]\nhttp_max_connections = 3000\nhttp_max_peer_connections = 3000\nhttp_max_websockets = 3000\n"
    "[process:web]\ncmd = cat\nredirect_output = out\nredirect_input = true\n"
)


class Row(NamedTuple):
    """One line of the table.

    :param limit: what it may be at the most, or must be at the least.
    """

    title: str
    value: float
    unit: str
    limit: float
    least: bool = False
    note: str = ""

    @property
    def kept(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit


class Gafferd:
    """A gafferd with some jobs, and what is asked of it."""

    def __init__(self, folder: Path, jobs: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self.folder = folder
        (folder / "g.ini").write_text(jobs)
        self.log = folder / "log"
        command = [*COMMAND, "--bind", f"127.0.0.1:{self.port}", "--error-log", str(self.log), str(folder / "g.ini")]
        self.process = subprocess.Popen(command, env={**os.environ, "HOME": str(folder)}, cwd=folder)
        wait(self._answers, "gafferd did not start")

    def _answers(self) -> bool:
        assert self.process.poll() is None, "gafferd did not start"
        try:
            return self.get("/ping", raw=True) == b"OK"
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Make one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            read = answer.read()
            assert answer.status < 300, (path, answer.status, read)
            return read
        finally:
            connection.close()

    def get(self, path: str, raw: bool = False) -> Any:
        read = self.ask("GET", path)
        return read if raw else json.loads(read)

    def go(self, pid: int) -> None:
        """Let a writer begin."""
        self.ask("POST", f"/streams/{pid}/stdin", b"go\n")

    def cpu(self) -> float:
        """Return the seconds of CPU that it used so far."""
        return cpu_ns([self.process.pid]) / 1e9

    def memory(self) -> float:
        """Return its memory in MB."""
        return pss_mb([self.process.pid])

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def os_pids(self, job: str) -> dict[int, int]:
        """Return the processes of a job: the kernel's number of each."""
        pids = self.get(f"/jobs/default/{job}")["processes"]
        return {pid: self.get(f"/{pid}")["os_pid"] for pid in pids}


@contextmanager
def gafferd(jobs: str) -> Iterator[Gafferd]:
    """Run one in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        running = Gafferd(Path(folder), jobs)
        try:
            yield running
        finally:
            running.process.terminate()
            running.process.wait()


def wait(condition: Callable[[], Any], why: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.01)


def job(name: str, size: int, rate: float = 0.0, **settings: Any) -> str:
    """Return the section of a job that writes."""
    command = shlex.join([sys.executable, str(WRITER), str(size), str(rate)])
    lines = [f"[process:{name}]", f"cmd = {command}", "redirect_input = true"]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in settings.items())]) + "\n"


# -- one child to a log file --------------------------------------------------------------------


def log_file(seconds: float) -> Iterator[Row]:
    """Lines of 100 bytes from one process to a file."""
    with gafferd(job("web", SIZE, stdout_logfile="web.log", logfile_maxbytes=0)) as running:
        path = running.folder / "web.log"
        cpu, began = running.cpu(), time.monotonic()
        running.go(1)
        while not path.exists() or path.stat().st_size < SIZE:
            assert time.monotonic() < began + 4 * PATIENCE, "the file never became complete"
            time.sleep(0.002)
        took = time.monotonic() - began
        time.sleep(0.2)
        cpu = running.cpu() - cpu
        lost = running.get("/health")["plugins"]["logfiles"]["lost"]
        yield Row("500 MB of lines from one process to a log file", SIZE / took / MB, "MB/s", 500, least=True)
        yield Row("  CPU of gafferd for it", cpu / (SIZE / 1e9), "s/GB", 2)
        yield Row("  bytes lost", lost, "", 0)
        yield Row("  bytes of the file that are wrong", 0 if exact(path) else 1, "", 0)


def exact(path: Path) -> bool:
    """Tell whether a file holds what the writer wrote."""
    from .writer import BLOCK

    with path.open("rb") as file:
        while data := file.read(len(BLOCK)):
            if data != BLOCK[: len(data)]:
                return False
    return path.stat().st_size == SIZE


# -- readers that keep up -----------------------------------------------------------------------


def readers(seconds: float) -> Iterator[Row]:
    """One process to ten websockets; the fastest rate at which every byte arrives at every one."""
    best, cpu = 0.0, 0.0
    for rate in RATES:
        size = int(min(rate * READING, SIZE) // 100 * 100)
        total, spent, whole = read_at(rate, size)
        if not whole:
            break
        best, cpu = total, spent
    note = f"every byte checked; {cpu:.2f} CPU s/GB"
    yield Row("one process to ten websocket readers, in total", best / MB, "MB/s", 100, least=True, note=note)


def read_at(rate: float, size: int) -> tuple[float, float, bool]:
    """Return bytes a second of all readers, CPU seconds a GB, and whether every byte arrived."""
    with gafferd(job("web", size, rate, redirect_output="out")) as running:
        command = [
            sys.executable,
            str(HERE / "sockets.py"),
            str(running.port),
            "/wstreams/1?since=0",
            str(READERS),
            str(size),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None and client.stdout.readline() == "ready\n"
            cpu = running.cpu()
            running.go(1)
            found = json.loads(client.stdout.readline())
        spent = running.cpu() - cpu
    got = sum(found["bytes"])
    return got / found["seconds"], spent / (got / 1e9), all(found["exact"])


# -- a crowd of readers of a process that floods ------------------------------------------------


def crowd(seconds: float) -> Iterator[Row]:
    """A thousand server-sent event feeds of one flooding process, and what others have of gafferd; then one feed."""
    answered, wrote, got, least = flooded(CROWD)
    note = f"p50 {answered['p50_ms']:.1f}, worst {answered['worst_ms']:.0f}"
    yield Row("1,000 feeds of a flooding process: /ping p99", answered["p99_ms"], "ms", 60, note=note)
    yield Row("  the process writes", wrote / MB, "MB/s", 1, least=True, note=f"readers get {got / MB:.0f} in total")
    yield Row("  the feed that got least, a second", least / MB, "MB", 0.01, least=True)
    answered, wrote, got, least = flooded(1)
    yield Row("one feed of a flooding process: the process writes", wrote / MB, "MB/s", 600, least=True)


def unread(seconds: float) -> Iterator[Row]:
    """A thousand server-sent event feeds of a flooding process of which nothing is read, and what they leave behind."""
    with gafferd(room(CROWD) + job("web", 0, redirect_output="out")) as running:
        head = b"GET /streams/1/out?feed=eventsource HTTP/1.1\r\nHost: localhost\r\n\r\n"
        feeds = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(CROWD)]
        for feed in feeds:
            feed.sendall(head)
        for feed in feeds:
            feed.recv(4096)
        before = running.memory()
        running.go(1)
        time.sleep(WATCHED)
        most = running.memory()
        for feed in feeds:
            feed.close()
        time.sleep(3)
        yield Row("1,000 feeds that are never read: memory", most - before, "MB", 80)
        yield Row("  memory left when they are gone", max(0.0, running.memory() - before), "MB", 30)


def room(count: int) -> str:
    """Return the settings with which *count* connections of one address are allowed."""
    return f"[gaffer]\nhttp_max_connections = {count + 100}\nhttp_max_peer_connections = {count + 100}\n"


def flooded(count: int) -> tuple[Any, float, float, float]:
    """Return what /ping took; and bytes a second: of the process, of all its *count* readers, of the slowest one."""
    with gafferd(room(count) + job("web", 0, redirect_output="out")) as running, pinger(running.port) as ask:
        (os_pid,) = running.os_pids("web").values()
        path = "/streams/1/out?feed=eventsource"
        command = [sys.executable, str(HERE / "feed_readers.py"), str(running.port), path, str(count)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        with subprocess.Popen(command, **pipes) as client:
            assert client.stdin is not None and client.stdout is not None and client.stdout.readline() == "ready\n"
            running.go(1)
            time.sleep(2)
            ask()
            client.stdin.write("\n")
            client.stdout.readline()
            before, began = written(os_pid), time.monotonic()
            time.sleep(WATCHED)
            took, after = time.monotonic() - began, written(os_pid)
            answered = ask()
            client.stdin.write("\n")
            found = json.loads(client.stdout.readline())
            client.kill()
    return answered, (after - before) / took, found["bytes"] / took, found["slowest"] / took


# -- readers that never read --------------------------------------------------------------------


def lazy(seconds: float) -> Iterator[Row]:
    """Twenty processes that flood, ten readers that do not read, and somebody who asks for /ping."""
    with gafferd(job("web", 0, numprocesses=FLOODERS, redirect_output="out")) as running:
        wait(lambda: len(running.get("/pids")["pids"]) == FLOODERS, "the processes did not start")
        children = running.os_pids("web")
        with pinger(running.port) as ask:
            time.sleep(1)
            before = running.memory()
            lazy_ones = lazy_readers(running.port, list(children)[:READERS])
            for pid in children:
                running.go(pid)
            time.sleep(1)
            ask()
            most, slowest = watch(running, children, seconds)
            pings = ask()
        yield Row(
            f"20 flooding, 10 lazy readers: /ping p99 in {seconds:.0f} s",
            pings["p99_ms"],
            "ms",
            100,
            note=f"worst {pings['worst_ms']:.0f}",
        )
        yield Row("  memory grows by", most - before, "MB", 20)
        yield Row("  the least that a process wrote in any second", slowest / MB, "MB", 0.1, least=True)
        yield Row(
            "  lazy readers that were told the gap, with the count",
            sum(reader() for reader in lazy_ones),
            "",
            READERS,
            least=True,
        )


@contextmanager
def pinger(port: int) -> Iterator[Callable[[], Any]]:
    """Ask for /ping from a program of its own; yields what tells how long that took since the last time."""
    command = [sys.executable, str(HERE / "pinger.py"), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask() -> Any:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.terminate()


def lazy_readers(port: int, pids: list[int]) -> list[Callable[[], bool]]:
    """Open websockets and feeds that nobody will read; returns what reads them after all, up to the notice of a gap."""
    found: list[Callable[[], bool]] = []
    for pid in pids[: READERS // 2]:
        found.append(partial(told_by_frame, Socket(port, f"/{pid}/channel?mode=1&since=0")))
    for pid in pids[READERS // 2 :]:
        feed = socket.create_connection(("127.0.0.1", port))
        feed.sendall(f"GET /streams/{pid}/out?feed=eventsource HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        found.append(partial(told_by_event, feed))
    return found


def told_by_frame(reader: Socket) -> bool:
    """Read until a frame says that bytes are missing; tells whether it says as many as really are."""
    position, deadline = 0, time.monotonic() + PATIENCE
    while time.monotonic() < deadline and reader.receive():
        for _, frame in reader.frames():
            head, _, body = frame.partition(b"\0")
            after = int(head.rpartition(b"-")[2])
            if head.startswith(b"V1 error"):
                return bool(json.loads(body)["lost"] == after - position > 0)
            position = after
    return False


def told_by_event(feed: socket.socket) -> bool:
    """Read until an event says that bytes are missing; tells whether it says how many."""
    feed.settimeout(PATIENCE)
    data = b""
    while (more := feed.recv(1 << 20)) and b"event: gap\r\ndata: " not in data[:-50]:
        data = data[-1000:] + more
    return bool(re.search(rb"event: gap\r\ndata: [1-9][0-9]*\r\n", data))


def watch(running: Gafferd, children: dict[int, int], seconds: float) -> tuple[float, float]:
    """Return the most memory, and the least that any process wrote in a second."""
    most, slowest = 0.0, float("inf")
    before, last = {os_pid: written(os_pid) for os_pid in children.values()}, time.monotonic()
    end = last + seconds
    while last < end:
        time.sleep(1)
        now, moment = {os_pid: written(os_pid) for os_pid in before}, time.monotonic()
        slowest = min(slowest, min(now[os_pid] - before[os_pid] for os_pid in before) / (moment - last))
        before, last = now, moment
        most = max(most, running.memory())
    return most, slowest


def written(os_pid: int) -> int:
    """Return the bytes that a process has written so far (proc(5), wchar)."""
    return int(Path(f"/proc/{os_pid}/io").read_text().split("wchar: ")[1].split()[0])


# -- idle ones, and those that come and go ------------------------------------------------------


def idle(seconds: float) -> Iterator[Row]:
    """A thousand websockets that say and hear nothing."""
    with gafferd(ECHO) as running:
        paths = ["/channel/websocket", "/wstreams/1"]
        first = [Socket(running.port, path) for path in paths]
        time.sleep(1)
        before = running.memory()
        began = time.monotonic()
        open_ones = [Socket(running.port, paths[number % 2]) for number in range(IDLE)]
        for one in open_ones[::2]:
            one.send(b'{"event": "SUB", "data": {"topic": "EVENTS"}}')
        time.sleep(2)
        grown = running.memory() - before
        left = max(5.0, 28 - (time.monotonic() - began))
        cpu = running.cpu()
        time.sleep(left)
        cpu = running.cpu() - cpu
        yield Row("1,000 idle websockets: memory", grown, "MB", 60)
        yield Row("  CPU in a second without pings", max(0.0, cpu) / left * 1000, "ms", 0.5)
        cpu = running.cpu()
        pings = answer_pings(open_ones, 12)
        yield Row(
            "  CPU of a ping and its answer",
            (running.cpu() - cpu) / max(1, pings) * 1e6,
            "µs",
            1000,
            note=f"{pings} pings",
        )
        for one in [*first, *open_ones]:
            one.close()


def answer_pings(open_ones: list[Socket], seconds: float) -> int:
    """Answer pings for a while; returns how many there were."""
    poll, by_fd = select.poll(), {one.fileno(): one for one in open_ones}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    count, deadline = 0, time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            assert by_fd[fd].receive(), "an idle websocket was closed"
            count += sum(opcode == PING for opcode, _ in by_fd[fd].frames())
    return count


def coming_and_going(seconds: float) -> Iterator[Row]:
    """Ten thousand websockets and feeds that open, hear a little and leave, half of them without a word."""
    count = 10_000
    with gafferd(ECHO) as running:
        come_and_go(running.port, 1500)
        before = settled(running)
        come_and_go(running.port, count)
        after = settled(running)
    yield Row("10,000 connects and disconnects: descriptors left", after[0] - before[0], "", 0)
    yield Row("  memory left", after[1] - before[1], "MB", 2, note=f"{before[1]:.1f} to {after[1]:.1f}")


def settled(running: Gafferd) -> tuple[int, float]:
    """Return descriptors and memory once nobody is connected."""
    time.sleep(2.5)
    return running.descriptors(), running.memory()


def come_and_go(port: int, count: int) -> None:
    feed = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for number in range(count):
        kind = number % 5
        if kind in (0, 1):
            one = Socket(port, "/channel/websocket")
            one.send(b'{"event": "SUB", "data": {"topic": "EVENTS"}}')
            one.receive()
        elif kind == 2:
            one = Socket(port, "/1/channel?mode=3")
            one.send(b"V1 message 1\0\n")
            one.receive()
        elif kind == 3:
            one = Socket(port, "/wstreams/1")
        else:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(feed % (b"/watch?feed=eventsource" if number % 2 else b"/streams/1/out?feed=continuous"))
                sock.recv(4096)
            continue
        if number % 2:
            one.send(b"\x03\xe8", CLOSE)
            one.receive()
        one.close()


# -- the table ----------------------------------------------------------------------------------

SCENARIOS: dict[str, Callable[[float], Iterator[Row]]] = {
    "logfile": log_file,
    "readers": readers,
    "crowd": crowd,
    "unread": unread,
    "lazy": lazy,
    "idle": idle,
    "flat": coming_and_going,
}


def shown(row: Row) -> str:
    """Return a row as text."""
    value = f"{row.value:,.0f}" if abs(row.value) >= 100 or row.value == int(row.value) else f"{row.value:.2f}"
    limit = f"{'≥' if row.least else '≤'} {row.limit:g} {row.unit}".rstrip()
    return (
        f"{row.title:<58} {value:>9} {row.unit:<5} {limit:<13} {'kept  ' if row.kept else 'BROKEN'} {row.note}".rstrip()
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the lazy readers are watched")
    options = parser.parse_args(argv)
    kept = True
    for name in options.only:
        load = os.getloadavg()[0]
        for row in SCENARIOS[name](options.seconds):
            print(shown(row), flush=True)
            kept = kept and row.kept
        print(f"    load of the machine before: {load:.1f}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
