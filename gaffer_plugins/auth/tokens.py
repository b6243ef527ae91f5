"""Keys as clients have them, ``gk_<id>_<secret>``, and what is stored of them.

A key's secret is 256 random bits. Those cannot be tried out however fast hashing is, so a fast hash is enough, where a
password needs a slow one; it is a keyed one, so that a stolen copy of the table alone cannot even be searched for a
key that was found elsewhere. The id is no secret: lists, logs and URLs use it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_TOKEN = re.compile(r"gk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
#: Compared with when there is no such key, so that this takes the same time.
_NOTHING = bytes(32)


class Token(NamedTuple):
    """A key, taken apart."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """The key as its owner sends it."""
        return f"gk_{self.id}_{self.secret}"

    def digest(self, pepper: bytes) -> bytes:
        """Return what is stored of it.

        :param pepper: the database's own 32 random bytes.
        """
        return hashlib.blake2b(self.text.encode(), key=pepper, digest_size=32).digest()


def new_token() -> Token:
    """Return a new key."""
    return Token(secrets.token_hex(6), secrets.token_urlsafe(32))


def parse_token(text: str) -> Token | None:
    """Take a key apart; None if it is none of ours."""
    found = _TOKEN.match(text)
    return Token(*found.groups()) if found else None


def is_same(digest: bytes, stored: bytes | None) -> bool:
    """Compare two digests, in a time that does not depend on where they differ."""
    return hmac.compare_digest(digest, stored if stored is not None else _NOTHING) and stored is not None
