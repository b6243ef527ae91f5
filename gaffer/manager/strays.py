"""Strays: descendants of processes that have exited, which nothing else will end (reason 5)."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Iterator

from ..process.environment import DETACHED
from ..process.proc_scan import read_environment, signal_checked

if TYPE_CHECKING:
    from ..supervisor.engine import Engine


class Strays:
    """Finds and kills the strays of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self) -> list[dict[str, Any]]:
        """Return ``{"os_pid", "pid", "job"}`` of each: *pid* is that of the process it descends from."""
        return [*self._find()]

    def kill(self) -> list[dict[str, Any]]:
        """Send KILL to all of them and return them; one that comes to be meanwhile is left."""
        found = self.find()
        for stray in found:
            signal_checked(stray["os_pid"], signal.SIGKILL, lambda os_pid: self._belongs(os_pid) is not None)
        return found

    def _find(self) -> Iterator[dict[str, Any]]:
        termination = self._engine.termination
        for pid, os_pids in termination.find_node(self._engine.node_id).items():
            if termination.owned(pid) is not None or pid in termination.detached:
                continue
            for os_pid in os_pids:
                job = self._belongs(os_pid)
                if job is not None:
                    yield {"os_pid": os_pid, "pid": pid, "job": job}

    def _belongs(self, os_pid: int) -> str | None:
        """Return the name of the job in a process' environment; None if it is detached, gone or not ours."""
        environment = read_environment(os_pid)
        ids = environment.get(b"GAFFER_ID", b"").split(b"/")
        prefix = f"{self._engine.node_id}.".encode()
        if os_pid == os.getpid() or DETACHED.encode() in environment or not any(id.startswith(prefix) for id in ids):
            return None
        return environment.get(b"GAFFER_JOB", b"").decode("utf-8", "replace")
