"""Strays: descendants of processes that have exited, which nothing else will end (reason 5)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Iterator

from ..process.environment import DETACHED
from ..process.proc_scan import environment_of, parse_environment, pids_in, signal_checked

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
        """Send KILL to all of them, and for a moment to those they become meanwhile; return those found before."""
        found = self.find()
        for stray in found:
            signal_checked(
                stray["os_pid"], signal.SIGKILL, lambda os_pid: self._stray(environment_of(os_pid)) is not None
            )
        self._engine.termination.hunt(lambda environment: self._stray(environment) is not None)
        return found

    def _find(self) -> Iterator[dict[str, Any]]:
        for os_pids in self._engine.termination.find_node(self._engine.node_id).values():
            for os_pid in os_pids:
                stray = self._stray(environment_of(os_pid))
                if stray is not None:
                    yield {"os_pid": os_pid, "pid": stray[0], "job": stray[1]}

    def _stray(self, environment: bytes) -> tuple[int, str] | None:
        """Return from whose process and job a stray with this environment descends; None if it is not one."""
        termination = self._engine.termination
        for pid in pids_in(environment, self._engine.node_id):
            variables = parse_environment(environment)
            supervised = termination.owned(pid) is not None and pid not in termination.stuck
            if supervised or pid in termination.detached or DETACHED.encode() in variables:
                return None
            return pid, variables.get(b"GAFFER_JOB", b"").decode("utf-8", "replace")
        return None
