"""gaffer.lookupd.node_protocol: what nodes may say, what they are answered, and that nonsense changes nothing."""

import json

import pytest

from gaffer.errors import Conflict
from gaffer.lookupd import node_protocol, records
from gaffer.lookupd.backends import Backend
from gaffer.lookupd.node_protocol import NodeSession, NodeSessions
from gaffer.lookupd.registry import Registry
from gaffer.testing import FakeClock


class Kept(Backend):
    def __init__(self):
        self.calls = []

    def changed(self, record):
        self.calls.append(("changed", record.info.name))

    def alive(self, key):
        self.calls.append(("alive", key.name))

    def left(self, key, for_good=False):
        self.calls.append(("left for good" if for_good else "left", key.name))


class Desk:
    """A lookupd without sockets."""

    def __init__(self):
        self.registry, self.backend = Registry(), Kept()
        self.clock = FakeClock()
        self.sessions = NodeSessions(self.registry, self.backend, 15.0, self.clock)

    def connect(self, probe=lambda: True):
        return Node(self.sessions, probe)


class Node:
    def __init__(self, sessions, probe):
        self.closed = []
        self.session = NodeSession(sessions, self.closed.append, probe)
        self.last = 0

    def say(self, type, **more):
        self.last += 1
        answer = self.session.hear(json.dumps({"msgid": self.last, "type": type, **more}))
        assert answer.pop("msgid") == self.last
        return answer

    def refused(self, type, **more):
        answer = self.say(type, **more)
        assert set(answer) == {"errno", "error", "reason"}
        return answer["errno"], answer["reason"]

    def identify(self, name="a", origin="http://a", life="1"):
        assert self.say("IDENTIFY", name=name, origin=origin, life=life) == {"ok": True, "ping_interval": 15.0}
        return self


@pytest.fixture
def desk():
    return Desk()


def test_the_whole_conversation(desk):
    node = desk.connect().identify()
    assert node.say("REGISTER_JOB", job_name="web") == {"ok": True}
    assert node.say("REGISTER_PROCESS", job_name="default.web", pid=1) == {"ok": True}
    assert node.say("REGISTER_JOB", job_name="s:db", pids=[4, 5]) == {"ok": True}
    assert node.say("PING") == {"ok": True}
    assert desk.registry.jobs() == ["default.web", "s.db"]
    assert node.say("UNREGISTER_PROCESS", job_name="s/db", pids=[4]) == {"ok": True}
    assert node.say("UNREGISTER_JOB", job_name="web") == {"ok": True}
    assert [source["pids"] for source in desk.registry.sources("s.db")] == [[5]]
    node.session.leave()
    assert desk.registry.nodes == {}
    assert desk.backend.calls.count(("alive", "a")) == 7
    assert desk.backend.calls[-1] == ("left", "a")
    node.identify().session.leave(for_good=True)
    assert desk.backend.calls[-1] == ("left for good", "a")


def test_another_start_of_a_node_takes_the_place_of_a_connection_that_does_not_answer(desk):
    dead = desk.connect(lambda: False).identify(life="1")
    dead.say("REGISTER_JOB", job_name="web", pids=[1])
    node = desk.connect().identify(life="2")
    assert "did not answer" in dead.closed[0] and desk.registry.jobs() == []
    assert node.say("REGISTER_JOB", job_name="web", pids=[7]) == {"ok": True}
    assert [source["pids"] for source in desk.registry.sources("default.web")] == [[7]]
    dead.session.leave()
    assert len(desk.registry.nodes) == 1


def test_another_start_of_a_node_is_refused_while_the_connection_answers(desk):
    alive = desk.connect(lambda: True).identify(life="1")
    errno, reason = desk.connect().refused("IDENTIFY", name="a", origin="http://a", life="2")
    assert errno == 409 and "is connected already" in reason and alive.closed == []


def test_of_two_starts_that_wait_for_one_answer_the_first_takes_the_place(desk):
    late = []

    def probe():
        if not late:
            late.append(desk.connect())
            late[0].identify(life="2")
        return False

    desk.connect(probe).identify(life="1")
    errno, reason = desk.connect().refused("IDENTIFY", name="a", origin="http://a", life="3")
    assert errno == 409 and "is connected already" in reason and late[0].closed == []


def test_a_node_whose_message_waits_for_the_registry_is_alive(desk):
    node = desk.connect(lambda: False).identify(life="1")
    refusals = []
    ask = lambda record: refusals.append(desk.connect().refused("IDENTIFY", name="a", origin="http://a", life="2"))  # noqa: E731
    desk.backend.changed = ask
    node.say("REGISTER_JOB", job_name="web")
    assert refusals[0][0] == 409


