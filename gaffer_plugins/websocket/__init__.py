"""Websockets (docs/channel.rst): ``/wstreams``, ``/PID/channel``, ``/channel/websocket``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import Plugin, __version__, hookimpl

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api.web import Route

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
