"""gaffer.cli.cluster.lookup_watch: several lookupds watched as one; gaffer.cli.core.fanout: what belongs to whom."""

import contextlib
import threading
from types import SimpleNamespace

import pytest

from gaffer.cli.cluster import lookup_watch
from gaffer.cli.cluster.lookup_watch import Merger, follow
from gaffer.cli.core.fanout import take_on


def event(kind, node="n", name=None, pid=None):
    said = {"event": kind, "node_info": {"name": node, "origin": f"http://{node}"}}
    return said | ({"name": name} if name else {}) | ({"pid": pid} if pid else {})


ADD, REMOVE = event("add_node"), event("remove_node")
READY = {"event": "ready"}


def state(merger, source, *events):
    merger.begin(source)
    return [one for said in (*events, READY) for one in merger.feed(source, said)]


def test_what_two_know_is_told_once_and_taken_back_by_the_last():
    merger = Merger()
    assert state(merger, "a", ADD) == [ADD]
    assert state(merger, "b", ADD) == []
    assert merger.feed("a", REMOVE) == []
    assert merger.feed("b", REMOVE) == [REMOVE]


def test_after_a_loss_only_differences_are_told():
    merger = Merger()
    job, process = event("add_job", name="s.j"), event("add_process", name="s.j", pid=1)
    assert state(merger, "a", ADD, job, process) == [ADD, job, process]
    assert state(merger, "a", ADD, job, process) == []
    assert state(merger, "a", ADD, event("add_job", name="s.k")) == [
        event("add_job", name="s.k"),
        event("remove_process", name="s.j", pid=1),
        event("remove_job", name="s.j"),
    ]


def test_changes_of_a_node_are_told_by_one_of_them():
    merger = Merger()
    state(merger, "a", ADD)
    state(merger, "b", ADD)
    assert merger.feed("b", event("identify")) == []
    assert merger.feed("a", event("identify")) == [event("identify")]
    merger.lose("a")
    assert merger.feed("b", event("identify")) == [event("identify")], "no other lookupd can tell it"
    state(merger, "a", ADD)
    assert merger.feed("b", event("identify")) == []


def test_who_is_lost_keeps_nothing_back_that_others_tell():
    merger = Merger()
    only = event("add_node", "m")
    state(merger, "a", ADD, only)
    state(merger, "b", ADD)
    merger.lose("a")
    assert merger.feed("b", REMOVE) == [REMOVE]
    assert merger.feed("b", ADD) == [ADD]
    assert merger.feed("b", only) == [], "it was never taken back"
    assert merger.feed("b", event("remove_node", "m")) == []
    assert state(merger, "a", ADD) == [event("remove_node", "m")]


class Source:
    """A lookupd that tells what it is given, one connection after the other; then it waits."""

    def __init__(self, uri, *connections):
        self.uri, self._connections = uri, iter(connections)

    def watch(self, state):
        return contextlib.nullcontext(next(self._connections, None) or iter(threading.Event().wait, None))


def test_what_came_too_fast_is_told_and_found_out(monkeypatch):
    monkeypatch.setattr(lookup_watch, "RECONNECT_DELAY", 0.0)
    one, two = event("add_job", name="s.a"), event("add_job", name="s.b")
    source = Source("u", [ADD, one, READY, {"event": "gap", "lost": 2}, READY], [ADD, two, READY])
    cluster = SimpleNamespace(ask=lambda question: None, lookups=[source])
    told = []
    events = follow(cluster, True, told.append)
    assert [next(events) for _ in range(4)] == [ADD, one, two, event("remove_job", name="s.a")]
    assert told == ["2 events of u came too fast and are lost; it sends its state again"]


@pytest.mark.parametrize(
    "args, rest, on",
    [
        (["status", "--on", "all"], ["status"], "all"),
        (["--on=x=y", "status"], ["status"], "x=y"),
        (["add_process", "n", "--", "cmd", "--on", "all"], ["add_process", "n", "--", "cmd", "--on", "all"], None),
        (["status", "--on"], ["status", "--on"], None),
    ],
)
def test_on_may_stand_anywhere_before_the_dashes(args, rest, on):
    assert take_on(args, None) == (rest, on)
