"""Signatures, as the Standard Webhooks specification has them, so that its libraries can check ours.

The key signs ``<id>.<timestamp>.<body>`` by HMAC-SHA256. The timestamp is that of the attempt, so that a receiver may
refuse old ones; the id stays the same over all attempts, so that a receiver can tell a repetition.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

#: A secret that begins so is base64, as the specification writes it; another is taken as it is.
PREFIX = "whsec_"
#: Shorter keys could be guessed from one delivery.
LEAST = 16


def make_key(secret: str) -> bytes:
    """Return the bytes that a secret stands for.

    :raises ValueError: it is too short, or no base64 where it says so.
    """
    key = secret.encode()
    if secret.startswith(PREFIX):
        try:
            text = secret[len(PREFIX) :]
            key = b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:
            raise ValueError(f"what follows {PREFIX} is no base64") from None
    if len(key) < LEAST:
        raise ValueError(f"a key of {len(key)} bytes can be guessed; give {LEAST} or more: openssl rand -hex 32")
    return key


def sign(key: bytes, delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header ``webhook-signature``."""
    digest = hmac.new(key, b"%s.%d.%s" % (delivery_id.encode(), timestamp, body), hashlib.sha256).digest()
    return "v1," + b64encode(digest).decode("ascii")
