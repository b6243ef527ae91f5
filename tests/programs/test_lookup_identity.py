"""One node at several lookupds over a real etcd, and two that say they are the same one."""

from __future__ import annotations

import pytest

from ..kit.etcd import Etcd
from ..kit.gafferd import eventually
from ..kit.lookupd import Lookupd, Talker, make_node, refused

TAKEN = "a node n at http://10.0.0.1:5000 is connected already"


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with Etcd(tmp_path_factory.mktemp("etcd"), members=1) as cluster:
        yield cluster


@pytest.fixture
def pair(etcd, tmp_path):
    """Two lookupds; nodes may be silent for long."""

    def one(name: str) -> Lookupd:
        # A prefix for each test: what one leaves behind is none of the others' business.
        return Lookupd(tmp_path, "--registry", f"{etcd.url}/{tmp_path.name}", "--ping-interval", "60", name=name)

    with one("a") as a, one("b") as b:
        yield a, b


def answers(lookupd: Lookupd) -> tuple[object, ...]:
    """Return all that a lookupd knows."""
    client = lookupd.client
    return client.nodes(), client.jobs(), client.sessions()


def pids(lookupd: Lookupd) -> dict[str, list[list[int]]]:
    return {job["name"]: [source["pids"] for source in job["sources"]] for job in lookupd.client.jobs()}


def test_a_duplicate_is_refused_at_every_lookupd(pair):
    a, b = pair
    with Talker(a) as first, Talker(b) as second:
        assert first.identify("life-1", labels={"zone": "a"})["ok"]
        first.say("REGISTER_JOB", job_name="web", pids=[1])
        assert refused(b, "life-2").startswith(TAKEN)
        eventually(lambda: pids(b) == {"default.web": [[1]]})
        assert answers(a) == answers(b)
        assert a.nodes() == ["n"] and a.client.nodes()[0]["labels"] == {"zone": "a"}
        assert second.identify("life-2", name="m")["ok"], "another name makes another node"
        eventually(lambda: a.nodes() == ["m", "n"])
        first.cut()
        eventually(lambda: a.nodes() == b.nodes() == ["m"])
        with Talker(b) as third:
            assert third.identify("life-2")["ok"], "its place is free"


def test_one_node_at_two_lookupds_lives_while_one_connection_does(pair):
    a, b = pair
    with Talker(a) as first, Talker(b) as second:
        assert first.identify("life", labels={"at": "first"})["ok"]
        first.say("REGISTER_JOB", job_name="web", pids=[1, 2], state=1)
        assert second.identify("life", labels={"at": "second"})["ok"]
        eventually(lambda: pids(b) == {"default.web": [[1, 2]]})
        second.say("REGISTER_JOB", job_name="web", pids=[1, 2], state=1)
        eventually(lambda: answers(a) == answers(b))
        assert len(a.nodes()) == 1
        first.say("UNREGISTER_PROCESS", job_name="web", pid=1, state=2)
        eventually(lambda: pids(a) == pids(b) == {"default.web": [[2]]})
        second.say("UNREGISTER_PROCESS", job_name="web", pid=1)
        second.say("REGISTER_PROCESS", job_name="web", pid=3, state=3)
        eventually(lambda: pids(a) == pids(b) == {"default.web": [[2, 3]]})
        assert answers(a) == answers(b)
        with a.client.watch() as watching:
            first.cut()
            second.say("REGISTER_JOB", job_name="last", state=4)
            assert next(watching)["event"] == "add_job", "no watcher hears of a connection that nothing depends on"
        eventually(lambda: a.client.health()["connected"] == 0)
        eventually(lambda: answers(a) == answers(b))
        assert sorted(pids(a)) == ["default.last", "default.web"] and a.client.nodes()[0]["labels"] == {"at": "second"}
        assert refused(a, "another life")
        second.cut()
        eventually(lambda: a.nodes() == b.nodes() == [])


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_lookupd_that_ends_frees_no_identity_that_another_hears(pair, how):
    a, b = pair
    with Talker(a) as first, Talker(b) as second:
        assert first.identify("life")["ok"] and second.identify("life")["ok"]
        if how == "killed":
            a.kill()
        else:
            with b.client.watch() as watching:
                assert a.stop() == 0
                second.say("REGISTER_JOB", job_name="web")
                assert next(watching)["event"] == "add_job", "nothing was taken back"
        with second.answering():
            assert refused(b, "another life")
        a.start()
        assert refused(a, "another life")
        assert b.nodes() == ["n"]
        second.leave()
        eventually(lambda: a.nodes() == b.nodes() == [])
        with Talker(a) as other:
            assert other.identify("another life")["ok"], "what the first lookupd has written before it died is gone"


