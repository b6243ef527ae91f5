"""Client of a gaffer_lookupd: nodes, their jobs, and changes."""

from __future__ import annotations

from collections import deque
from typing import Any
from urllib.parse import quote

from ..config.names import check_name, parse_job_name
from ..errors import NotFound
from .errors import LOOKUPD, CannotConnect, Disconnected, NotGafferd
from .transport import CONNECT_TIMEOUT, Transport

DEFAULT_LOOKUPD = "http://127.0.0.1:5010"
_EVENTS = {"add_node", "identify", "remove_node", "add_job", "remove_job", "add_process", "remove_process"}


class LookupServer:
    """A gaffer_lookupd, of gaffer 0.5 too. Nothing is sent before the first call that needs an answer.

    :param uri: ``http://host:port``, ``https://host:port`` or ``unix:/path``.
    :param api_key: the key sent with every request.
    :param certfile: a client certificate, with *keyfile* its key.
    :param cacert: the authority that signed the lookupd's certificate; by default the system's.
    :param timeout: seconds to wait for each answer, which comes from memory; None waits for ever.
    :param connect_timeout: seconds to wait for the connection.

    Every method raises :class:`CannotConnect` when the lookupd cannot be reached, or the class of
    :mod:`gaffer.errors` that it answered with.
    """

    def __init__(
        self,
        uri: str = DEFAULT_LOOKUPD,
        api_key: str | None = None,
        *,
        certfile: str | None = None,
        keyfile: str | None = None,
        cacert: str | None = None,
        timeout: float | None = 5.0,
        connect_timeout: float | None = CONNECT_TIMEOUT,
    ) -> None:
        self.uri = uri
        self.transport = Transport(
            uri, api_key, certfile, keyfile, cacert, timeout, LOOKUPD, connect_timeout=connect_timeout
        )
        #: Since when and why the latest answer may be out of date, ``{"seconds", "reason"}``; None if it is not.
        self.stale: dict[str, Any] | None = None
        #: Nodes that were gone from the latest list without a good-bye: ``{"name", "origin", "seconds", "reason"}``.
        self.lost: list[dict[str, Any]] = []

    def close(self) -> None:
        """Close idle connections; the server can still be used afterwards."""
        self.transport.close()

    def __enter__(self) -> LookupServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LookupServer({self.uri!r})"

    # -- questions ------------------------------------------------------------------------------
    def ping(self) -> bool:
        """Return whether the lookupd answers; False if it cannot be reached."""
        try:
            return self.transport.request("GET", "/ping").text.strip() == "OK"
        except CannotConnect:
            return False

    def version(self) -> str:
        """Return the lookupd's version."""
        return str(self.transport.value("GET", "/version", "version"))

    def health(self) -> dict[str, Any]:
        """Return the health of the registry and of the connections."""
        return self.transport.object("GET", "/health")

    def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes: name, origin, version and labels of each."""
        return self._list("/nodes", "nodes")

    def sessions(self, node: str | None = None) -> list[dict[str, Any]]:
        """Return all sessions, or those of the nodes called *node*: ``{"sessionid", "jobs": [full names]}``.

        :raises NotFound: there is no such node.
        """
        found = self._list("/sessions" if node is None else f"/sessions/{quote(node, safe='')}", "sessions")
        if node is not None and not found:
            stale, lost = self.stale, self.lost
            known = {str(info.get("name")) for info in self.nodes()}
            self.stale, self.lost = stale, lost
            if node not in known:
                raise NotFound(f"no node {node[:100]!r}; /nodes lists them")
        return [{"sessionid": session["sessionid"], "jobs": sorted(session["jobs"])} for session in found]

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs: ``{"name", "sources": [{"name", "pids", "node_info"}]}``; a source's name is its node's."""
        return self._list("/jobs", "jobs")

    def find_job(self, name: str) -> dict[str, Any]:
        """Return a job, as in :meth:`jobs`.

        :raises NotFound: no node has it.
        """
        full = parse_job_name(name).full
        path = f"/findJob?name={quote(full, safe='')}"
        sources = self._list(path, "sources")
        if not sources:
            raise NotFound(f"no node has a job {full}; /jobs lists those that are known")
        return {"name": full, "sources": sources}

    def find_session(self, sessionid: str) -> dict[str, Any]:
        """Return a session: ``{"sessionid", "jobs": [as in jobs()]}``.

        :raises NotFound: no node has it.
        """
        jobs = self._list(f"/findSession?sessionid={quote(check_name(sessionid, 'session name'), safe='')}", "jobs")
        if not jobs:
            raise NotFound(f"no node has a session {sessionid}; /sessions lists those that are known")
        return {"sessionid": sessionid, "jobs": jobs}

    def _object(self, path: str) -> dict[str, Any]:
        answer = self.transport.object("GET", path)
        self.stale, self.lost = answer.pop("stale", None), answer.pop("lost", [])
        return answer

    def _list(self, path: str, key: str) -> list[dict[str, Any]]:
        found = self._object(path).get(key)
        if not isinstance(found, list):
            raise self.transport.stranger("GET", path)
        return found

    # -- what changes ---------------------------------------------------------------------------
    def watch(self, state: bool = False) -> LookupWatch:
        """Return an iterator over what changes from now on: ``{"event": "add_process", "node_info", "name", "pid"}``.

        The keys of gaffer 0.5 stand beside them: ``node``, ``job_name``; for nodes ``name``, ``origin``, ``version``.

        Events are ``add_node``, ``identify``, ``remove_node``, ``add_job``, ``remove_job``, ``add_process`` and
        ``remove_process``, and ``gap`` with how many were ``lost`` because the reader is too slow.

        :param state: begin with events for what is there already; ``ready`` ends them.
        """
        return LookupWatch(self, state)


