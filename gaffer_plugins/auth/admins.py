"""``gafferd --create-admin-user`` and ``--list-admins``: the first user, made by the owner of the database."""

from __future__ import annotations

import getpass
import os
import sys
import time

from gaffer.api import ADMIN, BadRequest, ConfigError, Problem

from .passwords import check_password
from .service import check_username
from .store import Store, User


def create_admin(path: str, username: str | None, password: str | None) -> int:
    """Make a user who may do everything; returns the exit status.

    :param username, password: asked for if they are None.
    :raises ConfigError: there is no terminal to ask at. :raises GafferError: there is a user of that name.
    """
    from argon2 import PasswordHasher

    try:
        name = check_username(username if username is not None else _ask("User name: ", "--username"))
        word = check_password(password if password is not None else _ask_password())
    except BadRequest as error:
        raise ConfigError([Problem("", 0, str(error))]) from None
    store = Store(path)
    try:
        store.add_user(User(name, 0, ADMIN, {}, time.time(), PasswordHasher().hash(word)))
    finally:
        store.close()
    print(f"user '{name}' is made and may do everything; 'gaffer login {name}' gets a key")
    return 0


def list_admins(path: str) -> int:
    """Print the names of users who may do everything, one a line; returns the exit status."""
    if not os.path.exists(path):
        return 0
    store = Store(path)
    try:
        admins = [user.name for user in store.users() if user.allowed.admin]
    finally:
        store.close()
    for name in admins:
        print(name)
    return 0


def _ask(prompt: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError([Problem("", 0, f"there is no terminal to ask at: give {option}")])
    return input(prompt).strip()


def _ask_password() -> str:
    if not sys.stdin.isatty():
        # From a script, without showing it to everybody who lists processes.
        word = sys.stdin.readline().rstrip("\n")
        if not word:
            raise ConfigError([Problem("", 0, "no password came: give --password, or write it to standard input")])
        return word
    word = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != word:
        raise ConfigError([Problem("", 0, "these were two different passwords")])
    return word
