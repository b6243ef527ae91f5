"""The frames of a websocket (RFC 6455 §5): encoding, decoding and the assembly of messages, for both ends."""

from __future__ import annotations

import sys
from typing import NamedTuple

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
#: Opcodes of frames (RFC 6455 §5.2).
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
#: Bytes that a control frame may hold.
_MAX_CONTROL_BYTES = 125
#: Bytes of the reason in a close frame, after its code.
_MAX_REASON_BYTES = _MAX_CONTROL_BYTES - 2
#: Frames that a message may come in: many tiny ones would cost more than what they hold.
MAX_FRAMES = 16_384


class FrameError(Exception):
    """A frame or message that is not allowed; the websocket is closed with *code*."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class WebSocketFrame(NamedTuple):
    """A frame, or a message put together from its fragments."""

    opcode: int
    payload: bytes
    final: bool = True


def encode_frame(payload: bytes, opcode: int, mask: bytes = b"", final: bool = True) -> bytes:
    """Return a frame.

    :param mask: four random bytes; a client's frames must have them, a server's must not.
    """
    head = _head(len(payload), final << 7 | opcode, 0x80 if mask else 0)
    return head + mask + apply_mask(payload, mask) if mask else head + payload


def _head(size: int, first: int, masked: int = 0) -> bytes:
    marker, width = (size, 0) if size < 126 else (126, 2) if size < 1 << 16 else (127, 8)
    return bytes((first, masked | marker)) + (size.to_bytes(width, "big") if width else b"")


def message_parts(message: str | bytes, binary: bool | None = None) -> tuple[bytes, bytes]:
    """Return head and payload of a message's frame: text as text, bytes as binary.

    :param binary: send text as binary, too.
    """
    text = isinstance(message, str)
    payload = message.encode("utf-8", "replace") if isinstance(message, str) else message
    return _head(len(payload), 0x80 | (TEXT if text and not binary else BINARY)), payload


def encode_close(code: int, reason: str | bytes = "") -> bytes:
    """Return the payload of a close frame, with as much of the reason as it can hold, in whole characters."""
    data = reason.encode("utf-8", "replace") if isinstance(reason, str) else reason
    if len(data) > _MAX_REASON_BYTES:
        data = data[:_MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + data


def decode_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame.

    :raises FrameError: it holds a code that must not be sent, or a reason that is not UTF-8.
    """
    code = int.from_bytes(payload[:2], "big") if payload else NORMAL
    if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameError(PROTOCOL, "that is no close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(NOT_TEXT, "the reason of a close must be UTF-8") from None


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """Return *payload* with every byte XORed by the mask's; integers of any length do it in C."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    order = sys.byteorder
    return (int.from_bytes(payload, order) ^ int.from_bytes(key, order)).to_bytes(size, order)


class FrameDecoder:
    """A decoder of what one end of a websocket receives; it reserves only memory for what has come.

    :param limit: bytes that a message may have.
    :param masked: whether the peer is a client, whose frames must be masked; a server's must not.
    :param data: what has come already.
    """

    def __init__(self, limit: int, masked: bool, data: bytes = b"") -> None:
        self.limit = limit
        #: Bytes to feed before :meth:`take` can go on.
        self.missing = 0
        self._masked = masked
        self._buffer = bytearray(data)
        self._begin()

    def _begin(self) -> None:
        self._opcode = CONTINUATION
        self._parts: list[bytes] = []
        self._size = self._frames = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def take(self) -> WebSocketFrame | None:
        """Return the next message or control frame; None when :attr:`missing` bytes have to come, or after a fragment.

        :raises FrameError: what has come is not allowed.
        """
        frame = self._next_frame()
        return frame if frame is None or frame.opcode >= CLOSE else self._assemble(frame)

    def _next_frame(self) -> WebSocketFrame | None:
        if not self._has(2):
            return None
        head, marker = self._buffer[0], self._buffer[1] & 0x7F
        self._check(head, marker)
        width = 0 if marker < 126 else 2 if marker == 126 else 8
        start = 2 + width + (4 if self._masked else 0)
        if not self._has(start):
            return None
        size = int.from_bytes(self._buffer[2 : 2 + width], "big") if width else marker
        opcode = head & 0xF
        if opcode < CLOSE and size > self.limit - self._size:
            raise FrameError(TOO_BIG, f"a message may have {self.limit} bytes")
        end = start + size
        if not self._has(end):
            return None
        data = bytes(self._buffer[start:end])
        if self._masked:
            data = apply_mask(data, bytes(self._buffer[start - 4 : start]))
        del self._buffer[:end]
        return WebSocketFrame(opcode, data, head > 0x7F)

    def _has(self, size: int) -> bool:
        missing = size - len(self._buffer)
        self.missing = missing if missing > 0 else 0
        return missing <= 0

    def _check(self, head: int, marker: int) -> None:
        """Check the first two bytes of a frame."""
        if head & 0x70:
            raise FrameError(PROTOCOL, "no extension was agreed on")
        if (self._buffer[1] > 0x7F) != self._masked:
            raise FrameError(PROTOCOL, f"frames of a {'client must' if self._masked else 'server must not'} be masked")
        opcode = head & 0xF
        if opcode not in _OPCODES:
            raise FrameError(PROTOCOL, f"there is no opcode {opcode}")
        if opcode >= CLOSE and (head <= 0x7F or marker > _MAX_CONTROL_BYTES):
            raise FrameError(PROTOCOL, f"a control frame must be whole and have at most {_MAX_CONTROL_BYTES} bytes")

    def _assemble(self, frame: WebSocketFrame) -> WebSocketFrame | None:
        """Add a data frame to its message; returns the message with its last one."""
        if (frame.opcode == CONTINUATION) == (self._frames == 0):
            raise FrameError(PROTOCOL, "fragments are mixed up")
        if frame.final and not self._frames:
            return frame
        self._opcode = self._opcode or frame.opcode
        self._size += len(frame.payload)
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise FrameError(TOO_BIG, f"a message may come in {MAX_FRAMES} frames")
        if frame.payload:
            self._parts.append(frame.payload)
        if not frame.final:
            return None
        message = WebSocketFrame(self._opcode, b"".join(self._parts))
        self._begin()
        return message
