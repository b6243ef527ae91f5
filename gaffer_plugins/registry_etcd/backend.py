"""The backend: writes what nodes say here, and brings what other lookupds have written into the registry."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

import gevent
from gevent.event import AsyncResult

from gaffer.api import BadRequest, Bounded, TooLarge
from gaffer.api.lookup import Backend, NodeKey, Record, Refuse, Registry, load_record
from gaffer.api.web import TimeSlice

from .client import ANSWER_TIMEOUT, Etcd, EtcdEntry
from .key_layout import ClusterAddress, make_spot, parse_key
from .problems import Compacted, EtcdError
from .writer import EtcdWriter

log = logging.getLogger("gaffer_lookupd")

#: Seconds between two looks whether the member that is watched still belongs to the majority. A watch that is
#: cut off is silent, and silence is also what it says when nothing happens.
LOOK = 1.0
#: Seconds between two attempts to begin anew.
PAUSE = 0.3


class EtcdBackend(Backend):
    """Records in etcd: each lookupd has a copy of each node that is connected to it, under a lease of the node's.

    So a node is known while one lookupd hears it, and no lookupd can take another one's word back. Copies of two lives
    of a node cannot be there at the same time: that is what a claim asks etcd for.
    """

    name = "etcd"

    def __init__(self, place: ClusterAddress) -> None:
        self._place = place
        self._etcd = Etcd(place)
        #: Our name among the lookupds.
        self.id = secrets.token_hex(8)
        self._log = Bounded(log)
        self._registry: Registry | None = None
        self._writer: EtcdWriter | None = None
        self._reader: gevent.Greenlet | None = None
        self._reason = "etcd has not answered yet"
        self._current = time.monotonic()
        self._seen = 0
        self._resyncs = self._refused = 0

    # -- life -----------------------------------------------------------------------------------
    def start(self, registry: Registry, ttl: float, refuse: Refuse) -> None:
        """Begin to write and to read; both go on until etcd answers."""
        self._registry = registry
        prefix = self._place.prefix
        self._writer = EtcdWriter(self._etcd, lambda info: make_spot(prefix, info.key, info.life, self.id), ttl, refuse)
        self._reader = gevent.spawn(self._follow)

    def stop(self) -> None:
        """End. Leases run out by themselves: nodes that come back soon are never missed."""
        if self._writer is not None:
            self._writer.stop()
        if self._reader is not None:
            self._reader.kill(block=False)

    # -- nodes that are connected here ----------------------------------------------------------
    def claim(self, record: Record) -> None:
        """Write a node if no other life of it is there.

        :raises Conflict: there is one.
        """
        if self._writer is not None:
            self._writer.claim(record)

    def changed(self, record: Record) -> None:
        """Write a node."""
        if self._writer is not None:
            self._writer.changed(record)

    def alive(self, key: NodeKey) -> None:
        """Keep a node's lease alive."""
        if self._writer is not None:
            self._writer.alive(key)

    def left(self, key: NodeKey, for_good: bool = False) -> None:
        """Take a node back."""
        if self._writer is not None:
            self._writer.left(key, for_good)

    # -- how it is ------------------------------------------------------------------------------
    def now(self) -> int:
        """Return what etcd's next revision will be at least; machines' clocks could not be compared."""
        return self._seen + 1

    def stale(self) -> dict[str, Any] | None:
        """Return since when etcd does not answer, and why."""
        if not self._reason:
            return None
        return {"seconds": round(time.monotonic() - self._current, 1), "reason": self._reason}

    def health(self) -> dict[str, Any]:
        """Return which member is asked, and how much there is to write."""
        written = self._writer.health() if self._writer is not None else {}
        return {"member": self._etcd.url, "id": self.id, "resyncs": self._resyncs, "refused": self._refused, **written}

    # -- what others have written ----------------------------------------------------------------
    def _follow(self) -> None:
        while True:
            member = self._etcd.member
            try:
                self._follow_member(member)
            except Compacted:
                pass
            except Exception as error:
                if not isinstance(error, EtcdError) and str(error) != self._reason:
                    sentence = "the answer of etcd at %s is not understood: %r"
                    self._log.write(logging.ERROR, sentence, member.base_url, error, exc_info=error)
                self._lost(str(error))
                self._etcd.next(member)
            gevent.sleep(PAUSE)

    def _lost(self, reason: str) -> None:
        if not self._reason or not self._resyncs and not self._reason.startswith("etcd at"):
            self._log.write(logging.ERROR, "%s; answers are marked as stale, trying again", reason)
        self._reason = reason

    def _follow_member(self, member: Any) -> None:
        """Read everything, then what changes, for as long as one member is good for that."""
        revision, entries = self._etcd.read(member, self._place.prefix)
        self._take_all(entries)
        self._seen = revision
        self._resyncs += 1
        failed: AsyncResult[None] = AsyncResult()
        watching = gevent.spawn(self._watch, member, revision + 1, failed)
        looking = gevent.spawn(self._look, member, failed)
        if self._reason and self._resyncs > 1:
            self._log.write(logging.INFO, "etcd at %s answers; the registry is current", member.base_url)
        self._reason = ""
        try:
            failed.get()
        finally:
            gevent.killall([watching, looking], block=False)

    def _watch(self, member: Any, revision: int, failed: AsyncResult[None]) -> None:
        try:
            turn = TimeSlice()
            for entries in self._etcd.watch(member, self._place.prefix, revision):
                turn.give_way()
                for entry in entries:
                    turn.give_way()
                    self._take(entry)
                    self._seen = max(self._seen, entry.revision)
        except Exception as error:
            failed.set_exception(error)

    def _look(self, member: Any, failed: AsyncResult[None]) -> None:
        """Find out when a member does not answer any more, or answers and its watch is behind."""
        try:
            while True:
                self._current = time.monotonic()
                gevent.sleep(LOOK)
                latest = self._etcd.latest(member, self._place.prefix)
                if latest > self._seen:
                    gevent.sleep(ANSWER_TIMEOUT)
                if latest > self._seen:
                    raise EtcdError(f"etcd at {member.base_url}: its watch is silent")
        except Exception as error:
            failed.set_exception(error)

    def _take_all(self, entries: list[EtcdEntry]) -> None:
        """Take a whole state: what is not in it is gone."""
        assert self._registry is not None
        there, turn = set(), TimeSlice()
        for entry in entries:
            turn.give_way()
            there.add(self._take(entry))
        for key, holder in list(self._registry.held()):
            turn.give_way()
            if (key, holder) in there:
                continue
            if holder != self.id:
                self._registry.drop(key, holder)
            elif self._writer is not None:
                self._writer.missing(key)

    def _take_own(self, key: NodeKey, entry: EtcdEntry) -> tuple[NodeKey, str]:
        if entry.value is None and self._writer is not None:
            self._writer.missing(key)
        return key, self.id

    def _take(self, entry: EtcdEntry) -> tuple[NodeKey, str] | None:
        """Take one change; returns whose copy of which node it is, None if it is nothing for us."""
        assert self._registry is not None
        try:
            key, holder = parse_key(self._place.prefix, entry.key)
            if holder == self.id:
                return self._take_own(key, entry)
            if entry.value is None:
                self._registry.drop(key, holder)
                return None
            record = load_record(entry.value)
            if record.info.key != key:
                raise BadRequest(f"the record at {entry.key[:200]!r} is another node's")
            self._registry.put(record, holder)
            return key, holder
        except (BadRequest, TooLarge) as error:
            self._refused += 1
            if self._refused in (1, 10, 100) or self._refused % 1000 == 0:
                self._log.write(logging.ERROR, "etcd: %s", error)
            return None
