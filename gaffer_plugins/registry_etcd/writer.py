"""Writing what nodes say here into etcd: one lease for each node, the latest state only, again until it is there."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, Callable

import gevent
from gevent.event import AsyncResult, Event

from gaffer.api import Bounded, Conflict
from gaffer.api.lookup import NodeInfo, NodeKey, Record, Refuse, taken

from .client import Etcd
from .key_layout import Spot
from .problems import EtcdError, LeaseGone

log = logging.getLogger("gaffer_lookupd")

#: Nodes that are written at the same time.
WORKERS = 6
#: Seconds between two attempts when etcd does not answer.
PAUSE = 0.5
#: Seconds that a node which says who it is waits for etcd. If it takes longer, the node is let in, and is told
#: afterwards if another node wrote.
DECISION = 3.0
_NO_LEASE = 0


class NodeSlot:
    """Slot of one node: what is to be written, and what has been."""

    __slots__ = ("record", "dirty", "lease", "life", "kept", "alive", "claims", "gone", "missing")

    def __init__(self) -> None:
        self.record: Record | None = None
        #: Of which life the copy is that the lease keeps.
        self.life = ""
        #: Who it was that said that it stops.
        self.gone: NodeInfo | None = None
        #: Who wait to be told whether the node is who it says it is.
        self.claims: list[AsyncResult[None]] = []
        self.dirty = False
        self.alive = False
        #: What was written has been deleted by others.
        self.missing = False
        self.lease = _NO_LEASE
        #: When the lease was granted or kept alive.
        self.kept = 0.0


class EtcdWriter:
    """Brings the nodes of one lookupd to etcd.

    :param place: returns where a node's copy is.
    :param ttl: seconds that a lease lives.
    :param refuse: told of a node that was let in before it was found out that it is another's.
    """

    def __init__(self, etcd: Etcd, place: Callable[[NodeInfo], Spot], ttl: float, refuse: Refuse) -> None:
        self._etcd, self._place, self._ttl, self._refuse = etcd, place, ttl, refuse
        self._slots: dict[NodeKey, NodeSlot] = {}
        #: Nodes with something to do, the one that waits for longest first.
        self._tasks: dict[NodeKey, None] = {}
        self._busy: set[NodeKey] = set()
        self._bell = Event()
        self._log = Bounded(log)
        self._greenlets = [gevent.spawn(self._work) for _ in range(WORKERS)]
        self.reason = ""

    @property
    def waiting(self) -> int:
        """Number of nodes that are not written yet."""
        return len(self._tasks)

    def stop(self) -> None:
        """Write no more; leases run out by themselves."""
        gevent.killall(self._greenlets, block=False)

    # -- what is to be done ---------------------------------------------------------------------
    def claim(self, record: Record) -> None:
        """A node says who it is: wait until it is written, but not for long.

        :raises Conflict: another life of it is written.
        """
        self.changed(record)
        if self.reason:
            return  # etcd does not answer: it is decided when it does
        claim: AsyncResult[None] = AsyncResult()
        slot = self._slots[record.info.key]
        slot.claims.append(claim)
        try:
            claim.get(timeout=DECISION)
        except gevent.Timeout:
            if claim in slot.claims:
                slot.claims.remove(claim)

    def changed(self, record: Record) -> None:
        """A node says something new."""
        slot = self._slots.setdefault(record.info.key, NodeSlot())
        slot.record, slot.dirty = record, True
        if slot.gone is not None and slot.gone.life == record.info.life:
            slot.gone = None  # its manager has started again in the same process
        self._do(record.info.key)

    def missing(self, key: NodeKey) -> None:
        """Note that the copy of a node was deleted; it is written again if the node is alive."""
        slot = self._slots.get(key)
        if slot is not None:
            slot.missing = True

    def alive(self, key: NodeKey) -> None:
        """A node gave a sign of life; leases are kept alive long before their end, and not at each message."""
        slot = self._slots.get(key)
        if slot is not None and (slot.missing or time.monotonic() - slot.kept > self._ttl / 6):
            slot.alive, slot.dirty = True, slot.dirty or slot.missing
            self._do(key)

    def left(self, key: NodeKey, for_good: bool = False) -> None:
        """A node has gone; if for good, whatever other lookupds still say."""
        slot = self._slots.get(key)
        if slot is not None:
            if for_good and slot.record is not None:
                slot.gone = slot.record.info
            slot.record, slot.dirty = None, True
            self._do(key)

    def _do(self, key: NodeKey) -> None:
        self._tasks[key] = None
        self._bell.set()

    # -- doing it -------------------------------------------------------------------------------
    def _work(self) -> None:
        while True:
            key = next((one for one in self._tasks if one not in self._busy), None)
            if key is None:
                self._bell.clear()
                self._bell.wait()
                continue
            self._work_at(key)

    def _work_at(self, key: NodeKey) -> None:
        del self._tasks[key]
        slot = self._slots.get(key)
        if slot is None:
            return  # it has left, and that is written
        self._busy.add(key)
        pause = 0.0
        try:
            self._write(key, slot)
            self._tell("")
        except LeaseGone:
            slot.lease, slot.dirty = _NO_LEASE, True
            self._tasks[key] = None
            if time.monotonic() - slot.kept < PAUSE:
                pause = PAUSE  # it was granted just now: the next one may be as short
        except EtcdError as error:
            self._tell(str(error))
            self._decide(slot, None)
            self._tasks[key] = None
            pause = PAUSE
        except Exception as error:  # the other nodes are to be written all the same
            self._log.write(logging.ERROR, "node %s cannot be written to etcd: %r", key.name, error, exc_info=error)
        finally:
            self._busy.discard(key)
            if key in self._tasks:
                self._bell.set()  # it changed meanwhile, and no other greenlet would look
        gevent.sleep(pause)

    def _tell(self, reason: str) -> None:
        if reason and not self.reason:
            sentence = "%s; nodes that are connected here are not known to other lookupds, trying again"
            self._log.write(logging.ERROR, sentence, reason)
        if self.reason and not reason:
            self._log.write(logging.INFO, "etcd takes what is written again")
        self.reason = reason

    def _lose(self, key: NodeKey, slot: NodeSlot, record: Record) -> None:
        """Another life of the node is there, so it is not this one."""
        if slot.record is None or slot.record.info.life != record.info.life:
            return  # it has left meanwhile, and there is something to do already
        error, claimed = taken(record.info), bool(slot.claims)
        slot.record, slot.dirty = None, True
        self._tasks[key] = None  # to end the lease
        self._decide(slot, error)
        if not claimed:
            self._refuse(key, str(error))

    def _decide(self, slot: NodeSlot, error: Conflict | None) -> None:
        claims, slot.claims = slot.claims, []
        for claim in claims:
            if error is None:
                claim.set(None)
            else:
                claim.set_exception(error)

    def _write(self, key: NodeKey, slot: NodeSlot) -> None:
        dirty, slot.dirty, slot.alive, slot.missing = slot.dirty, False, False, False
        try:
            if slot.record is None:
                self._remove(key, slot)
            elif dirty or slot.lease == _NO_LEASE:
                self._store(key, slot, slot.record)
            else:
                self._etcd.keep(slot.lease)
                slot.kept = time.monotonic()
        except EtcdError:
            slot.dirty = slot.dirty or dirty
            raise

    def _store(self, key: NodeKey, slot: NodeSlot, record: Record) -> None:
        if slot.life != record.info.life:
            self._end_lease(slot)  # of a life that was connected here before
        if slot.lease == _NO_LEASE:
            slot.lease = self._etcd.grant(max(1, math.ceil(self._ttl)))
            slot.kept, slot.life = time.monotonic(), record.info.life
        if not self._etcd.put(self._place(record.info), record.dump(), slot.lease):
            self._lose(key, slot, record)
        elif slot.record is not None and slot.record.info.life == record.info.life:
            self._decide(slot, None)

    def _end_lease(self, slot: NodeSlot) -> None:
        if slot.lease != _NO_LEASE:
            self._etcd.revoke(slot.lease)
            slot.lease = _NO_LEASE
        if slot.gone is not None:
            self._etcd.delete(self._place(slot.gone))
            slot.gone = None

    def _remove(self, key: NodeKey, slot: NodeSlot) -> None:
        self._end_lease(slot)
        if slot.record is None:  # it may have come back meanwhile
            self._slots.pop(key, None)

    def health(self) -> dict[str, Any]:
        """Return how many nodes are written, how many are not yet, and why, if etcd does not take them."""
        found: dict[str, Any] = {"written": len(self._slots) - len(self._tasks), "waiting": len(self._tasks)}
        return {**found, "problem": self.reason} if self.reason else found
