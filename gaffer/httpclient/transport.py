"""Requests to one address over kept connections, with :mod:`http.client` below.

Connections that wait for their next request are kept in a deque, whose single
operations are atomic; so threads and greenlets share a transport without a lock.
"""

from __future__ import annotations

import http.client
import select
import socket
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Collection, Iterator, Mapping, NamedTuple, TypeVar
from urllib.parse import urlsplit

from ..errors import BadRequest
from ..security.metered_socket import Meter, Metered, TooMuch
from ..version import __version__
from .errors import GAFFERD, Disconnected, NoAnswer, NotGafferd, WrongServer, connect_error, error_from_answer

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")
#: Idle connections kept for the next request.
MAX_IDLE_CONNECTIONS = 8
#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 5.0
#: Longer answers are refused, in bytes.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: Bytes that may come until the head of an answer is complete.
MAX_HEAD_BYTES = 256 * 1024
#: Bytes of a body that are read at once: a list of small chunks is larger than what they hold.
_READ_SIZE = 128 * 1024
#: Bytes of trailers, of heads of chunks beside a quarter of what they hold, and of what is read ahead.
_MAX_FRAMING_BYTES = 16 * 1024
#: May be sent again when a kept connection turns out to be dead: they change nothing.
_REPEATABLE = frozenset(("GET", "HEAD"))


