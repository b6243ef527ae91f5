"""A real gafferd or gaffer_lookupd under attack, and what the others have of it meanwhile.

How to use it::

    def test_something(tmp_path: Path) -> None:
        figures = under_attack(gafferd(tmp_path), partial(flood, data=b"\\r\\n"))
        figures.check()

* The attack is any callable that can be pickled and is given the program's port. It runs in a process of its own,
  forked from a server that has neither threads nor gevent, so it never competes with the measuring for the
  interpreter; it needs no end, for it is killed. ``attackers=20`` makes it run in as many threads. A server that
  floods its clients (a webhook receiver, a lookupd, an etcd) is an attack, too:
  ``under_attack(gafferd(tmp_path, "webhooks...", port=...), partial(serve_forever, ...))``; it may ignore its
  argument, and :func:`listening` gives it a bound socket whose port the configuration can name beforehand. Such an
  attacker is to begin before gafferd starts: ``early=True``.
* :func:`gafferd` takes the options of section ``[gaffer]`` and further sections as ini text. It runs one child, the
  job ``victim``, which is killed again and again.
* :meth:`Figures.check` is generous, because tests run on busy machines: what it refuses is standing still. The
  figures themselves are for ``bench/attacks.py``.
"""

from __future__ import annotations

import http.client
import json
import math
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator

from gaffer.process.proc_scan import children
from tests.kit.gafferd import Gafferd, environment

Attack = Callable[[int], object]
#: Where attackers are forked: pytest itself has threads and an event loop.
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["tests.security.flooding"])

#: What is slower than this has not happened at all, in seconds.
LOST = 30.0
_PAUSE = 0.01
_VICTIM = "[process:victim]\ncmd = sleep 3600\nmin_uptime = 0\n"


class Lookupd(Gafferd):
    """A gaffer_lookupd, by the same methods."""

    def start(self, *args: str, **env: str) -> Lookupd:
        """Start it and do not wait."""
        command = [sys.executable, "-m", "gaffer.lookupd.main", "--bind", f"127.0.0.1:{self.port}", *args]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options.split()],
                cwd=self.folder,
                env=environment(self.folder, **env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self


def gafferd(folder: Path, options: str = "", sections: str = "", port: int | None = None) -> Gafferd:
    """Return a gafferd with a job to be killed; it is not started.

    :param options: lines of section ``[gaffer]``. :param sections: whole sections.
    """
    return Gafferd(folder, f"{_VICTIM}{sections}", options, port)


def lookupd(folder: Path, options: str = "") -> Lookupd:
    """Return a gaffer_lookupd; it is not started."""
    return Lookupd(folder, "", options)


@dataclass
class Figures:
    """What others had of the program meanwhile; what never came is infinite."""

    pings: list[float] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    term: float = math.inf
    status: int | None = None
    #: Resident memory of the program at its end, in bytes.
    memory: int = 0
    log: str = ""

    def check(self, ping: float = 8.0, restart: float = 8.0, term: float = 20.0) -> None:
        """Assert that none was slower than so many seconds."""
        self.check_service(ping, restart)
        assert self.term < term and self.status == 0, self

    def check_service(self, ping: float = 8.0, restart: float = 8.0) -> None:
        """Assert the same of a program that goes on."""
        assert self.pings and max(self.pings) < ping, self
        assert not self.restarts or max(self.restarts) < restart, self

    def __str__(self) -> str:
        if not self.pings:
            return "nothing was measured"
        pings = sorted(self.pings)
        shown = (
            f"/ping p50 {_ms(pings[len(pings) // 2])} p99 {_ms(pings[len(pings) * 99 // 100])} worst {_ms(pings[-1])}"
        )
        if self.restarts:
            shown += f"; restart {_ms(statistics.median(self.restarts))} worst {_ms(max(self.restarts))}"
        return f"{shown}; TERM {self.term:.2f} s, exit status {self.status}"

    __repr__ = __str__


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def under_attack(
    program: Gafferd, attack: Attack, seconds: float = 2.0, attackers: int = 1, early: bool = False
) -> Figures:
    """Return what others have of *program* while *attack* goes on; it is started here, and has ended afterwards.

    :param attackers: threads that run it at the same time.
    :param early: the attack begins before the program.
    """
    figures = Figures()
    with _attacking(program.port, attack, attackers) as begin, program:
        if early:
            begin()
        program.start().ready()
        if not early:
            begin()
        _measure(program, seconds, figures)
        _end(program, figures)
        figures.log = program.log.read_text()
    return figures


def attack_running(program: Gafferd, attack: Attack, seconds: float = 0.3) -> Figures:
    """Return what others have of *program*, which runs already and goes on afterwards: its end is not measured."""
    figures = Figures()
    with _attacking(program.port, attack, 1) as begin:
        begin()
        _measure(program, seconds, figures)
    return figures


def _measure(program: Gafferd, seconds: float, figures: Figures) -> None:
    assert program.process is not None
    end = time.monotonic() + seconds
    pinging = threading.Thread(target=_ping_until, args=(end, program.port, figures.pings))
    pinging.start()
    if not isinstance(program, Lookupd):
        _kill_until(end, program.process.pid, figures.restarts)
    pinging.join()
    figures.memory = _memory(program.process.pid)


class _attacking:
    """The attacker's process, from :meth:`begin` to the end of the block."""

    def __init__(self, port: int, attack: Attack, attackers: int) -> None:
        self._make = lambda: forkserver.Process(target=_attack, args=(port, attack, attackers), daemon=True)
        self._process: Any = None

    def _begin(self) -> None:
        self._process = self._make()
        self._process.start()
        time.sleep(0.2)  # what is measured before it has begun is only good for the others

    def __enter__(self) -> Callable[[], None]:
        return self._begin

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _attack(port: int, attack: Attack, attackers: int) -> None:
    def again() -> None:
        while True:
            try:
                attack(port)
            except OSError:
                time.sleep(0.01)  # refused or closed: begin again

    for _ in range(attackers - 1):
        threading.Thread(target=again, daemon=True).start()
    again()


def _ping_until(end: float, port: int, pings: list[float]) -> None:
    """Ask on a new connection each time, as a user does who comes to look what is wrong."""
    while time.monotonic() < end:
        pings.append(_timed_ping(port))
        time.sleep(_PAUSE)


def _timed_ping(port: int) -> float:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LOST)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        answer.read()
        return time.monotonic() - began if answer.status == 200 else math.inf
    except OSError:
        return math.inf
    finally:
        connection.close()


