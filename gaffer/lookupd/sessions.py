"""The protocol of nodes (CONTRACT §9): what a node says on its websocket, and the answers. Without any socket."""

from __future__ import annotations

import json
import logging
from typing import Any, Callable

from ..errors import BadRequest, Conflict, Forbidden, GafferError
from ..names import parse_job_name
from .backends import Backend
from .records import Key, NodeInfo, Record, read_info, read_pids
from .registry import Registry

log = logging.getLogger("gaffer_lookupd")

#: Bytes that a message of a node may have.
MOST_TEXT = 1 << 18
_MOST_ID = 64


class Sessions:
    """The nodes that are connected here.

    :param registry: what they change.
    :param backend: what keeps it.
    :param ping: seconds after which a node is to give a sign of life; after three of them it is given up.
    """

    def __init__(self, registry: Registry, backend: Backend, ping: float) -> None:
        self.registry, self.backend, self.ping = registry, backend, ping
        self._identified: dict[Key, Session] = {}
        self.open = 0
        self.expired = 0

    @property
    def patience(self) -> float:
        """How long a node may be silent, in seconds."""
        return 3 * self.ping

    @property
    def identified(self) -> int:
        """How many nodes are connected here and said who they are."""
        return len(self._identified)

    def identify(self, session: Session, info: NodeInfo) -> None:
        """A node says who it is.

        :raises Conflict: another one, which is alive, is that.
        """
        other = self._identified.get(info.key)
        if other is not None and other is not session:
            assert other.record is not None
            if other.record.info.life != info.life:
                raise Conflict(
                    f"a node {info.name} at {info.origin} is connected already; give each node a name or a "
                    "--broadcast-address of its own, or wait until the other has expired"
                )
            other.replace()
        jobs = session.record.jobs if session.record else {}
        record = Record(info, jobs)
        self.registry.put(record)
        session.record = record
        self._identified[info.key] = session
        self.backend.changed(record)

    def leave(self, session: Session) -> None:
        """A node's connection is over."""
        record, session.record = session.record, None
        if record is None or self._identified.get(record.info.key) is not session:
            return
        del self._identified[record.info.key]
        self.registry.drop(record.info.key)
        self.backend.left(record.info.key)


class Session:
    """One connection of a node.

    :param sessions: all of them.
    :param close: ends the connection, with a sentence.
    """

    def __init__(self, sessions: Sessions, close: Callable[[str], Any]) -> None:
        self._sessions = sessions
        self._close = close
        #: What the node registered; None until it has said who it is.
        self.record: Record | None = None

    def hear(self, text: str | bytes) -> dict[str, Any]:
        """Carry a message out and return the answer."""
        msgid = None
        try:
            said = _parse(text)
            msgid = _read_id(said)
            answer = _HEARERS[_read_type(said)](self, said) or {}
        except GafferError as error:
            return {"errno": error.status, "error": error.code, "reason": str(error), "msgid": msgid}
        if self.record is not None:
            self._sessions.backend.alive(self.record.info.key)
        return {"ok": True, "msgid": msgid, **answer}

    def replace(self) -> None:
        """The same node came back on another connection."""
        self.record = None
        self._close("the node has connected again")

    def leave(self) -> None:
        """The connection is over."""
        self._sessions.leave(self)

    # -- messages -------------------------------------------------------------------------------
    def _identify(self, said: dict[str, Any]) -> dict[str, Any]:
        info = read_info(said)
        if self.record is not None and self.record.info.key != info.key:
            raise Conflict(f"this connection is node {self.record.info.name}'s; open another for {info.name}")
        self._sessions.identify(self, info)
        return {"ping_interval": self._sessions.ping}

    def _ping(self, said: dict[str, Any]) -> None:
        """It is alive; that it said anything is enough."""

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


_HEARERS: dict[str, Callable[[Session, dict[str, Any]], dict[str, Any] | None]] = {
    "IDENTIFY": Session._identify,
    "PING": Session._ping,
    "REGISTER_JOB": Session._register_job,
    "UNREGISTER_JOB": Session._unregister_job,
    "REGISTER_PROCESS": Session._register_process,
    "UNREGISTER_PROCESS": Session._unregister_process,
}


def _parse(text: str | bytes) -> dict[str, Any]:
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