class Address(NamedTuple):
    """The address of a gafferd.

    :param scheme: ``http``, ``https`` or ``unix``.
    :param host: a name or an address; the socket's path for ``unix``.
    :param port: 0 for ``unix``.
    :param prefix: what precedes every path, behind a proxy; mostly empty.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""


def parse_uri(uri: str) -> Address:
    """Read ``http://host:port``, ``https://host:port``, ``unix:/path`` or bare ``host:port``.

    :raises BadRequest: it is none of these.
    """
    if uri.startswith("unix:"):
        path = uri[5:]
        if not path.strip("/"):
            raise BadRequest(f"'{uri}' names no socket; write unix:/path/of/socket")
        if path.startswith("~"):
            from ..config.paths import expand_home

            path = expand_home(path)
        return Address("unix", "/" + path.lstrip("/") if path.startswith("/") else path, 0)
    try:
        parts = urlsplit(uri if "://" in uri else f"http://{uri}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadRequest(f"'{uri}' is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadRequest(f"'{uri}' is no address; write http://host:port, https://host:port or unix:/path")
    if parts.username or parts.query or parts.fragment:
        raise BadRequest("an address holds neither user, query nor fragment; give a key with --api-key or api_key")
    return Address(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/"))


class Response(NamedTuple):
    """A complete answer of gafferd that reports no error."""

    status: int
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; the host is only what the ``Host`` header says."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class Transport:
    """Requests to one gafferd over kept connections.

    :param uri: see :func:`parse_uri`.
    :param api_key: sent with every request.
    :param certfile: a client certificate (``https`` only), with *keyfile* its key.
    :param cacert: the authority that signed the server's certificate.
    :param timeout: seconds to wait for the whole answer, which has a second more for each 16 KiB of it; None waits for
        ever.
    :param connect_timeout: seconds to wait for the connection, and no longer than *timeout*.
    :param peer: what it talks to, for sentences.
    :param served_by: uids whose programs may get what is sent, where the address is of this machine, without TLS, and
        the system tells whose program listens there; None trusts the address.
    """

    def __init__(
        self,
        uri: str,
        api_key: str | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        cacert: str | None = None,
        timeout: float | None = 30.0,
        peer: str = GAFFERD,
        served_by: Collection[int] | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
    ) -> None:
        self.uri, self.timeout, self.peer = uri, timeout, peer
        self._connect_timeout = min((one for one in (timeout, connect_timeout) if one is not None), default=None)
        self.address = parse_uri(uri)
        self._headers = {"Accept": "application/json, text/plain", "User-Agent": f"gaffer/{__version__}"}
        if api_key:
            self._headers["X-Api-Key"] = _check_key(api_key)
        if keyfile and not certfile:
            raise BadRequest(f"the key {keyfile} is of no use without its certificate; give certfile too")
        self._served_by = served_by
        #: The account that serves, where it was asked.
        self.server_uid: int | None = None
        self._files = (certfile, keyfile, cacert)
        self._ssl: ssl.SSLContext | None = None
        self._idle: deque[http.client.HTTPConnection] = deque()

    def request(self, method: str, path: str, body: Any = None, extra: Mapping[str, str] | None = None) -> Response:
        """Send one request and return the answer.

        :param body: bytes are sent as they are, anything else as JSON, unless it is None.
        :param extra: more headers.
        :raises GafferError: the class that gafferd's error stands for.
        :raises CannotConnect: no connection, no answer, or not gafferd's.
        """
        headers, raw = {**self.headers, **(extra or {})}, None
        if isinstance(body, bytes):
            raw, headers["Content-Type"] = body, "application/octet-stream"
        elif body is not None:
            import json

            raw, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        while True:
            connection = self._take()
            reused = connection.sock is not None
            try:
                answer = self._send(connection, method, path, raw, headers)
            except Disconnected:
                if reused and method in _REPEATABLE:
                    continue
                raise
            return self.checked(method, path, answer)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request, the key among them."""
        return dict(self._headers)

    def connected(self) -> http.client.HTTPConnection:
        """Return a new connection for what is more than one answer: a feed or a websocket. The caller closes it.

        :raises CannotConnect: there is none.
        """
        connection = self._new()
        self._connect(connection)
        if self.address.scheme != "unix":
            _keep_asking(connection.sock)
        return connection

    def _take(self) -> http.client.HTTPConnection:
        """Return an idle connection that still lives, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._new()
            if _is_quiet(connection.sock):
                return connection
            connection.close()

    def _new(self) -> http.client.HTTPConnection:
        where = self.address
        if where.scheme == "unix":
            return _UnixConnection(where.host, self._connect_timeout)
        if where.scheme == "http":
            return http.client.HTTPConnection(where.host, where.port, timeout=self._connect_timeout)
        return http.client.HTTPSConnection(
            where.host, where.port, timeout=self._connect_timeout, context=self._context()
        )

    def _context(self) -> ssl.SSLContext:
        if self._ssl is None:
            import ssl

            certfile, keyfile, cacert = self._files
            try:
                self._ssl = ssl.create_default_context(cafile=cacert)
                if certfile:
                    self._ssl.load_cert_chain(certfile, keyfile)
            except (OSError, ValueError) as error:
                raise BadRequest(f"cannot use {' or '.join(filter(None, self._files))} for TLS: {error}") from None
        return self._ssl

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        raw: bytes | None,
        headers: Mapping[str, str],
    ) -> Response:
        with self.problems(connection, method, path):
            if connection.sock is None:
                self._connect(connection)
            try:
                connection.request(method, self.address.prefix + path, raw, dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                pass  # a body that is too large is refused before it was read: the answer may be there
            meter = self.begin(connection)
            response = connection.getresponse()
            try:
                data = read_body(meter, response)
                # A body that is cut closes the response, too, with some of its length left.
                whole = response.isclosed() and not response.length
            finally:
                response.close()  # it has the socket of a connection that its end is to close
        self._keep(connection, response, whole)
        if len(data) > MAX_BODY_BYTES:
            raise self.endless(method, path, MAX_BODY_BYTES)
        if not whole:
            raise Disconnected(self._lost(method, path, "the answer was cut"))
        return Response(response.status, response.headers.get_content_type(), data)

    def begin(self, connection: http.client.HTTPConnection) -> Meter:
        """Return the meter of the answer that is to come; it is for the head first, see :func:`read_body`."""
        meter = meter_of(connection)
        meter.begin(MAX_HEAD_BYTES, self.timeout)
        return meter

    def endless(self, method: str, path: str, most: int) -> NotGafferd:
        """Return the error for an answer that does not end within *most* bytes, or is mostly heads of chunks."""
        return NotGafferd(f"the answer to {method} {path} from {self.uri} is longer than {most} bytes, or has no end")

    @contextmanager
    def problems(self, connection: http.client.HTTPConnection, method: str, path: str) -> Iterator[None]:
        """Turn the errors of a connection into those of :mod:`.errors`, and close it.

        :raises NoAnswer: it took too long. :raises Disconnected: it ended. :raises NotGafferd: it is not HTTP.
        """
        try:
            yield
        except TimeoutError:
            connection.close()
            raise NoAnswer(f"{self.peer} at {self.uri} did not answer {method} {path}{_within(self.timeout)}") from None
        except TooMuch:
            connection.close()
            raise self.endless(method, path, MAX_BODY_BYTES) from None
        except (http.client.IncompleteRead, OSError) as error:
            connection.close()
            known = isinstance(error, (ConnectionError, http.client.IncompleteRead))
            raise Disconnected(self._lost(method, path, "" if known else error)) from None
        except http.client.HTTPException:
            connection.close()
            raise NotGafferd(f"what answers at {self.uri} does not speak HTTP; check the address") from None

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except TimeoutError:
            connection.close()
            raise connect_error(
                self.uri, TimeoutError(0, f"no connection{_within(self._connect_timeout)}"), self.peer
            ) from None
        except (OSError, UnicodeError) as error:
            connection.close()
            wrong = error if isinstance(error, OSError) else OSError(0, str(error))
            raise connect_error(self.uri, wrong, self.peer) from None
        connection.sock.settimeout(self.timeout)
        connection.sock = Metered(connection.sock, Meter())

        if self._served_by is not None and self.address.scheme != "https":
            try:
                self._check_server(connection.sock, self._served_by)
            except BaseException:
                connection.close()
                raise

    def _check_server(self, sock: Any, trusted: Collection[int]) -> None:
        """Reject a server process of an account that is not trusted.

        :raises WrongServer: naming its account.
        """
        from ..security import peer_credentials

        try:
            local = peer_credentials.is_same_machine(sock)
        except OSError:
            raise Disconnected(
                f"{self.peer} at {self.uri} closed the connection; see its log, then try again"
            ) from None
        if not local:
            return
        self.server_uid = uid = peer_credentials.server_uid(sock)
        if uid in trusted or uid is None and not peer_credentials.AVAILABLE:
            return
        raise WrongServer(f"neither key nor password was sent: {untrusted_server(self.uri, uid)}")

    def _lost(self, method: str, path: str, why: object) -> str:
        detail = f" ({why})" if why else ""
        closed = f"closed the connection during {method} {path}{detail}"
        return f"{self.peer} at {self.uri} {closed}; see its log, then try again"

    def _keep(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, whole: bool) -> None:
        if not whole or response.will_close or connection.sock is None or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append(connection)

    def checked(self, method: str, path: str, answer: Response) -> Response:
        """Return *answer* if it reports no error, else raise the error that it reports."""
        if answer.status < 300:
            return answer
        fallback = f"{self.uri} answered {method} {path} with status {answer.status}"
        if answer.status < 400:
            raise NotGafferd(f"{fallback}, a redirection; give the address that it leads to")
        raise error_from_answer(answer.status, _decode(answer.body), fallback)

    def object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send one request and return the JSON object that it is answered with.

        :raises NotGafferd: the answer is something else.
        """
        return self._json(dict, method, path, body)

    def array(self, method: str, path: str) -> list[Any]:
        """Send one request and return the JSON array that it is answered with; see :meth:`object`."""
        return self._json(list, method, path)

    def _json(self, kind: type[T], method: str, path: str, body: Any = None) -> T:
        decoded = _decode(self.request(method, path, body).body)
        if not isinstance(decoded, kind):
            raise self.stranger(method, path)
        return decoded

    def value(self, method: str, path: str, key: str, body: Any = None) -> Any:
        """Send one request and return the value of *key* in the JSON object that it is answered with.

        :raises NotGafferd: the answer is something else.
        """
        decoded = self.object(method, path, body)
        if key not in decoded:
            raise self.stranger(method, path)
        return decoded[key]

    def stranger(self, method: str, path: str) -> NotGafferd:
        """Return the error for an answer that gafferd would not give."""
        return NotGafferd(f"what answers {method} {path} at {self.uri} is not {self.peer}; check the address")

    def close(self) -> None:
        """Close idle connections; a later request opens a new one."""
        while self._idle:
            self._idle.pop().close()


