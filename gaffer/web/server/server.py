"""gevent.pywsgi behind sockets that are bound already: timeouts, limits and a stop that lets requests finish."""

from __future__ import annotations

import logging
import socket
from contextlib import contextmanager
from typing import Any, Callable, Hashable, Iterable, Iterator

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from greenlet import GreenletExit

from ...events.time_slice import TimeSlice
from ...plugins.calling import Killed
from ...service.rlimits import exhausted, is_scarce
from ..requests.access_rules import DEFAULT_POLICY, EndpointPolicy
from ..requests.replies import problem
from .connection import ConnectionLimits
from .content_length import Lengths
from .handler import Handler, serialise
from .slots import Slots, peer_key

log = logging.getLogger("gaffer.web")

_TOO_MANY = "too many connections from your address (limit {}, http_max_peer_connections)"
_PLAIN_HTTP = "this endpoint speaks TLS; write https:// in the address"
#: So many connections are served even if few files can be opened.
MOST_WHEN_SCARCE = 8
#: Seconds for which a rejected connection may stay open.
_REJECT_TIMEOUT = 1.0
Wsgi = Callable[..., Iterable[bytes]]


class SocketListener(WSGIServer):  # type: ignore[misc]
    """Serves one listening socket."""

    handler_class = Handler

    def __init__(
        self,
        sock: socket.socket,
        app: Wsgi,
        limits: ConnectionLimits,
        tls: Any,
        policy: EndpointPolicy,
        websockets: Slots,
    ) -> None:
        address = sock.getsockname()
        host, port = address[:2] if isinstance(address, tuple) else ("", "")
        # Given here, because pywsgi would ask the DNS for the name of the address, and wait for it.
        named = {"SERVER_NAME": host, "SERVER_PORT": str(port)}
        self.limits = limits
        #: The socket as it was given; gevent may make another object of it.
        self.given = sock
        self.policy = policy
        self.websockets = websockets
        self.peers: dict[Hashable, int] = {}
        self.refused = 0
        #: Connections closed for others in the middle of a TLS handshake or of a body.
        self.evicted = 0
        #: Requests whose answers took too long, and how many of them are still worked on after their 503.
        self.late = self.stuck = 0
        self.lengths = Lengths(log)
        self.closing = False
        self.idle: dict[Handler, None] = {}
        #: Greenlets in a TLS handshake, and those whose body is waited for, with the time when it is due.
        self.handshakes: dict[Any, None] = {}
        self.bodies: dict[Handler, float] = {}
        #: Called when it is about to stop: for answers that would never end by themselves.
        self.endings: set[Callable[[], Any]] = set()
        pool = Pool(limits.connections)
        arguments = {"ssl_context": tls} if tls is not None else {}
        super().__init__(sock, app, spawn=pool, log=None, error_log=None, environ=named, **arguments)

    def renew(self, tls: Any) -> None:
        """Use other certificates for connections from now on."""
        self.wrap_socket = tls.wrap_socket

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        """Do the TLS handshake in time, then serve."""
        with self._counted(client_socket, address) as refusal:
            if refusal:
                self.refused += 1
                client_socket.close()
            else:
                self._handle_tls(client_socket, address)

    def _handle_tls(self, client_socket: Any, address: Any) -> None:
        sock, greenlet = client_socket, gevent.getcurrent()
        self.handshakes[greenlet] = None
        try:
            with gevent.Timeout(self.limits.handshake, TimeoutError("it took too long")):
                # Signing takes a millisecond: when there is something to sign, it waits for its turn.
                plain = client_socket.recv(1, socket.MSG_PEEK).isalpha()  # a method; records of TLS begin otherwise
                if plain:
                    _reject(client_socket, 400, _PLAIN_HTTP)
                    return
                TimeSlice().give_way()
                sock = self.wrap_socket(client_socket, do_handshake_on_connect=False, **self.ssl_args)
                sock.do_handshake()
        except OSError as error:
            log.debug("TLS handshake with %s: %s", address, error)
            sock.close()
            return
        except GreenletExit:  # another one needs the place
            sock.close()
            raise
        finally:
            self.handshakes.pop(greenlet, None)
        self._serve(sock, address)

    def handle(self, sock: Any, address: Any) -> None:
        """Serve one connection until it ends."""
        with self._counted(sock, address) as refusal:
            if refusal:
                self.refused += 1
                _reject(sock, 503, refusal)
            else:
                self._serve(sock, address)

    @contextmanager
    def _counted(self, sock: Any, address: Any) -> Iterator[str]:
        """Count the connections of each peer; yields why this one is one too many, or nothing."""
        key = peer_key(sock, address)
        self.peers[key] = self.peers.get(key, 0) + 1
        self._make_room()
        try:
            if self.peers[key] > self.limits.per_peer and not self._close_idle(key):
                yield _TOO_MANY.format(self.limits.per_peer)
            elif is_scarce(sock.fileno(), 2) and not self._close_idle() and len(self.pool) > MOST_WHEN_SCARCE:
                yield exhausted()  # clients leave twice the reserve, so that processes that end can be replaced
            else:
                yield ""
        finally:
            self.peers[key] -= 1
            if not self.peers[key]:
                del self.peers[key]

    def _serve(self, sock: Any, address: Any) -> None:
        try:
            handler = self.handler_class(sock, address, self)
            handler.key = peer_key(sock, address)
        except OSError:  # gone before we came
            sock.close()
            return
        handler.handle()

    def _close_idle(self, key: Hashable = None) -> bool:
        """Close the connection that has been idle for longest, so that a newcomer need not wait; tells if there is one.

        :param key: it must be one of this peer.
        """
        for handler in self.idle:
            if key is None or handler.key == key:
                del self.idle[handler]
                handler.greenlet.kill(Killed, block=False)
                return True
        return False

    def _make_room(self) -> None:
        """Close a connection that gets nowhere, if none is free: one that is idle, shakes hands, or sends its body.

        Of each kind it is the one that has done so for longest.
        """
        if self.pool.free_count() or self._close_idle():
            return
        if self.handshakes:
            slow = next(iter(self.handshakes))
            del self.handshakes[slow]
        elif self.bodies:
            handler = min(self.bodies, key=self.bodies.__getitem__)
            del self.bodies[handler]
            slow = handler.greenlet
        else:
            return
        self.evicted += 1
        slow.kill(Killed, block=False)

    def finish(self, timeout: float) -> None:
        """Accept nothing more, close what is idle, let running requests end within *timeout* seconds."""
        self.closing = True
        self.close()
        for handler in list(self.idle):
            handler.greenlet.kill(Killed, block=False)
        for end in list(self.endings):
            end()
        self.pool.join(timeout)
        self.pool.kill(Killed, timeout=1)