def test_what_is_deleted_in_etcd_comes_back(pair, etcd, tmp_path):
    a, b = pair
    with Talker(a) as node:
        assert node.identify("life")["ok"]
        eventually(lambda: b.nodes() == ["n"])
        etcd.ask("kv/deleterange", key=f"/{tmp_path.name}/".encode(), range_end=f"/{tmp_path.name}0".encode())
        eventually(lambda: b.nodes() == [])
        assert a.nodes() == ["n"]
        eventually(lambda: node.say("PING")["ok"] and b.nodes() == ["n"])


def test_who_was_let_in_without_etcd_is_told_afterwards(tmp_path):
    etcd = Etcd(tmp_path, members=1)
    arguments = ("--registry", etcd.url, "--ping-interval", "60")
    with Lookupd(tmp_path, *arguments, name="a") as a, Lookupd(tmp_path, *arguments, name="b") as b:
        with Talker(a) as first, Talker(b) as second:
            assert first.identify("1")["ok"] and second.identify("2")["ok"]
            first.say("REGISTER_JOB", job_name="one")
            second.say("REGISTER_JOB", job_name="two")
            assert [(one.nodes(), bool(one.client.stale)) for one in (a, b)] == [(["n"], True)] * 2
            with etcd:
                eventually(lambda: a.client.health()["connected"] + b.client.health()["connected"] == 1)
                eventually(lambda: answers(a) == answers(b) and a.client.stale is b.client.stale is None)
                loser, winner = (first, a) if a.client.health()["connected"] == 0 else (second, b)
                assert loser.told().startswith(TAKEN)
                assert list(pids(winner)) == ["default.two" if loser is first else "default.one"]


def test_gafferds_of_one_identity(pair, tmp_path):
    """The same gafferd registers with both; a second one that says it is the same is refused, and takes over later."""
    a, b = pair
    lines = "broadcast_address = http://10.0.0.1:5000\n[plugin:lookup]"

    def gafferd(folder: str, job: str):
        node = make_node(tmp_path, folder, [b, a], jobs=f"[process:{job}]\ncmd = sleep 600\n")
        text = node.ini.read_text().replace("[plugin:lookup]", lines).replace(f"name = {folder}", "name = same")
        node.ini.write_text(text)
        return node

    with gafferd("one", "first") as one, gafferd("two", "second") as two:
        one.start().ready()
        eventually(lambda: [link["registered"] for link in links(one)] == [True, True])
        two.start()
        sentence = "a node same at http://10.0.0.1:5000 is connected already"
        assert "give each node a name" in two.logged(sentence)
        eventually(lambda: pids(a) == pids(b) == {"default.first": [[1]]})
        assert answers(a) == answers(b)
        a.kill()  # what it has written stays for minutes, unless the node itself says good-bye
        one.signal(15)
        assert one.wait() == 0
        a.start()
        eventually(lambda: pids(a) == pids(b) == {"default.second": [[1]]})
        eventually(lambda: [link["registered"] for link in links(two)] == [True, True])
        assert answers(a) == answers(b)


def links(node) -> list[dict[str, object]]:
    return list(node.get("/health")["plugins"]["lookup"]["lookupds"].values())
