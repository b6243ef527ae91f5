"""The processes of a manager by pid: those alive, and those that ended a short while ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NotFound
from .ended_processes import EndedProcesses

if TYPE_CHECKING:
    from ..config.names import JobName
    from ..process.process import Process


class ProcessTable:
    """Processes by pid."""

    def __init__(self) -> None:
        #: Those alive, and those just ending.
        self.live: dict[int, Process] = {}
        #: Those that ended, for their output.
        self.ended = EndedProcesses()

    def add(self, process: Process) -> None:
        """Take in a process that was started."""
        self.live[process.pid] = process

    def end(self, process: Process) -> None:
        """Keep a process that has ended among the ended ones."""
        self.live.pop(process.pid, None)
        self.ended.add(process)

    def get(self, pid: int) -> Process:
        """Return a live process.

        :raises NotFound: no such process, or it is gone.
        """
        process = self.live.get(pid) if isinstance(pid, int) else None
        if process is None:
            raise NotFound(f"no process {pid}; 'gafferctl pids' lists them")
        return process

    def find(self, pid: int) -> Process | None:
        """Return a process that lives, or ended a short while ago; None if there is none."""
        return self.live.get(pid) or self.ended.get(pid)

    def job_of(self, pid: int) -> JobName | None:
        """Return the name of the job of a process; None if :meth:`find` finds no process."""
        process = self.find(pid)
        return None if process is None else process.name