def test_nodes_that_are_lost_are_remembered_until_they_come_back_or_an_hour_has_passed(desk):
    for name in ("expired", "cut", "stopped"):
        node = desk.connect().identify(name)
        node.session.leave(for_good=name == "stopped", lost="expired" if name == "expired" else "disconnected")
        desk.clock.advance(10)
    assert [(one["name"], one["seconds"], one["reason"]) for one in desk.sessions.lost()] == [
        ("expired", 30.0, "expired"),
        ("cut", 20.0, "disconnected"),
    ]
    desk.connect().identify("cut")
    assert [one["name"] for one in desk.sessions.lost()] == ["expired"]
    desk.clock.advance(3600)
    assert desk.sessions.lost() == []


def test_only_the_latest_lost_nodes_are_remembered(desk):
    for number in range(node_protocol.MAX_LOST + 1):
        desk.connect().identify(f"n{number}").session.leave()
    assert [one["name"] for one in desk.sessions.lost()][:: node_protocol.MAX_LOST - 1] == ["n1", "n100"]


NONSENSE = [
    "",
    "nonsense",
    "[]",
    "1",
    "{}",
    '{"type": "PING"}',
    '{"msgid": null, "type": "PING"}',
    '{"msgid": true, "type": "PING"}',
    '{"msgid": [1], "type": "PING"}',
    '{"msgid": "%s", "type": "PING"}' % ("x" * 65),
    "[" * 5000,
    b"\xff\xfe",
]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_answered(desk, text):
    answer = desk.connect().session.hear(text)
    assert answer["errno"] == 400 and answer["msgid"] is None and answer["reason"]


