"""Frames of ``/PID/channel``: ``V1 <type> <id>``, a NUL, and a body of any bytes."""

from __future__ import annotations

import re
from typing import NamedTuple

from gaffer.api import BadRequest

MESSAGE, RESPONSE, ERROR = "message", "response", "error"
_HEAD = re.compile(rb"V1 (message|response|error) ([!-~]{1,64})\Z")


class ChannelFrame(NamedTuple):
    """Frame of a channel."""

    type: str
    id: str
    body: bytes


def parse(data: str | bytes) -> ChannelFrame:
    """Take a frame apart; everything after the first NUL is its body.

    :raises BadRequest: it is none.
    """
    if isinstance(data, str):
        data = data.encode()
    head, nul, body = data.partition(b"\0")
    found = _HEAD.match(head) if nul else None
    if found is None:
        raise BadRequest("a frame is: V1 message ID, a NUL, and the bytes to write")
    return ChannelFrame(found.group(1).decode(), found.group(2).decode(), body)


def encode(type: str, id: str, body: bytes) -> bytes:
    """Return a frame as it is sent."""
    return f"V1 {type} {id}\0".encode() + body
