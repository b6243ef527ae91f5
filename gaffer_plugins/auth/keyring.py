"""The keys that are in use: checked without the database after the first time, and forgotten at once when deleted."""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any, Callable, Iterable
from weakref import WeakValueDictionary

import gevent
from gevent.lock import BoundedSemaphore

from gaffer import Identity
from gaffer.api import GafferError

from .store import Store, StoredKey
from .tokens import Token, is_same, parse_token
from .turns import in_turn

log = logging.getLogger("gaffer.auth")

#: Keys that are remembered after their last use.
REMEMBERED = 1024
#: How long after a key was used the database learns it, in seconds.
LAZY = 60.0
#: How often at most is looked whether another program has changed the database, in seconds.
LOOK = 1.0
#: How often that is looked at while something is open for a key, such as a websocket or a feed, in seconds.
LOOK_FOR_OPEN = 2.0


class Known(Identity):
    """Identity of a key, with what is needed to check it again."""

    key: StoredKey


class Keyring:
    """Checks keys.

    :param path: the database; opened when first needed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._store: Store | None = None
        self._turn = BoundedSemaphore(1)
        self._recent: OrderedDict[str, Known] = OrderedDict()
        #: All who are still somewhere, with a feed for instance, though they were not remembered any more.
        self._alive: WeakValueDictionary[str, Known] = WeakValueDictionary()
        self._used: dict[str, float] = {}
        self._saver: gevent.Greenlet | None = None
        self._expirer: gevent.Greenlet | None = None
        self._looker: gevent.Greenlet | None = None
        self._looked = 0.0
        self._version = 0

    # -- the database ---------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """True if there is a database."""
        return self._store is not None or os.path.exists(self.path)

    def ask(self, question: Callable[[Store], Any]) -> Any:
        """Call *question* with the database, in a thread; others wait for their turn.

        :raises GafferError: it cannot be opened, or has no room.
        """
        self._turn.acquire()
        answer, error = in_turn(self._turn, self._ask, question)
        if error is not None:
            raise error
        return answer

    def _ask(self, question: Callable[[Store], Any]) -> tuple[Any, Exception | None]:
        """Return an error instead of raising it: gevent prints what is raised in a thread, and a refusal is normal."""
        try:
            if self._store is None:
                self._store = Store(self.path)
                self._version = self._store.version
            return question(self._store), None
        except Exception as error:
            return None, error

    def close(self) -> None:
        """Store what has to be stored, and close."""
        for greenlet in (self._saver, self._expirer, self._looker):
            if greenlet is not None:
                greenlet.kill()
        if self._used and self._store is not None:
            self._save()
        store, self._store = self._store, None
        if store is not None:
            store.close()

    # -- checking -------------------------------------------------------------------------------

    def find(self, text: str) -> Known | None:
        """Return the identity of a key; None if it is unknown or no longer valid."""
        token = parse_token(text)
        if token is None or not self.exists:
            return None
        if time.monotonic() - self._looked > LOOK:
            self._look_for_changes()
        known = self._recent.get(token.id)
        if known is None:
            known = self._learn(token)
        elif not is_same(token.digest(self._pepper), known.key.digest):
            return None
        if known is None or known.ended or self._is_over(known):
            return None
        self._recent.move_to_end(token.id)
        self._note(token.id)
        self.watch()
        return known

    @property
    def _pepper(self) -> bytes:
        assert self._store is not None
        return self._store.pepper

    def _learn(self, token: Token) -> Known | None:
        """Look a key up; one that is somewhere in use is the same identity."""
        key: StoredKey | None = self.ask(lambda store: store.key(token.id))
        if not is_same(token.digest(self._pepper), key.digest if key is not None else None) or key is None:
            return None
        known = self._alive.get(key.id)
        if known is None:
            kind, label = ("user", key.user) if key.user else ("key", key.label)
            known = Known(key.id, kind, label, key.permissions)
            known.key = key
            self._alive[key.id] = known
        self._recent[key.id] = known
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self._watch_expiry()
        return known

    # -- forgetting -----------------------------------------------------------------------------

    def forget(self, ids: Iterable[str]) -> None:
        """Forget deleted keys: they are not valid from now on."""
        for id in ids:
            self._recent.pop(id, None)
            self._used.pop(id, None)
            known = self._alive.pop(id, None)
            if known is not None:
                known.end()

    def _look_for_changes(self) -> None:
        """See what another program, such as a gafferd with the same database, has deleted."""
        self._looked = time.monotonic()
        if not self._alive:
            return
        version = self.ask(lambda store: store.version)
        if version == self._version:
            return
        held = {id: known.key for id, known in list(self._alive.items())}
        stored = self.ask(lambda store: {id: store.key(id) for id in held})
        # What is used changes; what a key allows never does.
        self.forget(id for id, key in held.items() if stored[id] is None)
        self._version = version

    def watch(self) -> None:
        """Look for changes while something is open for a key: no request may come that would."""
        if self._looker is None:
            self._looker = gevent.spawn_later(LOOK_FOR_OPEN, self._look_again)

    def _look_again(self) -> None:
        self._looker = None
        if any(known.endings for known in list(self._alive.values())):
            with suppress(GafferError):  # requests are told
                self._look_for_changes()
            self.watch()

    def _is_over(self, known: Known) -> bool:
        if known.key.expires is None or time.time() < known.key.expires:
            return False
        self.forget([known.name])
        return True

    def _watch_expiry(self) -> None:
        """Be there when the next key expires that is in use."""
        expiries = [known.key.expires for known in self._alive.values() if known.key.expires is not None]
        if self._expirer is not None:
            self._expirer.kill(block=False)
        self._expirer = None
        if expiries:
            # A day at the longest: the clock may be set meanwhile.
            self._expirer = gevent.spawn_later(min(86_400.0, max(0.0, min(expiries) - time.time())), self._expire)

    def _expire(self) -> None:
        self._expirer = None
        for known in list(self._alive.values()):
            self._is_over(known)
        self._watch_expiry()

    # -- last use -------------------------------------------------------------------------------

    def _note(self, id: str) -> None:
        self._used[id] = time.time()
        if self._saver is None:
            self._saver = gevent.spawn_later(LAZY, self._save_later)

    def _save_later(self) -> None:
        self._saver = None
        try:
            self._save()
        except GafferError as error:
            log.warning("when keys were used last cannot be stored: %s", error)

    def _save(self) -> None:
        used, self._used = self._used, {}
        self.ask(lambda store: store.used(used))

    def last_used(self, key: StoredKey) -> float | None:
        """Return when a key was used last, stored or not."""
        return self._used.get(key.id, key.last_used)
