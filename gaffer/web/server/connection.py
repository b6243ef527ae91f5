"""State of one connection, and the limits of connections."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Callable

from ...security.peer_credentials import peer_uid
from ..requests.access_rules import DEFAULT_POLICY, EndpointPolicy
from .request_head import MAX_HEAD
from .request_timeout import RequestTimeout
from .slots import Slots

#: Seconds of silence before the other machine is asked, between two questions, and how many may stay unanswered.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


@dataclass(frozen=True)
class ConnectionLimits:
    """Timeouts in seconds, and bounds of connections and request heads.

    :param header: from a request's first byte (of the first request: from the connection) to the end of its head.
    :param body: for the whole body.
    :param idle: between two requests, and for a client to take what it is sent.
    :param handshake: for TLS.
    :param connections: open at the same time; beyond, the one idle for longest is closed.
    :param per_peer: the same for those of one address, or of one user of a unix socket; beyond, and with none of its
        own idle, a newcomer is refused.
    :param websockets: open at the same time, at all addresses together.
    :param head: bytes of a request before its body.
    :param request: until the answer begins; feeds, longpolls and websockets take as long as they like.
    """

    header: float = 10.0
    body: float = 30.0
    idle: float = 75.0
    handshake: float = 10.0
    connections: int = 1024
    per_peer: int = 512
    websockets: int = 512
    head: int = MAX_HEAD
    request: float = 300.0


class ClientConnection:
    """State of a client's connection; the access guard caches its decision here for the next request."""

    __slots__ = (
        "due",
        "endings",
        "family",
        "local",
        "peer",
        "permitted",
        "permitted_by",
        "policy",
        "secure",
        "sock",
        "uid",
        "websockets",
    )

    def __init__(
        self,
        sock: Any,
        peer: Any,
        secure: bool,
        endings: set[Callable[[], Any]] | None = None,
        policy: EndpointPolicy = DEFAULT_POLICY,
    ) -> None:
        self.sock = sock
        #: Of the endpoint that it came in at.
        self.policy = policy
        #: Called when the server is about to stop: for answers that would never end by themselves.
        self.endings: set[Callable[[], Any]] = set() if endings is None else endings
        self.family: int = sock.family
        self.peer = peer
        self.local = sock.getsockname()
        self.secure = secure
        #: A websocket needs one of these; None is no limit.
        self.websockets: Slots | None = None
        #: Watches over the time that the answer takes.
        self.due: RequestTimeout | None = None
        #: The account of the process at the other end, where the kernel was asked and knew it.
        self.uid: int | None = None
        self.permitted: str | None = None
        self.permitted_by: Any = None

    def find_uid(self, ask: Callable[[Any, Any, Any], int | None] = peer_uid) -> int | None:
        """Return the account of the process at the other end; the kernel is asked until it has told."""
        if self.uid is None:
            self.uid = ask(self.sock, self.peer, self.local)
        return self.uid

    def take_time(self) -> None:
        """Let the answer to this request take as long as it likes."""
        if self.due is not None:
            self.due.end()

    def keep_alive(self) -> None:
        """Let the kernel find out when the other machine is gone without a word (tcp(7))."""
        if self.family == socket.AF_UNIX:
            return
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
