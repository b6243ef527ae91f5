"""Registry of nodes, and the changes for its watchers.

There may be several *copies* of a node's record: the node itself is connected
here, and to other lookupds that share a registry with us. The one counts that
is complete up to the latest state of the node, of several such always the same
holder's, so that all lookupds answer the same. Watchers hear of what changes
in what counts, and of nothing else.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator

from ..errors import NotFound, TooLarge
from ..events.event_log import EventLog
from .records import NodeInfo, NodeKey, Record

#: Nodes that are known at most.
MOST_NODES = 20_000


class Registry:
    """Nodes, jobs and processes; every change is published in :attr:`hub`.

    :param here: the holder of what nodes say here, as other lookupds call it.
    """

    def __init__(self, here: str = "") -> None:
        self.events = EventLog()
        self.here = here
        #: The records that count.
        self.nodes: dict[NodeKey, Record] = {}
        self._copies: dict[NodeKey, dict[str, Record]] = {}
        self._by_job: dict[str, set[NodeKey]] = {}

    # -- whole records --------------------------------------------------------------------------
    def put(self, record: Record, holder: str | None = None) -> None:
        """Take a holder's copy of a node.

        :param holder: by default this lookupd: the node said it here.
        :raises TooLarge: there are too many nodes.
        """
        key = record.info.key
        if key not in self._copies and len(self._copies) >= MOST_NODES:
            raise TooLarge(f"{MOST_NODES} nodes are registered, more are not possible")
        self._copies.setdefault(key, {})[self.here if holder is None else holder] = record
        self._choose(key)

    def drop(self, key: NodeKey, holder: str | None = None) -> None:
        """Forget a holder's copy of a node; without any other, the node is gone."""
        copies = self._copies.get(key, {})
        copies.pop(self.here if holder is None else holder, None)
        if not copies:
            self._copies.pop(key, None)
        self._choose(key)

    def held(self) -> list[tuple[NodeKey, str]]:
        """Return which holders have copies of which nodes."""
        return [(key, holder) for key, copies in self._copies.items() for holder in copies]

    def _choose(self, key: NodeKey) -> None:
        old = self.nodes.get(key)
        copies = self._copies.get(key)
        # Holders' names decide between equal ones: whichever it is, it has to be the same everywhere, and to stay it.
        new = copies[max(copies, key=lambda holder: (copies[holder].state, holder))] if copies else None
        if new is old:
            return
        if new is None:
            del self.nodes[key]
        else:
            self.nodes[key] = new
        self._tell_difference(key, old, new)

    def _tell_difference(self, key: NodeKey, old: Record | None, new: Record | None) -> None:
        if old is None and new is not None:
            self._tell("add_node", new.info)
        if new is not None and (old is None or old.info.shown() != new.info.shown()):
            self._tell("identify", new.info)
        before, after = old.jobs if old else {}, new.jobs if new else {}
        info = (new or old).info  # type: ignore[union-attr]
        for name in before.keys() | after.keys():
            self._tell_job(key, info, name, before.get(name), after.get(name))
        if new is None and old is not None:
            self._tell("remove_node", old.info)

    def _tell_job(self, key: NodeKey, info: NodeInfo, name: str, old: set[int] | None, new: set[int] | None) -> None:
        if new is not None and old is None:
            self._by_job.setdefault(name, set()).add(key)
            self._tell("add_job", info, name)
        for pid in sorted((old or set()) - (new or set())):
            self._tell("remove_process", info, name, pid)
        for pid in sorted((new or set()) - (old or set())):
            self._tell("add_process", info, name, pid)
        if old is not None and new is None:
            self._forget_job(key, name)
            self._tell("remove_job", info, name)

    def _forget_job(self, key: NodeKey, name: str) -> None:
        keys = self._by_job[name]
        keys.discard(key)
        if not keys:
            del self._by_job[name]

    def _tell(self, event: str, info: NodeInfo, name: str | None = None, pid: int | None = None) -> None:
        if self.events:
            self.events.record([event], message(info, name, pid))

    # -- what a node that is connected here changes ------------------------------------------------
    def advance(self, record: Record, state: int) -> None:
        """Note that all messages of a node up to its *state* have arrived."""
        record.state = max(record.state, state)
        self._choose(record.info.key)

    def _job_changed(self, record: Record, name: str, old: set[int] | None, new: set[int] | None) -> None:
        if self.nodes.get(record.info.key) is record:  # watchers are told of what counts
            self._tell_job(record.info.key, record.info, name, old, new)

    def add_job(self, record: Record, name: str, pids: Iterable[int] | None) -> None:
        """A job is there; with *pids*, they are its processes and no others are.

        :raises TooLarge: the node has too much.
        """
        old = record.jobs.get(name)
        new = set(pids) if pids is not None else set(old or ())
        added, gone = new - (old or set()), (old or set()) - new
        record.grow(name, added)
        record.jobs[name] = new
        record.shrink(name, gone)
        self._job_changed(record, name, old, new)

    def remove_job(self, record: Record, name: str) -> None:
        """A job is gone; nothing happens if it was not there."""
        old = record.jobs.pop(name, None)
        if old is not None:
            record.shrink(name, old)
            self._job_changed(record, name, old, None)

    def add_processes(self, record: Record, name: str, pids: set[int]) -> None:
        """Processes of a job are there.

        :raises NotFound: the job is not. :raises TooLarge: the node has too much.
        """
        self.add_job(record, name, self._pids(record, name) | pids)

    def remove_processes(self, record: Record, name: str, pids: set[int]) -> None:
        """Processes of a job are gone; nothing happens for those that were not there.

        A node of gaffer 0.5 tells twice of a process that is stopped: when it is told to stop, and when it exits.

        :raises NotFound: the job is not there.
        """
        self.add_job(record, name, self._pids(record, name) - pids)

    def _pids(self, record: Record, name: str) -> set[int]:
        pids = record.jobs.get(name)
        if pids is None:
            raise NotFound(f"job {name} is not registered; send REGISTER_JOB first")
        return pids

    # -- questions ------------------------------------------------------------------------------
    def infos(self) -> list[NodeInfo]:
        """Return all nodes, in the order of their names."""
        return [self.nodes[key].info for key in sorted(self.nodes)]

    def jobs(self, node: str | None = None) -> list[str]:
        """Return the full names of all jobs, or of those of the nodes called *node*."""
        if node is None:
            return sorted(self._by_job)
        return sorted({name for key, record in self.nodes.items() if key.name == node for name in record.jobs})

    def sources(self, name: str, node: str | None = None) -> list[dict[str, Any]]:
        """Return where a job is: its pids on each node that has it, or only on those called *node*."""
        keys = sorted(key for key in self._by_job.get(name, ()) if node in (None, key.name))
        records = [self.nodes[key] for key in keys]
        return [
            {"name": record.info.name, "pids": sorted(record.jobs[name]), "node_info": record.info.shown()}
            for record in records
        ]

    def state(self) -> Iterator[dict[str, Any]]:
        """Yield the events that describe the whole state to a new watcher.

        Others may change it between two of them: each node is told as it is when its turn comes.
        """
        for key in sorted(self.nodes):
            record = self.nodes.get(key)
            if record is not None:
                yield {"event": "add_node", **message(record.info)}
                for name, pids in sorted((name, sorted(pids)) for name, pids in record.jobs.items()):
                    yield {"event": "add_job", **message(record.info, name)}
                    yield from ({"event": "add_process", **message(record.info, name, pid)} for pid in pids)


def message(info: NodeInfo, name: str | None = None, pid: int | None = None) -> dict[str, Any]:
    """Return what an event says, without its name; the keys of gaffer 0.5 stand beside ours."""
    shown = info.shown()
    if name is None:
        return {**shown, "node_info": shown}
    said: dict[str, Any] = {"node": shown, "job_name": name, "node_info": shown, "name": name}
    if pid is not None:
        said["pid"] = pid
    return said
