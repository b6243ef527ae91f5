"""``/channel/websocket``: the protocol of ``/channel`` on a websocket of its own."""

from __future__ import annotations

from gaffer.web.channel import Session
from gaffer.web.pump import converse
from gaffer.web.websocket import WebSocket


def talk(websocket: WebSocket, session: Session) -> None:
    """Let a client subscribe and command until it leaves."""
    converse(websocket, session, websocket.send_all, session.hear, nobody=lambda: session.nobody)
