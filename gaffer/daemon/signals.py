"""The signals of gafferd, and what each does (docs/command-line.rst)."""

from __future__ import annotations

import signal
from typing import Any, Callable

from ..service.signals import STOP

Action = Callable[[], Any]


def gafferd_actions(stop: Action, reload: Action, reopen_logs: Action, child_died: Action) -> dict[int, Action | None]:
    """Return what to do for each signal; None ignores one."""
    return {
        **dict.fromkeys(STOP, stop),
        signal.SIGHUP: reload,
        signal.SIGUSR1: reopen_logs,
        signal.SIGUSR2: None,
        signal.SIGCHLD: child_died,
    }
