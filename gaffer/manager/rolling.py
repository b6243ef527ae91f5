"""Rolling reloads: the processes of a job are replaced one after another, each once its successor can be used.

A greenlet asks the engine for one small step at a time and waits for what becomes of it, so a stop, another update or
the end of the manager may come at any time and ends the reload (reason 42).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple

import gevent
from gevent.event import Event

from ..supervisor import messages
from ..supervisor.job import DONE, FAILED, FLAPPING, READY, UP, WAITING, Job

if TYPE_CHECKING:
    from ..config.jobconfig import JobConfig
    from .manager import Manager

log = logging.getLogger("gaffer.jobs")

#: How long a new process may take to become ready, where no plugin declares the setting ``ready_timeout``, in seconds.
READY_TIMEOUT = 60.0
#: States of a copy whose new process did not stay up.
_IN_TROUBLE = (WAITING, FLAPPING, FAILED, DONE)


class _Failed(Exception):
    """A new process cannot be used."""


class _Overtaken(Exception):
    """The job was stopped, or changed again."""


class LastGood(NamedTuple):
    """Configuration and number of processes that a job had before a change."""

    config: JobConfig
    wanted: int


class Roll:
    """Rolling reload of a job.

    :param good: what to go back to if it fails; None if the configuration has not changed.
    """

    def __init__(self, manager: Manager, job: Job, good: LastGood | None) -> None:
        self._manager, self._job, self.good = manager, job, good
        self._config = job.config
        places = [copy for copy in job.live() if not copy.committed and copy.index < job.wanted]
        self._old = [copy.process.pid for copy in places if copy.state == UP]
        self._replaced = 0
        self._text = ""
        self._error: str | None = None
        self.done = False
        #: Set whenever something happened to the job.
        self.changed = Event()

    def report(self) -> dict[str, Any]:
        """Return how far it is, as JSON shows it."""
        return {
            "replaced": self._replaced,
            "processes": len(self._old),
            "text": self._text,
            "error": self._error,
            "done": self.done,
        }

    def start(self) -> None:
        """Begin, in a greenlet of its own."""
        self._say(f"replacing {len(self._old)} {_plural(len(self._old))}")
        gevent.spawn(self._run)

    def _run(self) -> None:
        try:
            self._replace()
        except _Failed as failure:
            self._undo(str(failure))
        except _Overtaken as reason:
            self._error = str(reason)
            if self._manager.rolls.get(self._job) in (None, self):  # another reload begins with that
                self._manager.engine.post(self._job, messages.Surge(0))
        except Exception as error:
            self._error = f"the reload failed: {error}"
            log.critical("%s: the rolling reload failed: %r", self._job.name, error, exc_info=error)
        else:
            self._say(f"all {len(self._old)} {_plural(len(self._old))} replaced")
        self.done = True

    def _replace(self) -> None:
        config, waiting = self._config, list(self._old)
        surge = min(config.max_surge, len(waiting))
        self._submit(messages.Surge(0))  # those of a reload that this one overtakes have another configuration
        if surge:
            self._submit(messages.Surge(surge))
            more = range(self._job.wanted, self._job.wanted + surge)
            self._await_ready(more, lambda: self._job.places)
            self._say(f"{surge} new {_plural(surge)} ready beside the old ones")
        size = max(1, surge + config.max_unavailable)
        while waiting:
            batch, waiting = waiting[:size], waiting[size:]
            found = {pid: copy.index for pid in batch if (copy := self._job.find(pid)) is not None}
            for pid in found:
                self._submit(messages.StopPid(pid))
            self._await_ready(found.values(), lambda: self._job.wanted)
            self._replaced += len(batch)
            self._say(f"{self._replaced} of {len(self._old)} {_plural(len(self._old))} replaced")
        self._submit(messages.Surge(0))

    def _await_ready(self, indexes: Iterable[int], places: Callable[[], int]) -> None:
        """Wait until new processes of these copies can be used.

        :param places: returns how many there are now; the job may be scaled meanwhile.
        :raises _Failed: one of them cannot. :raises _Overtaken: it does not matter any more.
        """
        indexes, clock = list(indexes), self._manager.engine.clock
        patience = float(self._config.get("ready_timeout") or READY_TIMEOUT)
        deadline = clock() + patience + self._config.graceful_timeout
        alarm = self._manager.engine.at(deadline, self.changed.set)
        try:
            while True:
                self.changed.clear()
                self._check()
                missing = [index for index in indexes if index < places() and not self._is_ready(index)]
                if not missing:
                    return
                if clock() >= deadline:
                    raise _Failed(f"copy {missing[0]} is not ready after {patience:g} s{self._why(missing[0])}")
                self.changed.wait()
        finally:
            alarm.cancel()

    def _is_ready(self, index: int) -> bool:
        copy = self._job.copies.get(index)
        if copy is None or copy.process is None or copy.process.pid in self._old:
            if copy is not None and copy.state in _IN_TROUBLE:
                raise _Failed(f"copy {index} did not stay up{self._why(index)}")
            return False
        return copy.readiness == READY

    def _why(self, index: int) -> str:
        copy = self._job.copies.get(index)
        reason = copy and (copy.ready_reason or copy.error)
        stderr = self._job.stderr_tail
        return (f": {reason}" if reason else "") + (f"; last line of stderr: {stderr[-1]}" if stderr else "")

    def _check(self) -> None:
        job = self._job
        if self._manager.rolls.get(job) is not self or job.config is not self._config:
            raise _Overtaken("another change of the job came meanwhile")
        if not job.active:
            raise _Overtaken("the job was stopped meanwhile")

    def _undo(self, reason: str) -> None:
        """End the new processes and return to the old configuration; processes that were not replaced stay."""
        back = self.good if self._config.reload_rollback else None
        new = [copy.process.pid for copy in self._job.live() if not copy.committed]
        new = [pid for pid in new if pid not in self._old]
        if back is not None:
            self._submit(messages.Update(back.config, None, replace=False))
            self._submit(messages.Scale(back.wanted))
            self._config = self._job.config
        self._submit(messages.Surge(0))
        if back is not None:
            for pid in new:
                self._submit(messages.StopPid(pid))
            self._submit(messages.Start())  # those that wait for a retry too
        self._error = f"{reason}; {'the old configuration is back' if back is not None else 'the old processes stay'}"
        log.error("%s: rolling reload: %s", self._job.name, self._error)

    def _submit(self, message: Any) -> None:
        self._manager.engine.submit(self._job, message)

    def _say(self, text: str) -> None:
        self._text = text
        log.info("%s: rolling reload: %s", self._job.name, text)


def _plural(number: int) -> str:
    return "process" if number == 1 else "processes"
