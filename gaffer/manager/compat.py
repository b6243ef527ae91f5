"""Spellings of gaffer 0.4 and 0.5 that have a better one today. They go on working."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ..config.fields import Flapping
from ..errors import BadRequest

if TYPE_CHECKING:
    from ..process.process import Process
    from ..supervisor.job import Job
    from .manager import Manager


class FlappingInfo(Flapping):
    """The setting ``flapping`` of a job, under gaffer 0.5's name and with its defaults."""

    __slots__ = ()

    def __new__(cls, attempts: int = 2, window: float = 1.0, retry_in: float = 7.0, max_retry: int = 5) -> FlappingInfo:
        return super().__new__(cls, attempts, window, retry_in, max_retry)


class OldSpellings:
    """Methods of the manager that say the same in other words."""

    def add_process(self: Any, name: str, cmd: str, **settings: Any) -> Job:
        """Load a job, under gaffer 0.5's name: ``add_process("web", "serve", numprocesses=2, start=False)``.

        :param settings: any other setting of a job.
        :raises Conflict: it is loaded already, or a plugin refused. :raises InvalidConfig: lists what is wrong.
        """
        job: Job = self.load({"name": name, "cmd": cmd, **settings})
        return job

    def manage(self: Any, name: Any) -> None:
        """Bring a job that is wanted up to its number of processes now: copies that wait to be tried again are tried.

        There is nothing else to do: a manager keeps every job at its number by itself.
        """
        if self.job(name).active:
            self.start_job(name)

    def jobs_walk(self: Any, callback: Callable[[Manager, str], Any], sessionid: str | None = None) -> None:
        """Call ``callback(manager, full name)`` for every job."""
        for name in self.jobs(sessionid):
            callback(self, name)

    def walk(self: Any, callback: Callable[[Manager, Process], Any], name: Any = None) -> None:
        """Call ``callback(manager, process)`` for every process."""
        for process in self.list(name):
            callback(self, process)

    def start_processes(self: Any) -> None:
        """Start every job."""
        for name in self.jobs():
            self.start_job(name)

    def stop_processes(self: Any) -> None:
        """Stop every job."""
        for name in reversed(self.jobs()):
            self.stop_job(name)

    def wakeup(self: Any) -> None:
        """Make the loop look around, from any thread; kept as in gaffer 0.5."""
        self.later(lambda: None)


def listener_first(listener: Any, name: Any) -> tuple[Callable[..., Any], Any]:
    """Return a listener and the name of a job, given in either order: the listener is the one that can be called.

    :raises BadRequest: neither can.
    """
    if not callable(listener):
        listener, name = name, listener
    if not callable(listener):
        raise BadRequest(f"a listener must be callable, not {listener!r}")
    return listener, name