class HttpServer:
    """HTTP server of one WSGI application on several listening sockets.

    :param app: the WSGI application.
    :param limits: timeouts and bounds.

    Add sockets with :meth:`add`, then :meth:`start`; :meth:`stop` closes the sockets, too.
    """

    def __init__(self, app: Wsgi, limits: ConnectionLimits | None = None) -> None:
        self.app = app
        self.limits = limits or ConnectionLimits()
        self.websockets = Slots(self.limits.websockets, "too many websockets (limit {}, http_max_websockets)")
        self._listeners: list[SocketListener] = []
        self._sockets: list[socket.socket] = []

    def add(self, sock: socket.socket, tls: Any = None, policy: EndpointPolicy = DEFAULT_POLICY) -> None:
        """Serve *sock*, which is bound and listens already.

        :param tls: what :func:`gaffer.web.server.tls.tls_context` returned, or None.
        :param policy: who may come, where that differs from the rules for all.
        """
        sock.setblocking(False)
        self._sockets.append(sock)
        self._listeners.append(SocketListener(sock, self.app, self.limits, tls, policy, self.websockets))

    def renew(self, sock: socket.socket, tls: Any) -> None:
        """Show other certificates to who connects to *sock* from now on; connections that are open stay."""
        for listener in self._listeners:
            if listener.given is sock:
                listener.renew(tls)

    def start(self) -> None:
        """Begin to accept connections; those that waited in the backlog come first."""
        for listener in self._listeners:
            listener.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop accepting, let running requests finish for *timeout* seconds, close everything."""
        gevent.joinall([gevent.spawn(listener.finish, timeout) for listener in self._listeners])
        for sock in self._sockets:
            # A unix socket's path is removed by its own close().
            sock.close()
        self._listeners, self._sockets = [], []

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return sum(len(listener.pool) for listener in self._listeners)

    @property
    def refused(self) -> int:
        """Number of connections rejected because their peers had too many."""
        return sum(listener.refused for listener in self._listeners)

    @property
    def evicted(self) -> int:
        """Number of connections closed in a TLS handshake or in a body, to make room for others."""
        return sum(listener.evicted for listener in self._listeners)

    @property
    def late(self) -> int:
        """Number of requests ended because they took too long."""
        return sum(listener.late for listener in self._listeners)

    @property
    def miscounted(self) -> int:
        """Number of answers with more or fewer bytes than their Content-Length."""
        return sum(listener.lengths.wrong for listener in self._listeners)

    @property
    def stuck(self) -> int:
        """Number of those that still go on, abandoned."""
        return sum(listener.stuck for listener in self._listeners)


def _reject(sock: Any, status: int, reason: str) -> None:
    """Answer and close when the client has read it: closing while it sends would destroy the answer on its way."""
    sock.settimeout(_REJECT_TIMEOUT)
    try:
        sock.sendall(serialise(problem(status, reason, extra=[("Connection", "close")])))
        sock.shutdown(socket.SHUT_WR)
        with gevent.Timeout(_REJECT_TIMEOUT, False):
            turn = TimeSlice()
            while sock.recv(65_536):
                turn.give_way()
    except OSError:
        pass
    sock.close()
