"""``/wstreams/PID``: bytes as they are, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer.errors import GafferError, Unavailable
from gaffer.web.pump import converse
from gaffer.web.websocket import LATER, POLICY, WebSocket

from .framed import PATIENCE

if TYPE_CHECKING:
    from gaffer.process import Process


def talk(websocket: WebSocket, source: Any, process: Process) -> None:
    """Pass messages on to stdin and output to the peer; both sides are bytes without any frame of ours."""

    def send(items: list[Any]) -> None:
        for item in items:
            if item.lost:
                # There is no way to say so but to end: bytes that are not there must not look as if nothing was.
                websocket.close(LATER, f"gap: {item.lost} bytes were lost, you are too slow")
                return
            websocket.send(item.data)

    def hear(message: str | bytes) -> None:
        data = message.encode() if isinstance(message, str) else message
        try:
            process.writer(None).deliver(data, PATIENCE)
        except GafferError as error:
            websocket.close(LATER if isinstance(error, Unavailable) else POLICY, str(error))

    converse(websocket, source, send, hear, f"process {process.pid} has exited")
