"""gevent.pywsgi behind sockets that are bound already: timeouts, limits and a stop that lets requests finish."""

from __future__ import annotations

import logging
import socket
from typing import Any, Callable, Iterable

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from .handler import Handler, Limits

log = logging.getLogger("gaffer.web")

Wsgi = Callable[..., Iterable[bytes]]


class Listener(WSGIServer):  # type: ignore[misc]
    """Serves one listening socket."""

    handler_class = Handler

    def __init__(self, sock: socket.socket, app: Wsgi, limits: Limits, tls: Any) -> None:
        address = sock.getsockname()
        host, port = address[:2] if isinstance(address, tuple) else ("", "")
        # Given here, because pywsgi would ask the DNS for the name of the address, and wait for it.
        named = {"SERVER_NAME": host, "SERVER_PORT": str(port)}
        self.limits = limits
        self.closing = False
        self.idle: dict[Handler, None] = {}
        #: Called when it is about to stop: for answers that would never end by themselves.
        self.endings: set[Callable[[], Any]] = set()
        pool = Pool(limits.connections)
        arguments = {"ssl_context": tls} if tls is not None else {}
        super().__init__(sock, app, spawn=pool, log=None, error_log=None, environ=named, **arguments)

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        """Do the TLS handshake in time, then serve."""
        sock = None
        try:
            sock = self.wrap_socket(client_socket, do_handshake_on_connect=False, **self.ssl_args)
            with gevent.Timeout(self.limits.handshake, TimeoutError("it took too long")):
                sock.do_handshake()
        except OSError as error:
            log.debug("TLS handshake with %s: %s", address, error)
            (sock or client_socket).close()
            return
        self.handle(sock, address)

    def handle(self, sock: Any, address: Any) -> None:
        """Serve one connection until it ends."""
        if self.pool.free_count() == 0:
            self._make_room()
        try:
            handler = self.handler_class(sock, address, self)
        except OSError:  # gone before we came
            sock.close()
            return
        handler.handle()

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, so that a newcomer does not have to wait for it."""
        for handler in self.idle:
            handler.greenlet.kill(block=False)
            return

    def finish(self, timeout: float) -> None:
        """Accept nothing more, close what is idle, let running requests end within *timeout* seconds."""
        self.closing = True
        self.close()
        for handler in list(self.idle):
            handler.greenlet.kill(block=False)
        for end in list(self.endings):
            end()
        self.pool.join(timeout)
        self.pool.kill(timeout=1)


class Server:
    """One application on several listening sockets.

    :param app: the WSGI application.
    :param limits: timeouts and bounds.

    Add sockets with :meth:`add`, then :meth:`start`; :meth:`stop` closes the sockets, too.
    """

    def __init__(self, app: Wsgi, limits: Limits | None = None) -> None:
        self.app = app
        self.limits = limits or Limits()
        self._listeners: list[Listener] = []
        self._sockets: list[socket.socket] = []

    def add(self, sock: socket.socket, tls: Any = None) -> None:
        """Serve *sock*, which is bound and listens already.

        :param tls: what :func:`gaffer.web.tls.tls_context` returned, or None.
        """
        sock.setblocking(False)
        self._sockets.append(sock)
        self._listeners.append(Listener(sock, self.app, self.limits, tls))

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
        """How many connections are open."""
        return sum(len(listener.pool) for listener in self._listeners)
