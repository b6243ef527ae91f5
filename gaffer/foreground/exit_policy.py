"""``--on-exit``: end the run when one process has ended, or all have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ..hookspecs.markers import hookimpl
from ..supervisor.restart_policy import Decision, Done

if TYPE_CHECKING:
    from ..manager.manager import Manager
    from ..process.exit_status import ExitStatus
    from ..process.process import Process
    from ..supervisor.job import Job

#: The exit code for a process that could not even be started.
_NOT_STARTED = 1


class ExitPolicy:
    """Ends the run instead of replacing processes.

    :param on_exit: ``stop`` at the first process that ends, ``ignore`` until the last one has.
    :param ended: called with the name of a process, the exit code of the run and a sentence.
    """

    name = "on-exit"
    description = "ends the run when processes end"

    def __init__(self, on_exit: str, ended: Callable[[str, int, str], Any]) -> None:
        self.manager: Manager | None = None
        self._first = on_exit == "stop"
        self._ended = ended
        self._failed: tuple[str, int] | None = None

    @hookimpl
    def gaffer_restart_decision(self, job: Job, process: Process | None, status: ExitStatus | None) -> Decision:
        """Do not replace a process that ended by itself; one that others waited for until it completed ends nothing."""
        name = job.name.job if process is None else process_name(job.name.job, process.index, job.config.numprocesses)
        code = _NOT_STARTED if status is None else status.exit_code
        if code and self._failed is None:
            self._failed = name, code
        completed = job.config.restart == "on-failure" and status is not None and not code
        if self._first and not completed:
            how = "could not be started" if status is None else f"ended with {status}"
            self._ended(name, code, f"{how}; everything is stopped")
        return Done()

    @hookimpl
    def gaffer_job_stopped(self, job: Job) -> None:
        """Note a job whose processes have all ended."""
        if self.manager is None or any(one.active and one.wanted for one in self.manager.all_jobs()):
            return
        name, code = self._failed or (job.name.job, 0)
        failed = f"; the first to fail ended with code {code}" if code else ""
        self._ended(name, code, f"the last process has ended{failed}")


def process_name(name: str, index: int, number: int) -> str:
    """Return the name of one of *number* processes: ``web``, or ``web.2`` where there are several."""
    return name if number < 2 or index < 0 else f"{name}.{index + 1}"


def process_names(name: str, number: int) -> list[str]:
    """Return the names of all processes of a type."""
    return [process_name(name, index, number) for index in range(max(number, 1))]
