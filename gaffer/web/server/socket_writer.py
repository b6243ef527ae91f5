"""Writing to a connection, piece by piece: what is long shares the loop with everything else."""

from __future__ import annotations

from typing import Any, Sequence

from ...events.time_slice import TimeSlice

#: Bytes after which others are let in.
PIECE_BYTES = 65_536
#: Parts are put together up to this size; no more than so many are sent at once (writev(2) takes 1024).
_SMALL = 1_024
_MOST_PARTS = 256


def send_parts(sock: Any, parts: Sequence[bytes], turn: TimeSlice) -> None:
    """Send all *parts*, in this order; they are not copied, so that many connections can wait with the same bytes.

    :param turn: asked after each piece.
    :raises OSError: the connection is gone, or took nothing within its timeout.
    """
    size = sum(map(len, parts))
    if size <= _SMALL:
        sock.sendall(parts[0] if len(parts) == 1 else b"".join(parts))
        return
    if size < len(parts) * _SMALL:
        parts = (b"".join(parts),)
    left = [memoryview(part) for part in parts if part]
    together = not hasattr(sock, "do_handshake")  # TLS sends one part at a time
    while left:
        sent = sock.sendmsg(left[:_MOST_PARTS]) if together else sock.send(left[0][:PIECE_BYTES])
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if left:
            left[0] = left[0][sent:]
            turn.give_way(bulk=True)
