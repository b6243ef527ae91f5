"""Requests to many nodes at once: lookupds know the nodes, each result or error has its node.

Threads do the asking. In a program that gevent has patched they are greenlets.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Generic, Iterable, Sequence, TypeVar, cast

from ..errors import BadRequest, GafferError, NotFound
from .errors import CannotConnect
from .lookup import LookupServer
from .server import Server
from .transport import CONNECT_TIMEOUT

T = TypeVar("T")
#: Nodes and lookupds that are asked at the same time.
WORKERS = 16
#: Seconds that a lookupd has for an answer.
LOOKUP_TIMEOUT = 5.0
ALL = "all"


@dataclass(frozen=True)
class Node:
    """A node, as a lookupd describes it.

    :param origin: the URL of its API.
    """

    name: str
    origin: str
    version: str = ""
    labels: dict[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Result(Generic[T]):
    """The result of an operation on one node: a value, or an error."""

    node: Node
    value: T | None = None
    error: GafferError | None = None

    @property
    def ok(self) -> bool:
        """True without an error."""
        return self.error is None

    def get(self) -> T:
        """Return the value.

        :raises GafferError: the error.
        """
        if self.error is not None:
            raise self.error
        return cast(T, self.value)


class Cluster:
    """The nodes of one or several lookupds.

    :param lookups: lookupds, or their URLs; each is asked, what several know counts once.
    :param api_key: the key for lookupds given by URL, and for nodes.
    :param certfile: a client certificate, with *keyfile* its key. :param cacert: who signed the others' certificates.
    :param timeout: seconds to wait for each answer of a node, and of a lookupd if that is less than 5.
    :param connect_timeout: seconds to wait for each connection.
    """

    def __init__(
        self,
        lookups: Iterable[str | LookupServer],
        api_key: str | None = None,
        *,
        certfile: str | None = None,
        keyfile: str | None = None,
        cacert: str | None = None,
        timeout: float | None = 30.0,
        connect_timeout: float | None = CONNECT_TIMEOUT,
    ) -> None:
        self._keys: dict[str, Any] = {
            "api_key": api_key,
            "certfile": certfile,
            "keyfile": keyfile,
            "cacert": cacert,
            "connect_timeout": connect_timeout,
        }
        self._timeout = timeout
        patience = LOOKUP_TIMEOUT if timeout is None else min(LOOKUP_TIMEOUT, timeout)
        self.lookups = [
            LookupServer(one, **self._keys, timeout=patience) if isinstance(one, str) else one for one in lookups
        ]
        if not self.lookups:
            raise BadRequest("no lookupd is given")
        #: What went wrong with lookupds in the latest question, while others answered.
        self.problems: list[GafferError] = []
        #: Nodes that are missing in the latest :meth:`nodes` without having said good-bye; see ``LookupServer.lost``.
        self.lost: list[dict[str, Any]] = []

    def close(self) -> None:
        """Close idle connections to lookupds; the cluster can still be used afterwards."""
        for lookup in self.lookups:
            lookup.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- questions ------------------------------------------------------------------------------
    def ask(self, question: Callable[[LookupServer], T]) -> list[T]:
        """Ask every lookupd at once; returns the answers of those that gave one.

        A lookupd that knows nothing of it is no failure while another does.

        :raises GafferError: none of them answered; the error of the first that could be reached.
        """
        with ThreadPoolExecutor(min(WORKERS, len(self.lookups))) as pool:
            outcomes = list(pool.map(lambda lookup: _attempt(lambda: question(lookup)), self.lookups))
        answers = [value for value, error in outcomes if error is None]
        errors = [error for _, error in outcomes if error is not None]
        if not answers:
            raise next((error for error in errors if not isinstance(error, CannotConnect)), errors[0])
        self.problems = [error for error in errors if not isinstance(error, NotFound)]
        return answers  # type: ignore[return-value]

    def nodes(self) -> list[Node]:
        """Return all nodes, by name.

        :raises GafferError: no lookupd answers.
        """
        found = {_key(info): info for infos in self.ask(LookupServer.nodes) for info in infos}
        lost = {_key(one): one for lookup in self.lookups for one in lookup.lost}
        self.lost = [lost[key] for key in sorted(lost) if key not in found]
        return [make_node(found[key]) for key in sorted(found)]

    def select(self, on: str = ALL) -> list[Node]:
        """Return the nodes that *on* selects.

        :param on: ``all``, a node's name or origin, or ``label=value``.
        :raises NotFound: there is none.
        """
        nodes = self.nodes()
        chosen = [node for node in nodes if _is_meant(node, on)]
        if not chosen:
            known = ", ".join(sorted({node.name for node in nodes})[:10]) or "none at all"
            raise NotFound(f"no node matches '{on}'; the lookupds know {known}")
        return chosen

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs: ``{"name", "sources"}``."""
        return merge_jobs(self.ask(LookupServer.jobs))

    def find_job(self, name: str) -> dict[Node, list[int]]:
        """Return where a job is: its pids on each node.

        :raises NotFound: no node has it.
        """
        sources: dict[tuple[str, str], dict[str, Any]] = {}
        for answer in self.ask(lambda lookup: lookup.find_job(name)):
            sources |= {_key(source["node_info"]): source for source in answer["sources"]}
        return {make_node(sources[key]["node_info"]): list(sources[key]["pids"]) for key in sorted(sources)}

    # -- operations -----------------------------------------------------------------------------
    def server(self, node: Node) -> Server:
        """Return the gafferd of a node.

        :raises BadRequest: its origin is no URL.
        """
        return Server(node.origin, **self._keys, timeout=self._timeout)

    def run(self, operation: Callable[[Server], T], on: str = ALL, job: str | None = None) -> list[Result[T]]:
        """Run an operation on nodes at once; a failure on one stops no other.

        ::

            cluster = Cluster(["http://lookup-1:5010", "http://lookup-2:5010"])
            for result in cluster.run(lambda server: server.get_job("web").restart(), job="web"):
                print(result.node, result.error or "restarted")

        :param operation: called with each node's :class:`Server`.
        :param on: which nodes; see :meth:`select`.
        :param job: only nodes that have this job.
        :raises NotFound: no node is meant. :raises GafferError: no lookupd answers.
        """
        nodes = self.select(on) if job is None else [node for node in self.find_job(job) if _is_meant(node, on)]
        if not nodes:
            raise NotFound(f"no node meant by '{on}' has the job {job}")

        def work(node: Node) -> T:
            with self.server(node) as server:
                return operation(server)

        return self.each(work, nodes)

    def each(
        self,
        work: Callable[[Node], T],
        nodes: Sequence[Node],
        workers: int | None = None,
        ended: Callable[[Result[T]], object] = lambda result: None,
    ) -> list[Result[T]]:
        """Call *work* with each node, in threads; an interrupt does not wait for calls that have not ended.

        :param workers: nodes at the same time, by default 16.
        :param ended: called with each result as it comes, in the thread of that node.
        """
        waiting: queue.SimpleQueue[tuple[int, Node]] = queue.SimpleQueue()
        found: dict[int, Result[T]] = {}
        defects: list[BaseException] = []

        def run() -> None:
            while True:
                try:
                    number, node = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    try:
                        found[number] = Result(node, work(node))
                    except GafferError as error:
                        found[number] = Result(node, None, error)
                    ended(found[number])
                except BaseException as error:
                    defects.append(error)

        for entry in enumerate(nodes):
            waiting.put(entry)
        threads = [threading.Thread(target=run, daemon=True) for _ in range(min(workers or WORKERS, len(nodes)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if defects:
            raise defects[0]
        return [found[number] for number in sorted(found)]


def _attempt(work: Callable[[], T]) -> tuple[T | None, GafferError | None]:
    try:
        return work(), None
    except GafferError as error:
        return None, error


def make_node(info: dict[str, Any]) -> Node:
    """Return the node that a lookupd describes."""
    return Node(str(info["name"]), str(info["origin"]), str(info.get("version") or ""), dict(info.get("labels") or {}))


def merge_jobs(answers: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the jobs of several lookupds as one list, each source once."""
    found: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for jobs in answers:
        for job in jobs:
            sources = found.setdefault(job["name"], {})
            sources |= {_key(source["node_info"]): source for source in job["sources"]}
    return [
        {"name": name, "sources": [sources[key] for key in sorted(sources)]} for name, sources in sorted(found.items())
    ]


def _key(info: dict[str, Any]) -> tuple[str, str]:
    return str(info["name"]), str(info["origin"])


def _is_meant(node: Node, on: str) -> bool:
    label, equals, value = on.partition("=")
    return on in (ALL, node.name, node.origin) or bool(equals) and node.labels.get(label.strip()) == value.strip()
