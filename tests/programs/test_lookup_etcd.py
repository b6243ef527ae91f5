"""Several lookupds over a real etcd of three members: each of them, and any member, may die."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gaffer.errors import GafferError, NotFound
from gaffer.httpclient import LookupServer

from ..kit.etcd import Etcd
from ..kit.gafferd import PATIENCE, Gafferd, eventually
from ..kit.lookupd import Lookupd, make_node, pause, resume

#: How long answers may be delayed by whatever dies, in seconds.
LIMIT = 5.0
#: How often that is tried. A busy machine may hold up anything once; what takes too long by itself does so each time.
TRIES = 3


class Witness:
    """Asks a lookupd all the time where a job is; notes what is missing, and what takes long."""

    def __init__(self, url: str, nodes: int) -> None:
        self._client = LookupServer(url, timeout=PATIENCE)
        self._nodes = nodes
        self.asked = 0
        self.wrong: list[str] = []
        self.slowest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            began = time.monotonic()
            try:
                found = len(self._client.find_job("web")["sources"])
                if found != self._nodes:
                    self.wrong.append(f"{found} nodes")
            except GafferError as error:
                self.wrong.append(str(error))
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()


def sources(lookupd: Lookupd) -> int:
    try:
        return len(lookupd.client.find_job("web")["sources"])
    except NotFound:
        return 0


def has_job(lookupd: Lookupd, name: str) -> bool:
    return any(job["name"] == name for job in lookupd.client.jobs())


def took(check: Callable[[], Any]) -> float:
    """Return how many seconds it took until *check* was true."""
    began = time.monotonic()
    eventually(check)
    return time.monotonic() - began


def within_limit(measure: Callable[[], float]) -> None:
    """Do something that may take no longer than :data:`LIMIT`; *measure* returns how many seconds it took."""
    delays: list[float] = []
    while not delays or delays[-1] >= LIMIT:
        assert len(delays) < TRIES, f"it took {delays} seconds"
        delays.append(measure())


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with Etcd(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


def lookupd(folder: Path, etcd: Etcd, name: str, ping: float = 20.0) -> Lookupd:
    return Lookupd(folder, "--registry", etcd.url, "--ping-interval", str(ping), name=name)


def held(etcd: Etcd, holder: str) -> int:
    """Return how many records in etcd are one lookupd's."""
    found = etcd.ask("kv/range", key=b"/gaffer/", range_end=b"/gaffer0", keys_only=True)
    return sum(b64decode(one["key"]).endswith(holder.encode()) for one in found.get("kvs", ()))


