"""The engine: one greenlet that steps jobs and carries out what they ask for.

Callbacks of the loop only enqueue. Messages are taken in order; deadlines live in
one heap; starts wait in a queue ordered by priority and happen one at a time, so
that a stop can come between two of them. Notifications are sent once nothing is to
be started, and always before another greenlet runs (reason 34). Third-party code never runs in the
engine's greenlet: hooks that are asked on a job's behalf run in a greenlet of
their own, which posts the answer back and so holds up that job alone.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import time
from collections import deque
from functools import partial
from signal import SIGKILL
from typing import Any, Callable, Protocol

import gevent
from gevent.event import AsyncResult, Event

from ..errors import Hold, ReentrantCall
from ..events.emitter import thread_id
from ..events.loop_pause import pause
from ..plugins.calling import Hooks
from ..process.exit_status import OomCounter
from ..process.proc_scan import group_left
from ..process.process import ExitStatus, Process
from ..process.sink_worker import workers
from ..process.spawn import SpawnPlan
from . import messages, plugin_queries, restart_policy
from .deadlines import Deadline, Deadlines
from .job import UP, Copy, Job
from .spawn_plan import Planner
from .termination import Termination

log = logging.getLogger("gaffer.engine")

#: The engine lets the hub serve others after this many seconds of work.
ENGINE_SLICE = 0.005
#: A message with more effects than this is taken in slices too: the stop of a large job, say.
MANY_EFFECTS = 20
#: Pauses between checks of a killed group, each twice the one before: the first, that from which zombies of other
#: parents are left out, and the last, in seconds.
FIRST_GROUP_CHECK, THOROUGH_GROUP_CHECK, LAST_GROUP_CHECK = 0.0005, 0.005, 0.2
#: Seconds that plugins have at least to answer ``gaffer_stop_steps``.
MIN_STOP_STEPS_TIMEOUT = 1.0


class Observer(Protocol):
    """The receiver of notifications: the manager."""

    def notify(self, job: Job, what: messages.Notify, at: float) -> None: ...

    def removed(self, job: Job) -> None: ...

    def signalled(self, job: Job, process: Process, signum: int) -> None: ...

    def process_started(self, process: Process) -> None: ...

    def process_gone(self, process: Process) -> None: ...


class Engine:
    """Steps jobs.

    :param loop: gevent's hub loop.
    :param hooks: calls the plugins.
    :param observer: notified of everything that happened, in order.
    :param node_id: first part of every child's GAFFER_ID.
    :param clock: monotonic seconds.
    :param launch: starts a process; :meth:`Process.launch` or a fake.
    """

    def __init__(
        self,
        loop: Any,
        hooks: Hooks,
        observer: Observer,
        node_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        launch: Callable[..., Process] = Process.launch,
    ) -> None:
        self.loop = loop
        self.hooks = hooks
        self.observer = observer
        self.node_id = node_id
        self.launch = launch
        self.deadlines = Deadlines(clock)
        self.termination = Termination(loop, self.deadlines, self, node_id)
        #: RLIMIT_NOFILE that children get, when gafferd raised its own.
        self.file_limit: tuple[int, int] | None = None
        #: While true nothing is started: the manager is not ready, or is ending.
        self.held = True
        self._thread = thread_id()
        self._pids = itertools.count(1)
        self._planner = Planner(node_id)
        self._messages: deque[tuple[Job | None, Any, AsyncResult | None]] = deque()
        #: Deadlines of copies, one each: its next start, or when it is ready.
        self._timers: dict[Job, dict[int, Deadline]] = {}
        self._starts: list[tuple[bool, int, int, int, Job]] = []
        self._sequence = itertools.count()
        #: What is done when nothing is due or to be started, see :meth:`afterwards`.
        self._afterwards: deque[Callable[[], None]] = deque()
        #: Processes that exited by themselves and whose descendants are looked for next.
        self._exited_alone: list[Process] = []
        #: Pids of those whose descendants are being killed; their exit is not told yet.
        self._cleaning: set[int] = set()
        self._oom = OomCounter()
        #: When the slice began.
        self._began = 0.0
        #: If true, a process was started and the processor was not given away since.
        self._launched = False
        self._wake = Event()
        #: Set whenever a process has gone.
        self.ended = Event()
        self._greenlet: gevent.Greenlet | None = None
        self._effects: dict[type, Callable[[Job, Any], None]] = {
            messages.Enqueue: self._enqueue,
            messages.Prepare: self._prepare,
            messages.Launch: self._launch,
            messages.End: self._end,
            messages.Abandon: self._abandon,
            messages.Decide: self._decide,
            messages.Later: self._later,
            messages.Notify: self._notify,
            messages.Removed: self._removed,
            messages.ReportCommit: self._report_commit,
        }

    # -- posting ----------------------------------------------------------------
    def post(self, job: Job | None, message: Any) -> None:
        """Queue a message for *job*, or a callable when *job* is None. Never waits."""
        self._messages.append((job, message, None))
        self._wake.set()

    def submit(self, job: Job | None, message: Any) -> Any:
        """Queue a message and wait until it was taken; returns what a callable returned.

        :raises ReentrantCall: waiting is impossible, see :meth:`check_may_wait`.
        """
        self.check_may_wait()
        if gevent.getcurrent() is self._greenlet:
            return self._handle(job, message)
        reply: AsyncResult = AsyncResult()
        self._messages.append((job, message, reply))
        self._wake.set()
        self.start()
        return reply.get()

    def check_may_wait(self) -> None:
        """Reject a call that waits for the engine where waiting is impossible.

        :raises ReentrantCall: this is a callback of the hub, or another thread.
        """
        if thread_id() != self._thread:
            raise ReentrantCall("this call belongs in the manager's own thread; use manager.later(function)")
        if gevent.getcurrent() is gevent.get_hub():
            raise ReentrantCall("this call waits, which a callback of the loop cannot; use manager.later(function)")

    def at(self, when: float, call: Callable[[], None]) -> Deadline:
        """Call *call* in the engine at monotonic time *when*."""
        deadline = self.deadlines.at(when, call)
        self._wake.set()
        return deadline

    @property
    def clock(self) -> Callable[[], float]:
        """The clock: monotonic seconds."""
        return self.deadlines.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self.deadlines.clock = clock

    def afterwards(self, call: Callable[[], None]) -> None:
        """Call *call*, in order, when nothing else is due, and always before the engine lets another greenlet run."""
        self._afterwards.append(call)
        self._wake.set()

    def next_pid(self) -> int:
        """Return a new pid: small, never used before."""
        return next(self._pids)

    def wait_idle(self, busy: Callable[[], bool], timeout: float) -> bool:
        """Wait until *busy* is false, checked after every process that ends; return False after the timeout.

        :param timeout: seconds in which at least one process has to end.
        """
        while busy():
            self.ended.clear()
            if busy() and not self.ended.wait(timeout):
                return False
        return True

    # -- running ----------------------------------------------------------------
    def start(self) -> None:
        """Start the greenlet unless it runs; an interrupt of the program may have ended it."""
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """End the greenlet. Nothing may be alive any more."""
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._greenlet = None
        self.termination.close()

    def release(self) -> None:
        """Let starts happen."""
        self.held = False
        self._wake.set()

    def _run(self) -> None:
        self._began = self.clock()
        while True:
            if self.turn():
                self._give_way()
                self._breathe()
                continue
            self._planner.forget()
            self._wake.clear()
            self._wake.wait(self._until_next())
            self._began = self.clock()

    def _breathe(self) -> None:
        """Let the hub serve others, if that is due. What comes meanwhile is queued: nothing else steps jobs."""
        if self.clock() - self._began > ENGINE_SLICE and gevent.getcurrent() is self._greenlet:
            while self._afterwards:
                self._guard(self._afterwards.popleft())
            self._planner.forget()
            pause()
            self._began = self.clock()

    def _give_way(self) -> None:
        """Let a new process begin before what follows its start, unless more are to be started.

        Linux puts it behind us on our processor, where it would wait until we sleep (sched_yield(2); reason 32).
        """
        if self._launched and not self._starts:
            self._launched = False
            os.sched_yield()

    def _until_next(self) -> float | None:
        if self._messages:
            return 0.0
        due = self.deadlines.next()
        return None if due is None else max(0.0, due - self.clock())

    def turn(self) -> bool:
        """Do one thing: a deadline that is due, a message, a start, or a notification.

        Return False if there was none.
        """
        due = self.deadlines.due()
        if due is not None:
            self._guard(due)
        elif self._messages:
            job, message, reply = self._messages.popleft()
            self._take(job, message, reply)
        elif self._starts and not self.held:
            job = heapq.heappop(self._starts)[4]
            job.queued = False
            self._take(job, messages.StartTurn(), None)
        elif self._afterwards:
            self._guard(self._afterwards.popleft())
        else:
            return False
        return True

    def _take(self, job: Job | None, message: Any, reply: AsyncResult | None) -> None:
        try:
            result = self._handle(job, message)
        except Exception as error:
            if reply is None:
                what = type(message).__name__
                log.critical("the engine failed on %s of %s: %r", what, job and job.name, error, exc_info=error)
            else:
                self.afterwards(partial(reply.set_exception, error))
        else:
            if reply is not None:
                self.afterwards(partial(reply.set, result))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            log.critical("the engine failed at a deadline, or afterwards: %r", error, exc_info=error)

    def _handle(self, job: Job | None, message: Any) -> Any:
        if job is None:
            return message()
        effects = job.step(message, self.clock())
        if not effects and type(message) is messages.Approved:
            _close_sinks(message.plan)  # the start was called off while plugins were asked
        for effect in effects:
            self._effects[type(effect)](job, effect)
            if len(effects) > MANY_EFFECTS:
                self._breathe()
        return None

    # -- effects ----------------------------------------------------------------
    def _enqueue(self, job: Job, effect: messages.Enqueue) -> None:
        if job.queued or job.blocked:
            return
        job.queued = True
        priority = job.config.priority
        heapq.heappush(self._starts, (priority is None, priority or 0, job.order, next(self._sequence), job))

    def unblock(self, job: Job) -> None:
        """Let the starts of *job* happen that had to wait for its namesake."""
        job.blocked = False
        self._enqueue(job, messages.Enqueue())

    def _prepare(self, job: Job, effect: messages.Prepare) -> None:
        copy = effect.copy
        try:
            pid = copy.committed.pid if copy.committed else self.next_pid()
            plan = self._planner.plan(job, copy, pid)
        except Exception as error:
            self._handle(job, messages.SpawnFailed(copy, copy.generation, error))
            return
        if plugin_queries.any_about_starts(self.hooks):
            self._ask(self._ask_start, job, copy, copy.generation, plan)
        else:
            self._handle(job, messages.Approved(copy, copy.generation, plan))

    def _ask(self, question: Callable[..., None], *args: Any) -> None:
        """Ask plugins in a greenlet of its own, after they were notified of what happened before (reason 9)."""
        self.afterwards(partial(gevent.spawn, question, *args))

    def _ask_start(self, job: Job, copy: Copy, generation: int, plan: SpawnPlan) -> None:
        try:
            plugin_queries.about_start(self.hooks, job, plan)
        except Hold as hold:
            _close_sinks(plan)
            self.post(job, messages.Held(copy, generation, str(hold)))
        except Exception as error:
            _close_sinks(plan)
            self.post(job, messages.SpawnFailed(copy, generation, error))
        else:
            self.post(job, messages.Approved(copy, generation, plan))

    def _launch(self, job: Job, effect: messages.Launch) -> None:
        copy = effect.copy
        try:
            process = self.launch(self.loop, job.config, effect.plan, self._exited, self.file_limit)
        except Exception as error:
            _close_sinks(effect.plan)
            self._handle(job, messages.SpawnFailed(copy, copy.generation, error))
            return
        self.termination.register(process, job, copy)  # before anything else that could fail
        self._launched = True
        if copy.committed:
            process.env_extra = copy.committed.env
            if copy.committed.graceful_timeout is not None:
                process.graceful_timeout = copy.committed.graceful_timeout
        self._guard(partial(self.observer.process_started, process))
        self._handle(job, messages.Spawned(copy, process))

    def _exited(self, process: Process) -> None:
        """Queue the collection of an exit status; called by the loop."""
        self._messages.append((None, lambda: self._collect(process), None))
        self._wake.set()

    def _collect(self, process: Process) -> None:
        owned = self.termination.owned(process.pid)
        if owned is None:
            return
        _, job, copy = owned
        crashed = copy.state == UP
        if crashed and not process.config.detach:
            # The dead leader is not waited for yet, so its group id cannot be reused (reasons 3 and 11).
            process.signal_group(9)
        status = process.collect()
        if status is None:
            process.watch()
        elif crashed and not process.config.detach:
            self._await_group(process.pid, FIRST_GROUP_CHECK)
        else:
            self._explain([process])
            self._ended(process)

    def _group_ended(self, process: Process, status: ExitStatus) -> None:
        """Look for descendants that left the group, once for all that exit at the same time (reason 5)."""
        if not self.termination.cheap:
            self._explain([process])
            self._ended(process)
            return
        if not self._exited_alone:
            self.post(None, self._find_left_behind)
        self._exited_alone.append(process)

    def _find_left_behind(self) -> None:
        exited, self._exited_alone = self._exited_alone, []
        left = self.termination.left_behind(process.pid for process in exited)
        self._explain(exited)
        for process in exited:
            self._breathe()
            owned = self.termination.owned(process.pid)
            if owned is None or process.status is None:
                continue
            if process.pid in left and owned.copy.state == UP:
                process.close_ended()
                self._cleaning.add(process.pid)
                self.termination.leader_exited(process)
            else:
                self._ended(process)

    def _explain(self, exited: list[Process]) -> None:
        """Add to statuses what the kernel tells of kills for memory, by one look for all."""
        killed = [(one, one.status) for one in exited if one.status is not None and one.status.signal == SIGKILL]
        if killed:
            self._oom.look()
        for process, status in killed:
            if not process.was_killed():
                process.status = self._oom.explain(status)

    def _await_group(self, pid: int, pause: float) -> None:
        """Let the rest of the group, which was killed, be gone before anything follows; it takes a moment at most."""
        owned = self.termination.owned(pid)
        if owned is None:
            return
        process = owned.process
        status = process.status
        assert status is not None
        thorough = pause > THOROUGH_GROUP_CHECK  # maybe only dead ones, whose new parent takes its time
        if pause > LAST_GROUP_CHECK or not group_left(process.os_pid, thorough):
            self._group_ended(process, status)
        else:
            process.close_ended()
            self.deadlines.after(pause, partial(self._await_group, pid, 2 * pause))

    def _ended(self, process: Process) -> None:
        owned, status = self.termination.owned(process.pid), process.status
        if owned is None or status is None:
            return
        _, job, copy = owned
        if copy.state != UP:
            process.close_ended()
            self._handle(job, messages.Exited(copy, status.code, status))
            self.termination.leader_exited(process)
            return
        self.termination.exited_alone(process.pid)
        self._exited_by_itself(job, copy, process, status)

    def _exited_by_itself(self, job: Job, copy: Copy, process: Process, status: ExitStatus) -> None:
        self._cancel_timer(job, copy)
        if not self._well(job, status):
            job.stderr_tail = process.stderr_tail() or job.stderr_tail
        self._handle(job, messages.Exited(copy, status.code, status, process.was_killed()))
        self.afterwards(partial(self._close, process))

    def _close(self, process: Process) -> None:
        process.close()
        self.observer.process_gone(process)
        self.ended.set()

    @staticmethod
    def _well(job: Job, status: ExitStatus) -> bool:
        return status.code is not None and status.code in job.config.exit_codes

    def _end(self, job: Job, effect: messages.End) -> None:
        process = effect.copy.process
        if self.hooks.implemented("gaffer_stop_steps"):
            self._ask(self._ask_stop, job, process)
            own = process.graceful_timeout
            timeout = job.config.graceful_timeout if own is None else own
            self.termination.begin_within(process.pid, max(timeout, MIN_STOP_STEPS_TIMEOUT))
        else:
            self.termination.begin(process.pid)

    def _ask_stop(self, job: Job, process: Process) -> None:
        steps = plugin_queries.about_stop(self.hooks, job, process)
        self.post(None, partial(self.termination.begin, process.pid, steps))

    def signalled(self, job: Job, process: Process, signum: int) -> None:
        """Notify the observer of a signal that a stop sent."""
        self.afterwards(partial(self.observer.signalled, job, process, signum))

    def gone(self, job: Job, copy: Copy, process: Process) -> None:
        """Go on once nothing is left of a process and its descendants."""
        if process.pid in self._cleaning and process.status is not None:
            self._cleaning.discard(process.pid)
            if copy.state == UP:
                self._exited_by_itself(job, copy, process, process.status)
                return
            self._handle(job, messages.Exited(copy, process.status.code, process.status))
        self._cancel_timer(job, copy)
        self._handle(job, messages.Gone(copy))
        self.afterwards(partial(self._close, process))

    def not_ended(self, job: Job, copy: Copy, process: Process, reason: str) -> None:
        """Tell that KILL does not end what a process left behind."""
        self._handle(job, messages.NotEnded(copy, process, reason))

    def _abandon(self, job: Job, effect: messages.Abandon) -> None:
        process: Any = effect.process
        self.termination.forget(process.pid)
        self.afterwards(partial(self._close, process))

    def _decide(self, job: Job, effect: messages.Decide) -> None:
        copy = effect.copy
        if self.hooks.implemented("gaffer_restart_decision"):
            self._ask(self._ask_restart, job, effect, copy.generation)
        else:
            self._handle(job, messages.Decided(copy, copy.generation, self._policy(job, effect)))

    def _policy(self, job: Job, effect: messages.Decide) -> restart_policy.Decision:
        copy = effect.copy
        decision = restart_policy.decide(job.config, copy.remembered(), effect.code, effect.uptime, self.clock())
        if isinstance(decision, restart_policy.GiveUp) and copy.error:  # the failure is not hidden by what follows it
            decision = decision._replace(reason=f"{decision.reason}: {copy.error}")
        return decision

    def _ask_restart(self, job: Job, effect: messages.Decide, generation: int) -> None:
        decision = plugin_queries.about_restart(self.hooks, job, effect)
        if decision is None:
            decision = self._policy(job, effect)
        self.post(job, messages.Decided(effect.copy, generation, decision))

    def _later(self, job: Job, effect: messages.Later) -> None:
        copy = effect.message.copy
        self._cancel_timer(job, copy)
        place = _place(copy)
        self._timers.setdefault(job, {})[place] = self.at(
            effect.at, partial(self._timer_due, job, place, effect.message)
        )

    def _cancel_timer(self, job: Job, copy: Copy) -> None:
        timer = self._timers.get(job, {}).pop(_place(copy), None)
        if timer is not None:
            timer.cancel()

    def _timer_due(self, job: Job, place: int, message: messages.RetryDue | messages.ReadyDue) -> None:
        timers = self._timers.get(job)
        if timers is not None:
            timers.pop(place, None)
        self._handle(job, message)

    def _notify(self, job: Job, effect: messages.Notify) -> None:
        self.afterwards(partial(self.observer.notify, job, effect, time.time()))

    def _removed(self, job: Job, effect: messages.Removed) -> None:
        for timer in self._timers.pop(job, {}).values():
            timer.cancel()
        self.termination.unchecked.pop(job, None)
        self.observer.removed(job)

    def _report_commit(self, job: Job, effect: messages.ReportCommit) -> None:
        if effect.commit.answer is not None:
            self.afterwards(partial(effect.commit.answer, effect.error))


def _place(copy: Copy) -> int:
    """Return the key of the timer of *copy*."""
    return -copy.committed.pid if copy.committed else copy.index


def _close_sinks(plan: SpawnPlan) -> None:
    for label, sinks in plan.sinks.items():
        for sink in workers(sinks, label) or ():
            sink.close()
