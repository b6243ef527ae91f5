"""The end of a manager: jobs in reverse order of their start, then apps and plugins."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Sequence

import gevent
from gevent.event import Event

from ..config.names import JobName, parse_job_name
from ..config.stop_order import stop_groups
from ..errors import NotFound
from ..plugins.answers import checks
from ..plugins.calling import FLUSH, Hooks, Killed
from ..process.proc_scan import belongs_to_node, find_node_survivors
from ..service.status_line import waiting_text
from ..supervisor import messages
from ..supervisor.job import STOPPING, Job
from ..supervisor.termination import MAX_UNCLEAR_WALKS

if TYPE_CHECKING:
    from ..process.process import Process
    from ..supervisor.engine import Engine
    from .manager import Manager

log = logging.getLogger("gaffer.manager")

#: How long a process that even KILL does not end may hold up the stop, in seconds.
UNKILLABLE_TIMEOUT = 15.0
#: Seconds between TERM and KILL for strays, and between two looks at them.
STRAY_GRACE = 2.0
STRAY_TICK = 0.05
#: An application that takes longer than this to stop is named in the log; it has this long when patience is over.
LONG_STOP, APP_GRACE = 5.0, 1.0


@checks("gaffer_stop_order")
def _pairs(answer: Any) -> list[tuple[JobName, JobName]]:
    return [(parse_job_name(first), parse_job_name(then)) for first, then in answer]


def in_stop_order(hooks: Hooks, jobs: Sequence[Job]) -> list[list[Job]]:
    """Return jobs, which are in the order of their start, in the groups that stop together, the last to start first."""
    answers = hooks.collect("gaffer_stop_order", jobs=jobs) if hooks.implemented("gaffer_stop_order") else ()
    pairs = [pair for _, answer in answers for pair in answer]
    return stop_groups(jobs, lambda job: job.config.priority, lambda job: job.name, pairs)


def stop_text(manager: Manager, seconds: float, label: Callable[[JobName], str]) -> str:
    """Return for a terminal which jobs are being stopped, and how long until the last of their processes gets KILL.

    :param seconds: how long they are waited for so far.
    """
    engine, names, untils = manager.engine, list[str](), list[float]()
    for job in manager.job_table.all():
        stops = [engine.termination.times(copy.process.pid) for copy in job.live() if copy.state == STOPPING]
        untils += [one.until for one in stops if one is not None and one.until is not None]
        if stops:
            names.append(label(job.name))
    if not names:
        return f"waiting for plugins: {seconds:.0f} s"
    return waiting_text(names, seconds, None, max(untils) - engine.clock() + seconds if untils else None)


def wait_until_gone(engine: Engine, left: Callable[[], list[Process]]) -> None:
    """Wait until no process is *left*, for one that even KILL does not end only for a while."""
    while not engine.wait_idle(lambda: bool(left()), UNKILLABLE_TIMEOUT):
        if engine.termination.all_killed():
            log.error("the kernel does not end %s; gaffer leaves it", ", ".join(map(repr, left())))
            break


def stop_in_order(manager: Manager, jobs: Sequence[Job], stop: Callable[[JobName], Any]) -> None:
    """Stop some jobs as :class:`Shutdown` stops all; see ``Manager.stop_in_order``."""
    before: list[Process] = []
    for group in in_stop_order(manager.hooks, jobs):
        wait_until_gone(manager.engine, partial(_still_there, manager, before))
        before = [copy.process for job in group for copy in job.live()]
        for name in dict.fromkeys(job.name for job in group):
            with suppress(NotFound):  # unloaded meanwhile
                stop(name)


def _still_there(manager: Manager, processes: list[Process]) -> list[Process]:
    """Return those of *processes* that live; what was started again meanwhile is not among them."""
    return [process for process in processes if process.pid in manager.running]


class Shutdown:
    """Stops everything of a manager, once.

    Jobs of one priority stop together; those of the next are told when they are
    gone, so that what started first, and others may need, goes last. Plugins may
    part the jobs of one priority further (``gaffer_stop_order``).
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
            for group in in_stop_order(manager.hooks, manager.job_table.all()):
                self._stop(group)
            # A plugin or a late request may have loaded something meanwhile.
            self._stop(manager.job_table.all())
            self._sweep_strays()
        finally:
            self._finish()

    def _stop(self, jobs: list[Job]) -> None:
        engine = self._manager.engine
        for job in jobs:
            engine.post(job, messages.Stop(keep_detached=True))
        engine.submit(None, lambda: None)
        if self._hurried.is_set():
            engine.submit(None, self._kill)
        wait_until_gone(engine, lambda: [copy.process for job in jobs for copy in job.live()])

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
                if left:
                    log.error("%d processes that others left behind cannot be ended; gaffer leaves them", len(left))
                return
            late = self._hurried.is_set() or clock() >= deadline
            if left and not told:
                log.warning("processes that crashed left %d others behind; they are stopped too", len(left))
            if left and (late or not told):
                _signal_all(left, signal.SIGKILL if late else signal.SIGTERM)
                told = True
            if told and late:
                engine.termination.hunt(belongs_to_node(self._manager.node_id, detached))
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
