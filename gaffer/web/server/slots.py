"""How many of something there may be at once: connections of one peer, websockets."""

from __future__ import annotations

import socket
from typing import Any, Callable, Hashable

from ...errors import Unavailable
from ...security.peer_credentials import unix_uid


class Slots:
    """So many that may be taken at the same time.

    :param limit: how many.
    :param refusal: what is said to who finds none free; ``{}`` is the limit.
    """

    __slots__ = ("given_up", "limit", "refused", "taken", "_refusal", "_spare")

    def __init__(self, limit: int, refusal: str) -> None:
        self.limit = limit
        self.taken = 0
        #: How often there was none.
        self.refused = 0
        #: How many were taken from those that can be spared.
        self.given_up = 0
        self._refusal = refusal
        #: Those that are given up for another, the oldest first, and what ends them.
        self._spare: dict[Slot, Callable[[], Any]] = {}

    def take(self) -> Slot:
        """Return one of them; if all are taken, the oldest that can be spared is given up.

        :raises Unavailable: all are taken, and none can be spared.
        """
        if self.taken >= self.limit and self._spare:
            place = next(iter(self._spare))
            end = self._spare.pop(place)
            place.leave()
            self.given_up += 1
            end()
        if self.taken >= self.limit:
            self.refused += 1
            raise Unavailable(self._refusal.format(self.limit))
        self.taken += 1
        return Slot(self)


class Slot:
    """One place that was taken, until :meth:`leave`; a second time does nothing."""

    __slots__ = ("_places",)

    def __init__(self, places: Slots) -> None:
        self._places: Slots | None = places

    def spare(self, end: Callable[[], Any]) -> None:
        """Let others have it: whoever has it has not shown who they are.

        :param end: called when it is given up; it must not wait.
        """
        if self._places is not None:
            self._places._spare[self] = end

    def keep(self) -> None:
        """Give it up for nobody any more."""
        if self._places is not None:
            self._places._spare.pop(self, None)

    def leave(self) -> None:
        """Give it back."""
        self.keep()
        places, self._places = self._places, None
        if places is not None:
            places.taken -= 1


def peer_key(sock: Any, address: Any) -> Hashable:
    """Return what connections of one peer have in common.

    It is the address, of IPv6 the first half, since everybody has a network of the rest; of a unix socket the user.
    """
    if not isinstance(address, tuple) or len(address) < 2:
        return ("uid", unix_uid(sock))
    host: str = address[0]
    if ":" not in host:
        return host
    try:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
    except OSError:
        return host
