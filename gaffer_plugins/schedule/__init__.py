"""Scheduled jobs: run at times like those of cron, or at intervals, instead of all the time.

A job says ``schedule = 0 3 * * *`` or ``every = 15m``. It keeps no processes: each run is a committed process. ``GET
/jobs/S/J/runs`` shows the latest runs, ``POST /jobs/S/J/run`` starts one now.

Importing this package imports nothing more: the command lines live in :mod:`.cli`, and most daemons have no such job.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SchedulePlugin"]


def __getattr__(name: str) -> Any:
    if name != "SchedulePlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .plugin import SchedulePlugin

    globals()[name] = SchedulePlugin
    return SchedulePlugin
