"""The end of a manager: jobs in reverse order of their start, then apps and plugins."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any, Callable

import gevent
from gevent.event import Event

from ..plugins.calling import FLUSH, Killed
from ..process.proc_scan import find_node_survivors
from ..supervisor import messages
from ..supervisor.job import Job
from ..supervisor.termination import MAX_UNCLEAR_WALKS

if TYPE_CHECKING:
    from .manager import Manager

log = logging.getLogger("gaffer.manager")

#: How long a process that even KILL does not end may hold up the stop, in seconds.
UNKILLABLE_TIMEOUT = 15.0
#: Seconds between TERM and KILL for strays, and between two looks at them.
STRAY_GRACE = 2.0
STRAY_TICK = 0.05
#: An application that takes longer than this to stop is named in the log; it has this long when patience is over.
LONG_STOP, APP_GRACE = 5.0, 1.0


class Shutdown:
    """Stops everything of a manager, once.

    Jobs of one priority stop together; those of the next are told when they are
    gone, so that what started first, and others may need, goes last.
    """

    def __init__(self, manager: Manager) -> None:
        #: Called with the manager when everything is gone.
        self.callbacks: list[Callable[[Manager], Any]] = []
        #: Set when everything is gone.
        self.done = Event()
        #: Finds all that descends from the manager's processes; a fake in tests.
        self.find = find_node_survivors
        self.pause: Callable[[float], Any] = gevent.sleep
        self._manager = manager
        self._hurried = Event()

    def start(self) -> None:
        """Begin; does not wait."""
        gevent.spawn(self._run)

    def hurry(self) -> None:
        """Patience is over: KILL for everything, in no order."""
        self._hurried.set()
        engine = self._manager.engine
        engine.post(None, self._kill)

    def _kill(self) -> None:
        engine = self._manager.engine
        for job in self._manager.job_table.all():
            engine.submit(job, messages.Stop(keep_detached=True))
        engine.termination.kill_all()

    def _run(self) -> None:
        manager = self._manager
        manager.engine.held = True
        manager.engine.start()
        manager.hooks.tell("gaffer_manager_stopping", manager=manager)
        try:
            for group in self._in_reverse():
                self._stop(group)
            # A plugin or a late request may have loaded something meanwhile.
            self._stop(manager.job_table.all())
            self._sweep_strays()
        finally:
            self._finish()

    def _in_reverse(self) -> list[list[Job]]:
        """Return jobs grouped by priority, the last to start first."""
        groups: dict[Any, list[Job]] = {}
        for job in self._manager.job_table.all():
            groups.setdefault(job.config.priority, []).append(job)
        order = sorted(groups, key=lambda priority: (priority is None, priority or 0), reverse=True)
        return [groups[priority][::-1] for priority in order]

    def _stop(self, jobs: list[Job]) -> None:
        engine = self._manager.engine
        for job in jobs:
            engine.post(job, messages.Stop(keep_detached=True))
        engine.submit(None, lambda: None)
        if self._hurried.is_set():
            engine.submit(None, self._kill)
        while not engine.wait_idle(lambda: any(True for job in jobs for _ in job.live()), UNKILLABLE_TIMEOUT):
            if engine.termination.all_killed():
                left = [copy.process for job in jobs for copy in job.live()]
                log.error("the kernel does not end %s; gaffer leaves it", ", ".join(map(repr, left)))
                break

    def _sweep_strays(self) -> None:
        """End what escaped from processes that crashed earlier: TERM, a little time, then KILL."""
        engine = self._manager.engine
        clock, detached = engine.clock, engine.termination.detached
        told, doubts, deadline = False, 0, clock() + STRAY_GRACE
        while True:
            found = self.find(self._manager.node_id)
            doubts += found.unclear
            left = [one for pid, some in found.items() if pid not in detached for one in some]
            if (
                not left
                and (not found.unclear or doubts > MAX_UNCLEAR_WALKS)
                or clock() > deadline + UNKILLABLE_TIMEOUT
            ):
                return
            late = self._hurried.is_set() or clock() >= deadline
            if left and not told:
                log.warning("processes that crashed left %d others behind; they are stopped too", len(left))
            if left and (late or not told):
                _signal_all(left, signal.SIGKILL if late else signal.SIGTERM)
                told = True
            self.pause(STRAY_TICK)

    def _finish(self) -> None:
        manager = self._manager
        for name, app in reversed(manager.apps):
            stop = getattr(app, "stop", None)
            if callable(stop):
                self._stop_app(name, stop)
        manager.hooks.flush()
        manager.hooks.tell("gaffer_manager_stopped", manager=manager)
        slow = [*(f"plugin {name}" for name in manager.hooks.flush()), *manager.events.flush(FLUSH)]
        if slow:
            log.warning("%s did not finish in time", ", ".join(slow))
        manager.hooks.close()
        manager.engine.close()
        manager.state = "stopped"
        if manager.hub_check is not None:
            manager.hub_check.finish()
        manager.events.close()
        manager.statistics.close()
        self.done.set()
        for callback in self.callbacks:
            self._guard("stop callback", callback, manager)

    def _stop_app(self, name: str, stop: Callable[[], Any]) -> None:
        """Wait until an application has stopped, however long that takes; when patience is over, a moment at most."""
        stopping = gevent.spawn(self._guard, name, stop)
        if not gevent.wait([stopping, self._hurried], timeout=LONG_STOP, count=1):
            log.warning("%s is still stopping, and is waited for", name)
            gevent.wait([stopping, self._hurried], count=1)
        stopping.join(APP_GRACE)
        if not stopping.ready():
            log.error("%s does not stop; gaffer leaves it", name)
            stopping.kill(Killed, block=False)

    @staticmethod
    def _guard(name: str, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except (Exception, SystemExit) as error:
            log.error("%s failed at the stop: %r", name, error, exc_info=error)


def _signal_all(os_pids: list[int], signum: int) -> None:
    for os_pid in os_pids:
        try:
            os.kill(os_pid, signum)
        except OSError:
            pass  # it has gone meanwhile
