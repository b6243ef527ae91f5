"""Watching several lookupds as if they were one."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

from ...errors import GafferError

if TYPE_CHECKING:
    from ...httpclient import Cluster, LookupServer

#: Seconds between two attempts to watch a lookupd that has gone.
RECONNECT_DELAY = 1.0
#: Events that may wait to be printed; lookupds wait then, and tell of gaps.
MAX_QUEUED_EVENTS = 1_000

Event = dict[str, Any]
Fact = tuple[Any, ...]
_REMOVALS = {"remove_node": "add_node", "remove_job": "add_job", "remove_process": "add_process"}
_REMOVERS = {added: removed for removed, added in _REMOVALS.items()}


class Merger:
    """The merged state of several lookupds: an addition counts at the first of them, a removal at the last.

    Each lookupd begins with its whole state, again after every loss; what it does not tell any more is over.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[Fact, Event]] = {}
        self._fresh: dict[str, dict[Fact, Event]] = {}
        self._lost: set[str] = set()

    def begin(self, source: str) -> None:
        """Begin the initial state of a lookupd."""
        self._fresh[source] = {}
        self._lost.discard(source)

    def lose(self, source: str) -> None:
        """Mark the entries of a lost lookupd; those that it does not send again after its return are removed."""
        self._lost.add(source)
        self._fresh.pop(source, None)
        known = self._known.pop(source, {})
        self._known[source] = {fact: event for fact, event in known.items() if not self._is_known(fact)}

    def feed(self, source: str, event: Event) -> list[Event]:
        """Add an event of a lookupd; return the events that change the merged state."""
        kind = event["event"]
        if kind == "ready":
            return self._ready(source)
        if "node_info" not in event:
            return []
        if kind not in _REMOVALS and kind not in _REMOVERS:
            return [event] if self._first(source) else []
        fact = _fact(event)
        known = self._known.setdefault(source, {})
        if source in self._fresh:
            self._fresh[source][fact] = event
        if kind in _REMOVALS:
            known.pop(fact, None)
            # A lookupd of gaffer 0.5 tells only of the node, and not of what it had.
            rest = self._take_rest(known, fact) if kind == "remove_node" else []
            return rest if self._is_known(fact) else [*rest, event]
        new = not self._is_known(fact)
        known[fact] = event
        return [event] if new else []

    def _ready(self, source: str) -> list[Event]:
        """End the initial state of a lookupd: entries from before that are not in it are removed."""
        fresh = self._fresh.pop(source, {})
        known = self._known.setdefault(source, {})
        return self._take(known, [fact for fact in known if fact not in fresh])

    def _take_rest(self, known: dict[Fact, Event], node: Fact) -> list[Event]:
        """Remove what is known of a node that is gone."""
        return self._take(known, [fact for fact in known if fact[1:3] == node[1:3]])

    def _take(self, known: dict[Fact, Event], gone: list[Fact]) -> list[Event]:
        """Remove entries of one lookupd, the latest first; return the events of those that no other has."""
        told = []
        for fact in reversed(gone):
            event = known.pop(fact)
            if not self._is_known(fact):
                told.append({**event, "event": _REMOVERS[event["event"]]})
        return told

    def _is_known(self, fact: Fact) -> bool:
        return any(fact in known for known in self._known.values())

    def _first(self, source: str) -> bool:
        return source not in self._fresh and source == min(self._known.keys() - self._lost, default=source)


def _fact(event: Mapping[str, Any]) -> Fact:
    info, kind = event["node_info"], _REMOVALS.get(event["event"], event["event"])
    job = None if kind == "add_node" else event.get("name")
    return (kind, info["name"], info["origin"], job, event.get("pid"))


def follow(cluster: Cluster, state: bool, problem: Callable[[str], Any]) -> Iterator[Event]:
    """Yield changes, for ever.

    :param state: begin with what is there already.
    :param problem: told once when a lookupd is lost.
    :raises GafferError: none of the lookupds can be reached at the beginning.
    """
    cluster.ask(lambda one: one.version())
    heard: queue.Queue[tuple[LookupServer, Event | GafferError]] = queue.Queue(MAX_QUEUED_EVENTS)
    for one in cluster.lookups:
        threading.Thread(target=_listen, args=(one, heard), daemon=True).start()
    merger, waiting = Merger(), {one.uri for one in cluster.lookups}
    while True:
        source, event = heard.get()
        if isinstance(event, GafferError):
            waiting.discard(source.uri)
            merger.lose(source.uri)
            problem(f"{event}; trying again")
            continue
        if event["event"] == "gap":
            problem(f"{event.get('lost')} events of {source.uri} came too fast and are lost; it sends its state again")
            continue
        if event["event"] == "begin":
            merger.begin(source.uri)
            continue
        told = merger.feed(source.uri, event)
        if event["event"] == "ready":
            waiting.discard(source.uri)
        if state or not waiting:
            yield from told


def _listen(one: LookupServer, heard: queue.Queue[tuple[LookupServer, Event | GafferError]]) -> None:
    lost = False
    while True:
        try:
            with one.watch(state=True) as watch:
                heard.put((one, {"event": "begin"}))
                lost = False
                for event in watch:
                    heard.put((one, event))
                    if event["event"] == "gap":
                        break
        except GafferError as error:
            if not lost:
                heard.put((one, error))
            lost = True
        time.sleep(RECONNECT_DELAY)
