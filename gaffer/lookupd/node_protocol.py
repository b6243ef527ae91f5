"""The protocol of nodes (docs/topologies.rst): messages of a node and their answers, without any socket."""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Callable

from ..config.names import parse_job_name
from ..errors import BadRequest, Conflict, Forbidden, GafferError
from ..web.requests.request import MAX_VALUES, has_too_many_values
from .backends import Backend
from .lease import longest_silence
from .records import NodeInfo, NodeKey, Record, read_info, read_pids, read_state, taken
from .registry import Registry

log = logging.getLogger("gaffer_lookupd")

#: Bytes that a message of a node may have.
MOST_TEXT = 1 << 18
#: Lost nodes that are remembered, and for how many seconds.
MAX_LOST, LOST_KEPT = 100, 3600.0
#: Why a node is lost.
DISCONNECTED, EXPIRED = "disconnected", "expired"
_MOST_ID = 64


class NodeSessions:
    """The nodes that are connected here.

    :param registry: what they change.
    :param backend: what keeps it.
    :param ping: seconds between two signs of life of a node.
    :param clock: monotonic seconds.
    """

    def __init__(
        self, registry: Registry, backend: Backend, ping: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.registry, self.backend, self.ping = registry, backend, ping
        self._clock = clock
        #: When, and why, nodes were lost that did not say good-bye; the latest last.
        self._lost: dict[NodeKey, tuple[float, str]] = {}
        self._identified: dict[NodeKey, NodeSession] = {}
        self.open = 0
        self.expired = 0

    @property
    def patience(self) -> float:
        """Longest silence of a node, in seconds."""
        return longest_silence(self.ping)

    @property
    def identified(self) -> int:
        """Number of connected nodes that have identified themselves."""
        return len(self._identified)

    def identify(self, session: NodeSession, info: NodeInfo) -> None:
        """A node says who it is; it may take a while to find out whether it is.

        :raises Conflict: another one, which is alive, is that.
        """
        self._take_place(session, info)
        said = session.record
        record = Record(info, said.jobs, said.state) if said else Record(info)
        try:
            self.backend.claim(record)
            if self._identified.get(info.key) is not session:
                raise Conflict("the node has connected again")
            self.registry.put(record)
        except BaseException:
            self._forget(session, info.key)
            raise
        session.record = record

    def _take_place(self, session: NodeSession, info: NodeInfo) -> None:
        """Let *session* be the one here that is that node, and no other."""
        other = self._identified.get(info.key)
        if other is not None and other is not session:
            if other.life == info.life:
                other.replace()
            else:
                self._end_dead(other, info)
        session.life = info.life
        self._identified[info.key] = session

    def _end_dead(self, other: NodeSession, info: NodeInfo) -> None:
        """End the connection of another life of the same node, if that does not answer; this takes a moment.

        A machine that loses its power, and comes back, leaves a connection that looks as if it were open.

        :raises Conflict: it is alive, or another one took its place meanwhile.
        """
        if other.is_alive():
            raise taken(info)
        current = self._identified.get(info.key)
        if current is other:
            log.warning("node %s at %s was started anew; its old connection does not answer", info.name, info.origin)
            other.refuse(info.key, "another start of the node has connected, and this connection did not answer")
        elif current is not None and current.life != info.life:
            raise taken(info)

    def refuse(self, key: NodeKey, reason: str) -> None:
        """A node that was let in is another one's after all."""
        session = self._identified.get(key)
        if session is not None:
            log.warning("node %s at %s is refused: %s", key.name, key.origin, reason)
            session.refuse(key, reason)

    def leave(self, session: NodeSession, lost: str = "") -> None:
        """A node's connection is over.

        :param lost: why, if the node did not say that it stops.
        """
        if session.record is not None:
            key = session.record.info.key
            if lost and self._identified.get(key) is session:
                self._lost.pop(key, None)
                self._lost[key] = self._clock(), lost
                while len(self._lost) > MAX_LOST:
                    del self._lost[next(iter(self._lost))]
            self._forget(session, key, for_good=not lost)

    def lost(self) -> list[dict[str, Any]]:
        """Return the nodes that were lost in the last hour and have not come back: when, and why."""
        now = self._clock()
        self._lost = {
            key: (when, why)
            for key, (when, why) in self._lost.items()
            if now - when < LOST_KEPT and key not in self.registry.nodes
        }
        return [
            {"name": key.name, "origin": key.origin, "seconds": round(now - when, 1), "reason": why}
            for key, (when, why) in self._lost.items()
        ]

    def _forget(self, session: NodeSession, key: NodeKey, for_good: bool = False) -> None:
        session.record = None
        if self._identified.get(key) is session:
            del self._identified[key]
            self.registry.drop(key)
            self.backend.left(key, for_good)


class NodeSession:
    """Connection of a node.

    :param sessions: all of them.
    :param close: ends the connection, with a sentence.
    :param probe: asks the node for a sign of life; tells whether there was one. It may take a few seconds.
    """

    def __init__(
        self, sessions: NodeSessions, close: Callable[[str], Any], probe: Callable[[], bool] = lambda: True
    ) -> None:
        self._sessions = sessions
        self._close = close
        self._probe = probe
        #: A message of the node is being carried out, so nothing else of it is read.
        self._busy = False
        #: What the node registered; None until it has said who it is, and that is true.
        self.record: Record | None = None
        #: Which start of the node it is, once it has said so.
        self.life = ""
        #: Whether it numbers its states.
        self._numbers = False

    def hear(self, text: str | bytes) -> dict[str, Any]:
        """Carry a message out and return the answer."""
        msgid = None
        try:
            said = _parse(text)
            msgid = _read_id(said)
            kind, state = _read_type(said), read_state(said.get("state", 0))
            self._busy = True
            answer = _HEARERS[kind](self, said) or {}
        except GafferError as error:
            return {"errno": error.status, "error": error.code, "reason": str(error), "msgid": msgid}
        finally:
            self._busy = False
        if self.record is not None:
            self._numbers = self._numbers or "state" in said
            if not self._numbers and kind in _CHANGES:
                state = self._sessions.backend.now()
            self._lives(self.record, state)
        return {"ok": True, "msgid": msgid, **answer}

    def _lives(self, record: Record, state: int) -> None:
        if state > record.state:
            self._sessions.registry.advance(record, state)
            self._sessions.backend.changed(record)
        self._sessions.backend.alive(record.info.key)

    def is_alive(self) -> bool:
        """Tell whether the node gives a sign of life; one whose message waits for the registry has given it."""
        return self._busy or self._probe()

    def refuse(self, key: NodeKey, reason: str) -> None:
        """The node is another one's."""
        self._sessions._forget(self, key)
        self._close(reason)

    def replace(self) -> None:
        """The same node came back on another connection."""
        self.record = None
        self._close("the node has connected again")

    def leave(self, for_good: bool = False, lost: str = DISCONNECTED) -> None:
        """The connection is over.

        :param for_good: the node said that it stops. :param lost: else, why it is over.
        """
        self._sessions.leave(self, "" if for_good else lost)

    # -- messages -------------------------------------------------------------------------------
    def _identify(self, said: dict[str, Any]) -> dict[str, Any]:
        info = read_info(said)
        if self.record is not None and self.record.info.key != info.key:
            raise Conflict(f"this connection is node {self.record.info.name}'s; open another for {info.name}")
        self._sessions.identify(self, info)
        return {"ping_interval": self._sessions.ping}

    def _ping(self, said: dict[str, Any]) -> None:
        """PING: any message of an identified node counts as a heartbeat."""
        self._known()

    def _register_job(self, said: dict[str, Any]) -> None:
        record, name = self._known(), _read_job(said)
        pids = read_pids(said["pids"]) if "pids" in said else None
        self._sessions.registry.add_job(record, name, pids)
        self._sessions.backend.changed(record)

    def _unregister_job(self, said: dict[str, Any]) -> None:
        record = self._known()
        self._sessions.registry.remove_job(record, _read_job(said))
        self._sessions.backend.changed(record)

    def _register_process(self, said: dict[str, Any]) -> None:
        record = self._known()
        self._sessions.registry.add_processes(record, _read_job(said), _read_processes(said))
        self._sessions.backend.changed(record)

    def _unregister_process(self, said: dict[str, Any]) -> None:
        record = self._known()
        self._sessions.registry.remove_processes(record, _read_job(said), _read_processes(said))
        self._sessions.backend.changed(record)

    def _known(self) -> Record:
        if self.record is None:
            raise Forbidden("who are you? send IDENTIFY first")
        return self.record


_HEARERS: dict[str, Callable[[NodeSession, dict[str, Any]], dict[str, Any] | None]] = {
    "IDENTIFY": NodeSession._identify,
    "PING": NodeSession._ping,
    "REGISTER_JOB": NodeSession._register_job,
    "UNREGISTER_JOB": NodeSession._unregister_job,
    "REGISTER_PROCESS": NodeSession._register_process,
    "UNREGISTER_PROCESS": NodeSession._unregister_process,
}


#: Messages after which what is said here may be the latest of a node.
_CHANGES = _HEARERS.keys() - {"IDENTIFY", "PING"}


def _parse(text: str | bytes) -> dict[str, Any]:
    if has_too_many_values(text):
        raise BadRequest(f"a message may hold {MAX_VALUES} values")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("a message must be JSON") from None
    if not isinstance(said, dict):
        raise BadRequest('a message must be an object: {"msgid": 1, "type": "PING"}')
    return said


def _read_id(said: dict[str, Any]) -> int | str:
    msgid = said.get("msgid")
    if isinstance(msgid, bool) or not isinstance(msgid, (int, str)) or len(str(msgid)) > _MOST_ID:
        raise BadRequest(f"msgid must be a number or text of at most {_MOST_ID} characters")
    return msgid


def _read_type(said: dict[str, Any]) -> str:
    kind = said.get("type")
    if not isinstance(kind, str) or kind not in _HEARERS:
        raise BadRequest(f"there is no message type {str(kind)[:40]!r}; there are {', '.join(_HEARERS)}")
    return kind


def _read_job(said: dict[str, Any]) -> str:
    name = said.get("job_name")
    if not isinstance(name, str):
        raise BadRequest("job_name must be the name of a job: session.job")
    return parse_job_name(name).full


def _read_processes(said: dict[str, Any]) -> set[int]:
    if ("pid" in said) == ("pids" in said):
        raise BadRequest("give pid, or several in pids")
    return read_pids(said["pids"] if "pids" in said else [said["pid"]])
