"""Client of a gaffer_lookupd: nodes, their jobs, and changes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ..config.names import check_name, parse_job_name
from .errors import LOOKUPD, CannotConnect, Disconnected, NotGafferd
from .transport import CONNECT_TIMEOUT, Transport

DEFAULT_LOOKUPD = "http://127.0.0.1:5010"


class LookupServer:
    """A gaffer_lookupd. Nothing is sent before the first call that needs an answer.

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
        return self._list("/sessions" if node is None else f"/sessions/{quote(node, safe='')}", "sessions")

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs: ``{"name", "sources": [{"name", "pids", "node_info"}]}``."""
        return self._list("/jobs", "jobs")

    def find_job(self, name: str) -> dict[str, Any]:
        """Return a job, as in :meth:`jobs`.

        :raises NotFound: no node has it.
        """
        return self._object(f"/findJob?name={parse_job_name(name).full}")

    def find_session(self, sessionid: str) -> dict[str, Any]:
        """Return a session: ``{"sessionid", "jobs": [as in jobs()]}``.

        :raises NotFound: no node has it.
        """
        return self._object(f"/findSession?sessionid={check_name(sessionid, 'session name')}")

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

        Events are ``add_node``, ``identify``, ``remove_node``, ``add_job``, ``remove_job``, ``add_process`` and
        ``remove_process``, and ``gap`` with how many were ``lost`` because the reader is too slow.

        :param state: begin with events for what is there already; ``ready`` ends them.
        """
        return LookupWatch(self.transport, state)


class LookupWatch:
    """An endless iterator over changes, to be closed or used in a ``with`` block.

    Its end is :class:`~gaffer.httpclient.Disconnected`: the lookupd has gone, and what happens meanwhile is missed.
    """

    def __init__(self, transport: Transport, state: bool) -> None:
        from .sockets import Socket

        self._uri = transport.uri
        self._socket = Socket(transport, "/lookup", {"state": 1 if state else None})

    def __iter__(self) -> LookupWatch:
        return self

    def __next__(self) -> dict[str, Any]:
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
