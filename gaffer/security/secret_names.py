"""The names of secrets: one table for redaction and for what children do not inherit."""

from __future__ import annotations

import re
from functools import lru_cache

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

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^A-Za-z]+")
#: So much of a longer name is looked at, its end.
_MAX_NAME_CHARACTERS = 200


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
