"""The handshake of a websocket: the check of an upgrade request, and the answer 101 whose body is the conversation."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from typing import TYPE_CHECKING, Any, Callable, Iterator

import gevent
from geventwebsocket.handler import WebSocketHandler

from ...errors import BadRequest, GafferError
from ...plugins.calling import Killed
from ...websocket.frames import FAILED, GOING_AWAY, NORMAL
from ..requests.replies import INTERNAL_ERROR, Reply
from ..requests.request import MAX_BODY
from .websocket import Closed, WebSocket

if TYPE_CHECKING:
    from ..requests.request import Request
    from ..server.slots import Slot

log = logging.getLogger("gaffer.web")

_VERSION = "13"


class UpgradeRequired(GafferError):
    """The URL is a websocket's, but the request is not one for a websocket."""

    code = "upgrade_required"
    status = 426
    headers = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", _VERSION))


def check_upgrade(environ: dict[str, Any]) -> str:
    """Return the key of a request for a websocket.

    :raises UpgradeRequired: it is an ordinary request. :raises BadRequest: it is malformed.
    """
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket" or "gaffer.upgrade" not in environ:
        raise UpgradeRequired("this URL is a websocket: ws://… instead of http://…")
    if environ["REQUEST_METHOD"] != "GET" or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise BadRequest("a websocket begins with GET and HTTP/1.1")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != _VERSION:
        raise UpgradeRequired(f"Sec-WebSocket-Version must be {_VERSION}")
    key: str = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    try:
        if len(base64.b64decode(key, validate=True)) == 16:
            return key
    except (binascii.Error, ValueError):
        pass
    raise BadRequest("Sec-WebSocket-Key must be 16 bytes in base64")


def accept_websocket(request: Request, serve: Callable[[WebSocket], Any], limit: int = 0) -> Reply:
    """Return the answer that makes the connection a websocket and lets *serve* have it.

    Whatever forbids the websocket has to be found out before; afterwards there is only a close code.

    :param serve: called with the :class:`WebSocket`; when it returns, the websocket is closed.
    :param limit: bytes that a message may have; by default what a request's body may have.
    :raises GafferError: the request is not one for a websocket.
    :raises Unavailable: there are too many.
    """
    environ = request.environ
    key = check_upgrade(environ)
    digest = hashlib.sha1((key + WebSocketHandler.GUID).encode()).digest()
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", base64.b64encode(digest).decode()),
    ]
    limit = limit or environ.get("gaffer.max_body", MAX_BODY)
    slots = environ["gaffer.connection"].websockets
    slot = None if slots is None else slots.acquire()
    return Reply("101 Switching Protocols", headers, _WebSocketBody(environ, serve, limit, slot))


class _WebSocketBody:
    """The body of a 101: nothing of it is a body, but while the server asks for it, the websocket lives."""

    def __init__(
        self, environ: dict[str, Any], serve: Callable[[WebSocket], Any], limit: int, slot: Slot | None
    ) -> None:
        self._environ = environ
        self._serve = serve
        self._limit = limit
        self._slot = slot

    def close(self) -> None:
        """WSGI's way to say that it is over, also when it never began."""
        if self._slot is not None:
            self._slot.release()

    def __iter__(self) -> Iterator[bytes]:
        sock, early = self._environ["gaffer.upgrade"]()
        websocket = WebSocket(self._environ, sock, early, self._limit)
        websocket.slot = self._slot
        connection = self._environ["gaffer.connection"]
        connection.keep_alive()
        leave = lambda: gevent.spawn(websocket.close, GOING_AWAY, "gaffer stops")  # noqa: E731
        connection.endings.add(leave)
        try:
            self._talk(websocket)
        finally:
            connection.endings.discard(leave)
        return iter(())

    def _talk(self, websocket: WebSocket) -> None:
        try:
            self._serve(websocket)
            code, reason = NORMAL, ""
        except Killed:
            raise
        except Closed:
            return
        except BaseException as error:  # SystemExit and gevent.Timeout too: one connection's trouble, not the server's
            log.error("websocket %s failed: %r", self._environ["PATH_INFO"], error, exc_info=error)
            code, reason = FAILED, INTERNAL_ERROR
        websocket.close(code, reason)
        while websocket.receive() is not None:
            pass
