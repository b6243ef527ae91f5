"""``python -m bench.lookup``: what a gaffer_lookupd carries.

Nodes are simulated by a program beside it, which uses gafferd's own connection and messages: all connect at once and
register their jobs, each with one process. Then a client asks where jobs are while the nodes go on giving signs of
life and restart processes. Every size has a fresh lookupd; each figure stands beside its limit.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from typing import Any, NamedTuple

from gaffer.httpclient import LookupServer

from .figures import p99

#: The size that has limits: seconds until all is visible, milliseconds of findJob, bytes of memory.
NODES, JOBS = 200, 50
VISIBLE, FIND, MEMORY = 10.0, 20.0, 200e6
QUESTIONS = 2_000
#: Restarts of processes in a second, on all nodes together, while questions are asked.
CHANGES = 100

NODES_PROGRAM = """
from gevent import monkey
monkey.patch_all(subprocess=False, os=False, signal=False)
import sys
import gevent
from gaffer_plugins.lookup.config import LookupConfig, parse_place
from gaffer_plugins.lookup.connection import LookupConnection
from gaffer_plugins.lookup.state import Desk, Told
from gaffer.api import Resolver

url, nodes, jobs, changes = sys.argv[1], *map(int, sys.argv[2:])
config = LookupConfig([], None, {}, None, None, None, None, None, [])
refused = []

def register(number):
    desk = Desk()
    for job in range(jobs):
        # Half of the jobs are everywhere, as those of one application are; the others are a node's own.
        name = f"app.job-{job}" if job % 2 else f"node-{number}.job-{job}"
        desk.add_job(name)
        desk.add_process(name, job + 1)
    told = Told(desk)
    desk.tell(told.mark)
    connection = LookupConnection(parse_place(url), config, 60.0, Resolver())
    origin = f"http://10.0.0.1:{number}"
    connection.ask({"type": "IDENTIFY", "name": f"node-{number}", "origin": origin, "version": "1"})
    return desk, told, connection

def say(told, connection):
    # As a link does it: some messages ahead of their answers.
    messages = list(told.messages())
    for at in range(0, len(messages), 100):
        some = messages[at : at + 100]
        for message in some:
            connection.send({"msgid": connection.next_id(), **message})
        refused.extend(answer for _ in some if not (answer := connection.receive()).get("ok"))

def live(number):
    desk, told, connection = register(number)
    say(told, connection)
    ready.append(number)
    pid = jobs
    while True:
        # One process a second and node is restarted, or as many as there are to be.
        gevent.sleep(nodes / changes)
        pid += 1
        name = f"app.job-{pid % jobs | 1}"
        desk.remove_process(name, min(desk.jobs[name]))
        desk.add_process(name, pid)
        say(told, connection)

ready = []
greenlets = [gevent.spawn(live, number) for number in range(nodes)]
while len(ready) < nodes:
    gevent.sleep(0.01)
    for greenlet in greenlets:
        if greenlet.dead:
            greenlet.get()
print("registered", len(refused), flush=True)
gevent.os.tp_read(0, 1)
"""


class Figures(NamedTuple):
    """What one size cost."""

    nodes: int
    jobs: int
    visible: float
    find: float
    shared: float
    memory: int
    idle: float


def memory(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    with open(f"/proc/{pid}/schedstat") as schedstat:
        return int(schedstat.read().split()[0]) / 1e9


def measure(nodes: int, jobs: int, questions: int = QUESTIONS, registry: str = "memory:") -> Figures:
    """Let *nodes* register at once, and ask."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gaffer.lookupd.main", "--bind", f"127.0.0.1:{port}", "--registry", registry]
        lookupd = subprocess.Popen([*command, "--log-level", "warning"], cwd=folder, env={**os.environ, "HOME": folder})
        try:
            return _measure(lookupd.pid, port, nodes, jobs, questions)
        finally:
            lookupd.kill()
            lookupd.wait()


def _measure(pid: int, port: int, nodes: int, jobs: int, questions: int) -> Figures:
    url = f"http://127.0.0.1:{port}"
    with LookupServer(url, timeout=60) as client:
        while not client.ping():
            time.sleep(0.02)
        words = [sys.executable, "-c", NODES_PROGRAM, url, *map(str, (nodes, jobs, CHANGES))]
        began = time.monotonic()
        crowd = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            while _known(client) < nodes * jobs:
                time.sleep(0.05)
                assert crowd.poll() is None, "the nodes have ended"
            visible = time.monotonic() - began
            assert crowd.stdout is not None and crowd.stdout.readline() == "registered 0\n"
            used, at = cpu(pid), time.monotonic()
            time.sleep(2)
            idle = (cpu(pid) - used) / (time.monotonic() - at)
            own, shared = _ask(port, "node-1.job-0", questions), _ask(port, "app.job-1", questions // 4)
            return Figures(nodes, jobs, visible, own, shared, memory(pid), idle)
        finally:
            crowd.communicate("x")


def _known(client: LookupServer) -> int:
    """Return how many jobs with a process a lookupd knows, each on each node."""
    return sum(1 for job in client.jobs() for source in job["sources"] if source["pids"])


def _ask(port: int, name: str, questions: int) -> float:
    """Return the 99th percentile of the time of findJob, in milliseconds."""
    connection, took = HTTPConnection("127.0.0.1", port), []
    for _ in range(questions):
        began = time.perf_counter()
        connection.request("GET", f"/findJob?name={name}")
        answer: Any = connection.getresponse()
        body = answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == 200, body
    connection.close()
    return p99(took) * 1000


def row(found: Figures) -> str:
    """Return a line of the table."""
    return (
        f"{found.nodes:6d} {found.jobs:5d} {found.visible:12.2f} {found.find:14.2f} {found.shared:16.2f}"
        f" {found.memory / 1e6:10.0f} {found.idle * 100:8.1f}"
    )


def main() -> int:
    """Print the table; returns 1 if a limit is passed."""
    parser = argparse.ArgumentParser(prog="python -m bench.lookup", description=__doc__)
    parser.add_argument(
        "--nodes", type=int, nargs="+", default=[50, 100, NODES, 400, 1000], help="default: %(default)s"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help="jobs of each node (%(default)s)")
    parser.add_argument("--registry", default="memory:", help="where nodes are kept (%(default)s)")
    args = parser.parse_args()
    print(" nodes  jobs  visible (s)  findJob p99 ms  on all nodes ms  memory MB    CPU %")
    wrong = []
    for nodes in args.nodes:
        found = measure(nodes, args.jobs, registry=args.registry)
        print(row(found), flush=True)
        if nodes == NODES and (
            found.visible > VISIBLE or max(found.find, found.shared) > FIND or found.memory > MEMORY
        ):
            wrong.append(found)
    print(f"limits for {NODES} nodes: {VISIBLE:g} s, {FIND:g} ms, {MEMORY / 1e6:g} MB:", "passed" if wrong else "kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
