"""gevent.pywsgi behind sockets that are bound already: timeouts, limits, TLS and a stop that lets requests finish."""

from __future__ import annotations

import logging
import socket
from typing import Any, Callable, Iterable

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from ..errors import GafferError
from .handler import Handler, Limits

log = logging.getLogger("gaffer.web")

Wsgi = Callable[..., Iterable[bytes]]


class TlsError(GafferError):
    """A certificate or key that cannot be used."""

    code = "tls"


class Listener(WSGIServer):  # type: ignore[misc]
    """Serves one listening socket."""

    handler_class = Handler

    def __init__(self, sock: socket.socket, app: Wsgi, limits: Limits, tls: Any, environ: dict[str, Any]) -> None:
        address = sock.getsockname()
        host, port = address[:2] if isinstance(address, tuple) else ("", "")
        # Given here, because pywsgi would ask the DNS for the name of the address, and wait for it.
        named = {"SERVER_NAME": host, "SERVER_PORT": str(port), **environ}
        self.limits = limits
        self.closing = False
        self.idle: dict[Handler, None] = {}
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

    def add(self, sock: socket.socket, tls: Any = None, environ: dict[str, Any] | None = None) -> None:
        """Serve *sock*, which is bound and listens already.

        :param tls: what :func:`tls_context` returned, or None.
        :param environ: what every request on it finds in its WSGI environment.
        """
        sock.setblocking(False)
        self._sockets.append(sock)
        self._listeners.append(Listener(sock, self.app, self.limits, tls, environ or {}))

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


def tls_context(certfile: str, keyfile: str | None = None, cacert: str | None = None) -> Any:
    """Return the TLS settings of an endpoint: TLS 1.2 and later.

    :param certfile: the server's certificate chain, PEM.
    :param keyfile: its key, if that is another file.
    :param cacert: certificates that clients' certificates must be signed by; with it, clients need one.
    :raises TlsError: a file is missing or not what it should be.
    """
    # Imported here, because most endpoints have no TLS and it takes a while.
    from gevent import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certfile, keyfile or None)
    except OSError as error:
        files = " and ".join(name for name in (certfile, keyfile) if name)
        raise TlsError(f"cannot use the certificate {files}: {error.strerror or error}") from error
    if cacert:
        try:
            context.load_verify_locations(cacert)
        except OSError as error:
            raise TlsError(f"cannot use the clients' certificates in {cacert}: {error.strerror or error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
