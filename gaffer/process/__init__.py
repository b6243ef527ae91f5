"""Processes: how they are started, read, watched and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .exit_status import ExitStatus as ExitStatus
    from .process import Process as Process
    from .process import ProcessConfig as ProcessConfig
    from .sampler import ProcessWatcher as ProcessWatcher
    from .sampler import get_process_stats as get_process_stats

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "process.exit_status": "ExitStatus",
        "process.process": "Process ProcessConfig",
        "process.sampler": "ProcessWatcher get_process_stats",
    },
)
