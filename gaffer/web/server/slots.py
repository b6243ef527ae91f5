"""Limits on how many websockets there may be at once, and what identifies a peer for such limits."""

from __future__ import annotations

import socket
from typing import Any, Callable, Hashable

from ...errors import Unavailable
from ...security.peer_credentials import unix_uid


class Slots:
    """A counter of slots, at most *limit* in use.

    :param refusal: the error sentence when none is free; ``{}`` is the limit.
    """

    __slots__ = ("evicted", "limit", "refused", "taken", "_refusal", "_evictable")

    def __init__(self, limit: int, refusal: str) -> None:
        self.limit = limit
        self.taken = 0
        #: How often none was free.
        self.refused = 0
        #: How many were taken from holders that had marked theirs as evictable.
        self.evicted = 0
        self._refusal = refusal
        #: Slots that are given up for another, the oldest first, each with the function that ends its holder.
        self._evictable: dict[Slot, Callable[[], Any]] = {}

    def acquire(self) -> Slot:
        """Return a slot; if none is free, the oldest evictable one is taken.

        :raises Unavailable: none is free or evictable.
        """
        if self.taken >= self.limit and self._evictable:
            slot = next(iter(self._evictable))
            end = self._evictable.pop(slot)
            slot.release()
            self.evicted += 1
            end()
        if self.taken >= self.limit:
            self.refused += 1
            raise Unavailable(self._refusal.format(self.limit))
        self.taken += 1
        return Slot(self)


class Slot:
    """A slot in use until :meth:`release`, which may be called twice."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Slots) -> None:
        self._slots: Slots | None = slots

    def make_evictable(self, end: Callable[[], Any]) -> None:
        """Let others have it: its holder is not authenticated.

        :param end: called when it is taken; it must not wait.
        """
        if self._slots is not None:
            self._slots._evictable[self] = end

    def keep(self) -> None:
        """Undo :meth:`make_evictable`."""
        if self._slots is not None:
            self._slots._evictable.pop(self, None)

    def release(self) -> None:
        """Give it back."""
        self.keep()
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.taken -= 1


def peer_key(sock: Any, address: Any) -> Hashable:
    """Return the key that all connections of one peer share.

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
