"""The handler of one connection: pywsgi's, with deadlines, limits, strict heads and JSON errors."""

from __future__ import annotations

import errno
import io
import logging
import socket
import time
from functools import lru_cache
from typing import Any, Hashable

import gevent
from gevent.pywsgi import Input, WSGIHandler, format_date_time
from greenlet import GreenletExit

from ...errors import GafferError
from ...events.time_slice import TimeSlice
from ...plugins.calling import Killed
from ..requests.access_rules import DEFAULT_POLICY
from ..requests.replies import INTERNAL_ERROR, Reply, error_reply, problem
from .chunked_body import ChunkedBody
from .connection import ClientConnection
from .content_length import announced
from .request_head import MAX_HEAD_LINE, Head, HeadError, parse_head
from .request_timeout import RequestTimeout
from .socket_reader import SocketReader
from .socket_writer import send_parts

log = logging.getLogger("gaffer.web")

#: A body that was not read is skipped up to this size, so that the connection can go on; beyond, it is closed.
_SKIP = 64 * 1024
#: How much and how long is still read from a client that is being refused, so that it can see the refusal.
_LINGER_BYTES = 4 << 20
_LINGER_SECONDS = 2.0
#: Of each page. A window that another origin opened, or opens, is not to be reached from here; and ``document.domain``,
#: which takes the port out of what an origin is, works no more.
ISOLATION = ((b"Cross-Origin-Opener-Policy", b"same-origin"), (b"Origin-Agent-Cluster", b"?1"))
#: The first byte of a TLS handshake (RFC 8446 §5.1); waiting for the rest of a head would take until its timeout.
_TLS_RECORD = b"\x16"
#: Bytes of empty lines that may precede a request (RFC 9112 §2.2: some old clients send one after a body).
_MOST_EMPTY = 64
_GONE = (errno.EBADF, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN)


class SlowBody(OSError):
    """The client took too long to send its body."""


class RequestBody(Input):  # type: ignore[misc]
    """``wsgi.input`` with a deadline; what is left unread is skipped or costs the connection."""

    def __init__(self, handler: Handler, length: int | None, chunked: bool, expects: Any) -> None:
        super().__init__(handler.rfile, length, socket=expects, chunked_input=chunked)
        self._handler = handler
        self._deadline = 0.0
        self._lost = False
        self._chunks = ChunkedBody(handler.rfile, self._send_100_continue) if chunked else None
        self._whole = io.BufferedReader(self._chunks) if self._chunks is not None else None

    def read(self, length: int | None = None) -> bytes:
        """Read as :meth:`io.RawIOBase.read`; raises OSError when it takes too long or ends early."""
        return self._in_time(super().read if self._whole is None else self._whole.read, length)

    def readline(self, size: int | None = None) -> bytes:
        """Read one line, likewise."""
        return self._in_time(super().readline if self._whole is None else self._whole.readline, size)

    def _in_time(self, read: Any, size: int | None) -> bytes:
        if not self.content_length and not self.chunked_input:
            return b""
        handler = self._handler
        seconds = handler.server.limits.body
        now = time.monotonic()
        self._deadline = self._deadline or now + seconds
        handler.server.bodies[handler] = self._deadline
        lost, self._lost = self._lost, True
        try:
            with gevent.Timeout(max(0.001, self._deadline - now), SlowBody(f"it took longer than {seconds:g} s")):
                data: bytes = read(-1 if size is None else size)
                handler.turn.give_way()  # before it is worked on
            self._lost = lost
        finally:
            handler.server.bodies.pop(handler, None)
        return data

    @property
    def unread(self) -> int:
        """Bytes of the body that are still to come; more than :data:`_SKIP` where the number is unknown."""
        if self._lost:
            return _SKIP + 1  # a read was interrupted: how far it had come is unknown
        if self._chunks is not None:
            return 0 if self._chunks.ended else _SKIP + 1
        left = (self.content_length or 0) - self.position
        # A client that waits for "100 Continue" has sent nothing and may never do.
        return _SKIP + 1 if left and self.socket is not None else left

    def _discard(self) -> None:
        """pywsgi calls this when a request was answered; :meth:`Handler.handle_one_request` does it instead."""


