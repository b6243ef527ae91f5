"""Amounts of output and events that are kept for readers who come back: the options, and where they take effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer.api import GROWN_SIZE, GROWN_TOTAL, RING_SIZE, Int

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Options

#: Events that are kept for those who come back.
EVENTS = 1000
#: Ended processes whose output can still be read.
ENDED = 200
_MIB = 1 << 20


def add_options(options: Options) -> None:
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


def apply_options(manager: Manager) -> None:
    """Keep what the settings of *manager* say; streams that are open go on as they began."""
    option = manager.option
    manager.rings.size = option("output_kept", RING_SIZE)
    manager.rings.most = max(option("output_kept_reading", GROWN_SIZE), manager.rings.size)
    manager.rings.total = option("output_kept_total", GROWN_TOTAL)
    manager.past.most = option("ended_kept", ENDED)
    manager.events.remember(option("events_kept", EVENTS))
