"""Everything a process says and everything that happens, over HTTP: ``/streams``, ``/watch`` and stored output.

The bytes are in the rings of the processes and the events in the log of the manager; this plugin says how much of
both is kept, and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import Plugin, __version__, hookimpl
from gaffer.api import GROWN_SIZE, GROWN_TOTAL, RING_SIZE, Int

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Options
    from gaffer.api.web import Route

__all__ = ["StreamsPlugin"]

#: Events that are kept for those who come back.
EVENTS = 1000
#: Ended processes whose output can still be read.
ENDED = 200
_MIB = 1 << 20


class StreamsPlugin(Plugin):
    """Output, input and events over HTTP (docs/http-api.rst)."""

    name = "streams"
    version = __version__
    description = "output, stdin and events over HTTP: /streams, /watch, /jobs/S/J/logs, /PID/logs"

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare how much is kept."""
        size = Int(4096, 64 * _MIB)
        options.add("output_kept", size, RING_SIZE, "bytes of output that are kept of each stream", needs_restart=False)
        options.add(
            "output_kept_reading",
            size,
            GROWN_SIZE,
            "bytes of output that are kept of a stream for a reader that is slow",
            needs_restart=False,
        )
        options.add(
            "output_kept_total",
            Int(0, 16 * 1024 * _MIB),
            GROWN_TOTAL,
            "bytes that are kept for slow readers of all streams together",
            needs_restart=False,
        )
        options.add(
            "ended_kept",
            Int(0, 100_000),
            ENDED,
            "processes whose output can be read after their end",
            needs_restart=False,
        )
        options.add(
            "events_kept",
            Int(0, 1_000_000),
            EVENTS,
            "events that are kept for those who come back",
            needs_restart=False,
        )

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Begin to keep."""
        self._keep(manager)

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Keep what the new settings say; streams that are open go on as they began."""
        self._keep(manager)

    @staticmethod
    def _keep(manager: Manager) -> None:
        option = manager.option
        manager.rings.size = option("output_kept", RING_SIZE)
        manager.rings.most = max(option("output_kept_reading", GROWN_SIZE), manager.rings.size)
        manager.rings.total = option("output_kept_total", GROWN_TOTAL)
        manager.past.most = option("ended_kept", ENDED)
        manager.events.remember(option("events_kept", EVENTS))

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the routes."""
        from .routes import routes

        return routes(manager)
