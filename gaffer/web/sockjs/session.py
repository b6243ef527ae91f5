"""Sessions: what outlives the requests of one client. No sockets and no clock in here; both are handed in."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any, Callable, Iterable, Protocol

from gevent.lock import BoundedSemaphore

from ...errors import Conflict, Forbidden, NotFound, Unavailable
from ...events.time_slice import TimeSlice
from ..live.sources import Wakeable
from . import SockJSLimits, frames

if TYPE_CHECKING:
    from ...commands.identity import Identity


class Peer(Protocol):
    """The service's side of a session: it receives the client's messages and produces those for the client.

    ``gaffer.web.live.channel_session.ChannelSession`` is one. It has to bound what waits in it. It may have a
    ``farewell``, the code and reason with which its session ends; without one it is 3000 "Go away!". While its client
    has still to show a key it may be ``unauthenticated``, so that it can be ended to make room; ``identity`` is then
    the identity of the key that came as a message. A session whose peer may have
    one has a secret, which its client has to send with each request.
    """

    #: Called when there is something to take, or nothing will come any more. Set by the session.
    wake: Callable[[], None] | None

    @property
    def ended(self) -> bool:
        """True when everything was taken and nothing will follow: the session is closed then."""

    def take(self) -> list[str]:
        """Return messages to send; never waits."""

    def receive(self, text: str) -> None:
        """Act on a message; while this waits, no more messages of the client are read."""

    def close(self) -> None:
        """The client is gone; it may be called several times, and also while :meth:`receive` waits."""


_ANOTHER_KEY = "this session was begun with another key"
_NO_SECRET = (
    "this session was begun by another client, or its cookie is missing; "
    "without cookies, send the key in the header X-Api-Key with each request"
)


class SessionInUse(Conflict):
    """Another request is receiving already; a session has one receiver at a time."""


#: ``after(seconds, function)`` calls *function* later, unless what it returns is killed.
After = Callable[[float, Callable[[], None]], Any]


class SockJSSession(Wakeable):
    """The frames of one client, whatever transport its requests use.

    Receivers come and go: each calls :meth:`attach`, then :meth:`next` whenever it is woken, and :meth:`detach`.

    :param timeout: seconds without a receiver after which it has ended.
    :param after: a clock; None for a session that ends with its only receiver.
    :param forget: called when the session is over and its end was remembered long enough.
    """

    __slots__ = (
        "closed",
        "owner",
        "probe",
        "secret",
        "wake",
        "_after",
        "_forget",
        "_fresh",
        "_receiving",
        "_peer",
        "_timeout",
        "_timer",
        "__weakref__",
    )

    def __init__(
        self, peer: Peer, timeout: float = 0.0, after: After | None = None, forget: Callable[[], Any] | None = None
    ) -> None:
        #: The frame that says why it has ended; None while it has not.
        self.closed: str | None = None
        #: Who began it.
        self.owner: Identity | None = None
        #: What its client sends with each request beside the id, which is in URLs and so in logs; None where it shows
        #: its credentials with each request, or is anonymous.
        self.secret: str | None = None
        #: Asks whether the receiver has left; None if that is unknown.
        self.probe: Callable[[], bool] | None = None
        self._peer = peer
        self._timeout = timeout
        self._after = after
        self._forget = forget
        self._fresh = True
        #: Of the receiver.
        self.wake: Callable[[], None] | None = None
        self._timer: Any = None
        self._receiving = BoundedSemaphore(1)
        peer.wake = self.notify

    # -- receiving ------------------------------------------------------------------------------

    def attach(self, wake: Callable[[], None]) -> None:
        """Receive from now on. If the previous receiver has just left, that ended the session, and this raises so.

        :param wake: called when there may be a frame; it must only set something.
        :raises Occupied: there is another receiver, or was until now.
        """
        if self.wake is not None:
            if self.probe is not None and self.probe():
                self.close(*frames.INTERRUPTED)
            raise SessionInUse(frames.IN_USE[1])
        self.wake = wake
        self._stop_timer()

    def next(self) -> str | None:
        """Return the next frame, None if there is none yet. The one that closes is given to all who come for it."""
        if self._fresh:
            self._fresh = False
            return frames.OPEN
        if self.closed is None:
            texts = self._peer.take()
            if texts:
                return frames.messages(texts)
            if self._peer.ended:
                self.close(*getattr(self._peer, "farewell", frames.GO_AWAY))
        return self.closed

    def detach(self, clean: bool) -> None:
        """Receive no longer.

        :param clean: everything that :meth:`next` returned was sent; else it is unknown what the client has got, so the
            session has ended.
        """
        self.wake = self.probe = None
        if not clean:
            self.close(*frames.INTERRUPTED)
        self._start_timer()

    def check(self, asker: Identity | None, shown: Iterable[str] = ()) -> None:
        """Refuse requests of others.

        A client whose key came as a message cannot show it with each request; it shows the session's secret.

        :param shown: what may be the secret.
        :raises Forbidden: the session was begun with another key, or by another client.
        """
        owner = self.owner if self.owner is not None else getattr(self._peer, "identity", None)
        if owner is not None and asker is not None:
            if (asker.kind, asker.name) == (owner.kind, owner.name):
                return
            raise Forbidden(_ANOTHER_KEY)
        if owner is None and not self.unauthenticated:
            return
        if self.secret is None:
            raise Forbidden(_ANOTHER_KEY)
        secret = self.secret.encode()
        if not any([hmac.compare_digest(one.encode("utf-8", "replace"), secret) for one in shown]):
            raise Forbidden(_NO_SECRET)

    @property
    def fresh(self) -> bool:
        """True while nothing was sent to its client."""
        return self._fresh

    @property
    def spare(self) -> bool:
        """True if it may be ended to make room: it is closed or unauthenticated."""
        return self.closed is not None or self.unauthenticated

    @property
    def unauthenticated(self) -> bool:
        """True while its client has still to show a key."""
        return bool(getattr(self._peer, "unauthenticated", False))

    # -- hearing --------------------------------------------------------------------------------

    def receive(self, texts: list[str]) -> None:
        """Pass messages to the service, those of one request together."""
        turn = TimeSlice()
        with self._receiving:
            for text in texts:
                turn.give_way()
                if self.closed is not None:
                    return
                self._peer.receive(text)

    # -- the end --------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """End the session; the receiver is told."""
        if self.closed is not None:
            return
        self.closed = frames.closing(code, reason)
        self._peer.wake = None
        self._peer.close()
        self.notify()
        if self.wake is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._stop_timer()
        if self._after is not None:
            self._timer = self._after(self._timeout, self._expire)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.kill(block=False)

    def _expire(self) -> None:
        self._timer = None
        if self.wake is None:
            self.drop()

    def drop(self) -> None:
        """End it without a word and forget it."""
        self._after = None
        self._stop_timer()
        self.close(*frames.GO_AWAY)
        if self._forget is not None:
            self._forget()


class SockJSSessions:
    """The sessions of a service that are not on websockets, by the id that their clients chose."""

    def __init__(self, limits: SockJSLimits, after: After) -> None:
        self._limits = limits
        self._after = after
        self._sessions: dict[str, SockJSSession] = {}
        #: How many there could not be, because there were too many.
        self.refused = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def open(
        self, id: str, make: Callable[[], Peer], asker: Identity | None = None, shown: Iterable[str] = ()
    ) -> SockJSSession:
        """Return the session *id*, made now if there is none.

        :param make: makes its peer.
        :param asker: who asks for it.
        :param shown: see :meth:`Session.check`.
        :raises Unavailable: there are too many. :raises Forbidden: it belongs to another identity.
        """
        found = self._sessions.get(id)
        if found is not None:
            found.check(asker, shown)
            return found
        if len(self._sessions) >= self._limits.sessions and not self._make_room():
            self.refused += 1
            raise Unavailable(
                f"there are {self._limits.sessions} sessions already; try again later, or use a websocket"
            )
        peer = make()
        made = SockJSSession(peer, self._limits.timeout, self._after, lambda: self._sessions.pop(id, None))
        made.owner = asker
        if asker is None and hasattr(peer, "identity"):
            made.secret = secrets.token_urlsafe(32)
        self._sessions[id] = made
        return made

    def _make_room(self) -> bool:
        """Forget one that has ended, or whose client has not said who it is, if there is one: the oldest.

        So those who know no key cannot keep out those who know one.
        """
        spare = next((session for session in self._sessions.values() if session.spare), None)
        if spare is not None:
            spare.drop()
        return spare is not None

    def find(self, id: str, asker: Identity | None = None, shown: Iterable[str] = ()) -> SockJSSession:
        """Return the session *id*.

        :raises NotFound: there is none, or it has ended. :raises Forbidden: it belongs to another identity.
        """
        found = self._sessions.get(id)
        if found is None or found.closed is not None:
            raise NotFound("there is no such session, or it has ended")
        found.check(asker, shown)
        return found

    def close(self) -> None:
        """End all of them; receivers are told."""
        for session in list(self._sessions.values()):
            session.close(*frames.STOPPING)
            session.drop()
