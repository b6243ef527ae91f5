"""A websocket whose key may come as its first message, ``AUTH:<key>`` (docs/channel.rst).

For browsers and others that cannot send a header with a handshake. Until then nothing is said but that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import gevent

from ...errors import GafferError, Unauthorized
from ..requests.authentication import ACCESS, late_key
from .frames import POLICY_VIOLATION
from .handshake import accept_websocket
from .websocket import WebSocket

if TYPE_CHECKING:
    from ..requests.replies import Reply
    from ..requests.request import Request

AUTH = "AUTH:"
#: How long the key may take to come, in seconds.
KEY_TIMEOUT = 10.0
KEY_NEEDED = "a key is needed; send it in the header X-Api-Key, or first of all AUTH:<key>"
Serve = Callable[[WebSocket], Any]


def key_in(message: str | bytes | None) -> str | None:
    """Return the key that a message says; None if it says none."""
    if isinstance(message, bytes):
        message = message[:8192].decode("latin-1")
    return message[len(AUTH) :].strip() if message is not None and message.startswith(AUTH) else None


def accept_with_late_auth(request: Request, open: Callable[[], Serve]) -> Reply:
    """Return the answer that makes a websocket of *request*, whose key may still have to come.

    :param open: finds out whether the websocket may be, and returns what serves it; whatever forbids it is raised, and
        so seen as an ordinary answer unless the key comes first. It may look at ``request.identity``.
    :raises GafferError: the request is not one for a websocket, or *open* refuses it.
    """
    if request.environ.get(ACCESS) is None or request.identity is not None:
        serve = open()
        return accept_websocket(request, lambda websocket: _serve(request, websocket, serve))
    return accept_websocket(request, lambda websocket: _knocked(request, websocket, open))


def _knocked(request: Request, websocket: WebSocket, open: Callable[[], Serve]) -> None:
    try:
        with websocket.as_unauthenticated():
            late_key(request.environ, _wait(websocket))
            serve = open()
    except GafferError as error:
        websocket.close(POLICY_VIOLATION, str(error))
        return
    _serve(request, websocket, serve)


def _serve(request: Request, websocket: WebSocket, serve: Serve) -> None:
    """Let *serve* have the websocket as long as the key is valid."""
    identity = request.identity
    if identity is None:
        serve(websocket)
        return

    def end() -> None:
        gevent.spawn(websocket.close, POLICY_VIOLATION, "the key is no longer valid")

    identity.endings.add(end)
    try:
        if identity.ended:
            end()
        serve(websocket)
    finally:
        identity.endings.discard(end)


def _wait(websocket: WebSocket) -> str:
    late = gevent.spawn_later(KEY_TIMEOUT, websocket.close, POLICY_VIOLATION, "no key came")
    try:
        key = key_in(websocket.receive())
    finally:
        late.kill(block=False)
    if key is None:
        raise Unauthorized(KEY_NEEDED)
    return key
