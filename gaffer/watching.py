"""The part of a manager that others watch by: statistics as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Hashable

from .errors import BadRequest
from .monitor import FASTEST, Find, Monitor
from .names import parse_job_name
from .process import Process

if TYPE_CHECKING:
    from .job import Job

#: The name of what listeners of a manager get; those of a process get ``stat``.
STATS = "STATS"


class Watching:
    """Base of the manager."""

    statistics: Monitor
    job: Callable[..., Job]
    has_job: Callable[..., bool]
    get_process: Callable[[int], Process]

    def monitor(self, listener: Any, name: Any, interval: float = FASTEST) -> None:
        """Call ``listener("STATS", statistics)`` for each process of a job, every *interval* seconds.

        Both orders of the first two arguments will do: the listener is the one that can be called.

        :param name: a job, also one that is unloaded and loaded again meanwhile; or the pid of a process.
        :param interval: seconds, at least 0.1.
        :raises NotFound: no such job or process. :raises Unavailable: no plugin collects statistics.
        """
        listener, name = _listener_first(listener, name)
        whose, find = self._target(name)
        self.statistics.subscribe(STATS, whose, listener, find, interval)

    def unmonitor(self, listener: Any, name: Any) -> None:
        """Take back what :meth:`monitor` did, with its arguments in either order; nothing happens if it did nothing."""
        listener, name = _listener_first(listener, name)
        pid = _pid(name)
        self.statistics.unsubscribe(STATS, parse_job_name(name) if pid is None else pid, listener)

    def _target(self, name: Any) -> tuple[Hashable, Find]:
        """Return what a subscription is known by, and the way to its processes."""
        pid = _pid(name)
        if pid is not None:
            return pid, self.get_process(pid).measurable
        job_name = self.job(name).name
        return job_name, lambda: [copy.process for copy in self.job(job_name).live()] if self.has_job(job_name) else []


def _pid(name: Any) -> int | None:
    """Return the pid that *name* is or stands for; None for the name of a job."""
    if isinstance(name, Process):
        return name.pid
    if isinstance(name, int):
        return name
    return int(name) if isinstance(name, str) and name.isdecimal() else None


def _listener_first(listener: Any, name: Any) -> tuple[Callable[..., Any], Any]:
    if not callable(listener):
        listener, name = name, listener
    if not callable(listener):
        raise BadRequest(f"a listener must be callable, not {listener!r}")
    return listener, name
