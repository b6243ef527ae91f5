"""Both directions of a websocket at once: items of a source are sent, messages of the peer are handled."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any, Callable, Protocol

import gevent
from gevent.event import Event

from ...events.time_slice import TimeSlice
from ...websocket.frames import FAILED, NORMAL
from ..requests.replies import INTERNAL_ERROR
from .websocket import Closed, WebSocket

log = logging.getLogger("gaffer.web")


class MessageSource(Protocol):
    """Protocol of a source whose items are sent."""

    wake: Callable[[], None] | None

    def take(self) -> list[Any]: ...

    @property
    def ended(self) -> bool: ...

    def close(self) -> None: ...


def run_duplex(
    websocket: WebSocket,
    source: MessageSource,
    send: Callable[[list[Any]], Any],
    receive: Callable[[str | bytes], Any],
    farewell: str = "",
    beat: tuple[float, Any] | None = None,
    unauthenticated: Callable[[], bool] = lambda: False,
) -> None:
    """Send the items of *source* and handle the messages of the peer, until either ends; *source* is closed then.

    :param send: sends items.
    :param receive: handles a message; while it waits, nothing more is read from the peer. It has to return once
        *source* is closed.
    :param farewell: the reason of the close when the source has ended.
    :param beat: after so many seconds without anything to send, this item is sent.
    :param unauthenticated: tells whether the peer has still to show a key; until then its slot may be taken by others.
    """
    sender = gevent.spawn(_send, websocket, source, send, farewell, beat)
    try:
        with ExitStack() as waiting:
            if unauthenticated():
                waiting.enter_context(websocket.as_unauthenticated())
            while (message := websocket.receive()) is not None:
                receive(message)
                if not unauthenticated():
                    waiting.close()
    finally:
        sender.kill(block=False)
        source.wake = None
        source.close()


def _send(
    websocket: WebSocket,
    source: MessageSource,
    send: Callable[[list[Any]], Any],
    farewell: str,
    beat: tuple[float, Any] | None,
) -> None:
    bell, turn = Event(), TimeSlice()
    silence = None if beat is None else beat[0]
    source.wake = bell.set
    try:
        while not websocket.closed:
            # Also after waiting: one line may have woken a thousand.
            turn.give_way(bulk=True)
            bell.clear()
            items = source.take()
            if items:
                send(items)
            elif source.ended:
                websocket.close(NORMAL, farewell)
                return
            else:
                if not bell.wait(silence) and beat is not None:
                    send([beat[1]])
    except Closed:
        source.close()  # receive() may wait until something was sent
    except Exception as error:
        log.error("what a websocket was to be sent failed: %r", error, exc_info=error)
        websocket.close(FAILED, INTERNAL_ERROR)