class LookupWatch:
    """An endless iterator over changes, to be closed or used in a ``with`` block.

    Its end is :class:`~gaffer.httpclient.Disconnected`: the lookupd has gone, and what happens meanwhile is missed.
    """

    def __init__(self, server: LookupServer, state: bool) -> None:
        from .sockets import Socket

        self._uri = server.uri
        #: Events that are to be returned before the next one is read.
        self._first: deque[dict[str, Any]] = deque()
        # A lookupd of gaffer 0.5 has a websocket at this path only.
        self._socket = Socket(server.transport, "/lookup/websocket", {"state": 1 if state else None})
        if state:
            try:
                if "name" not in server.transport.object("GET", "/version"):
                    self._first.extend(_state_events(server))
            except BaseException:
                self.close()
                raise

    def __iter__(self) -> LookupWatch:
        return self

    def __next__(self) -> dict[str, Any]:
        while not self._first:
            self._first.extend(_complete(self._receive()))
        return self._first.popleft()

    def _receive(self) -> dict[str, Any]:
        import json

        message = self._socket.receive()
        if message is None:
            raise Disconnected(f"{LOOKUPD} at {self._uri} closed the connection: {self._socket.reason or 'it stops'}")
        try:
            event = json.loads(message)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise NotGafferd(f"what answers /lookup at {self._uri} is not {LOOKUPD}; check the address")
        return event

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()

    def __enter__(self) -> LookupWatch:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _state_events(server: LookupServer) -> list[dict[str, Any]]:
    """Return the events for what is there already, which a lookupd of gaffer 0.5 does not send."""
    events = [_node_event("add_node", info) for info in server.nodes() if info.get("name")]
    for job in server.jobs():
        for source in job["sources"]:
            info = source["node_info"]
            said = {"node": info, "job_name": job["name"], "node_info": info, "name": job["name"]}
            events.append({"event": "add_job", **said})
            events += [{"event": "add_process", **said, "pid": pid} for pid in sorted(source["pids"])]
    return [*events, {"event": "ready"}]


def _node_event(event: str, info: dict[str, Any]) -> dict[str, Any]:
    return {"event": event, **info, "node_info": info}


def _complete(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an event says with the keys of this version, and the events that gaffer 0.5 leaves out.

    0.5 tells of a node when it connects, before it has a name; such an event is left out, and comes with ``identify``.
    """
    kind = event.get("event")
    if "node_info" in event or kind not in _EVENTS:
        return [event]
    if isinstance(event.get("node"), dict):
        return [{**event, "node_info": event["node"], "name": event.get("job_name")}]
    if not event.get("name"):
        return []
    info = {key: event.get(key) for key in ("name", "origin", "version")}
    kinds = ["add_node", "identify"] if kind == "identify" else [str(kind)]
    return [_node_event(one, info) for one in kinds]
