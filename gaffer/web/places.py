"""How many of something there may be at once: connections of one peer, websockets."""

from __future__ import annotations

import socket
from typing import Any, Hashable

from ..errors import Unavailable
from ..peer_credentials import unix_uid


class Places:
    """So many that may be taken at the same time.

    :param limit: how many.
    :param refusal: what is said to who finds none free; ``{}`` is the limit.
    """

    __slots__ = ("limit", "refused", "taken", "_refusal")

    def __init__(self, limit: int, refusal: str) -> None:
        self.limit = limit
        self.taken = 0
        #: How often there was none.
        self.refused = 0
        self._refusal = refusal

    def take(self) -> Place:
        """Return one of them.

        :raises Unavailable: all are taken.
        """
        if self.taken >= self.limit:
            self.refused += 1
            raise Unavailable(self._refusal.format(self.limit))
        self.taken += 1
        return Place(self)


class Place:
    """One that was taken, until :meth:`leave`; a second time does nothing."""

    __slots__ = ("_places",)

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places

    def leave(self) -> None:
        """Give it back."""
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
