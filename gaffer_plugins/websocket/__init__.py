"""Processes and the manager over websockets (CONTRACT §6): ``/wstreams``, ``/PID/channel``, ``/channel/websocket``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import Plugin, hookimpl
from gaffer.version import __version__

if TYPE_CHECKING:
    from gaffer.manager import Manager
    from gaffer.web.routes import Route

__all__ = ["WebsocketPlugin"]


class WebsocketPlugin(Plugin):
    """Websockets."""

    name = "websocket"
    version = __version__
    description = "websockets: /wstreams/PID, /PID/channel, /channel/websocket"

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the routes; what they need is imported by the first of them that is used."""
        from .routes import routes

        return routes(manager)