class Handler(WSGIHandler):  # type: ignore[misc]
    """Serves the requests of one connection, one after the other."""

    server: Any
    socket: Any
    rfile: Any
    provided_date: Any
    wsgi_input: RequestBody
    fresh = True
    #: Bytes of the answer's body that are still to come; None if it did not say. Whether there were more.
    left: int | None = None
    excess = False
    #: True if the answer is a page of HTML.
    page = False
    #: What all connections of one peer have in common.
    key: Hashable = None

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        self.turn = TimeSlice()
        super().__init__(sock, address, server, rfile or io.BufferedReader(SocketReader(sock, self.turn)))
        self.connection = ClientConnection(
            sock,
            address,
            server.ssl_enabled,
            getattr(server, "endings", None),
            getattr(server, "policy", DEFAULT_POLICY),
        )
        self.connection.websockets = getattr(server, "websockets", None)
        self.greenlet = gevent.getcurrent()
        self.abandoned = False
        self.connection.due = self.due = RequestTimeout(server.limits.request, self.greenlet, self._late, self.abandon)
        sock.settimeout(server.limits.idle)

    def handle(self) -> None:
        """Serve the connection until it ends."""
        try:
            super().handle()
        finally:
            self.due.close()

    def handle_one_request(self) -> Any:
        """Read and answer one request; returns True to go on with the next."""
        self.command, raw = "", b""
        try:
            raw = self._read_head()
            if not raw:
                return None
            head = parse_head(raw)
        except HeadError as error:
            self._note_head(raw)
            return self._refuse(error)
        except OSError:  # gone, or idle for too long
            return None
        self._begin(head)
        self.handle_one_response()
        return None if self.socket is None or self.rfile.closed else self._end()

    # -- the head -------------------------------------------------------------------------------

    def _read_head(self) -> bytes:
        """Return the next head as bytes, nothing if the client has left or is too slow.

        Most heads arrive in one piece: those are taken from the buffer, without a timer.
        """
        self.server.idle[self] = None
        try:
            if self.fresh:
                self.fresh = False
                with gevent.Timeout(self.server.limits.header, False):
                    return self._take_head()
                return b""
            return self._take_head()
        finally:
            self.server.idle.pop(self, None)

    def _take_head(self) -> bytes:
        buffered = self.rfile.peek(1)
        self.turn.give_way()
        if buffered[:1] == _TLS_RECORD:
            raise HeadError("this endpoint speaks plain HTTP, not TLS; write http:// in the address")
        end = buffered.find(b"\r\n\r\n")
        if end > 0:
            return bytes(self.rfile.read(end + 4))
        return self._take_lines()

    def _take_lines(self) -> bytes:
        """Read a head that comes in pieces, or after empty lines."""
        head, empty = b"", 0
        with gevent.Timeout(self.server.limits.header, False):
            while True:
                line = self.rfile.readline(MAX_HEAD_LINE + 2)
                if not line:
                    return b""
                if not head:
                    self._note_head(line)
                if not line.endswith(b"\n") and len(line) > MAX_HEAD_LINE:
                    what, status = ("a header", 431) if head else ("the request line", 414)
                    raise HeadError(f"{what} is longer than {MAX_HEAD_LINE} bytes", status)
                if len(head) + len(line) > self.server.limits.head:
                    raise HeadError(f"the headers are longer than {self.server.limits.head} bytes", 431)
                if line in (b"\r\n", b"\n") and head:
                    return head
                if head or line.strip():
                    head += line
                    continue
                empty += len(line)
                if empty > _MOST_EMPTY:
                    raise HeadError(f"more than {_MOST_EMPTY} bytes of empty lines come before the request")
        return b""

    def _note_head(self, raw: bytes) -> None:
        """Take note of a HEAD, whose refusal has no body, before the rest of it is understood."""
        if raw.lstrip(b"\r\n").startswith(b"HEAD "):
            self.command = "HEAD"

    def _begin(self, head: Head) -> None:
        """Set what pywsgi wants to know of the request."""
        self.requestline = f"{head.method} {head.target}"
        self.command, self.path, self.request_version = head.method, head.target, head.version
        self.close_connection = not head.keep_alive or self.server.closing
        environ = self.server.environ.copy()
        environ.update(head.environ)
        length = environ.get("CONTENT_LENGTH")
        self.content_length = int(length) if length is not None else None
        # Clients of HTTP/1.0 would take "100 Continue" for their answer (RFC 9110 §10.1.1).
        waits = head.version != "HTTP/1.0" and environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        expects = self.socket if waits else None
        self.wsgi_input = RequestBody(self, self.content_length, "HTTP_TRANSFER_ENCODING" in environ, expects)
        # No other code may read from the connection: a body that is read elsewhere is taken from the next request.
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        environ["gaffer.connection"] = self.connection
        if head.upgrade:
            environ["gaffer.upgrade"] = self.switch
        # Clients of unix sockets have no address, but middlewares expect one.
        peer = self.client_address if isinstance(self.client_address, tuple) else ("", "")
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = peer[0], str(peer[1])
        self.environ = environ
        self.application = self._in_time

    # -- the time that it takes -----------------------------------------------------------------

    def _in_time(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Call the application (WSGI); what it returns, such as a file or a feed, is sent without a limit of time."""
        self.due.begin()
        try:
            return self.server.application(environ, start_response)
        finally:
            self.due.end()
            if self.abandoned:
                self.server.stuck -= 1

    @property
    def _what(self) -> str:
        # A query may hold a ticket.
        return f"{self.command} {self.path.partition('?')[0][:200]}"

    def _late(self) -> None:
        self.server.late += 1
        log.warning("%s took longer than %g s, and was ended", self._what, self.server.limits.request)

    def abandon(self) -> None:
        """Answer instead of the application, which does not end, and leave it alone."""
        log.error("%s does not end although it was cancelled; the server no longer waits for it", self._what)
        self.abandoned = True
        self.server.stuck += 1
        gevent.spawn(self._part, self.socket, self.rfile)

    def _part(self, sock: Any, rfile: Any) -> None:
        try:
            if not self.headers_sent:
                answer = error_reply(self.due.too_late)
                answer.headers.append(("Connection", "close"))
                sock.sendall(serialise(answer if self.command != "HEAD" else answer._replace(body=())))
        except OSError:
            pass
        linger(sock, rfile)
        # Not an Exception: what begins again after each of those ends now.
        self.greenlet.kill(Killed, block=False)

    def _sendall(self, data: bytes) -> None:
        if self.abandoned:
            raise ConnectionAbortedError("it was answered already")
        super()._sendall(data)

    def _write(self, data: bytes) -> None:
        """Send a part of the body; pywsgi would copy each for its chunk, and send a long one without a pause."""
        if self.abandoned:
            raise ConnectionAbortedError("it was answered already")
        if data:
            chunk = (b"%x\r\n" % len(data), data, b"\r\n") if self.response_use_chunked else (data,)
            send_parts(self.socket, chunk, self.turn)
            self.response_length += len(data)

    # -- the answer -----------------------------------------------------------------------------

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """WSGI's start_response."""
        if self.headers_sent and not exc_info:
            raise ConnectionAbortedError("an answer that has begun cannot become another one")
        (self.left, self.page), self.excess = announced(headers), False
        if self.left is None and self.request_version == "HTTP/1.0":
            # Without chunks and without a length, the end of the connection is the end of the answer.
            self.close_connection = True
        return super().start_response(status, headers, exc_info)

    def finalize_headers(self) -> None:
        """Add what depends on the connection to the answer's headers."""
        if self.code == 101:
            self.close_connection = True  # nothing of HTTP comes after it
            return
        if self.provided_date is None:
            self.provided_date = _date(int(time.time()))  # pywsgi would format one for each answer
            self.response_headers.append((b"Date", self.provided_date))
        super().finalize_headers()
        if self.connection.policy.hsts and self.connection.secure:
            told = b"max-age=%d" % self.connection.policy.hsts
            self.response_headers.append((b"Strict-Transport-Security", told))
        if self.page:
            self._isolate()
        if self.server.closing or self.wsgi_input.unread > _SKIP:
            self.close_connection = True
        if self.command == "HEAD":
            self.response_use_chunked = False  # no end of chunks either
        if self.close_connection:
            # pywsgi has told HTTP/1.0 already, before the body was looked at.
            kept = (b"Connection", b"keep-alive")
            if kept in self.response_headers:
                self.response_headers.remove(kept)
            if not any(name.lower() == b"connection" for name, _ in self.response_headers):
                self.response_headers.append((b"Connection", b"close"))

    def _isolate(self) -> None:
        """Keep pages of other origins, such as those of another port, from a page of ours, unless it says otherwise."""
        names = {name.lower() for name, _ in self.response_headers}
        self.response_headers += [(name, value) for name, value in ISOLATION if name.lower() not in names]

    def write(self, data: bytes) -> None:
        """Send a part of the body: never more than its length, and nothing to HEAD, whichever handler answers."""
        if self.command == "HEAD":
            data = b""
        elif self.left is not None:
            if len(data) > self.left:
                self.excess = self.close_connection = True
                data = data[: self.left]
            self.left -= len(data)
        super().write(data)

    def process_result(self) -> None:
        """Send what the application returned; if that is not as long as it said, the connection ends."""
        for data in self.result:
            if data:
                self.write(data)
                if self.excess:
                    break
            del data  # an answer may wait long for its next part
        if not self.headers_sent:
            self.write(b"")
        if self.response_use_chunked:
            self._sendall(b"0\r\n\r\n")
        if self.excess or self.left and self.command != "HEAD":
            self.close_connection = True
            self.server.lengths.tell(self.environ, self.excess)

    def _write_with_headers(self, data: bytes) -> None:
        """Send the head, and in the same packet a body that is not large."""
        self.headers_sent = True
        self.finalize_headers()
        lines = [b"HTTP/1.1 " + self.status, *(name + b": " + value for name, value in self.response_headers), b"\r\n"]
        head = b"\r\n".join(lines)
        if self.response_use_chunked or len(data) > _SKIP:
            self._sendall(head)
            self._write(data)
        else:
            self._sendall(head + data)

    def switch(self) -> tuple[Any, bytes]:
        """Send the head of a 101; returns the socket and what the client has sent after its request."""
        self.write(b"")
        self.socket.settimeout(0.0)  # with nothing in its buffer, peek() reads
        try:
            return self.socket, bytes(self.rfile.peek())
        except OSError:
            return self.socket, b""

    def _end(self) -> Any:
        """Skip the rest of the body; returns True if the connection can go on."""
        unread = self.wsgi_input.unread
        if unread and not self.close_connection:
            try:
                self.wsgi_input.read(unread)
                unread = 0
            except OSError:
                self.close_connection = True
        if unread:
            linger(self.socket, self.rfile)
        return None if self.close_connection or self.server.closing else True

    def _refuse(self, error: HeadError) -> None:
        """Answer a head that was not understood, and close."""
        try:
            answer = problem(error.status, str(error), extra=[("Connection", "close")])
            self.socket.sendall(serialise(answer if self.command != "HEAD" else answer._replace(body=())))
        except OSError:
            return
        linger(self.socket, self.rfile)

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """Log what a middleware or a stream raised, once; the client sees JSON or the end of the connection."""
        self.close_connection = True
        if isinstance(v, GreenletExit) or isinstance(v, OSError) and is_gone(v):
            return
        if isinstance(v, GafferError):  # a middleware was too late
            self._send_instead(error_reply(v))
            return
        log.error("%s failed: %r", self.requestline, v, exc_info=(t, v, tb))
        self._send_error_response_if_possible(500)

    def _send_error_response_if_possible(self, error_code: int) -> None:
        self._send_instead(problem(error_code, INTERNAL_ERROR if error_code == 500 else "the body is malformed"))

    def _send_instead(self, answer: Reply) -> None:
        if self.headers_sent:
            return
        try:
            self.start_response(answer.status, answer.headers)
            for chunk in answer.body:
                self.write(chunk)
        except OSError:
            self.close_connection = True

    def log_request(self) -> None:
        """There is no access log: a plugin that wants one wraps the application."""


_date = lru_cache(maxsize=2)(format_date_time)


def linger(sock: Any, rfile: Any) -> None:
    """Let the client read our answer: closing while it still sends would destroy the answer on its way."""
    try:
        sock.shutdown(socket.SHUT_WR)
        left = _LINGER_BYTES
        with gevent.Timeout(_LINGER_SECONDS, False):
            while left > 0:
                data = rfile.read1(64 * 1024)
                if not data:
                    return
                left -= len(data)
    except (OSError, ValueError):
        pass


def is_gone(error: OSError) -> bool:
    """Tell whether *error* only says that the client has left or does not take what it is sent."""
    if isinstance(error, (ConnectionError, TimeoutError, SlowBody)) or error.errno in _GONE:
        return True
    # ssl.SSLError and its kin; asking by name does not import ssl.
    return type(error).__module__ in ("ssl", "gevent.ssl", "gevent._ssl3")


def serialise(answer: Reply) -> bytes:
    """Return *answer* as it goes over the wire, for what is refused before there is a request."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    return f"HTTP/1.1 {answer.status}\r\n{headers}\r\n".encode("latin-1") + b"".join(answer.body)
