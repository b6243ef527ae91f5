"""Everything a process says and everything that happens, over HTTP: ``/streams``, ``/watch`` and stored output.

The bytes are in the rings of the processes and the events in the log of the manager; this plugin says how much of
both is kept, and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import Plugin, __version__, hookimpl

from .retention import add_options, apply_options

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Options
    from gaffer.api.web import Route

__all__ = ["StreamsPlugin"]


class StreamsPlugin(Plugin):
    """Output, input and events over HTTP (docs/http-api.rst)."""

    name = "streams"
    version = __version__
    description = "output, stdin and events over HTTP: /streams, /watch, /jobs/S/J/logs, /PID/logs"

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare how much is kept."""
        add_options(options)

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Begin to keep."""
        apply_options(manager)

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Keep what the new settings say; streams that are open go on as they began."""
        apply_options(manager)

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the routes."""
        from .routes import routes

        return routes(manager)
