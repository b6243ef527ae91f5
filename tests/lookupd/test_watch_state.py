"""What is there already, told to a watcher: in pieces, whatever it asks for."""

from __future__ import annotations

import json

from gaffer.lookupd.records import NodeInfo, Record
from gaffer.lookupd.registry import Registry
from gaffer.lookupd.sockets import SOME, WatchTap
from tests.security import attack

_PIDS = range(1, 3 * SOME)


def _registry() -> Registry:
    registry = Registry()
    registry.put(Record(NodeInfo("n", "http://n"), {"s.web": _PIDS}))
    return registry


@attack(
    "a network client without a key",
    "a watcher of gaffer_lookupd that asks again and again for all that is there, with 100,000 processes",
    "pieces of 500 messages, others have their turn between; who asks again meanwhile gets no second copy",
)
def test_state_comes_in_pieces_and_once_at_a_time() -> None:
    watch = WatchTap(_registry(), state=True)
    heard: list[str] = []
    while texts := watch.take():
        assert len(texts) <= SOME
        heard += texts
        if len(heard) < 2 * SOME:
            for _ in range(100):
                watch.receive('{"event": "STATE"}')
    events = [json.loads(text)["event"] for text in heard]
    assert events == ["add_node", "add_job", *["add_process"] * len(_PIDS), "ready"]


def test_changes_follow_the_state() -> None:
    registry = _registry()
    watch = WatchTap(registry, state=True)
    watch.take()
    registry.put(Record(NodeInfo("a", "http://a")))
    heard: list[str] = []
    while texts := watch.take():
        heard += texts
    events = [json.loads(text)["event"] for text in heard]
    assert events[-3:] == ["ready", "add_node", "identify"]
    watch.close()
