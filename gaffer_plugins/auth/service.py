"""Operations on keys and users, and who may do them: no key makes a stronger one."""

from __future__ import annotations

import re
import time
from typing import Any, Callable

from gaffer import Identity, Permissions
from gaffer.api import ADMIN, BadRequest, Conflict, Forbidden, NotFound, Unauthorized
from gaffer.api.web import INVISIBLE_CHARACTERS, is_loopback

from .keyring import Keyring, Known
from .passwords import Passwords, Throttle, check_password
from .store import Store, StoredKey, User
from .tickets import LIFE, Tickets
from .tokens import Token, new_token

#: How long the key of a login is valid unless something else is said, in seconds.
LIFETIME = 30 * 86_400.0
LONGEST_LABEL = 200
_MOST_WELCOME = 10_000
#: The id that stands for the key that asks.
SELF = "self"
_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}\Z")
_LABEL = re.compile(f"[^{INVISIBLE_CHARACTERS}]{{0,{LONGEST_LABEL}}}\\Z")
#: The longest time for which a key may be valid, in seconds.
LONGEST_LIFE = 3_000_000_000
_LOGIN_FAILED = "wrong user name or password"


class AuthService:
    """Keys, users, logins and tickets.

    :param lifetime: of keys of logins, in seconds.
    """

    def __init__(self, keyring: Keyring, lifetime: float = LIFETIME) -> None:
        self._keyring = keyring
        self._lifetime = lifetime
        self._passwords = Passwords()
        self._tickets = Tickets()
        # Guessing one user's password from one place waits; so does guessing from one place, or one user's
        # from many, but that one never for long: others must not be able to lock a user out.
        self._pairs, self._places, self._names = Throttle(4, 300.0), Throttle(20, 300.0), Throttle(50, 10.0)
        # Behind a proxy all come from one place, where one who guesses must not keep the others out.
        self._here = Throttle(4, 10.0)
        #: Names with the places where they logged in from.
        self._welcome: dict[str, None] = {}

    def open(self) -> None:
        """Open the database now.

        :raises GafferError: it cannot be opened.
        """
        self._keyring.ask(lambda store: store.version)

    def _change(self, identity: Identity | None, change: Callable[[Store], Any]) -> Any:
        """Change the database for *identity*, which must still be valid when that is done, and not only when it asked.

        Until then it may have waited for a password to be hashed, and for the changes of others.

        :param identity: None for a login.
        :raises Unauthorized: it is no longer valid.
        """
        id = identity.key.id if isinstance(identity, Known) else None

        def act(store: Store) -> Any:
            if identity is not None and identity.ended:
                raise Unauthorized("the key of this request is no longer valid, so nothing was changed")
            return change(store) if id is None else store.change_with(id, change)

        return self._keyring.ask(act)

    # -- who ------------------------------------------------------------------------------------

    def find(self, key: str) -> Identity | None:
        """Return who has a key."""
        return self._keyring.find(key)

    def use_ticket(self, ticket: str) -> Identity | None:
        """Return whose ticket it is, this once."""
        self._keyring.watch()
        return self._tickets.use(ticket)

    def ticket(self, identity: Identity) -> dict[str, Any]:
        """Make a ticket."""
        return {"ok": True, "ticket": self._tickets.issue(identity), "expires_in": LIFE}

    def login(
        self, username: str, password: str, address: str = "", label: str = "", expires_in: float | None = None
    ) -> dict[str, Any]:
        """Return a fresh key of a user.

        :param address: where the request comes from.
        :raises Unauthorized: there is no such user, or the password is another one.
        """
        throttles = self._throttles(username[:128], address)
        for throttle, who in throttles:
            # A user who logged in from a place before is not kept out by others who guess there, only by guesses of the
            # very name.
            if throttle is not self._places or throttles[0][1] not in self._welcome:
                throttle.check(who)
        # Counted before it is known: many at once would all be let through before the first has failed.
        for throttle, who in throttles:
            throttle.failed(who)
        user = self._user(username) if self._keyring.exists else None
        if not self._passwords.verify(user.password if user else None, password[:4096]) or user is None:
            raise Unauthorized(_LOGIN_FAILED)
        throttles[0][0].succeeded(throttles[0][1])
        self._welcome[throttles[0][1]] = None
        while len(self._welcome) > _MOST_WELCOME:
            del self._welcome[next(iter(self._welcome))]
        for throttle, who in throttles[1:]:
            throttle.undo(who)  # an account of one's own must not wipe out what was tried on others
        expires = time.time() + min(self._lifetime, _seconds(expires_in) or self._lifetime)
        return self._new_key(None, _label(label), user.allowed, None, user, expires)

    def _throttles(self, name: str, address: str) -> tuple[tuple[Throttle, str], ...]:
        """Return what counts the failures of a login, that of the name from this place first."""
        if not address or is_loopback(address):
            return (self._here, name), (self._names, name)
        return (self._pairs, f"{name}\0{address}"), (self._places, address), (self._names, name)

    # -- keys -----------------------------------------------------------------------------------

    def keys(self, identity: Identity) -> dict[str, Any]:
        """Return the keys that *identity* may see: its own and those made with it; an admin all."""
        maker = None if is_admin(identity) else identity.name
        keys = self._keyring.ask(lambda store: store.keys(maker)) if self._keyring.exists else []
        return {"keys": [self._shown(key) for key in keys]}

    def key(self, identity: Identity, id: str) -> dict[str, Any]:
        """Return one key.

        :raises NotFound: there is none that *identity* may see.
        """
        return self._shown(self._seen(identity, id))

    def create_key(
        self, identity: Identity, label: str = "", permissions: Any = None, expires_in: float | None = None
    ) -> dict[str, Any]:
        """Make a key.

        :param expires_in: seconds; by default it never expires.
        :raises Forbidden: *identity* may not make keys, or none that allows this.
        """
        wanted = Permissions.parse({} if permissions is None else permissions)
        own = _own(identity)
        if not (own.admin or own.create_key):
            raise Forbidden(f"{identity} has no permission to create keys; create_key is needed")
        if not own.covers(wanted):
            raise Forbidden(f"{identity} cannot make a key that allows more than it does itself")
        seconds = _seconds(expires_in)
        expires = None if seconds is None else time.time() + seconds
        made_with = identity.key if isinstance(identity, Known) else None
        if made_with is not None and made_with.expires is not None and made_with.user is None:
            # A user can log in again; a key that ends leaves nothing behind that goes on in its place.
            expires = min(expires or made_with.expires, made_with.expires)
        parent = None if made_with is None else made_with.id
        return self._new_key(identity, _label(label), wanted, parent, None, expires)

    def delete_key(self, identity: Identity, id: str) -> dict[str, Any]:
        """Delete a key with all that were made with it.

        :raises NotFound: there is none that *identity* may see.
        """
        key = self._seen(identity, id)
        deleted = self._change(identity, lambda store: store.delete_key(key.id))
        self._keyring.forget(deleted)
        return {"ok": True, "deleted": deleted}

    def _new_key(
        self,
        identity: Identity | None,
        label: str,
        permissions: Permissions,
        parent: str | None,
        user: User | None,
        expires: float | None,
    ) -> dict[str, Any]:
        token, name = new_token(), user.name if user is not None else None
        gone = self._change(
            identity,
            lambda store: store.add_key(
                _made(token, store.pepper, label, permissions, parent, name, expires),
                login=user,
            ),
        )
        self._keyring.forget(gone)
        return {"ok": True, "id": token.id, "api_key": token.text, "expires": expires}

    def _seen(self, identity: Identity, id: str) -> StoredKey:
        id = identity.name if id == SELF else id
        maker = None if is_admin(identity) else identity.name
        if self._keyring.exists:
            found: StoredKey | None
            if maker is None:
                found = self._keyring.ask(lambda store: store.key(id))
            else:
                found = next((key for key in self._keyring.ask(lambda store: store.keys(maker)) if key.id == id), None)
            if found is not None:
                return found
        raise NotFound(f"no key {id[:40]!r}; 'gaffer key list' lists them")

    def _shown(self, key: StoredKey) -> dict[str, Any]:
        return {**key.to_json(), "last_used": self._keyring.last_used(key)}

    # -- users ----------------------------------------------------------------------------------

    def users(self, identity: Identity) -> dict[str, Any]:
        """Return all users."""
        _needs_users(identity)
        users = self._keyring.ask(lambda store: store.users()) if self._keyring.exists else []
        return {"users": [user.to_json() for user in users]}

    def user(self, identity: Identity, name: str) -> dict[str, Any]:
        """Return a user; everybody sees their own."""
        if not _is_own(identity, name):
            _needs_users(identity)
        return self._known_user(name).to_json()

    def create_user(
        self,
        identity: Identity,
        username: str,
        password: str,
        user_type: int = 1,
        permissions: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a user.

        :param user_type: 0 is an admin, 1 an application.
        :raises Forbidden: *identity* may not make users, or none that may do this.
        """
        _needs_users(identity)
        wanted = Permissions.parse({} if permissions is None else permissions)
        wanted = ADMIN if user_type == 0 else wanted
        if not _own(identity).covers(wanted):
            raise Forbidden(f"{identity} cannot make a user who may do more than it may itself")
        user = User(check_username(username), user_type, wanted, extra or {}, time.time(), self._hash(password))
        self._change(identity, lambda store: store.add_user(user))
        return {"ok": True}

    def _hash(self, password: str) -> str:
        return self._passwords.hash(check_password(password))

    def delete_user(self, identity: Identity, name: str) -> dict[str, Any]:
        """Delete a user with the keys of all logins, and those that were made with them."""
        user = self._managed(identity, name)
        self._keyring.forget(self._change(identity, lambda store: store.delete_user(user)))
        return {"ok": True}

    def set_password(self, identity: Identity, name: str, password: str, old: str | None = None) -> dict[str, Any]:
        """Change a password; all logins but the one that asks end.

        :param old: needed by who changes their own.
        """
        own = _is_own(identity, name) and not is_admin(identity)
        user = self._known_user(name) if own else self._managed(identity, name)
        if own:
            who = f"{name}\0old"
            self._pairs.check(who)
            self._pairs.failed(who)
            if not self._passwords.verify(user.password, (old or "")[:4096]):
                raise Forbidden("the old password is another one; give it as old_password")
            self._pairs.succeeded(who)
        stored = self._hash(password)
        kept = _kept(identity, name)
        self._keyring.forget(self._change(identity, lambda store: store.set_password(user, stored, kept)))
        return {"ok": True}

    def permissions(self, identity: Identity, name: str) -> dict[str, Any]:
        """Return what a user's keys allow."""
        return {"permissions": self.user(identity, name)["permissions"]}

    def set_permissions(self, identity: Identity, name: str, permissions: Any) -> dict[str, Any]:
        """Change what a user's keys allow; the logins that there are end."""
        user, wanted = self._managed(identity, name), Permissions.parse(permissions)
        if user.type == 0:
            raise Conflict(f"user '{name}' is an admin, who may do everything")
        if not _own(identity).covers(wanted):
            raise Forbidden(f"{identity} cannot allow more than it may do itself")
        kept = _kept(identity, name)
        self._keyring.forget(self._change(identity, lambda store: store.set_permissions(user, wanted, kept)))
        return {"ok": True}

    def _user(self, name: str) -> User | None:
        found: User | None = self._keyring.ask(lambda store: store.user(name))
        return found

    def _known_user(self, name: str) -> User:
        found = self._user(name) if self._keyring.exists else None
        if found is None:
            raise NotFound(f"no user {name[:128]!r}; 'gaffer user list' lists them")
        return found

    def _managed(self, identity: Identity, name: str) -> User:
        """Return a user whom *identity* may change: one who may do less.

        With as much it might be a key that comes from that very user's login, or from a user who was made with one: a
        key that was found must not be worth an account.
        """
        _needs_users(identity)
        user = self._known_user(name)
        if not _own(identity).exceeds(user.allowed):
            raise Forbidden(f"{identity} cannot change a user who may do as much as itself, or more")
        return user


def is_admin(identity: Identity) -> bool:
    """Tell whether *identity* may do everything."""
    return _own(identity).admin


def _own(identity: Identity) -> Permissions:
    """Return what *identity* allows; without required keys that is everything."""
    if identity.trusted:
        return ADMIN
    return identity.permissions if isinstance(identity.permissions, Permissions) else Permissions()


def _is_own(identity: Identity, name: str) -> bool:
    return isinstance(identity, Known) and identity.key.user == name


def _kept(identity: Identity, name: str) -> str | None:
    """Return the login that does not end when *identity* changes the user *name*: its own."""
    return identity.name if _is_own(identity, name) else None


def _needs_users(identity: Identity) -> None:
    own = _own(identity)
    if not (own.admin or own.create_user):
        raise Forbidden(f"{identity} has no permission to manage users; create_user is needed")


def _made(
    token: Token,
    pepper: bytes,
    label: str,
    permissions: Permissions,
    parent: str | None,
    user: str | None,
    expires: float | None,
) -> StoredKey:
    return StoredKey(token.id, label, permissions, parent, user, time.time(), expires, None, token.digest(pepper))


def _label(text: str) -> str:
    if not isinstance(text, str) or not _LABEL.match(text):
        raise BadRequest(f"a label is text of at most {LONGEST_LABEL} characters, none of which is invisible")
    return text


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST_LIFE:
        raise BadRequest(f"expires_in must be a number of seconds, not {value!r}")
    return float(value)


def check_username(name: object) -> str:
    """Return *name* if a user may be called so.

    :raises BadRequest: it is none.
    """
    if not isinstance(name, str) or not _USERNAME.match(name):
        raise BadRequest(
            "a user name has 1 to 128 letters, digits, '_', '.', '@', '+' and '-'; first a letter, digit or '_'"
        )
    return name
