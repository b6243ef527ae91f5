"""Several lookupds over a real etcd of three members: each of them, and any member, may die."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from base64 import b64encode

import pytest

from gaffer.errors import GafferError, NotFound
from gaffer.httpclient import LookupServer

from .etcd import Etcd
from .gafferd import eventually
from .lookupd import Lookupd, make_node, pause, resume

#: How long answers may be delayed by whatever dies, in seconds.
LIMIT = 5.0


class Witness:
    """Asks a lookupd all the time where a job is; notes what is missing, and what takes long."""

    def __init__(self, url: str, nodes: int) -> None:
        self._client = LookupServer(url, timeout=LIMIT)
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


def within(seconds: float, check) -> float:
    """Return how long it took until *check* was true."""
    began = time.monotonic()
    eventually(check)
    took = time.monotonic() - began
    assert took < seconds, f"it took {took:.1f} s"
    return took


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with Etcd(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


def lookupd(folder, etcd, name) -> Lookupd:
    return Lookupd(folder, "--registry", etcd.url, "--ping-interval", "1", name=name)


def test_lookupds_answer_the_same_and_each_may_die(etcd, tmp_path):
    with lookupd(tmp_path, etcd, "a") as a, lookupd(tmp_path, etcd, "b") as b:
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
            with Witness(b.url, 2) as witness:
                a.kill()
                time.sleep(4)  # longer than a lease: what only "a" wrote is gone by now
            assert witness.asked > 20 and witness.wrong == []
            a.start()
            assert within(LIMIT, lambda: a.nodes() == ["both", "only-b"])
            pause(nodes[1])
            eventually(lambda: a.nodes() == b.nodes() == ["both"])
            resume(nodes[1])
            eventually(lambda: a.nodes() == b.nodes() == ["both", "only-b"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_any_member_may_die(etcd, tmp_path, how):
    with lookupd(tmp_path, etcd, "a") as a, lookupd(tmp_path, etcd, "b") as b, make_node(tmp_path, "n", [a]) as node:
        node.start()
        eventually(lambda: sources(a) == sources(b) == 1)
        # The member that both are asking: the worst one to lose.
        asked = b.client.health()["registry"]["member"]
        number = next(n for n, (port, _) in enumerate(etcd.ports) if asked.endswith(f":{port}"))
        with Witness(a.url, 1) as first, Witness(b.url, 1) as second:
            etcd.kill(number, how)
            took = _load_and_see(node, b)
            time.sleep(1)
        assert first.wrong == second.wrong == []
        assert max(first.slowest, second.slowest, took) < LIMIT
        if how == signal.SIGKILL:
            etcd.start(number)
        else:
            etcd.kill(number, signal.SIGCONT)
        eventually(lambda: etcd.healthy(number))
        within(LIMIT, lambda: a.client.nodes() == b.client.nodes() and a.client.stale is b.client.stale is None)


def _load_and_see(node, b) -> float:
    """Load a job and return how long it took until the other lookupd knew it."""
    body = json.dumps({"name": "late", "cmd": "sleep 600"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{node.port}/jobs/default", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()
    return within(LIMIT, lambda: has_job(b, "default.late"))


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
            within(LIMIT, lambda: _reason(a) is None)
            assert a.nodes() == ["n"]
            _put(etcd, "/gaffer/lookupd/nodes/x/y", b"nonsense")
            _put(etcd, "/gaffer/lookupd/nodes/x/y/z", b"nonsense")
            with lookupd(tmp_path, etcd, "b") as b:
                eventually(lambda: b.nodes() == ["n"])
                assert b.client.health()["registry"]["refused"] == 2
                etcd.kill(0)
                eventually(lambda: _reason(b))
                assert b.nodes() == ["n"], "what was known is still said"
                etcd.start(0)
                within(LIMIT, lambda: _reason(b) is None)
                assert b.nodes() == ["n"]


def _reason(lookupd: Lookupd) -> str | None:
    lookupd.client.nodes()
    return lookupd.client.stale and lookupd.client.stale["reason"]


def _put(etcd: Etcd, key: str, value: bytes) -> None:
    body = json.dumps({"key": b64encode(key.encode()).decode(), "value": b64encode(value).decode()}).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{etcd.ports[0][0]}/v3/kv/put", body).close()
