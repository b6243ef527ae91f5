"""Writing to a connection, piece by piece: what is long shares the loop with everything else."""

from __future__ import annotations

from typing import Any, Sequence

from ...events.time_slice import TimeSlice

#: Bytes after which others are let in, and up to which parts are put together.
PIECE_BYTES = 65_536


def send_parts(sock: Any, parts: Sequence[bytes], turn: TimeSlice) -> None:
    """Send all *parts*, in this order; they are not copied, so that many connections can wait with the same bytes.

    :param turn: asked after each piece.
    :raises OSError: the connection is gone, or took nothing within its timeout.
    """
    if sum(map(len, parts)) <= PIECE_BYTES // 16:
        sock.sendall(parts[0] if len(parts) == 1 else b"".join(parts))
        return
    left = [memoryview(part) for part in parts if part]
    together = not hasattr(sock, "do_handshake")  # TLS sends one part at a time
    while left:
        sent = sock.sendmsg(left) if together else sock.send(left[0][:PIECE_BYTES])
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if left:
            left[0] = left[0][sent:]
            turn.give_way(bulk=True)
