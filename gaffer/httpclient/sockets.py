"""Websockets to a gafferd, on a connection of the transport."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ..security.metered_socket import TooMuch
from ..websocket.client import ClientWebSocket
from ..websocket.frames import BINARY, CLOSE, NORMAL, TEXT, TOO_BIG, FrameError
from .errors import Disconnected, NoAnswer, NotGafferd, Quiet, error_from_answer
from .feeds import with_query
from .streaming import ARRIVED_GRACE

if TYPE_CHECKING:
    from .transport import Transport

#: Seconds to wait for the other half of a closing handshake.
CLOSE_TIMEOUT = 1.0
#: Bytes that a message may have, with all its fragments and the pings between them.
MAX_MESSAGE_BYTES = 16 << 20
#: A timeout of 0 would mean that a socket does not wait at all, and fails instead.
_MIN_TIMEOUT = 0.001
#: Bytes of the answer to a handshake, also of one that says what is wrong.
MAX_HANDSHAKE_BYTES = 64 * 1024


class Socket:
    """A websocket; messages are text or bytes. Not for several threads at once.

    :param path: what to connect to, with *query*, in which None is left out.
    :raises GafferError: gafferd refuses. :raises CannotConnect: it cannot be reached.

    It answers gafferd's pings while it is read from; a channel not read for a minute is taken for dead.
    """

    def __init__(self, transport: Transport, path: str, query: dict[str, Any] | None = None) -> None:
        self.uri, self.path, self._peer = transport.uri, path, transport.peer
        #: Why it was closed: a code of RFC 6455 and gafferd's words.
        self.code, self.reason = 0, ""
        self._websocket = _connect(transport, with_query(path, query or {}))
        self._socket = self._websocket.sock
        self._meter = self._socket.meter
        self._meter.begin(MAX_MESSAGE_BYTES)

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Return the next message; None once the websocket is closed.

        :param timeout: seconds to wait, below 0 what is left of a time that is over; None waits for ever.
        :raises Quiet: nothing came in that time. :raises Disconnected: the connection is lost.
        """
        if self.code:
            return None
        if timeout is not None and timeout < -ARRIVED_GRACE:
            raise self._quiet(0.0)  # who has a time of their own is not kept by messages that are not for them
        self._socket.settimeout(None if timeout is None else max(timeout, _MIN_TIMEOUT))
        # What was read of a message counts on: who waits again and again does not let it grow for ever.
        self._meter.until(None if timeout is None else time.monotonic() + max(timeout, ARRIVED_GRACE))
        try:
            frame = self._websocket.receive()
        except (FrameError, TooMuch) as error:
            raise self._unusable(error) from None
        except TimeoutError:
            raise self._quiet(timeout) from None
        except OSError as error:
            raise self._lost(error) from None
        self._meter.begin(MAX_MESSAGE_BYTES)
        if frame.opcode == CLOSE:
            self._closed(frame.payload)
            return None
        return str(frame.payload, "utf-8", "replace") if frame.opcode == TEXT else frame.payload

    def _unusable(self, error: FrameError | TooMuch) -> NotGafferd:
        self._socket.close()
        if isinstance(error, FrameError) and error.code != TOO_BIG:
            return NotGafferd(f"what answers {self.path} at {self.uri} is no websocket of {self._peer}: {error}")
        self.code = self.code or TOO_BIG
        return NotGafferd(
            f"a message of {self.path} at {self.uri} is longer than {MAX_MESSAGE_BYTES} bytes, or has no end"
        )

    def _quiet(self, timeout: float | None) -> Quiet:
        within = max(timeout or 0.0, 0.0)
        return Quiet(f"nothing came from {self.path} of {self._peer} at {self.uri} within {within:.3g} s")

    def _closed(self, data: bytes) -> None:
        self.code = int.from_bytes(data[:2], "big") if len(data) >= 2 else NORMAL
        self.reason = data[2:].decode("utf-8", "replace")
        self._socket.close()

    def _lost(self, error: object) -> Disconnected:
        self.code = self.code or 1006
        self._socket.close()
        return Disconnected(f"{self._peer} at {self.uri} closed {self.path} unexpectedly ({error}); see its log")

    def send(self, message: str | bytes) -> None:
        """Send a message: text as text, bytes as binary; waits while gafferd does not read.

        :raises Disconnected: the websocket is closed.
        """
        if self.code:
            raise Disconnected(
                f"{self.path} of {self._peer} at {self.uri} is closed{self.reason and f': {self.reason}'}"
            )
        try:
            self._socket.settimeout(None)
            if isinstance(message, str):
                self._websocket.send(message.encode(), TEXT)
            else:
                self._websocket.send(message, BINARY)
        except OSError as error:
            raise self._lost(error) from None

    def waiting(self) -> bool:
        """Return whether bytes have come that the descriptor does not show: under TLS they may have."""
        return bool(getattr(self._socket, "pending", int)())

    def fileno(self) -> int:
        """Return the descriptor that is readable when something comes; -1 once it is closed."""
        return int(self._socket.fileno())

    def close(self) -> None:
        """Close, with the closing handshake."""
        if not self.code:
            self.code = NORMAL
            try:
                self._socket.settimeout(CLOSE_TIMEOUT)
                self._meter.until(time.monotonic() + CLOSE_TIMEOUT)
                self._websocket.send_close()
                while self._websocket.receive().opcode != CLOSE:
                    pass
            except (FrameError, TooMuch, OSError):
                pass  # it has no more to say
        self._socket.close()


def _connect(transport: Transport, path: str) -> ClientWebSocket:
    """Return a websocket after its handshake, on a connection of *transport*."""
    import websocket

    from .transport import meter_of

    connection = transport.connected()
    address, headers = transport.address, transport.headers
    headers.pop("Accept")
    host = "localhost" if address.scheme == "unix" else f"[{address.host}]" if ":" in address.host else address.host
    port = address.port or 80
    url = f"ws://{host}:{port}{address.prefix}{path}"
    try:
        connection.sock.settimeout(transport.timeout)
        meter_of(connection).begin(MAX_HANDSHAKE_BYTES, transport.timeout)
        return ClientWebSocket(connection.sock, url, headers, MAX_MESSAGE_BYTES)
    except websocket.WebSocketBadStatusException as error:
        connection.close()
        raise _refusal(transport, path, error) from None
    except (TimeoutError, websocket.WebSocketTimeoutException):
        connection.close()
        raise NoAnswer(
            f"{transport.peer} at {transport.uri} did not answer GET {path} within {transport.timeout:g} s"
        ) from None
    except TooMuch:
        connection.close()
        raise NotGafferd(
            f"the answer to the websocket {path} from {transport.uri} is longer than {MAX_HANDSHAKE_BYTES} bytes, "
            "or has no end"
        ) from None
    except (websocket.WebSocketException, OSError, ValueError) as error:
        connection.close()
        raise Disconnected(f"no websocket at {path} of {transport.peer} at {transport.uri}: {error}") from None


def _refusal(transport: Transport, path: str, error: Any) -> Exception:
    """Return the error that gafferd answered the handshake with."""
    try:
        body = json.loads(error.resp_body or b"")
    except (ValueError, RecursionError):
        body = None
    status = int(error.status_code or 0)
    if not isinstance(body, dict):
        return NotGafferd(f"{transport.uri} answered the websocket {path} with status {status}; check the address")
    return error_from_answer(status, body, f"{transport.uri} answered {path} with status {status}")