def test_lookupds_answer_the_same_and_each_may_die(etcd, tmp_path):
    # Nodes are given up after six seconds: shorter, and a busy machine could do that to any of them.
    with lookupd(tmp_path, etcd, "a", 2) as a, lookupd(tmp_path, etcd, "b", 2) as b:
        nodes = [
            make_node(tmp_path, "only-a", [a]),
            make_node(tmp_path, "only-b", [b]),
            make_node(tmp_path, "both", [b, a]),
        ]
        with nodes[0].start(), nodes[1].start(), nodes[2].start():
            for one in (a, b):
                eventually(
                    lambda one=one: sources(one) == 3 and all(s["pids"] for s in one.client.find_job("web")["sources"])
                )
            assert a.client.jobs() == b.client.jobs() and a.client.nodes() == b.client.nodes()
            assert a.client.sessions() == b.client.sessions() and a.client.stale is None
            with a.client.watch() as watching:
                nodes[0].signal(signal.SIGTERM)
                gone = next(event for event in watching if event["event"] == "remove_node")
            assert gone["node_info"]["name"] == "only-a"
            assert eventually(lambda: b.nodes() == ["both", "only-b"])
            holder = a.client.health()["registry"]["id"]
            eventually(lambda: held(etcd, holder) == 1)
            with Witness(b.url, 2) as witness:
                a.kill()
                eventually(lambda: held(etcd, holder) == 0)  # its leases have ended: what only "a" wrote is gone by now
            assert witness.asked > 10 and witness.wrong == []

            def restart() -> float:
                a.kill()
                a.start()
                return took(lambda: a.nodes() == ["both", "only-b"])

            within_limit(restart)
            pause(nodes[1])
            eventually(lambda: a.nodes() == b.nodes() == ["both"])
            resume(nodes[1])
            eventually(lambda: a.nodes() == b.nodes() == ["both", "only-b"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_any_member_may_die(etcd, tmp_path, how):
    with lookupd(tmp_path, etcd, "a") as a, lookupd(tmp_path, etcd, "b") as b, make_node(tmp_path, "n", [a]) as node:
        node.start()
        eventually(lambda: sources(a) == sources(b) == 1)
        within_limit(lambda: lose_a_member(etcd, a, b, node, how))


def lose_a_member(etcd: Etcd, a: Lookupd, b: Lookupd, node: Gafferd, how: signal.Signals) -> float:
    """Lose the member that both ask, the worst one, and get it back; returns how long the longest answer took."""
    asked = b.client.health()["registry"]["member"]
    number = next(n for n, (port, _) in enumerate(etcd.ports) if asked.endswith(f":{port}"))
    job = f"late-{time.monotonic_ns()}"
    with Witness(a.url, 1) as first, Witness(b.url, 1) as second:
        etcd.kill(number, how)
        load(node, job)
        known = took(lambda: has_job(b, f"default.{job}"))
        time.sleep(1)
    if how == signal.SIGKILL:
        etcd.start(number)
    else:
        etcd.kill(number, signal.SIGCONT)
    assert first.wrong == second.wrong == []
    eventually(lambda: etcd.healthy(number))
    eventually(lambda: a.client.nodes() == b.client.nodes() and a.client.stale is b.client.stale is None)
    return max(first.slowest, second.slowest, known)


def load(node: Gafferd, job: str) -> None:
    """Load a job on a node."""
    body = json.dumps({"name": job, "cmd": "sleep 600"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{node.port}/jobs/default", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def test_without_etcd_answers_are_stale_and_say_so(tmp_path):
    etcd = Etcd(tmp_path, members=1)
    with lookupd(tmp_path, etcd, "a") as a, make_node(tmp_path, "n", [a]) as node:
        eventually(lambda: "connection refused" in (_reason(a) or ""))
        assert a.client.nodes() == []
        assert "connection refused; answers are marked as stale, trying again" in a.logged("stale")
        node.start()
        eventually(lambda: a.nodes() == ["n"])
        assert a.client.stale["seconds"] > 0 and a.client.health()["ok"] is False
        with etcd:
            eventually(lambda: _reason(a) is None)
            assert a.nodes() == ["n"]
            _put(etcd, "/gaffer/lookupd/nodes/x/y", b"nonsense")
            _put(etcd, "/gaffer/lookupd/nodes/x/y/z", b"nonsense")
            with lookupd(tmp_path, etcd, "b") as b:
                eventually(lambda: b.nodes() == ["n"])
                assert b.client.health()["registry"]["refused"] == 2

                def outage() -> float:
                    etcd.kill(0)
                    eventually(lambda: _reason(b))
                    assert b.nodes() == ["n"], "what was known is still said"
                    etcd.start(0)
                    eventually(lambda: etcd.healthy(0))
                    delay = took(lambda: _reason(b) is None)
                    assert b.nodes() == ["n"]
                    return delay

                within_limit(outage)


def _reason(lookupd: Lookupd) -> str | None:
    lookupd.client.nodes()
    return lookupd.client.stale and lookupd.client.stale["reason"]


def _put(etcd: Etcd, key: str, value: bytes) -> None:
    body = json.dumps({"key": b64encode(key.encode()).decode(), "value": b64encode(value).decode()}).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{etcd.ports[0][0]}/v3/kv/put", body).close()
