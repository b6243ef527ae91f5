"""Authentication by the first message, ``AUTH:<key>`` (docs/channel.rst).

For browsers and others that cannot send a header with a handshake. Until then no other message is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import gevent

from ...errors import Forbidden, GafferError, Unauthorized
from ...websocket.frames import POLICY_VIOLATION
from ..requests.authentication import ACCESS, late_key, note_refusal
from .handshake import accept_websocket
from .websocket import WebSocket

if TYPE_CHECKING:
    from ...commands.identity import Identity
    from ..requests.replies import Reply
    from ..requests.request import Request

AUTH = "AUTH:"
#: Seconds that the key may take to arrive.
KEY_TIMEOUT = 10.0
KEY_NEEDED = "a key is needed; send it in the header X-Api-Key, or first of all AUTH:<key>"
KEY_ENDED = "the key is no longer valid"
Serve = Callable[[WebSocket], Any]


def key_in(message: str | bytes | None) -> str | None:
    """Return the key in a message ``AUTH:<key>``; None for other messages."""
    if isinstance(message, bytes):
        message = message[:8192].decode("latin-1")
    return message[len(AUTH) :].strip() if message is not None and message.startswith(AUTH) else None


class LateAuth:
    """Authentication of one client whose key may come as its first message.

    :param environ: of the request that began the connection or session.
    :param reject: called with the error when no key came within :data:`KEY_TIMEOUT`; None waits without a limit.
    """

    __slots__ = ("_environ", "_timer")

    def __init__(self, environ: dict[str, Any], reject: Callable[[GafferError], Any] | None) -> None:
        self._environ = environ
        self._timer: gevent.Greenlet | None = None
        if reject is not None:
            self._timer = gevent.spawn_later(KEY_TIMEOUT, reject, Unauthorized(KEY_NEEDED))

    def identify(self, message: str | bytes | None) -> Identity | None:
        """Return the identity of the key in the first message.

        :raises Unauthorized: it holds no key, or an unknown or expired one.
        """
        key = key_in(message)
        try:
            if key is None:
                raise Unauthorized(KEY_NEEDED)
            return late_key(self._environ, key)
        except Unauthorized as error:
            note_refusal(self._environ, error)
            raise

    def close(self) -> None:
        """Stop waiting for a key."""
        if self._timer is not None:
            self._timer.kill(block=False)


def accept_with_late_auth(
    request: Request, make: Callable[[], Serve], unwrap: Callable[[str | bytes], str | bytes] = lambda message: message
) -> Reply:
    """Return the answer that makes a websocket of *request*, whose key may still have to come.

    :param make: checks whether the websocket is allowed, and returns the function that serves it. Its errors are
        ordinary answers, unless the key comes as a message. It may use ``request.identity``.
    :param unwrap: returns the ``AUTH:<key>`` in the first message, where messages are framed.
    :raises GafferError: the request is not one for a websocket, or *make* refuses it.
    """
    if request.environ.get(ACCESS) is None or request.identity is not None:
        serve = make()
        return accept_websocket(request, lambda websocket: _serve(request, websocket, serve))
    return accept_websocket(request, lambda websocket: _authenticate_and_serve(request, websocket, make, unwrap))


def _authenticate_and_serve(
    request: Request,
    websocket: WebSocket,
    make: Callable[[], Serve],
    unwrap: Callable[[str | bytes], str | bytes],
) -> None:
    try:
        with websocket.as_unauthenticated():
            _authenticate(request, websocket, unwrap)
            try:
                serve = make()
            except Forbidden as error:
                note_refusal(request.environ, error)
                raise
    except GafferError as error:
        websocket.close(POLICY_VIOLATION, str(error))
        return
    _serve(request, websocket, serve)


def _authenticate(request: Request, websocket: WebSocket, unwrap: Callable[[str | bytes], str | bytes]) -> None:
    late = LateAuth(request.environ, lambda error: websocket.close(POLICY_VIOLATION, str(error)))
    try:
        message = websocket.receive()
    finally:
        late.close()
    late.identify(None if message is None else unwrap(message))


def _serve(request: Request, websocket: WebSocket, serve: Serve) -> None:
    """Run *serve*, and close the websocket when the key is no longer valid."""
    identity = request.identity
    if identity is None:
        serve(websocket)
        return

    def end() -> None:
        gevent.spawn(websocket.close, POLICY_VIOLATION, KEY_ENDED)

    identity.endings.add(end)
    try:
        if identity.ended:
            end()
        serve(websocket)
    finally:
        identity.endings.discard(end)
