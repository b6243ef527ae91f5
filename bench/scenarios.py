"""What is measured: each scenario is one life of a supervisor and yields several metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from .peers import Load, Peer
from .peers.gaffer import Gaffer
from .procfs import Watch
from .stamps import Stamp

Samples = dict[str, list[float]]

#: Some supervisors make a process wait that lived less than a second; so nothing is killed before it is this old.
GROWN_UP = 1.2


class Size(NamedTuple):
    """How much of everything."""

    crowd: int = 500
    many: int = 1000
    launches: int = 5
    kills: int = 25
    idle: float = 30.0


def first_child(peer: Peer, size: Size) -> Samples:
    """From exec of the supervisor to its first child's first instruction."""
    samples = []
    for _ in range(size.launches):
        peer.launch(Load())
        samples.append((peer.born(1)[0].ns - peer.launched_ns) / 1e9)
        peer.end()
    return {"first_child_s": samples}


def lone_child(peer: Peer, size: Size) -> Samples:
    """Kill the only child over and over, each time when it has grown up."""
    peer.launch(Load())
    os_pid = peer.born(1)[0].os_pid
    peer.wait_ready()
    samples = []
    for _ in range(size.kills):
        time.sleep(GROWN_UP)
        took, os_pid = _kill_one(peer, os_pid)
        samples.append(took)
    return {"restart_1_ms": samples}


def _kill_one(peer: Peer, os_pid: int) -> tuple[float, int]:
    """KILL one child; return the ms until its replacement ran, and the replacement's os pid."""
    began = time.monotonic_ns()
    os.kill(os_pid, signal.SIGKILL)
    stamp = peer.born(1)[0]
    return (stamp.ns - began) / 1e6, stamp.os_pid


def crowd(peer: Peer, size: Size) -> Samples:
    """Start a crowd at one command, kill some one by one, then all at once, then stop them at one command."""
    peer.launch(Load(copies=size.crowd, autostart=False))
    peer.wait_ready()
    time.sleep(0.5)
    began = time.monotonic_ns()
    peer.start()
    born = peer.born(size.crowd)
    results: Samples = {"start_crowd_s": [_seconds(began, born)]}
    time.sleep(GROWN_UP)

    alive = [stamp.os_pid for stamp in born]
    results["restart_crowd_ms"] = []
    for index in range(min(size.kills, size.crowd)):
        took, alive[index] = _kill_one(peer, alive[index])
        results["restart_crowd_ms"].append(took)
        time.sleep(0.02)
    time.sleep(GROWN_UP)

    began = time.monotonic_ns()
    for os_pid in alive:
        os.kill(os_pid, signal.SIGKILL)
    born = peer.born(size.crowd)
    results["mass_restart_s"] = [_seconds(began, born)]
    time.sleep(GROWN_UP)
    results["stop_crowd_s"] = [_stop(peer, born)]
    return results


def _seconds(began: int, born: list[Stamp]) -> float:
    return (max(stamp.ns for stamp in born) - began) / 1e9


def _stop(peer: Peer, born: list[Stamp]) -> float:
    """Order all down; return the seconds until they were dead and the supervisor knew it."""
    watch = Watch(stamp.os_pid for stamp in born)
    began = time.monotonic_ns()
    peer.stop()
    told = time.monotonic_ns()
    return (max(watch.wait(), told) - began) / 1e9


def many_copies(peer: Peer, size: Size) -> Samples:
    """Many processes of one job, up from the start: time, memory, idle CPU, and how long they take to stop."""
    peer.launch(Load(copies=size.many))
    born = peer.born(size.many)
    results = {"running_many_s": [_seconds(peer.launched_ns, born)]}
    peer.wait_ready()
    time.sleep(5)
    results["pss_copies_mb"] = [peer.pss_mb()]
    results["idle_cpu_ms"] = [_idle_cpu(peer, size.idle)]
    results["stop_many_s"] = [_stop(peer, born)]
    return results


def _idle_cpu(peer: Peer, seconds: float) -> float:
    """CPU time in ms that the supervisor uses in 30 s while nothing happens, from *seconds* of watching."""
    before = peer.cpu_ns()
    time.sleep(seconds)
    return (peer.cpu_ns() - before) / 1e6 * 30 / seconds


def many_jobs(peer: Peer, size: Size) -> Samples:
    """Many jobs of one process each: memory."""
    peer.launch(Load(jobs=size.many))
    peer.born(size.many)
    peer.wait_ready()
    time.sleep(2)
    return {"pss_jobs_mb": [peer.pss_mb()]}


class _Pinger:
    """The pinger program beside a gafferd, read at the end of each phase."""

    def __init__(self, port: int) -> None:
        program = Path(__file__).with_name("pinger.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def worst_ms(self) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return float(answer["worst_ms"])

    def close(self) -> None:
        self._process.communicate("")


def ping(peer: Peer, size: Size) -> Samples:
    """The slowest answer to /ping while crowds start, die, return and stop; asked 100 times a second."""
    assert isinstance(peer, Gaffer)
    peer.launch(Load(copies=size.crowd, autostart=False))
    peer.wait_ready()
    pinger = _Pinger(peer.port)
    try:
        time.sleep(0.5)
        pinger.worst_ms()
        return {f"ping_{phase}_ms": [pinger.worst_ms()] for phase in _rough_life(peer, size)}
    finally:
        pinger.close()


def _rough_life(peer: Gaffer, size: Size) -> Iterator[str]:
    peer.start()
    alive = peer.born(size.crowd)
    time.sleep(0.2)
    yield "start"
    for stamp in alive:
        os.kill(stamp.os_pid, signal.SIGKILL)
    alive = peer.born(size.crowd)
    time.sleep(0.2)
    yield "mass_restart"
    peer.numprocesses(peer.names[0], f"={size.many}")
    alive += peer.born(size.many - size.crowd)
    time.sleep(0.2)
    yield "scale"
    _stop(peer, alive)
    time.sleep(0.2)
    yield "stop"


class Scenario(NamedTuple):
    run: Callable[[Peer, Size], Samples]
    metrics: tuple[str, ...]
    #: Only these peers; none means all.
    peers: tuple[str, ...] = ()


SCENARIOS = {
    "first-child": Scenario(first_child, ("first_child_s",)),
    "lone-child": Scenario(lone_child, ("restart_1_ms",)),
    "crowd": Scenario(crowd, ("start_crowd_s", "restart_crowd_ms", "mass_restart_s", "stop_crowd_s")),
    "many-copies": Scenario(many_copies, ("running_many_s", "pss_copies_mb", "idle_cpu_ms", "stop_many_s")),
    "many-jobs": Scenario(many_jobs, ("pss_jobs_mb",), ("supervisor", "runit", "gaffer")),
    "ping": Scenario(ping, ("ping_start_ms", "ping_mass_restart_ms", "ping_scale_ms", "ping_stop_ms"), ("gaffer",)),
}
