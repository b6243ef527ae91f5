"""The database of keys and users: one SQLite file that only its owner can read.

It blocks, and belongs to one thread at a time; :mod:`.keyring` calls it from a thread of the hub's pool.

The journal is SQLite's plain one, each change is on the disk before it is answered, and there is one file: a key that
was deleted must not come back after a power cut or with a copied file, and writing is rare.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, TypeVar

from gaffer import Permissions
from gaffer.api import ADMIN, Conflict, GafferError, NotFound, Unauthorized, Unavailable, check_read, open_file

Answer = TypeVar("Answer")

SCHEMA = 1
#: Keys and users that one database may hold: more are a mistake, or an attack.
MOST_KEYS = 10_000
MOST_USERS = 10_000
#: Keys of one user's logins, the one not used for longest making room; and keys that may come from one key or user, in
#: any number of steps. So an identity that may make keys cannot keep others from logging in.
MOST_LOGINS, MOST_BELOW = 100, 1_000
#: How long another gafferd that writes is waited for, in seconds.
_BUSY = 5.0
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE users (
    name TEXT PRIMARY KEY, type INTEGER NOT NULL CHECK (type IN (0, 1)), password TEXT NOT NULL,
    permissions TEXT NOT NULL, extra TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, label TEXT NOT NULL, permissions TEXT NOT NULL,
    parent TEXT REFERENCES keys(id) ON DELETE CASCADE, user TEXT REFERENCES users(name) ON DELETE CASCADE,
    created REAL NOT NULL, expires REAL, last_used REAL
);
CREATE INDEX keys_parent ON keys(parent);
CREATE INDEX keys_user ON keys(user);
"""
_KEY = "id, label, permissions, parent, user, created, expires, last_used, digest"
_USER = "name, type, permissions, extra, created, password"
#: The ids of a key and of all that were made with it.
_BELOW = """
WITH RECURSIVE below(id) AS (
    SELECT id FROM keys WHERE {} UNION SELECT keys.id FROM keys JOIN below ON parent = below.id
)
"""