def untrusted_server(uri: str, uid: int | None) -> str:
    """Return why a server of account *uid* is not trusted, and the remedy, as the end of a sentence."""
    if uid is None:
        unknown = f"the system does not show which account's program listens at {uri}"
        return f"{unknown}; give the key with --api-key to send it anyway"
    import pwd

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    remedy = f"if gafferd runs as {name}, log in with --server-user {name}"
    return f"the program at {uri} is that of account {name}, which is neither yours nor root; {remedy}"


def meter_of(connection: http.client.HTTPConnection) -> Meter:
    """Return the meter of a connection that is made."""
    sock: Any = connection.sock
    meter: Meter = sock.meter
    return meter


def read_body(meter: Meter, response: http.client.HTTPResponse, most: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of an answer, or a byte more than it may have.

    :raises TooMuch: it comes in chunks of a few bytes, which take a minute for what others bring in a second.
    """
    data = bytearray()
    while (size := min(_READ_SIZE, most + 1 - len(data))) > 0:
        meter.allow(size + size // 4 + _MAX_FRAMING_BYTES)
        if not (piece := response.read(size)):
            break
        data += piece
    return bytes(data)


def _decode(body: bytes) -> Any:
    """Return decoded JSON, or None if it is none; gafferd never answers ``null``."""
    import json  # late, like everything that "gafferctl ping" can do without

    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _check_key(api_key: str) -> str:
    if not api_key.isascii() or not api_key.isprintable():
        raise BadRequest("the API key holds characters that no key has; was it copied completely?")
    return api_key


def _keep_asking(sock: Any) -> None:
    """Let the kernel notice that the other machine has gone: without traffic nothing else does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _is_quiet(sock: Any) -> bool:
    """Tell whether an idle connection can be used: gafferd has neither closed it nor sent anything."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def _within(seconds: float | None) -> str:
    return "" if seconds is None else f" within {seconds:g} s"