def _kill_until(end: float, gafferd: int, restarts: list[float]) -> None:
    while time.monotonic() < end:
        before = _victims(gafferd)
        for child in before:
            os.kill(child, signal.SIGKILL)
        began = time.monotonic()
        while not _victims(gafferd) - before:
            if time.monotonic() - began > LOST:
                restarts.append(math.inf)
                return
            time.sleep(0.0005)
        restarts.append(time.monotonic() - began)
        time.sleep(0.1)


def _victims(gafferd: int) -> set[int]:
    return {child for child in children(gafferd) if b"3600" in _command(child)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _end(program: Gafferd, figures: Figures) -> None:
    assert program.process is not None
    began = time.monotonic()
    program.signal(signal.SIGTERM)
    try:
        figures.status = program.process.wait(LOST * 2)
        figures.term = time.monotonic() - began
    except subprocess.TimeoutExpired:
        program.process.kill()
        program.process.wait()


def _memory(pid: int) -> int:
    try:
        words = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE")


# -- parts of attacks ---------------------------------------------------------------------------


def connect(port: int) -> socket.socket:
    """Return a connection to a program of this machine."""
    return socket.create_connection(("127.0.0.1", port), 30)


def listening() -> socket.socket:
    """Return a listening socket for a server that attacks; its port is ``getsockname()[1]``."""
    return socket.create_server(("127.0.0.1", 0))


def flood(port: int, data: bytes, first: bytes = b"", reads: bool = False) -> None:
    """Send *first*, then *data* again and again as fast as it is taken, until the connection is closed.

    :param reads: the answers are read and thrown away; else the connection stops when they fill its buffers.
    """
    with connect(port) as sock:
        sock.sendall(first)
        if reads:
            threading.Thread(target=_drain, args=(sock,), daemon=True).start()
        many = data * max(1, 65_536 // len(data))
        while True:
            sock.sendall(many)


def drip(port: int, data: bytes, first: bytes = b"", pause: float = 0.05) -> None:
    """Send *first*, then *data* again and again byte by byte, until the connection is closed."""
    with connect(port) as sock:
        sock.sendall(first)
        while True:
            for byte in data:
                sock.sendall(bytes((byte,)))
                time.sleep(pause)


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 20):
            pass
    except OSError:
        pass


def masked(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    """Return a client's frame; its mask is zero, so that it is made fast."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((opcode | (0x80 if fin else 0),)) + length + bytes(4) + payload


def upgrade(path: str, headers: str = "") -> bytes:
    """Return the request for a websocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{headers}"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


def answers(sock: socket.socket) -> Iterator[Any]:
    """Give the JSON of each answer with a length that comes; for attacks that need to know something."""
    file = sock.makefile("rb")
    while file.readline():
        length = 0
        while (line := file.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        yield json.loads(file.read(length))
