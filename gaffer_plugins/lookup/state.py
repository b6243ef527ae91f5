"""Desired state of lookupds, and the messages that lead there. Pure: no socket, no clock."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterator

#: Pids in one message: a message may have 256 KiB.
_SOME = 5_000


class Desk:
    """The jobs of this node and their processes, and who is to be told of changes."""

    def __init__(self) -> None:
        self.jobs: dict[str, set[int]] = {}
        #: The number of this state. Lookupds compare what they were told by it, so it grows with each change, and
        #: begins above that of a manager that has run in this process before.
        self.state = time.monotonic_ns() // 1000
        self._heard_by: list[Callable[[str], None]] = []

    def tell(self, changed: Callable[[str], None]) -> None:
        """Call *changed* with the name of each job that changes from now on; it must not wait."""
        self._heard_by.append(changed)

    def add_job(self, name: str) -> None:
        """A job was loaded."""
        self.jobs.setdefault(name, set())
        self._changed(name)

    def remove_job(self, name: str) -> None:
        """A job was unloaded."""
        self.jobs.pop(name, None)
        self._changed(name)

    def add_process(self, name: str, pid: int) -> None:
        """A process was started."""
        self.jobs.setdefault(name, set()).add(pid)
        self._changed(name)

    def remove_process(self, name: str, pid: int) -> None:
        """A process is gone."""
        self.jobs.get(name, set()).discard(pid)
        self._changed(name)

    def _changed(self, name: str) -> None:
        self.state += 1
        for heard in self._heard_by:
            heard(name)


class Told:
    """State of one lookupd: what it was sent, and what is left to send.

    It remembers names of jobs, each once, however often they change: so it is bounded by what runs, and nothing
    can be lost.

    :param one_pid: a message names one process, as a lookupd of gaffer 0.5 wants it, which ignores ``pids``.
    """

    def __init__(self, desk: Desk, one_pid: bool = False) -> None:
        self._desk = desk
        self._one_pid = one_pid
        self._sent: dict[str, set[int]] = {}
        self._dirty: dict[str, None] = dict.fromkeys(desk.jobs)

    def mark(self, name: str) -> None:
        """Something about a job changed."""
        self._dirty[name] = None

    def __bool__(self) -> bool:
        """True if there is something to send."""
        return bool(self._dirty)

    def forget(self, name: str) -> None:
        """The lookupd refused a job: it is not told of its processes, either, until it changes."""
        self._sent.pop(name, None)

    def ping(self) -> dict[str, Any]:
        """Return a sign of life; it says up to where all is told."""
        return {"type": "PING"} if self._dirty else {"type": "PING", "state": self._desk.state}

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the messages, of one job after the other; what is yielded counts as told.

        Where nothing else is to be told, the last one says so with the number of the state.
        """
        while self._dirty:
            name = next(iter(self._dirty))
            del self._dirty[name]
            about = list(self._about(name))
            if about and not self._dirty:
                about[-1]["state"] = self._desk.state
            yield from about

    def _about(self, name: str) -> Iterator[dict[str, Any]]:
        wanted, sent = self._desk.jobs.get(name), self._sent.get(name)
        if wanted is None:
            if self._sent.pop(name, None) is not None:
                yield {"type": "UNREGISTER_JOB", "job_name": name}
            return
        now = set(wanted)
        self._sent[name] = now
        if sent is None:
            first = [] if self._one_pid else sorted(now)[:_SOME]
            yield {"type": "REGISTER_JOB", "job_name": name, "pids": first}
            sent = set(first)
        for kind, changed in (("UNREGISTER_PROCESS", sent - now), ("REGISTER_PROCESS", now - sent)):
            pids = sorted(changed)
            if self._one_pid:
                yield from ({"type": kind, "job_name": name, "pid": pid} for pid in pids)
                continue
            for at in range(0, len(pids), _SOME):
                yield {"type": kind, "job_name": name, "pids": pids[at : at + _SOME]}
