"""The process table of other systems, through psutil.

psutil's ``Process.wait()`` is never called: it would take the exit status that
the engine waits for.
"""

from __future__ import annotations

import time
from typing import Iterable, Iterator

import psutil

from .meter import ProcessRow

_WANTED = ["ppid", "create_time", "cpu_times", "memory_info", "nice", "status"]


class Portable:
    """Asks psutil."""

    def table(self, roots: Iterable[int]) -> Iterator[tuple[int, ProcessRow]]:
        """Yield every living process: only *roots* and those below them would need as long."""
        for process in psutil.process_iter(_WANTED):
            # psutil knows starts by the wall clock only.
            row = self._row(process.info, time.time())
            if row is not None:
                yield process.pid, row

    @staticmethod
    def _row(info: dict, now: float) -> ProcessRow | None:  # type: ignore[type-arg]
        times, memory = info["cpu_times"], info["memory_info"]
        if times is None or memory is None or info["status"] == psutil.STATUS_ZOMBIE:
            return None
        started = info["create_time"]
        return ProcessRow(
            info["ppid"], started, times.user + times.system, memory.rss, memory.vms, info["nice"], now - started
        )

    def details(self, os_pid: int) -> tuple[str, int]:
        """Return command line and effective user id.

        :raises ProcessLookupError: it is gone, or not ours to see.
        """
        try:
            process = psutil.Process(os_pid)
            with process.oneshot():
                return " ".join(process.cmdline()), process.uids().effective
        except psutil.Error as error:
            raise ProcessLookupError(f"process {os_pid} is gone") from error

    def memory(self) -> int:
        """Return the machine's memory in bytes."""
        return int(psutil.virtual_memory().total)
