"""``/channel/websocket``: the protocol of ``/channel`` on a websocket of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer.web.channel import Session
from gaffer.web.pump import converse
from gaffer.web.websocket import WebSocket

if TYPE_CHECKING:
    from gaffer.manager import Manager
    from gaffer.web.board import Board


def talk(websocket: WebSocket, manager: Manager, board: Board) -> None:
    """Let a client subscribe and command until it leaves."""
    session = Session(manager, board)
    converse(websocket, session, websocket.send_all, session.hear)
