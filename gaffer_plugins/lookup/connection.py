"""A websocket to a lookupd, over a socket of gevent's: it must not hold up programs that are not patched."""

from __future__ import annotations

import json
from typing import Any

import gevent
from gevent import socket
from gevent.lock import BoundedSemaphore

from gaffer.api import GafferError, Meter, Metered, Resolver, TooMuch
from gaffer.api.web import CLOSE, GOING_AWAY, POLICY_VIOLATION, ClientWebSocket, FrameError, TimeSlice

from .config import LookupConfig, LookupdAddress

#: Bytes that may come until a handshake or an answer is complete, pings and fragments included.
MAX_ANSWER = 65_536
#: Characters of what a lookupd says that are shown.
_SHOWN = 200
_NO_KEY = "it does not let this node in: give a key with --lookupd-key that may write"


class LinkError(GafferError):
    """A lookupd cannot be reached, or does not behave as one."""

    code = "lookupd"


class LookupConnection:
    """Websocket connection to a lookupd, after its handshake.

    :param patience: seconds that the way there may take, and each message.
    :param resolver: that of all connections to lookupds.
    :raises LinkError, OSError: there is none.
    """

    def __init__(self, place: LookupdAddress, config: LookupConfig, patience: float, resolver: Resolver) -> None:
        from websocket import WebSocketException

        self._errors: tuple[type[BaseException], ...] = (WebSocketException, OSError, TooMuch, FrameError)
        self._patience = patience
        self._last_id = 0
        self._key = config.key
        self._place = place
        self._meter = Meter(TimeSlice().give_way)
        self._meter.begin(MAX_ANSWER)
        sock: Any = None
        try:
            with gevent.Timeout(patience, LinkError(f"no connection within {patience:g} s")):
                sock = Metered(_connect(place, config, patience, resolver), self._meter)
                header = {"X-Api-Key": config.key} if config.key else {}
                self._websocket = ClientWebSocket(sock, _url(place), header, MAX_ANSWER, BoundedSemaphore(1))
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, self._errors):
                raise LinkError(_words(error)) from None
            raise
        sock.settimeout(None)
        self._meter.begin(MAX_ANSWER)

    def next_id(self) -> int:
        """Return the number of the next message."""
        self._last_id += 1
        return self._last_id

    def send(self, message: dict[str, Any]) -> None:
        """Send a message.

        :raises LinkError: it cannot be sent.
        """
        try:
            with gevent.Timeout(self._patience, LinkError(f"it does not read for {self._patience:g} s")):
                self._websocket.send(json.dumps(message).encode())
        except self._errors as error:
            raise LinkError(_words(error)) from None

    def receive(self) -> dict[str, Any]:
        """Wait for an answer.

        :raises LinkError: there will be none.
        """
        try:
            opcode, data, _ = self._websocket.receive()
        except self._errors as error:
            raise LinkError(_words(error)) from None
        self._meter.begin(MAX_ANSWER)
        if opcode == CLOSE:
            reason = shown(data[2:].decode("utf-8", "replace"))
            if int.from_bytes(data[:2], "big") == POLICY_VIOLATION and not self._key and "key" in reason:
                raise LinkError(_NO_KEY)  # it waited for one to be the first message
            raise LinkError(f"it closed the connection{f': {reason}' if reason else ''}")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            raise LinkError("its answer is not JSON; is it a lookupd?") from None
        if not isinstance(answer, dict):
            raise LinkError("its answer is no object; is it a lookupd?")
        return answer

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and return the answer to it.

        :raises LinkError: there is none, or it is an error.
        """
        with gevent.Timeout(self._patience, LinkError(f"no answer within {self._patience:g} s")):
            self.send({"msgid": self.next_id(), **message})
            answer = self.receive()
        if not answer.get("ok"):
            raise LinkError(shown(answer.get("reason") or "it refused this node"))
        return answer

    def leave(self) -> None:
        """Say that this is the end; all lookupds that share a registry then forget this node at once."""
        try:
            self._websocket.send_close(GOING_AWAY, "gafferd stops")
        except self._errors:
            pass  # it has noticed already
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._websocket.sock.close()


def shown(said: object) -> str:
    """Return what a lookupd says, as it may stand in a log."""
    text = str(said)
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_SHOWN])


def _connect(place: LookupdAddress, config: LookupConfig, patience: float, resolver: Resolver) -> Any:
    sock = resolver.connect(place.host, place.port, patience)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not place.tls:
        return sock
    from gevent import ssl

    try:
        context = ssl.create_default_context(cafile=config.cacert)
        if config.certfile:
            context.load_cert_chain(config.certfile, config.keyfile)
        return context.wrap_socket(sock, server_hostname=place.host)
    except BaseException:
        sock.close()
        raise


def _url(place: LookupdAddress) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{'wss' if place.tls else 'ws'}://{host}:{place.port}{place.path}/ws"


def _words(error: BaseException) -> str:
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return _NO_KEY
    if status is not None:
        return f"it answered with status {status}; is it a lookupd?"
    return shown(getattr(error, "strerror", None) or error) or type(error).__name__
