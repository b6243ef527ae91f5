"""Statistics of processes as docs/http-api.rst shows them, from one look at the process table."""

from __future__ import annotations

import pwd
import sys
import time
from typing import Any, Callable, Iterable, NamedTuple, Protocol

from gaffer.api.web import TimeSlice

#: Answers may be this old, in seconds; two looks closer together would say little of CPU use anyway.
FRESH = 0.1
#: Generations of children that are shown; deeper ones are left out.
DEPTH = 20
#: User names that are remembered.
MAX_NAMES = 1000
#: Seconds for which the CPU time of a process is remembered; asked less often, CPU use is that since its start.
MEMORY = 600


class ProcessRow(NamedTuple):
    """A process in the system's table.

    :param start: tells it from others that had or will have its id.
    :param cpu: seconds of CPU it used so far.
    :param rss: resident memory, vms: virtual memory, both in bytes.
    :param age: seconds since it was started.
    """

    parent: int
    start: float
    cpu: float
    rss: int
    vms: int
    nice: int
    age: float


class System(Protocol):
    """Source of the figures."""

    def table(self, roots: Iterable[int]) -> Iterable[tuple[int, ProcessRow]]:
        """Yield at least the processes *roots*, as far as they live, and all below them; some twice, perhaps.

        Each is read when it is asked for, so that others can have their turn in between.
        """

    def details(self, os_pid: int) -> tuple[str, int]:
        """Return command line and effective user id.

        :raises ProcessLookupError: it is gone.
        """

    def memory(self) -> int:
        """Return the machine's memory in bytes."""


def this_system() -> System:
    """Return the way to look at processes here: ``/proc`` on Linux, psutil elsewhere.

    Reading ``/proc`` ourselves takes 20 ms for 500 processes where psutil takes 70 and more.
    """
    if sys.platform == "linux":
        from .proc import Proc

        return Proc()
    from .portable import Portable

    return Portable()


class _Look:
    """Snapshot of the process table, and the answers made from it."""

    def __init__(self, when: float) -> None:
        self.when = when
        self.rows: dict[int, tuple[ProcessRow, float]] = {}
        self.children: dict[int, list[int]] = {}
        self.answers: dict[int, dict[str, Any] | None] = {}

    def add(self, os_pid: int, row: ProcessRow, when: float) -> None:
        """Add what was read at *when*; what is there already stays."""
        if os_pid not in self.rows:
            self.rows[os_pid] = row, when
            self.children.setdefault(row.parent, []).append(os_pid)


class ProcessMeter:
    """Measures processes; remembers what it saw of them to tell CPU use in between.

    :param system: where the figures come from.
    :param clock: monotonic seconds.
    :param give_way: lets others work if it is their turn; called after each process.
    """

    def __init__(
        self,
        system: System | None = None,
        clock: Callable[[], float] = time.monotonic,
        give_way: Callable[[], object] | None = None,
    ) -> None:
        self._system = system or this_system()
        self._clock = clock
        self._memory = self._system.memory() or 1
        self._look: _Look | None = None
        self._seen: dict[int, tuple[float, float, float, float]] = {}
        self._names: dict[int, str] = {}
        self._give_way = give_way or TimeSlice().give_way

    def sample(self, processes: Iterable[Any]) -> dict[int, dict[str, Any]]:
        """Return ``{pid: statistics}`` of gaffer's *processes*; those that are gone are left out."""
        # The id of a process that was collected may be reused by now.
        living = {process.pid: process.os_pid for process in processes if getattr(process, "status", None) is None}
        look = self._see(living.values())
        answers = {pid: self._answer(look, os_pid) for pid, os_pid in living.items()}
        return {pid: {**answer, "pid": pid} for pid, answer in answers.items() if answer is not None}

    def _see(self, os_pids: Iterable[int]) -> _Look:
        """Return a fresh look that has *os_pids*, as far as they live."""
        look = self._look
        if look is None or self._clock() - look.when >= FRESH:
            look = self._look = _Look(self._clock())
            forget = look.when - MEMORY
            self._seen = {os_pid: seen for os_pid, seen in self._seen.items() if seen[1] > forget}
        missing = [os_pid for os_pid in os_pids if os_pid not in look.rows]
        for os_pid, row in self._system.table(missing) if missing else ():
            look.add(os_pid, row, self._clock())
            self._give_way()
        return look

    def _answer(self, look: _Look, os_pid: int, depth: int = DEPTH) -> dict[str, Any] | None:
        """Return the statistics of one process and, below it, of its children."""
        if os_pid not in look.answers:
            look.answers[os_pid] = self._measure(look, os_pid, depth)
        return look.answers[os_pid]

    def _measure(self, look: _Look, os_pid: int, depth: int) -> dict[str, Any] | None:
        row, when = look.rows.get(os_pid, (None, 0.0))
        if row is None:
            return None
        self._give_way()
        try:
            cmdline, uid = self._system.details(os_pid)
        except ProcessLookupError:
            return None
        children = look.children.get(os_pid, ()) if depth else ()
        below = [self._answer(look, child, depth - 1) for child in children if child != os_pid]
        return {
            "pid": None,
            "os_pid": os_pid,
            "mem_info1": row.rss,
            "mem_info2": row.vms,
            "cpu": round(self._cpu(when, os_pid, row), 1),
            "mem": round(100 * row.rss / self._memory, 3),
            "ctime": round(row.cpu, 2),
            "username": self._username(uid),
            "nice": row.nice,
            "cmdline": cmdline,
            "children": [child for child in below if child is not None],
        }

    def _cpu(self, now: float, os_pid: int, row: ProcessRow) -> float:
        """Return per cent of one CPU since the last look; at the first one, since the process started."""
        seen = self._seen.get(os_pid)
        if seen is None or seen[0] != row.start:
            percent = 100 * row.cpu / row.age if row.age > 0 else 0.0
        else:
            _, before, cpu, percent = seen
            if now - before < FRESH:
                return percent  # greenlets that asked at the same time
            percent = max(0.0, 100 * (row.cpu - cpu) / (now - before))
        self._seen[os_pid] = row.start, now, row.cpu, percent
        return percent

    def _username(self, uid: int) -> str:
        name = self._names.get(uid)
        if name is None:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = str(uid)
            self._names[uid] = name
        return name
