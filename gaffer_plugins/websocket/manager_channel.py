"""``/channel/websocket``: the protocol of ``/channel`` on a websocket of its own."""

from __future__ import annotations

from gaffer.api.web import ChannelSession, WebSocket, run_duplex


def talk(websocket: WebSocket, session: ChannelSession) -> None:
    """Let a client subscribe and command until it leaves."""
    run_duplex(websocket, session, websocket.send_all, session.receive, unauthenticated=lambda: session.unauthenticated)
