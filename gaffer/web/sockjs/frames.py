"""The text of SockJS: frames for the client, and the messages in what it sends. Pure functions."""

from __future__ import annotations

import json
import re
from typing import Iterable

from ...errors import GafferError
from ..requests.request import has_too_many_values

OPEN = "o"
HEARTBEAT = "h"
#: Codes and reasons of the ends that the protocol knows.
GO_AWAY = (3000, "Go away!")
IN_USE = (2010, "Another connection still open")
INTERRUPTED = (1002, "Connection interrupted")
STOPPING = (1001, "gaffer stops")

#: What browsers, or proxies before them, are known to lose or to change; JSON itself only escapes control characters.
_UNSAFE = re.compile("[\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False).encode


class BrokenPayload(GafferError):
    """A payload without messages. The protocol wants a plain sentence and 500."""

    code = "broken_payload"
    status = 500


def quote(text: str) -> str:
    """Return *text* as a JSON string that every browser reads as it was meant."""
    return _UNSAFE.sub(_escaped, _encode(text))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def messages(texts: Iterable[str]) -> str:
    """Return the frame of some messages."""
    return f"a[{','.join(map(quote, texts))}]"


def closing(code: int, reason: str) -> str:
    """Return the frame that says that, and why, the session has ended."""
    return f"c[{code},{quote(reason)}]"


def read(payload: str | bytes, alone: bool = False) -> list[str]:
    """Return the messages in what a client sent.

    :param alone: one message may also stand without its array, as on websockets.
    :raises Broken: there are none: it is empty, not UTF-8, not JSON, or not an array of texts.
    """
    if not payload:
        raise BrokenPayload("Payload expected.")
    if has_too_many_values(payload):
        raise BrokenPayload("Broken JSON encoding: too many values.")
    try:
        value = json.loads(payload.decode() if isinstance(payload, bytes) else payload)
    except (ValueError, RecursionError):
        raise BrokenPayload("Broken JSON encoding.") from None
    if alone and isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BrokenPayload("Broken JSON encoding.")
    return value