@dataclass(frozen=True)
class StoredKey:
    """A stored key.

    :param parent: the id of the key that it was made with.
    :param user: whose login it is.
    :param created, expires, last_used: seconds since 1970.
    """

    id: str
    label: str
    permissions: Permissions
    parent: str | None
    user: str | None
    created: float
    expires: float | None
    last_used: float | None
    digest: bytes

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown of it."""
        shown = {name: getattr(self, name) for name in ("id", "label", "parent", "user", "created", "expires")}
        return {**shown, "last_used": self.last_used, "permissions": self.permissions.to_json()}


@dataclass(frozen=True)
class User:
    """A stored user.

    :param type: 0 is an admin, 1 an application.
    :param password: its hash.
    """

    name: str
    type: int
    permissions: Permissions
    extra: dict[str, Any]
    created: float
    password: str

    @property
    def allowed(self) -> Permissions:
        """Permissions of the user's keys."""
        return ADMIN if self.type == 0 else self.permissions

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown of it: never the hash."""
        shown = {"username": self.name, "user_type": self.type, "permissions": self.allowed.to_json()}
        return {**shown, "extra": self.extra, "created": self.created}


class Store:
    """An open database.

    :param path: its file; made if it is not there.
    :raises GafferError: it cannot be opened, belongs to another account, or is of a later version of gaffer.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        make_private(path)
        with self._told():
            self._db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        self.pepper: bytes = self._meta("pepper")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- the file -------------------------------------------------------------------------------

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the database's errors into sentences."""
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(f"the database of keys {self.path}: {error}") from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA synchronous = FULL")
        with self._change() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                db.execute("INSERT INTO meta VALUES ('pepper', ?)", (secrets.token_bytes(32),))
                db.execute(f"PRAGMA user_version = {SCHEMA}")
            elif found != SCHEMA:
                raise GafferError(
                    f"{self.path} is no database of keys of this gaffer: it has version {found}, not {SCHEMA}"
                )

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Do several things or none; within another change, as a part of that."""
        if self._db.in_transaction:
            yield self._db
            return
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._told():
            return self._db.execute(query, values).fetchall()

    def _meta(self, name: str) -> Any:
        return self._rows("SELECT value FROM meta WHERE name = ?", name)[0][0]

    @property
    def version(self) -> int:
        """A number that changes when another program has changed the file."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def change_with(self, id: str, change: Callable[[Store], Answer]) -> Answer:
        """Return what *change* does with this, which is nothing unless the key *id* is still valid.

        :raises Unauthorized: it was deleted, or has expired.
        """
        with self._change() as db:
            if not db.execute(
                "SELECT 1 FROM keys WHERE id = ? AND (expires IS NULL OR expires > ?)", (id, time.time())
            ).fetchone():
                raise Unauthorized("the key that asks is no longer valid, so nothing was changed")
            return change(self)

    def expect_user(self, user: User) -> None:
        """See, within a change, that *user* is what it was when the change was permitted.

        :raises Conflict: it is not.
        """
        if self.user(user.name) != user:
            raise Conflict(f"user '{user.name}' was changed meanwhile; look at it and try again")

    # -- keys -----------------------------------------------------------------------------------

    def key(self, id: str) -> StoredKey | None:
        """Return a key, expired or not."""
        rows = self._rows(f"SELECT {_KEY} FROM keys WHERE id = ?", id)
        return _key(rows[0]) if rows else None

    def keys(self, maker: str | None = None) -> list[StoredKey]:
        """Return all keys, or *maker* and those that were made with it, oldest first."""
        if maker is None:
            rows = self._rows(f"SELECT {_KEY} FROM keys ORDER BY created, id")
        else:
            query = f"{_BELOW.format('id = ?')} SELECT {_KEY} FROM keys JOIN below USING (id) ORDER BY created, id"
            rows = self._rows(query, maker)
        return [_key(row) for row in rows]

    def add_key(self, key: StoredKey, login: User | None = None) -> list[str]:
        """Store a new key; returns the ids of those that made room for it.

        :param login: whose login made it, as they were when the password was checked, which takes a while.
        :raises Conflict: there are too many, or that user is not what they were.
        :raises NotFound: the one that it is made with is gone, or its user.
        """
        values = [getattr(key, name) for name in _KEY.split(", ")]
        values[2] = json.dumps(key.permissions.to_json())
        with self._change() as db:
            if login is not None and self.user(login.name) != login:
                raise Conflict(f"user '{login.name}' was changed meanwhile; log in again")
            # Those that expired and have none below them are of no use.
            db.execute(
                "DELETE FROM keys WHERE expires < ? AND id NOT IN (SELECT parent FROM keys WHERE parent IS NOT NULL)",
                (time.time(),),
            )
            gone = _make_room(db, key.user) if key.user is not None else []
            if key.parent is not None:
                _check_below(db, key.parent)
            if db.execute("SELECT count(*) FROM keys").fetchone()[0] >= MOST_KEYS:
                raise Conflict(f"there are {MOST_KEYS} keys; delete some that are not used")
            try:
                db.execute(f"INSERT INTO keys ({_KEY}) VALUES ({', '.join('?' * len(values))})", values)
            except sqlite3.IntegrityError:
                raise NotFound("the key that asks, or the user, was deleted meanwhile") from None
        return gone

    def delete_key(self, id: str) -> list[str]:
        """Delete a key and those that were made with it; returns their ids, none if there is no such key."""
        return self._delete("id = ?", id)

    def delete_keys_of(self, user: str, but: str | None = None) -> list[str]:
        """Delete the keys of a user, and those that were made with them; all *but* one, and what was made with that."""
        return self._delete("user = ? AND id IS NOT ?", user, but)

    def _delete(self, where: str, *values: Any) -> list[str]:
        with self._change() as db:
            return _delete(db, where, *values)

    def used(self, times: Mapping[str, float]) -> None:
        """Store when keys were used last."""
        with self._change() as db:
            db.executemany(
                "UPDATE keys SET last_used = max(coalesce(last_used, 0), ?) WHERE id = ?",
                [(when, id) for id, when in times.items()],
            )

    # -- users ----------------------------------------------------------------------------------

    def user(self, name: str) -> User | None:
        """Return a user."""
        rows = self._rows(f"SELECT {_USER} FROM users WHERE name = ?", name)
        return _user(rows[0]) if rows else None

    def users(self) -> list[User]:
        """Return all users by name."""
        return [_user(row) for row in self._rows(f"SELECT {_USER} FROM users ORDER BY name")]

    def add_user(self, user: User) -> None:
        """Store a new user.

        :raises Conflict: there is one of that name, or there are too many.
        """
        values = (
            *(user.name, user.type, json.dumps(user.permissions.to_json()), json.dumps(user.extra)),
            *(user.created, user.password),
        )
        with self._change() as db:
            if db.execute("SELECT count(*) FROM users").fetchone()[0] >= MOST_USERS:
                raise Conflict(f"there are {MOST_USERS} users; delete some")
            try:
                db.execute(f"INSERT INTO users ({_USER}) VALUES (?, ?, ?, ?, ?, ?)", values)
            except sqlite3.IntegrityError:
                raise Conflict(f"user '{user.name}' exists already") from None

    def set_password(self, user: User, password: str, but: str | None = None) -> list[str]:
        """Store the hash of a user's new password, and end the user's logins; returns the ids of the deleted keys.

        :param but: the login that stays.
        :raises Conflict: the user is not what it was.
        """
        with self._change() as db:
            self.expect_user(user)
            db.execute("UPDATE users SET password = ? WHERE name = ?", (password, user.name))
            return self.delete_keys_of(user.name, but)

    def set_permissions(self, user: User, permissions: Permissions, but: str | None = None) -> list[str]:
        """Store what a user's keys allow, and end the user's logins; see :meth:`set_password`."""
        with self._change() as db:
            self.expect_user(user)
            allowed = json.dumps(permissions.to_json())
            db.execute("UPDATE users SET permissions = ? WHERE name = ?", (allowed, user.name))
            return self.delete_keys_of(user.name, but)

    def delete_user(self, user: User) -> list[str]:
        """Delete a user and all keys that come from it; returns their ids.

        :raises Conflict: it is not what it was.
        """
        with self._change() as db:
            self.expect_user(user)
            deleted = _delete(db, "user = ?", user.name)
            db.execute("DELETE FROM users WHERE name = ?", (user.name,))
        return deleted


