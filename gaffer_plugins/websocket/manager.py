"""``/channel/websocket``: the protocol of ``/channel`` on a websocket of its own."""

from __future__ import annotations

from gaffer.api.web import Session, WebSocket, converse


def talk(websocket: WebSocket, session: Session) -> None:
    """Let a client subscribe and command until it leaves."""
    converse(websocket, session, websocket.send_all, session.hear, nobody=lambda: session.nobody)
