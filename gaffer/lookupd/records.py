"""Records of nodes: identity, jobs and their processes. Values only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Iterable, Mapping, NamedTuple

from ..config.names import parse_job_name
from ..errors import BadRequest, Conflict, TooLarge

#: Bytes that the names and pids of one node may have in all: it has to fit into one value of a registry.
MOST_BYTES = 1_000_000
#: Characters of a name, an origin, a version and a label.
MOST_NAME, MOST_ORIGIN, MOST_VERSION, MOST_LABEL = 255, 1024, 64, 255
MOST_LABELS = 64
MOST_PID = 2**31
MOST_STATE = 2**63


class NodeKey(NamedTuple):
    """Key of a node: its name and its origin."""

    name: str
    origin: str


@dataclass(frozen=True)
class NodeInfo:
    """Identity of a node.

    :param name: what people call it.
    :param origin: the URL of its API, or whatever else tells it from others of its name.
    :param version: of its gaffer.
    :param labels: what it can be chosen by.
    :param life: differs each time that it starts. Connections of the same life are one node's, whichever lookupds they
        lead to; a second one to the same lookupd takes the first one's place.
    """

    name: str
    origin: str
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    life: str = ""

    @property
    def key(self) -> NodeKey:
        return NodeKey(self.name, self.origin)

    def shown(self) -> dict[str, Any]:
        """Return what HTTP and watchers see; the same object each time, which must not be changed."""
        return self._shown

    @cached_property
    def _shown(self) -> dict[str, Any]:
        # An answer may name a thousand nodes.
        return {"name": self.name, "origin": self.origin, "version": self.version, "labels": dict(self.labels)}


def read_info(said: Mapping[str, Any]) -> NodeInfo:
    """Return who a node says it is.

    :raises BadRequest: naming what cannot be.
    """
    labels = said.get("labels") or {}
    if not isinstance(labels, dict) or len(labels) > MOST_LABELS:
        raise BadRequest(f"labels must be an object with at most {MOST_LABELS} texts")
    for key, value in labels.items():
        _text("a label's name", key, MOST_LABEL)
        _text(f"label {key[:40]!r}", value, MOST_LABEL, empty=True)
    return NodeInfo(
        _text("name", said.get("name"), MOST_NAME),
        _text("origin", said.get("origin"), MOST_ORIGIN),
        _text("version", said.get("version") or "", MOST_VERSION, empty=True),
        labels,
        _text("life", said.get("life") or "", MOST_VERSION, empty=True),
    )


def _text(what: str, value: Any, most: int, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise BadRequest(f"{what} must be text{'' if empty else ' and not empty'}")
    if len(value) > most or not value.isprintable():
        raise BadRequest(f"{what} may have up to {most} characters, all of them printable")
    return value


def read_pids(value: Any) -> set[int]:
    """Return pids that were sent as a list.

    :raises BadRequest: they are none.
    """
    if not isinstance(value, list) or not all(type(pid) is int and 0 < pid < MOST_PID for pid in value):
        raise BadRequest("pids must be a list of numbers above 0")
    return set(value)


def taken(info: NodeInfo) -> Conflict:
    """Return the error for a node whose identity another one has, which is alive."""
    return Conflict(
        f"a node {info.name} at {info.origin} is connected already; give each node a name or a "
        "--broadcast-address of its own, or wait until the other has expired"
    )


def read_state(value: Any) -> int:
    """Return the number of a node's state.

    :raises BadRequest: it is none.
    """
    if type(value) is not int or not 0 <= value < MOST_STATE:
        raise BadRequest("state must be a number, 0 or above")
    return value


class Record:
    """Record of a node: its identity, jobs and processes.

    :param jobs: full names of jobs, with the pids of their processes.
    :param state: the number of the node's own state up to which this is complete; of a node's several records, the one
        with the highest is nearest to the truth.
    """

    __slots__ = ("info", "jobs", "state", "size")

    def __init__(self, info: NodeInfo, jobs: Mapping[str, Iterable[int]] | None = None, state: int = 0) -> None:
        self.info = info
        self.state = state
        self.jobs: dict[str, set[int]] = {name: set(pids) for name, pids in (jobs or {}).items()}
        self.size = sum(_size(name, pids) for name, pids in self.jobs.items())

    def grow(self, name: str, pids: Iterable[int]) -> None:
        """Count what is about to be added.

        :raises TooLarge: it is too much for one node.
        """
        size = self.size + _size(name if name not in self.jobs else "", pids)
        if size > MOST_BYTES:
            raise TooLarge(f"node {self.info.name} registers more than {MOST_BYTES} bytes of jobs and processes")
        self.size = size

    def shrink(self, name: str, pids: Iterable[int]) -> None:
        """Count what was removed."""
        self.size -= _size(name if name not in self.jobs else "", pids)

    def dump(self) -> bytes:
        """Return it as JSON, for registries."""
        jobs = {name: sorted(pids) for name, pids in self.jobs.items()}
        info = {**self.info.shown(), "life": self.info.life}
        return json.dumps({"info": info, "state": self.state, "jobs": jobs}, separators=(",", ":")).encode()


def load_record(data: bytes) -> Record:
    """Return what :meth:`Record.dump` has written, checked as if a node had said it.

    :raises BadRequest: it is something else.
    """
    try:
        said = json.loads(data)
        jobs = {parse_job_name(name).full: read_pids(pids) for name, pids in said["jobs"].items()}
        return Record(read_info(said["info"]), jobs, read_state(said["state"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadRequest("this is no record of a node") from None


def _size(name: str, pids: Iterable[int]) -> int:
    return (len(name) + 6 if name else 0) + sum(len(str(pid)) + 1 for pid in pids)
