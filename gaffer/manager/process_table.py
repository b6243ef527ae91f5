"""The part of a manager that deals with processes one by one: finding, signalling, stopping and writing to them."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Callable

from ..config.fields import parse_signal
from ..errors import BadRequest, NotFound
from ..process.process import Process
from ..supervisor import messages
from ..supervisor.engine import Engine
from .ended_processes import Past
from .subscriptions import Watching

if TYPE_CHECKING:
    from ..config.names import JobName
    from ..supervisor.job import Job


class Processes(Watching):
    """Base of the manager."""

    engine: Engine
    #: Processes that live, and those just ending, by pid.
    running: dict[int, Process]
    past: Past
    job: Callable[..., Job]

    def pids(self, name: Any = None) -> builtins.list[int]:
        """Return the pids of all processes, or of one job's."""
        if name is None:
            return sorted(self.running)
        return [copy.process.pid for copy in self.job(name).live()]

    def list(self, name: Any = None) -> builtins.list[Process]:
        """Return the processes, all or one job's."""
        return [self.running[pid] for pid in self.pids(name) if pid in self.running]

    def walk(self, callback: Callable[[Any, Process], Any], name: Any = None) -> None:
        """Call ``callback(manager, process)`` for every process."""
        for process in self.list(name):
            callback(self, process)

    def get_process_id(self) -> int:
        """Return a new pid, never used before or after: for a process of your own beside the manager's."""
        return self.engine.next_pid()

    def get_process(self, pid: int) -> Process:
        """Return a live process.

        :raises NotFound: no such process, or it is gone.
        """
        process = self.running.get(pid) if isinstance(pid, int) else None
        if process is None:
            raise NotFound(f"no process {pid}; 'gafferctl pids' lists them")
        return process

    def any_process(self, pid: int) -> Process | None:
        """Return a process that lives, or ended a short while ago; None if there is none."""
        return self.running.get(pid) or self.past.get(pid)

    def find_process(self, pid: int) -> Process:
        """Return a process that lives, or ended a short while ago.

        :raises NotFound: there is none, or it ended too long ago.
        """
        past = self.past.get(pid) if pid not in self.running else None
        return past or self.get_process(pid)

    def job_name_of(self, pid: int) -> JobName | None:
        """Return the name of the job of a process, None if there is no such process."""
        process = self.any_process(pid)
        return None if process is None else process.name

    def process_info(self, pid: int) -> dict[str, Any]:
        """Return what ``GET /PID`` shows (docs/http-api.rst)."""
        return self.get_process(pid).info

    def kill(self, pid: int, sig: int | str) -> None:
        """Send a signal to a process and its group.

        :raises BadRequest: no such signal. :raises NotFound: no such process.
        """
        self.get_process(pid).kill(_parse_signal(sig))

    def killall(self, name: Any, sig: int | str) -> int:
        """Send a signal to every process of a job; returns how many got it."""
        signum = _parse_signal(sig)
        job = self.job(name)
        sent = 0
        for copy in job.live():
            try:
                copy.process.kill(signum)
                sent += 1
            except NotFound:
                continue
        return sent

    def signalled(self, process: Process, signum: int) -> None:
        """Called by a process that was sent a signal."""
        owned = self.engine.termination.owned(process.pid)
        if owned is not None:
            self.engine.observer.signalled(owned.job, process, signum)

    def stop_process(self, pid: int) -> None:
        """Stop one process; its job replaces it. Does not wait for its end."""
        self.get_process(pid)
        owned = self.engine.termination.owned(pid)
        if owned is not None:
            self.engine.submit(owned.job, messages.StopPid(pid))

    def send(self, pid: int, lines: Any, stream: str | None = None) -> None:
        """Write to a process' stdin, or to one of its custom streams.

        :param lines: bytes, text, or a list of them.
        """
        self.get_process(pid).writelines([lines] if isinstance(lines, (bytes, str)) else lines, stream)


def _parse_signal(value: Any) -> int:
    try:
        return parse_signal(value)
    except ValueError as error:
        raise BadRequest(str(error)) from error
