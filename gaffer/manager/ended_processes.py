"""Processes that ended: their output can be read a while longer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.names import JobName
    from ..process.process import Process

#: Ended processes that are kept …
PROCESSES = 200
#: … and bytes of their output; the processes that ended first go first.
SIZE = 16_777_216


class EndedProcesses:
    """The processes that ended last, with what their rings hold.

    :param most: how many.
    :param size: bytes of output that they may hold together.
    """

    def __init__(self, most: int = PROCESSES, size: int = SIZE) -> None:
        self.most = most
        self.size = size
        self._processes: OrderedDict[int, Process] = OrderedDict()
        self._sizes: dict[int, int] = {}
        self._held = 0

    def add(self, process: Process) -> None:
        """Keep a process whose descriptors are closed."""
        if process.pid in self._processes:
            return
        self._processes[process.pid] = process
        self._sizes[process.pid] = held = _size(process)
        self._held += held
        while len(self._processes) > self.most or self._held > self.size:
            pid, _ = self._processes.popitem(last=False)
            self._held -= self._sizes.pop(pid)

    def get(self, pid: int) -> Process | None:
        """Return a kept process, None if it is not there any more."""
        return self._processes.get(pid)

    def of(self, name: JobName) -> list[Process]:
        """Return the kept processes of a job, those that ended first in front."""
        return [process for process in self._processes.values() if process.name == name]


def _size(process: Process) -> int:
    duplexes = (process.duplexes or {}).values()
    return sum(reader.held for reader in (*process.readers.values(), *(duplex.reader for duplex in duplexes)))