def _make_room(db: sqlite3.Connection, user: str) -> list[str]:
    """Delete the keys of the user's logins that are too many; those that others were made with stay.

    :raises Conflict: that are all.
    """
    query = """
        SELECT id FROM keys WHERE user = ? AND id NOT IN (SELECT parent FROM keys WHERE parent IS NOT NULL)
        ORDER BY coalesce(last_used, created)
    """
    idle = [row[0] for row in db.execute(query, (user,))]
    some = db.execute("SELECT count(*) FROM keys WHERE user = ?", (user,)).fetchone()[0]
    gone = idle[: max(0, some - MOST_LOGINS + 1)]
    if some - len(gone) >= MOST_LOGINS:
        raise Conflict(f"user '{user}' has {some} logins with which keys were made; delete some")
    db.executemany("DELETE FROM keys WHERE id = ?", [(id,) for id in gone])
    return gone


def _check_below(db: sqlite3.Connection, parent: str) -> None:
    """Refuse a key more than may come from one.

    :raises Conflict: naming that one.
    """
    query = """
        WITH RECURSIVE above(id, parent, user) AS (
            SELECT id, parent, user FROM keys WHERE id = ?
            UNION SELECT keys.id, keys.parent, keys.user FROM keys JOIN above ON keys.id = above.parent
        ) SELECT id, user FROM above WHERE parent IS NULL
    """
    for top, user in db.execute(query, (parent,)).fetchall():
        where, value = ("parent = ?", top) if user is None else ("parent IN (SELECT id FROM keys WHERE user = ?)", user)
        below = db.execute(f"{_BELOW.format(where)} SELECT count(*) FROM below", (value,)).fetchone()[0]
        if below >= MOST_BELOW:
            maker = f"key {top}" if user is None else f"user '{user}'"
            raise Conflict(f"{below} keys come from {maker}, which is all that may; delete some")


def _delete(db: sqlite3.Connection, where: str, *values: Any) -> list[str]:
    found = [row[0] for row in db.execute(f"{_BELOW.format(where)} SELECT id FROM below", values)]
    db.executemany("DELETE FROM keys WHERE id = ?", [(id,) for id in found])
    return found


def _key(row: tuple[Any, ...]) -> StoredKey:
    id, label, permissions, *rest = row
    return StoredKey(id, label, Permissions.parse(json.loads(permissions)), *rest)


def _user(row: tuple[Any, ...]) -> User:
    name, type, permissions, extra, created, password = row
    return User(name, type, Permissions.parse(json.loads(permissions)), json.loads(extra), created, password)


def make_private(path: str) -> None:
    """Make the file if it is not there, and see that no other account can read it.

    :raises GafferError: it belongs to another account, is in a folder that others can change, or cannot be made.
    """
    try:
        check_read(os.path.dirname(os.path.abspath(path)))  # SQLite opens by name, and makes files beside it
        os.makedirs(os.path.dirname(os.path.abspath(path)), 0o700, exist_ok=True)
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise Unavailable(f"the database of keys {path} cannot be opened: {error.strerror}") from error
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise GafferError(f"the database of keys {path} is no file")
        if info.st_uid != os.geteuid():
            raise GafferError(f"the database of keys {path} belongs to uid {info.st_uid}, not to who runs this")
        if info.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
