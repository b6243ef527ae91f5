"""Processes: how they are started, read, watched and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .exit_status import ExitStatus as ExitStatus
    from .process import Process as Process
    from .process import ProcessConfig as ProcessConfig
    from .stats_monitor import ProcessWatcher as ProcessWatcher
    from .stats_monitor import get_process_stats as get_process_stats

__all__ = ["ExitStatus", "Process", "ProcessConfig", "ProcessWatcher", "get_process_stats"]
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ExitStatus": "process.exit_status",
        "Process": "process.process",
        "ProcessConfig": "process.process",
        "ProcessWatcher": "process.stats_monitor",
        "get_process_stats": "process.stats_monitor",
    },
)
