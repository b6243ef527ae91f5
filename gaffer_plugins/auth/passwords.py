"""Passwords: a memory-hard hash (argon2id, RFC 9106), worked out in a thread, and patience that wears off."""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import cached_property
from typing import Any, Callable

from gaffer.api import BadRequest, TooManyRequests, Unavailable

from .turns import Turns, in_turn

#: Each takes 64 MiB and a third of a second, so only so many are worked out at a time …
_AT_ONCE = 2
#: … and others wait no longer than this, in seconds.
_TURN_TIMEOUT = 10.0
SHORTEST, LONGEST = 8, 1024


def check_password(password: object) -> str:
    """Return *password* if it may be one.

    :raises BadRequest: it is too short or too long.
    """
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST:
        raise BadRequest(f"a password must have {SHORTEST} to {LONGEST} characters")
    return password


class Passwords:
    """Makes and checks hashes without holding up other greenlets."""

    def __init__(self) -> None:
        self._turn = Turns(_AT_ONCE)

    @cached_property
    def _hasher(self) -> Any:
        from argon2 import PasswordHasher

        return PasswordHasher()

    @cached_property
    def _nobodys(self) -> str:
        """The hash of no password, checked for users that are not there: both take the same time."""
        return str(self._hasher.hash("\0 no password"))

    def _work(self, first: bool, function: Callable[..., Any], *args: Any) -> Any:
        if not self._turn.acquire(_TURN_TIMEOUT, first):
            raise Unavailable("too many passwords are being checked; try again")
        return in_turn(self._turn, function, *args)

    def hash(self, password: str) -> str:
        """Return what is stored of a password."""
        return str(self._work(True, self._hasher.hash, password))

    def verify(self, stored: str | None, password: str) -> bool:
        """Tell whether *password* is the one whose hash is *stored*; None is that of a user that is not there.

        Those of existing users overtake those of unknown names: guessing must not keep users out. A wrong one gets its
        answer no sooner for that, or it would tell which names there are.
        """
        if stored is None:
            return bool(self._work(False, self._verify, None, password))
        overtakes = self._turn.busy
        right = bool(self._work(True, self._verify, stored, password))
        if not right and overtakes:
            self._work(False, self._verify, None, password)
        return right

    def _verify(self, stored: str | None, password: str) -> bool:
        from argon2.exceptions import Argon2Error, InvalidHashError

        try:
            right = self._hasher.verify(self._nobodys if stored is None else stored, password)
        except (Argon2Error, InvalidHashError):
            return False
        return bool(right) and stored is not None


class Throttle:
    """Slows down guessing: after some failures each further one doubles the time to wait.

    :param free: failures that cost nothing.
    :param longest: the longest time to wait, in seconds.
    :param clock: monotonic seconds.
    """

    #: Names and addresses that are remembered; those that failed longest ago are forgotten first.
    MOST = 10_000
    #: Seconds without a failure after which all is forgiven.
    FORGET = 900.0

    def __init__(self, free: int, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._free, self._longest, self._clock = free, longest, clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, who: str) -> None:
        """Refuse *who* while it has to wait.

        :raises TooManyRequests: says how long.
        """
        count, since = self._failures.get(who, (0, 0.0))
        left = since + self._pause(count) - self._clock()
        if left > 0:
            raise TooManyRequests(f"too many wrong passwords; try again in {left:.0f} s", retry_after=left)

    def _pause(self, count: int) -> float:
        return min(self._longest, 2.0 ** min(30, count - self._free)) if count > self._free else 0.0

    def failed(self, who: str) -> None:
        """Remember a failure."""
        count, since = self._failures.pop(who, (0, 0.0))
        if self._clock() - since > self.FORGET:
            count = 0
        self._failures[who] = count + 1, self._clock()
        while len(self._failures) > self.MOST:
            self._failures.popitem(last=False)

    def undo(self, who: str) -> None:
        """Take back one failure that was none."""
        count, since = self._failures.get(who, (0, 0.0))
        if count > 1:
            self._failures[who] = count - 1, since
        else:
            self._failures.pop(who, None)

    def succeeded(self, who: str) -> None:
        """Forget the failures of *who*."""
        self._failures.pop(who, None)
