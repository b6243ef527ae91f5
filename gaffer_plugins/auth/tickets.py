"""Tickets that are valid once, for requests to which a browser cannot add a header."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from typing import Callable

from gaffer import Identity
from gaffer.api import Conflict

#: How long a ticket is valid, in seconds.
LIFE = 60.0
#: Tickets that may wait to be used: of one key, and of all.
MOST_OF_ONE, MOST = 100, 10_000


class Tickets:
    """Tickets that were not used yet; they are not stored, and so end with gafferd.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[str, tuple[float, Identity]] = OrderedDict()

    def issue(self, identity: Identity) -> str:
        """Return a new ticket for *identity*.

        :raises Conflict: it has too many that were not used.
        """
        self._purge()
        held = sum(owner is identity for _, owner in self._open.values())
        if held >= MOST_OF_ONE or len(self._open) >= MOST:
            raise Conflict(f"{held} tickets wait to be used; use them, or wait {LIFE:.0f} s")
        ticket = secrets.token_urlsafe(32)
        self._open[ticket] = self._clock() + LIFE, identity
        return ticket

    def use(self, ticket: str) -> Identity | None:
        """Return who a ticket was made for; None if it is none, or was used, or is too old."""
        self._purge()
        # Looked up in a table of random words: how long that takes says nothing about them.
        found = self._open.pop(ticket, None)
        return None if found is None or found[1].ended else found[1]

    def _purge(self) -> None:
        now = self._clock()
        while self._open:
            ticket, (expires, _) = next(iter(self._open.items()))
            if expires > now:
                return
            del self._open[ticket]
