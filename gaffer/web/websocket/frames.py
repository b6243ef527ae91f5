"""The frames of a websocket (RFC 6455 §5): headers are gevent-websocket's, the checks and the unmasking are ours."""

from __future__ import annotations

import sys
from typing import Any

from geventwebsocket.websocket import Header, WebSocket

#: Codes of a close frame (RFC 6455 §7.4.1).
NORMAL, GOING_AWAY, PROTOCOL, NOT_TEXT, POLICY_VIOLATION, TOO_BIG, FAILED, TRY_AGAIN_LATER = (
    1000,
    1001,
    1002,
    1007,
    1008,
    1009,
    1011,
    1013,
)
#: Bytes of the reason in a close frame, which holds at most 125 together with its code.
_MAX_REASON_BYTES = 123
#: Those that the RFC defines.
_OPCODES = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))


class FrameError(Exception):
    """A frame or message that is not allowed; the websocket is closed with *code*."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def read_header(reader: Any, max_payload: int | None, max_message: int) -> Header:
    """Read the header of a client's next frame.

    :param reader: ``read(size)`` returns exactly so many bytes.
    :param max_payload: bytes that its payload may have, None for any number.
    :param max_message: bytes that the whole message may have, for the sentence.
    :raises FrameError: it is not allowed.
    """
    header = Header.decode_header(reader)
    if header.flags:
        raise FrameError(PROTOCOL, "no extension was agreed on")
    if not header.mask:
        raise FrameError(PROTOCOL, "frames of a client must be masked")
    if header.opcode not in _OPCODES:
        raise FrameError(PROTOCOL, f"there is no opcode {header.opcode}")
    if max_payload is not None and header.length > max_payload and header.opcode < WebSocket.OPCODE_CLOSE:
        raise FrameError(TOO_BIG, f"a message may have {max_message} bytes")
    return header


def encode_frame(message: bytes, opcode: int) -> bytes:
    """Return one whole frame."""
    return bytes(Header.encode_header(True, opcode, b"", len(message), 0)) + message


def encode_message(message: str | bytes, binary: bool | None = None) -> bytes:
    """Return a message as a frame: text as text, bytes as binary, unless *binary* says that text is binary, too."""
    if isinstance(message, bytes):
        return encode_frame(message, WebSocket.OPCODE_BINARY)
    return encode_frame(
        message.encode("utf-8", "replace"), WebSocket.OPCODE_BINARY if binary else WebSocket.OPCODE_TEXT
    )


def shorten_reason(reason: bytes) -> bytes:
    """Return as much of a reason as a close frame can hold, in whole characters."""
    return reason if len(reason) <= _MAX_REASON_BYTES else reason[:_MAX_REASON_BYTES].decode("utf-8", "ignore").encode()


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return *payload* with every byte XORed by the mask's; integers of any length do it in C."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    order = sys.byteorder
    return (int.from_bytes(payload, order) ^ int.from_bytes(key, order)).to_bytes(size, order)
