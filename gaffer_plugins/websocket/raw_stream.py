"""``/wstreams/PID``: bytes as they are, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gaffer.api import GafferError, Unavailable
from gaffer.api.web import POLICY_VIOLATION, TRY_AGAIN_LATER, WebSocket, run_duplex

from .process_channel import WRITE_TIMEOUT

if TYPE_CHECKING:
    from gaffer.api import Process


def talk(websocket: WebSocket, source: Any, process: Process, check_write: Callable[[], None] = lambda: None) -> None:
    """Pass messages on to stdin and output to the peer; both sides are bytes without any frame of ours.

    :param check_write: raises once the peer may not write any more.
    """

    def send(items: list[Any]) -> None:
        for item in items:
            if item.lost:
                # There is no way to say so but to end: bytes that are not there must not look as if nothing was.
                websocket.close(TRY_AGAIN_LATER, f"gap: {item.lost} bytes were lost, you are too slow")
                return
            websocket.send(item.data)

    def receive(message: str | bytes) -> None:
        data = message.encode() if isinstance(message, str) else message
        try:
            check_write()
            process.writer(None).deliver(data, WRITE_TIMEOUT, check_write)
        except GafferError as error:
            websocket.close(TRY_AGAIN_LATER if isinstance(error, Unavailable) else POLICY_VIOLATION, str(error))

    run_duplex(websocket, source, send, receive, f"process {process.pid} has exited")
