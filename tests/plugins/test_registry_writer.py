"""gaffer_plugins.registry_etcd.writer: who is let in, whatever etcd does meanwhile, in front of a cluster of memory."""

import gevent
import pytest

from gaffer.errors import Conflict
from gaffer.lookupd.records import NodeInfo, NodeKey, Record
from gaffer_plugins.registry_etcd import writer as module
from gaffer_plugins.registry_etcd.key_layout import PREFIX, make_spot
from gaffer_plugins.registry_etcd.problems import EtcdError, LeaseGone
from gaffer_plugins.registry_etcd.writer import EtcdWriter


class Memory:
    """What a Writer uses of a cluster."""

    def __init__(self):
        self.kept, self.leases, self.down, self.delay = {}, {}, False, 0.0
        self.last = 0

    def _answer(self):
        gevent.sleep(self.delay)
        if self.down:
            raise EtcdError("etcd is down")

    def grant(self, ttl):
        self._answer()
        self.last += 1
        self.leases[self.last] = ttl
        return self.last

    def put(self, spot, value, lease):
        self._answer()
        if lease not in self.leases:
            raise LeaseGone("gone")
        if any(key.startswith(f"{spot.node}/") and not key.startswith(f"{spot.life}/") for key in self.kept):
            return False
        self.kept[spot.key] = (value, lease)
        return True

    def keep(self, lease):
        self._answer()
        if lease not in self.leases:
            raise LeaseGone("gone")

    def revoke(self, lease):
        self._answer()
        self.leases.pop(lease, None)
        self.kept = {key: one for key, one in self.kept.items() if one[1] != lease}

    def delete(self, spot):
        self._answer()
        self.kept = {key: one for key, one in self.kept.items() if not key.startswith(f"{spot.life}/")}


class Desk(EtcdWriter):
    """A lookupd's writer, and whom it refused."""

    def __init__(self, etcd, id):
        self.refused = []
        place = lambda info: make_spot(PREFIX, info.key, info.life, id)  # noqa: E731
        super().__init__(etcd, place, 1.5, lambda key, reason: self.refused.append((key.name, reason)))


@pytest.fixture
def etcd():
    return Memory()


@pytest.fixture
def desks(etcd, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.001)
    both = [Desk(etcd, "one"), Desk(etcd, "two")]
    yield both
    for desk in both:
        desk.stop()


def node(life="1", **jobs):
    return Record(NodeInfo("n", "http://n", "", {}, life), jobs)


def settle(*desks):
    """Wait until nothing is left to be done."""
    with gevent.Timeout(20):
        while any(desk.waiting or desk._busy for desk in desks):
            gevent.sleep(0.001)


def keys(etcd):
    return sorted(key.removeprefix(f"{PREFIX}/nodes/n/http%3A%2F%2Fn/") for key in etcd.kept)


def test_one_life_at_two_lookupds_is_one_node(etcd, desks):
    one, two = desks
    one.claim(node())
    two.claim(node())
    assert keys(etcd) == ["1/one", "1/two"]
    one.left(node().info.key)
    settle(one, two)
    assert keys(etcd) == ["1/two"]


def test_a_node_that_says_good_bye_is_gone_at_all_lookupds(etcd, desks):
    one, two = desks
    one.claim(node())
    two.claim(node())
    one.left(node().info.key, for_good=True)
    settle(one, two)
    assert keys(etcd) == []
    two.claim(node("2"))
    one.claim(node("2"))
    assert keys(etcd) == ["2/one", "2/two"]


def test_a_good_bye_is_said_when_etcd_is_back(etcd, desks):
    one, two = desks
    one.claim(node())
    two.claim(node())
    etcd.down = True
    one.left(node().info.key, for_good=True)
    one.claim(node("2"))
    etcd.down = False
    settle(one, two)
    assert keys(etcd) == ["2/one"]


def test_a_manager_that_starts_again_in_its_process_is_the_same_life(etcd, desks):
    one, two = desks
    one.claim(node())
    one.left(node().info.key, for_good=True)
    one.claim(node())  # before it is written that it has left
    two.claim(node())
    settle(one, two)
    one.left(node().info.key)
    settle(one, two)
    assert keys(etcd) == ["1/two"], "that it has left before is nothing to hold against it"


def test_what_was_deleted_is_written_again_at_the_next_sign_of_life(etcd, desks):
    one, _ = desks
    one.claim(node())
    etcd.kept.clear()
    one.alive(node().info.key)
    settle(one)
    assert keys(etcd) == [], "it is not known yet"
    one.missing(node().info.key)
    settle(one)
    assert keys(etcd) == []
    one.alive(node().info.key)
    settle(one)
    assert keys(etcd) == ["1/one"]
    one.missing(NodeKey("missing", "o"))


def test_another_life_at_another_lookupd_is_refused_until_the_first_is_gone(etcd, desks):
    one, two = desks
    one.claim(node("1"))
    with pytest.raises(Conflict, match="a node n at http://n is connected already"):
        two.claim(node("2"))
    settle(one, two)
    assert keys(etcd) == ["1/one"] and len(etcd.leases) == 1 and two.refused == []
    assert two.health() == {"written": 0, "waiting": 0}
    one.left(node().info.key)
    settle(one)
    two.claim(node("2"))
    assert keys(etcd) == ["2/two"]


def test_a_life_follows_another_at_the_same_lookupd(etcd, desks):
    one, _ = desks
    one.claim(node("1"))
    one.left(node().info.key)
    one.claim(node("2"))  # before it is written that the first has left
    settle(one)
    assert keys(etcd) == ["2/one"] and len(etcd.leases) == 1


def test_without_etcd_nodes_are_let_in_and_it_is_decided_later(etcd, desks):
    one, two = desks
    etcd.down = True
    one.claim(node("1"))
    two.claim(node("2"))
    assert one.reason == two.reason == "etcd is down" == one.health()["problem"]
    two.claim(node("2"))  # which does not wait any more
    etcd.down = False
    settle(one, two)
    (kept,) = keys(etcd)
    winner, loser = (one, two) if kept == "1/one" else (two, one)
    assert winner.refused == [] and [name for name, _ in loser.refused] == ["n"]
    assert len(etcd.leases) == 1


def test_who_lost_its_lease_to_another_is_told(etcd, desks):
    one, two = desks
    one.claim(node("1"))
    etcd.leases.clear()
    etcd.kept.clear()
    two.claim(node("2"))
    one.changed(node("1", web=[1]))
    settle(one, two)
    assert [name for name, _ in one.refused] == ["n"] and keys(etcd) == ["2/two"]


def test_a_slow_cluster_keeps_no_caller_waiting_for_long(etcd, desks, monkeypatch):
    one, two = desks
    monkeypatch.setattr(module, "DECISION", 0.01)
    one.claim(node("1"))
    settle(one)
    etcd.delay = 0.1
    two.claim(node("2"))
    assert two.refused == []
    settle(one, two)
    assert [name for name, _ in two.refused] == ["n"] and keys(etcd) == ["1/one"]


def test_who_left_while_it_was_refused_is_not_told(etcd, desks, monkeypatch):
    one, two = desks
    monkeypatch.setattr(module, "DECISION", 0.01)
    one.claim(node("1"))
    settle(one)
    etcd.delay = 0.05
    two.claim(node("2"))
    two.left(node("2").info.key)
    two.changed(node("1"))  # the first comes to the second lookupd, too
    settle(one, two)
    assert two.refused == [] and keys(etcd) == ["1/one", "1/two"]
