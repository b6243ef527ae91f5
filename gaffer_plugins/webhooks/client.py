"""Persistent connection to a receiver: http.client over gevent's sockets.

Nothing here blocks the hub, patched or not: names are resolved in threads of their own, certificates of authorities
are read in gevent's thread pool, and sockets and TLS are gevent's. Neither proxies nor redirections are followed.
"""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

import gevent
from gevent import monkey, socket

from gaffer.api import Meter, Metered, TooMuch
from gaffer.api.web import TimeSlice

from .retry import ReceiverAnswer, Undelivered
from .urls import PORTS, Target

if TYPE_CHECKING:
    from .config import Tuning
    from .trust import Trust

#: Bytes of an answer's body that are read, and thrown away, to keep the connection.
MAX_ANSWER = 65_536
#: Bytes that an answer may have in all: status lines, headers, chunks, trailers.
MAX_BYTES = 262_144
#: Seconds that are spent on the rest of an answer, headers and body, once its status is known.
REST = 0.5


class _StatusFirst(http.client.HTTPResponse):
    """http.client's answer, which calls *known* with the status before it reads headers."""

    def __init__(self, known: Callable[[int], None], sock: Any, **kwargs: Any) -> None:
        super().__init__(sock, **kwargs)
        self._known = known

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if status != http.client.CONTINUE:
            self._known(status)
        return version, status, reason


class ReceiverConnection(http.client.HTTPConnection):
    """http.client's connection with a cooperative socket.

    :param timeout: for name, connection and handshake together, in seconds.
    """

    def __init__(self, target: Target, trust: Trust, timeout: float) -> None:
        super().__init__(target.host, target.port)
        self.default_port = PORTS[target.scheme]  # with this port, the Host header names none
        self.trust = trust
        self.meter = Meter(TimeSlice().give_way)
        self._tls, self._limit = target.scheme == "https", timeout

    def connect(self) -> None:
        """Connect within the time limit; raises :class:`Undelivered` or OSError."""
        with limit(self._limit, f"no connection within {self._limit:g} s"):
            context = self.trust.context() if self._tls else None
            sock = self.trust.resolver.connect(self.host, self.port, self._limit)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if context is not None:
                    sock = context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
                    sock.do_handshake()
            except BaseException:
                sock.close()
                raise
        self.sock = Metered(sock, self.meter)

    def acknowledge(self) -> None:
        """Acknowledge what comes at once.

        Many servers send head and body of their answer apart and wait for our acknowledgement between: 40 ms for each
        delivery. The kernel soon forgets this, so it is said before each answer.
        """
        if hasattr(socket, "TCP_QUICKACK"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def is_quiet(self) -> bool:
        """Tell whether the other side has neither closed the idle connection nor sent anything, such as a 408."""
        poll = monkey.get_original("select", "poll")()
        poll.register(self.sock.fileno(), 1)  # POLLIN; an end is readable too
        return not poll.poll(0)


class Client:
    """Posts to one target; keeps the connection between two posts. Options may be replaced at any time."""

    def __init__(self, target: Target, tuning: Tuning, trust: Trust) -> None:
        self.target, self.tuning, self.trust = target, tuning, trust
        self._connection: ReceiverConnection | None = None

    def post(self, headers: Mapping[str, str], body: bytes) -> ReceiverAnswer:
        """Post once.

        :raises Undelivered: there was no answer.
        """
        answers: list[ReceiverAnswer] = []
        try:
            with limit(self.tuning.timeout, f"no answer within {self.tuning.timeout:g} s"):
                self._send(headers, body, answers)
        except (Undelivered, TooMuch, OSError, http.client.HTTPException) as error:
            self.close()
            # What goes wrong behind the status changes nothing: the receiver has the event.
            if not answers:
                raise error if isinstance(error, Undelivered) else Undelivered(describe(error, self.target)) from error
        except BaseException:
            self.close()
            raise
        return answers[0]

    def _send(self, headers: Mapping[str, str], body: bytes, answers: list[ReceiverAnswer]) -> None:
        kept = self._connection
        if kept is not None and kept.trust is self.trust and kept.is_quiet():
            try:
                return self._exchange(kept, headers, body, answers)
            except ConnectionError:
                if answers:
                    raise
                # It was closed just now, as idle ones are. A new one will tell whether more is wrong.
        self.close()
        connection = self._connection = ReceiverConnection(self.target, self.trust, self.tuning.connect_timeout)
        connection.connect()
        self._exchange(connection, headers, body, answers)

    def _exchange(
        self, connection: ReceiverConnection, headers: Mapping[str, str], body: bytes, answers: list[ReceiverAnswer]
    ) -> None:
        rest = gevent.Timeout(REST, Undelivered("the answer does not end"))

        def known(status: int) -> None:
            answers[:] = [ReceiverAnswer(status)]
            rest.start()

        connection.response_class = partial(_StatusFirst, known)  # type: ignore[assignment]
        connection.request("POST", self.target.path, body, dict(headers))
        connection.acknowledge()
        connection.meter.begin(MAX_BYTES)
        try:
            response = connection.getresponse()
            get = response.headers.get
            answers[:] = [ReceiverAnswer(response.status, get("Retry-After", ""), get("Location", ""))]
            try:
                response.read(MAX_ANSWER)
                if not response.isclosed() or response.will_close:
                    self.close()
            finally:
                response.close()  # it may hold the socket still
        finally:
            rest.close()

    def close(self) -> None:
        """Close the connection; the next post opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextmanager
def limit(seconds: float, sentence: str) -> Iterator[None]:
    """Let what is inside take *seconds*; then :class:`Undelivered` says *sentence*."""
    timeout = gevent.Timeout(seconds)
    try:
        with timeout:
            yield
    except gevent.Timeout as passed:
        if passed is not timeout:
            raise
        raise Undelivered(sentence) from None


def describe(error: BaseException, target: Target) -> str:
    """Return in words why there was no answer."""
    if isinstance(error, socket.gaierror):
        return f"the name {target.host} cannot be resolved: {error.strerror}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, http.client.HTTPException):
        return "the answer is not HTTP"
    why = getattr(error, "verify_message", "") or getattr(error, "reason", "")
    if why:
        return f"TLS: {why}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
