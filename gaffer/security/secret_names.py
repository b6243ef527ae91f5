"""The names of secrets: one table for redaction and for what children do not inherit."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Mapping

#: A name is that of a secret if one of its words is here: ``db_password_old``, ``accessToken``, ``X-Auth``.
WORDS = (
    *("pass", "password", "passwd", "passphrase", "passcode", "pwd", "pw"),
    *("secret", "token", "credential", "credentials", "cookie"),
    *("auth", "authorization", "apikey", "bearer", "jwt"),
)
#: ... or ends with one of these, as ``PGPASSWORD`` and ``userpassword`` do without a separator.
ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "credentials")
#: ``key`` is one only after these, which keeps ``primary_key`` and ``sort-key`` in sight.
KEYS = (
    *("api", "access", "private", "secret", "signing", "encryption", "master", "auth", "account", "shared"),
    *("session", "lookupd", "service", "storage", "subscription", "webhook", "license"),
)

#: What a name ends with that says where a secret is, or what it is like: ``password_file``, ``token-ttl``.
ABOUT = (
    *("file", "path", "dir", "folder", "database", "socket", "env", "name", "type", "method", "user", "host", "port"),
    *("ttl", "timeout", "expires", "length", "count", "limit"),
)
#: Headers whose value is several words.
HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")
#: Options that mean a password in some programs only: by their names, what comes before the secret.
FLAGS = {
    "sshpass": r"-p\s*",
    "mysql": r"-p",
    "mysqldump": r"-p",
    "mysqladmin": r"-p",
    "mariadb": r"-p",
    "curl": r"(?:-u|--user)[\s=]*[^\s:]*:",
    "redis-cli": r"-a\s+",
    "ldapsearch": r"-w\s*",
    "mongosh": r"-p\s+",
    "mongodump": r"-p\s+",
}

#: Options of gaffer's own programs; a child has no use for them, nor for what of ``GAFFER_`` is a secret.
OWN = ("GAFFERD_", "GAFFERCTL_", "GAFFER_LOOKUPD_")
_OWN_SECRETS = "GAFFER_"

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^A-Za-z]+")
#: So much of a longer name is looked at, its end.
_MAX_NAME_CHARACTERS = 200

_withheld: set[str] = set()


@lru_cache(1024)
def is_secret(name: str) -> bool:
    """Tell whether the value that has this name is a secret."""
    name = name[-_MAX_NAME_CHARACTERS:]
    words = [word for word in _SEPARATOR.split(_CAMEL.sub("_", name).lower()) if word]
    if not words or words[-1] in ABOUT:
        return False
    if any(word in WORDS or word.endswith(ENDINGS) for word in words):
        return True
    return any(word == "key" and before in KEYS for before, word in zip(words, words[1:]))


def withhold(name: str) -> None:
    """Keep a variable from children, whatever it is called: a plugin reads a secret from it."""
    _withheld.add(name)


def inherited(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what children get of our environment: without options and secrets of gaffer's own programs."""
    found = os.environ if environ is None else environ
    return {name: value for name, value in found.items() if not _is_own(name)}


def _is_own(name: str) -> bool:
    if name in _withheld or name.startswith(OWN):
        return True
    return name.startswith(_OWN_SECRETS) and (is_secret(name) or name.endswith("KEY"))
