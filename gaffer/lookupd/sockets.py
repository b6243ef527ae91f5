"""Websockets of a lookupd: one greenlet for each node, a source of events for each watcher."""

from __future__ import annotations

import json
import logging
import time
from itertools import islice
from typing import Any, Callable, Iterator, Mapping

import gevent

from ..commands.identity import Identity
from ..errors import GafferError
from ..web.live.sources import FollowerSource, Wakeable
from ..web.requests.authentication import ACCESS, REQUIRED
from ..web.requests.replies import encode_json
from ..web.websocket.duplex import run_duplex
from ..web.websocket.late_auth import LateAuth
from ..web.websocket.websocket import WebSocket
from ..websocket.frames import GOING_AWAY, POLICY_VIOLATION
from .node_protocol import EXPIRED, NodeSession, NodeSessions
from .registry import Registry

log = logging.getLogger("gaffer_lookupd")


#: Messages about what is there already that a watcher is sent at once; others have their turn between.
SOME = 500


#: Seconds that a node has for a sign of life when another start of it connects.
PROBE = 2.0


class _Silent(BaseException):
    """The node has neither said nor read anything for too long."""


def serve_node(websocket: WebSocket, sessions: NodeSessions) -> None:
    """Hear a node until it leaves, or is silent for too long."""
    session = NodeSession(
        sessions,
        lambda reason: gevent.spawn(websocket.close, GOING_AWAY, reason),
        lambda: websocket.is_alive(PROBE),
    )
    sessions.open += 1
    begun = time.monotonic()
    try:
        while _hear_one(websocket, session, sessions, begun):
            pass
    finally:
        sessions.open -= 1
        session.leave()


def _hear_one(websocket: WebSocket, session: NodeSession, sessions: NodeSessions, begun: float) -> bool:
    """Hear one message and answer it; returns whether there may be more.

    :param begun: when the connection was; a peer without credentials has so long to show some.
    """
    patience = sessions.patience
    known = session.record is not None
    try:
        with gevent.Timeout(patience if known else max(0.0, begun + patience - time.monotonic()), _Silent):
            message = websocket.receive()
        if message is None:
            session.leave(for_good=websocket.peer_code == GOING_AWAY)
            return False
        answer = json.dumps(session.hear(message))  # while this waits for the registry, the node is not silent
        with gevent.Timeout(patience, _Silent):
            websocket.send(answer)
        return True
    except _Silent:
        pass
    sessions.expired += 1
    reason = f"silent for {patience:g} seconds" if known else f"did not identify itself within {patience:g} seconds"
    who = session.record.info.name if session.record is not None else "a connection"
    log.warning("%s was %s and is given up" if known else "%s %s and is given up", who, reason)
    session.leave(lost=EXPIRED)  # now: a silent peer may not read, either, and closing takes a while
    websocket.close(POLICY_VIOLATION, reason)
    return False


class WatchTap(FollowerSource):
    """Messages for one watcher; see :class:`gaffer.web.websocket.duplex.MessageSource`.

    :param state: begin with what is there already.
    """

    ended = False

    def __init__(self, registry: Registry, state: bool = False) -> None:
        self._registry = registry
        self._identity: Identity | None = None
        super().__init__(registry.events.follow("."))
        self._first: Iterator[dict[str, Any]] | None = self._state() if state else None

    def _state(self) -> Iterator[dict[str, Any]]:
        yield from self._registry.state()
        yield {"event": "ready"}

    def take(self) -> list[str]:
        """Return messages, each of them JSON; what is there already comes in pieces, and changes after it."""
        if self._first is not None:
            some = [encode_json(message).decode() for message in islice(self._first, SOME)]
            if len(some) < SOME:
                self._first = None
            if some:
                return some
        lost, events = self._follower.take()
        texts = [encode_json({"event": "gap", "lost": lost}).decode()] if lost else []
        for event in events:
            if event.encoded is None:
                event.encoded = encode_json(event.message)
            texts.append(event.encoded.decode())
        return texts

    def receive(self, text: str | bytes) -> None:
        """Take a message: ``{"event": "STATE"}`` asks for what is there already; there is nothing else to say."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return
        # One that is on its way already answers a repeated request.
        if isinstance(said, dict) and said.get("event") == "STATE" and self._first is None:
            self._first = self._state()
            self.notify()

    def belong(self, identity: Identity | None) -> WatchTap:
        """End with the key of *identity*."""
        if identity is not None:
            self._identity = identity
            identity.endings.add(self._end)
            if identity.ended:
                self._end()
        return self

    def _end(self) -> None:
        self.ended = True
        self.notify()

    def close(self) -> None:
        """Follow no longer."""
        if self._identity is not None:
            self._identity.endings.discard(self._end)
        super().close()


class LateWatchTap(Wakeable):
    """Messages for a SockJS watcher whose key comes as its first message, ``AUTH:<key>``.

    :param environ: of the request that began the session.
    """

    def __init__(self, registry: Registry, environ: Mapping[str, Any]) -> None:
        # The request does not live as long as the session.
        kept = (ACCESS, REQUIRED)
        self._environ = {name: value for name, value in environ.items() if name in kept or isinstance(value, str)}
        self._registry = registry
        self._watch: WatchTap | None = None
        #: Whose key came as a message.
        self.identity: Identity | None = None
        self._said: list[str] = []
        self._refused = False
        self._late = LateAuth(self._environ, self._refuse)
        self.wake: Callable[[], None] | None = None

    @property
    def unauthenticated(self) -> bool:
        """True until it is identified."""
        return self._watch is None

    @property
    def ended(self) -> bool:
        """True when nothing more will come."""
        return self._refused or self._watch is not None and self._watch.ended

    def take(self) -> list[str]:
        """Return messages, each of them JSON."""
        said, self._said = self._said, []
        return said if self._watch is None else self._watch.take()

    def receive(self, text: str) -> None:
        """Take a message."""
        if self._watch is not None:
            self._watch.receive(text)
        elif not self._refused:
            try:
                self._admit(text)
            except GafferError as error:
                self._refuse(error)

    def _admit(self, text: str) -> None:
        identity = self._late.identify(text)
        self._environ[ACCESS].check(identity, "read")
        self._late.close()
        self.identity = identity
        self._watch = WatchTap(self._registry).belong(identity)
        self._watch.wake = self.notify

    def _refuse(self, error: GafferError) -> None:
        """Say why, and end."""
        said = {"event": "error", "errno": error.status, "error": error.code, "reason": str(error)}
        self._said.append(encode_json(said).decode())
        self._refused = True
        self.notify()

    def close(self) -> None:
        """Follow no longer."""
        self._late.close()
        if self._watch is not None:
            self._watch.close()


def serve_watcher(websocket: WebSocket, registry: Registry, state: bool) -> None:
    """Tell a watcher what changes until it leaves."""
    watch = WatchTap(registry, state)
    run_duplex(websocket, watch, websocket.send_all, watch.receive)