@pytest.mark.parametrize(
    "said, errno, words",
    [
        ({"type": "DANCE"}, 400, "no message type 'DANCE'; there are IDENTIFY, PING"),
        ({"type": ["PING"]}, 400, "no message type"),
        ({"type": "IDENTIFY", "name": "a"}, 400, "origin must be text"),
        ({"type": "REGISTER_JOB"}, 400, "job_name must be"),
        ({"type": "REGISTER_JOB", "job_name": "a b"}, 400, "may hold letters"),
        ({"type": "REGISTER_JOB", "job_name": "a", "pids": [0]}, 400, "numbers above 0"),
        ({"type": "REGISTER_JOB", "job_name": "a", "pids": "1"}, 400, "list of numbers"),
        ({"type": "REGISTER_PROCESS", "job_name": "web"}, 400, "give pid"),
        ({"type": "REGISTER_PROCESS", "job_name": "web", "pid": True}, 400, "numbers above 0"),
        ({"type": "REGISTER_PROCESS", "job_name": "web", "pid": 2**40}, 400, "numbers above 0"),
        ({"type": "REGISTER_PROCESS", "job_name": "none", "pid": 1}, 404, "send REGISTER_JOB first"),
        ({"type": "IDENTIFY", "name": "b", "origin": "http://b"}, 409, "this connection is node a's"),
        ({"type": "PING", "state": -1}, 400, "state must be a number"),
        ({"type": "REGISTER_JOB", "job_name": "a", "state": "1"}, 400, "state must be a number"),
        ({"type": "REGISTER_JOB", "job_name": "a", "state": 2**63}, 400, "state must be a number"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(desk, said, errno, words):
    node = desk.connect().identify()
    node.say("REGISTER_JOB", job_name="web", pids=[1])
    before, kept = list(desk.registry.state()), len(desk.backend.calls)
    got, reason = node.refused(**said)
    assert got == errno and words in reason
    assert list(desk.registry.state()) == before and len(desk.backend.calls) == kept


@pytest.mark.parametrize("type", ["PING", "REGISTER_JOB", "UNREGISTER_JOB", "REGISTER_PROCESS", "UNREGISTER_PROCESS"])
def test_who_has_not_said_who_it_is_registers_nothing(desk, type):
    assert desk.connect().refused(type, job_name="web", pid=1) == (403, "who are you? send IDENTIFY first")
    assert desk.registry.nodes == {}


def test_too_much_is_refused(desk, monkeypatch):
    monkeypatch.setattr(records, "MOST_BYTES", 60)
    node = desk.connect().identify()
    node.say("REGISTER_JOB", job_name="web", pids=[1])
    assert node.refused("REGISTER_PROCESS", job_name="web", pids=list(range(2, 40)))[0] == 413
    assert desk.registry.sources("default.web")[0]["pids"] == [1]


def test_a_second_node_of_the_same_identity_is_refused_while_the_first_lives(desk):
    first, second = desk.connect().identify(), desk.connect()
    first.say("REGISTER_JOB", job_name="web")
    errno, reason = second.refused("IDENTIFY", name="a", origin="http://a", life="2")
    assert errno == 409 and "give each node a name or a --broadcast-address of its own" in reason
    second.session.leave()
    assert desk.registry.jobs() == ["default.web"]
    first.session.leave()
    second.identify(life="2")
    assert desk.sessions.identified == 1


def test_a_node_that_comes_back_takes_its_place(desk):
    first, second = desk.connect().identify(), desk.connect()
    first.say("REGISTER_JOB", job_name="web")
    second.identify()
    assert first.closed == ["the node has connected again"] and second.closed == []
    assert desk.registry.jobs() == []
    second.say("REGISTER_JOB", job_name="web")
    first.session.leave()
    assert desk.registry.jobs() == ["default.web"] and desk.sessions.identified == 1


def test_a_node_says_up_to_where_it_has_told_all(desk):
    node = desk.connect().identify()
    node.say("REGISTER_JOB", job_name="web", state=7)
    assert node.session.record.state == 7
    kept = len(desk.backend.calls)
    node.say("PING", state=7)
    assert desk.backend.calls[kept:] == [("alive", "a")], "nothing new is not written"
    node.say("PING", state=9)
    assert desk.backend.calls[kept + 1 :] == [("changed", "a"), ("alive", "a")]
    node.say("IDENTIFY", name="a", origin="http://a", life="1", labels={"x": "y"})
    assert node.session.record.state == 9
    node.say("PING", state=3)
    assert node.session.record.state == 9


def test_states_of_who_does_not_number_them_are_numbered_for_it(desk, monkeypatch):
    monkeypatch.setattr(desk.backend, "now", lambda: 5)
    plain, exact = desk.connect().identify(), desk.connect()
    assert plain.session.record.state == 0, "nothing is told yet"
    plain.say("PING")
    assert plain.session.record.state == 0
    plain.say("REGISTER_JOB", job_name="web")
    assert plain.session.record.state == 5
    exact.say("IDENTIFY", name="b", origin="o", state=0)
    exact.say("REGISTER_JOB", job_name="web")
    assert exact.session.record.state == 0, "it says when it has told all"


def test_who_is_another_lookupds_node_is_refused(desk, monkeypatch):
    def claim(record):
        raise Conflict("no")

    node = desk.connect()
    monkeypatch.setattr(desk.backend, "claim", claim)
    assert node.refused("IDENTIFY", name="a", origin="http://a", life="1") == (409, "no")
    assert node.refused("REGISTER_JOB", job_name="web")[0] == 403
    assert desk.registry.nodes == {} and desk.sessions.identified == 0
    monkeypatch.undo()
    node.identify().say("REGISTER_JOB", job_name="web")
    monkeypatch.setattr(desk.backend, "claim", claim)
    assert node.refused("IDENTIFY", name="a", origin="http://a", life="1", labels={"x": "y"}) == (409, "no")
    assert desk.registry.nodes == {}, "it is not that node any more, so nothing of it is left"
    node.session.leave()
    assert desk.sessions.identified == 0


def test_a_node_that_comes_back_while_it_is_found_out_who_it_is_takes_its_place(desk, monkeypatch):
    first, second = desk.connect(), desk.connect()

    def claim(record):
        monkeypatch.undo()
        second.identify()

    monkeypatch.setattr(desk.backend, "claim", claim)
    assert first.refused("IDENTIFY", name="a", origin="http://a", life="1") == (409, "the node has connected again")
    assert first.closed == ["the node has connected again"]
    first.session.leave()
    second.say("REGISTER_JOB", job_name="web")
    assert desk.registry.jobs() == ["default.web"] and desk.sessions.identified == 1


def test_two_lives_that_come_at_once_are_not_both_let_in(desk, monkeypatch):
    first, second = desk.connect(), desk.connect()
    said = []
    wishes = {"name": "a", "origin": "http://a", "life": "2"}
    monkeypatch.setattr(desk.backend, "claim", lambda record: said.append(second.refused("IDENTIFY", **wishes)))
    first.identify()
    assert said[0][0] == 409 and desk.sessions.identified == 1


def test_a_node_that_was_let_in_too_early_is_told_and_forgotten(desk):
    node = desk.connect().identify()
    node.say("REGISTER_JOB", job_name="web")
    key = node.session.record.info.key
    desk.sessions.refuse(key, "another one is")
    assert node.closed == ["another one is"] and desk.registry.nodes == {} and desk.sessions.identified == 0
    assert desk.backend.calls[-1] == ("left", "a")
    desk.sessions.refuse(key, "again")
    assert node.refused("REGISTER_JOB", job_name="web")[0] == 403


def test_whatever_goes_wrong_in_a_backend_no_node_stays_behind(desk, monkeypatch):
    monkeypatch.setattr(desk.backend, "claim", lambda record: 1 / 0)
    node = desk.connect()
    with pytest.raises(ZeroDivisionError):
        node.say("IDENTIFY", name="a", origin="http://a")
    assert desk.sessions.identified == 0 and desk.registry.nodes == {}


def test_same_name_other_origin_is_another_node(desk):
    desk.connect().identify()
    desk.connect().identify(origin="http://b", life="2")
    assert len(desk.registry.nodes) == 2


def test_a_node_may_change_its_labels(desk):
    node = desk.connect().identify()
    node.say("REGISTER_JOB", job_name="web", pids=[1])
    node.say("IDENTIFY", name="a", origin="http://a", life="1", labels={"zone": "b"})
    (source,) = desk.registry.sources("default.web")
    assert source["node_info"]["labels"] == {"zone": "b"} and source["pids"] == [1]
