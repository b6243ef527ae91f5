"""The names of secrets: one table for redaction and for what children do not inherit."""

from __future__ import annotations

import os
import re
from typing import Mapping

#: A name is that of a secret if one of its words is here: ``db_password_old``, ``accessToken``, ``X-Auth``.
WORDS = (
    *("pass", "password", "passwd", "passphrase", "passcode", "pwd", "pw"),
    *("secret", "secrets", "token", "credential", "credentials", "cookie"),
    *("auth", "authorization", "apikey", "bearer", "jwt"),
)
#: ... or ends with one of these, as ``PGPASSWORD`` and ``userpassword`` do without a separator.
ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "credentials")
#: ``key`` is one only after these, which keeps ``primary_key`` and ``sort-key`` in sight.
KEYS = (
    *("api", "access", "private", "secret", "signing", "encryption", "master", "auth", "account", "shared"),
    *("session", "lookupd", "service", "storage", "subscription", "webhook", "license"),
)

#: Options of gaffer's own programs; a child has no use for them, nor for what of ``GAFFER_`` is a secret.
OWN = ("GAFFERD_", "GAFFERCTL_", "GAFFER_LOOKUPD_")
_OWN_SECRETS = "GAFFER_"

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^A-Za-z]+")
#: Longer names are nobody's.
_LONGEST = 200

_withheld: set[str] = set()


def is_secret(name: str) -> bool:
    """Tell whether the value that has this name is a secret."""
    if len(name) > _LONGEST:
        return False
    words = [word for word in _SEPARATOR.split(_CAMEL.sub("_", name).lower()) if word]
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
