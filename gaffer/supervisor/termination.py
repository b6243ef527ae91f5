"""Termination of processes: signals, the time they get, and the survivors they leave behind.

A stop goes to the process' group. When the leader has gone, what is left of its
descendants, those in other sessions too, gets the same signal and the rest of the
time; then KILL reaches whatever is still there, again until nothing is (reasons 4 and 5). Looking
for survivors takes a walk through ``/proc``, so many stops share one.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple, Protocol

from ..process.proc_scan import Survivors, belongs_to, find_node_survivors, find_survivors, group_alive
from .deadlines import Deadline, Deadlines
from .hunt import hunt
from .job import STOPPING

if TYPE_CHECKING:
    from ..process.process import Process
    from .job import Copy, Job

log = logging.getLogger("gaffer.stops")

#: While other leaders are still going, survivors are looked for this often, in seconds.
BATCH_DELAY = 0.05
#: After a walk that took t seconds, the next one waits for this many times t …
WALK_REST_FACTOR = 1.0
#: … but no longer than this, in seconds.
MAX_WALK_REST = 0.5
#: Survivors that KILL did not end are tried again after this many seconds …
RECHECK_DELAY = 0.05
#: … this many times; then that is told, and they are tried again after this many seconds (uninterruptible sleep).
MAX_KILLS, LONG_RECHECK_DELAY = 100, 2.0
#: So many of them are named.
MAX_NAMED = 10
#: A walk that left something unclear is repeated this many times.
MAX_UNCLEAR_WALKS = 3
#: So many processes of a job that exited by themselves are remembered, the latest.
MAX_UNCHECKED = 1000

Steps = list[tuple[int, float]]


class Supervisor(Protocol):
    """The engine, as far as termination needs it."""

    def post(self, job: None, message: Callable[[], None]) -> None: ...

    def signalled(self, job: Job, process: Process, signum: int) -> None: ...

    def gone(self, job: Job, copy: Copy, process: Process) -> None: ...

    def not_ended(self, job: Job, copy: Copy, process: Process, reason: str) -> None: ...


class Owned(NamedTuple):
    """A registered process with its job and copy."""

    process: Process
    job: Job
    copy: Copy


class StopTimes(NamedTuple):
    """When a stop began, and when KILL comes, None once it was sent; monotonic seconds."""

    since: float
    until: float | None


class Unanswered(NamedTuple):
    """A stop whose steps plugins are still asked for: when KILL comes nevertheless, and when it began."""

    kill: Deadline
    since: float


class Stopping:
    """The progress of one stop."""

    __slots__ = (
        "process",
        "since",
        "steps",
        "waits",
        "grouped",
        "at",
        "signum",
        "killing",
        "kills",
        "unclear",
        "latest",
        "watchers",
        "next_step",
        "recheck",
    )

    def __init__(self, process: Process, steps: Steps, since: float) -> None:
        self.process = process
        #: Monotonic time of its beginning.
        self.since = since
        self.steps = steps
        #: If true, the exit of its leader is still to come, and the walk for survivors has to wait for that.
        self.waits = True
        #: If true, the group may still have members; once it has none its number may be reused.
        self.grouped = True
        #: Steps done.
        self.at = 0
        self.signum = signal.SIGTERM.value
        self.killing = False
        self.kills = 0
        self.unclear = 0
        #: The os_pids of survivors that the latest walk found.
        self.latest: set[int] = set()
        #: Watchers on the survivors' pidfds, by os_pid.
        self.watchers: dict[int, tuple[int, Any]] = {}
        self.next_step: Deadline | None = None
        self.recheck: Deadline | None = None

    def close(self) -> None:
        """Give back descriptors and deadlines."""
        _cancel(self.next_step)
        _cancel(self.recheck)
        for fd, watcher in self.watchers.values():
            watcher.stop()
            watcher.close()
            os.close(fd)
        self.watchers.clear()


class Termination:
    """All processes of one engine, and those among them that are being stopped.

    Deadlines refer to processes by pid and end with them, so they keep no output in memory.

    :param loop: gevent's hub loop, which watches survivors.
    :param node_id: first part of every child's GAFFER_ID.
    :param find: finds survivors; gafferd, being a subreaper, sets a cheaper one.
    """

    def __init__(
        self,
        loop: Any,
        deadlines: Deadlines,
        supervisor: Supervisor,
        node_id: str,
        find: Callable[..., Survivors] = find_survivors,
    ) -> None:
        self._loop = loop
        self._deadlines = deadlines
        self._supervisor = supervisor
        self._node_id = node_id
        self.find = find
        #: Finds all processes of a node; set together with :attr:`find`.
        self.find_node: Callable[[str], Survivors] = find_node_survivors
        #: Kills survivors that fork themselves anew; set together with :attr:`find`.
        self.hunt: Callable[[Callable[[bytes], bool]], bool] = hunt
        #: Pids of processes whose survivors KILL did not end so far.
        self.stuck: set[int] = set()
        #: Pids of detached processes: what descends from them is no survivor.
        self.detached: set[int] = set()
        self._owned: dict[int, Owned] = {}
        self._stopping: dict[int, Stopping] = {}
        #: By pid.
        self._unanswered: dict[int, Unanswered] = {}
        #: Pids whose survivors the next walk looks for, in order.
        self._leaving: dict[int, None] = {}
        self._leaders = 0
        #: If true, :attr:`find` costs next to nothing: what a process leaves that exits by itself is looked for at
        #: once. Otherwise it is looked for when a process of the same job is stopped.
        self.cheap = False
        #: Pids of processes that exited by themselves and were not looked at, by job.
        self.unchecked: dict[Job, deque[int]] = {}
        #: When the next walk is due; nothing before ``_rest_until``, so that walks never take most of the time.
        self._walk_at = math.inf
        self._rest_until = 0.0

    # -- registered processes -----------------------------------------------------
    def register(self, process: Process, job: Job, copy: Copy) -> None:
        self._owned[process.pid] = Owned(process, job, copy)
        if process.config.detach:
            self.detached.add(process.pid)

    def owned(self, pid: int) -> Owned | None:
        """Return a process with its job and copy; None when it was let go."""
        return self._owned.get(pid)

    def forget(self, pid: int) -> None:
        """Let go of a process."""
        self._owned.pop(pid, None)
        self._answered(pid)
        self.stuck.discard(pid)
        stopping = self._stopping.pop(pid, None)
        if stopping is not None:
            self._leaders -= stopping.waits
            stopping.close()

    def exited_alone(self, pid: int) -> None:
        """Let go of a process that exited by itself."""
        owned = self._owned.get(pid)
        if owned is not None and not self.cheap and not owned.process.config.detach:
            self.unchecked.setdefault(owned.job, deque(maxlen=MAX_UNCHECKED)).append(pid)
        self.forget(pid)

    # -- the signals --------------------------------------------------------------
    def begin(self, pid: int, steps: Steps | None = None) -> None:
        """Start to stop a process.

        :param steps: signals and how long each may take, in seconds; by default
            the job's stop signal and graceful timeout.
        """
        owned = self._owned.get(pid)
        if owned is None or pid in self._stopping:
            return
        process = owned.process
        if steps is None:
            own, config = process.graceful_timeout, process.config
            steps = [(int(config.stop_signal), config.graceful_timeout if own is None else own)]
        self._add(process, steps)
        self._step(pid)

    def begin_within(self, pid: int, seconds: float) -> None:
        """Send KILL after *seconds*, unless :meth:`begin` came before: KILL cannot be vetoed, not even by silence."""
        if pid not in self._unanswered:
            kill = self._deadlines.after(seconds, partial(self.begin, pid, []))
            self._unanswered[pid] = Unanswered(kill, self._deadlines.clock())

    def _answered(self, pid: int) -> float | None:
        """Cancel the KILL of a stop whose steps were not known; return when that began."""
        unanswered = self._unanswered.pop(pid, None)
        if unanswered is None:
            return None
        unanswered.kill.cancel()
        return unanswered.since

    def times(self, pid: int) -> StopTimes | None:
        """Return since when a process is being stopped and until when it has time; None if it is not."""
        stopping, unanswered = self._stopping.get(pid), self._unanswered.get(pid)
        if stopping is None:
            return None if unanswered is None else StopTimes(unanswered.since, unanswered.kill.when)
        if stopping.killing or stopping.next_step is None:
            return StopTimes(stopping.since, None)
        later = sum(seconds for _, seconds in stopping.steps[stopping.at :])
        return StopTimes(stopping.since, stopping.next_step.when + later)

    def _add(self, process: Process, steps: Steps) -> Stopping:
        since = self._answered(process.pid)
        if since is None:
            since = self._deadlines.clock()
        stopping = self._stopping[process.pid] = Stopping(process, steps, since)
        self._leaders += 1
        return stopping

    def _step(self, pid: int) -> None:
        """Send the next signal and set the time of the one after it."""
        stopping = self._stopping[pid]
        if stopping.at < len(stopping.steps):
            stopping.signum, seconds = stopping.steps[stopping.at]
            stopping.at += 1
            if seconds > 0 or stopping.at < len(stopping.steps):
                self._send(stopping, stopping.signum)
                stopping.next_step = self._deadlines.after(seconds, partial(self._step, pid))
                return
        self.kill(pid)

    def kill(self, pid: int) -> None:
        """Go to KILL now, whatever the steps were."""
        stopping = self._stopping.get(pid)
        if stopping is None:
            return
        _cancel(stopping.next_step)
        stopping.killing = True
        stopping.signum = signal.SIGKILL.value
        self._send(stopping, stopping.signum)
        if not stopping.waits:
            self._look(pid)

    def kill_all(self) -> None:
        """Go to KILL for everything that is being stopped, also for what plugins are still asked about."""
        for pid, owned in list(self._owned.items()):
            if owned.copy.state == STOPPING:
                if pid not in self._stopping:
                    self.begin(pid, [])
                elif not self._stopping[pid].killing:
                    self.kill(pid)

    def all_killed(self) -> bool:
        """Return True if everything being stopped was sent KILL already."""
        return all(stopping.killing for stopping in self._stopping.values())

    def _send(self, stopping: Stopping, signum: int) -> None:
        process = stopping.process
        if process.status is None:
            process.signal_group(signum)
            if signum != signal.SIGKILL:
                process.signal_group(signal.SIGCONT)  # a stopped process acts on no other signal
        # With the leader collected its group id may be reused; survivors are known one by one.
        for fd, _ in stopping.watchers.values():
            _signal(fd, signum)
        self._supervisor.signalled(self._owned[process.pid].job, process, signum)

    # -- survivors ----------------------------------------------------------------
    def left_behind(self, pids: Iterable[int]) -> set[int]:
        """Return those of *pids*, processes that have exited, of which descendants are or may be alive."""
        ids = {f"{self._node_id}.{pid}": pid for pid in pids}
        left = self.find(ids)
        return set(ids.values()) if left.unclear else set(left)

    def leader_exited(self, process: Process) -> None:
        """Look for the descendants of a process that is gone itself; many stops share one walk."""
        stopping = self._stopping.get(process.pid)
        if stopping is None:
            # It died by itself, maybe between the decision to stop it and the plugins' answer.
            stopping = self._add(process, [])
            stopping.killing = True
            stopping.signum = signal.SIGKILL.value
        self._leaders -= stopping.waits
        stopping.waits = False
        self._group_left(stopping)
        self._look(process.pid)

    @staticmethod
    def _group_left(stopping: Stopping) -> bool:
        """Return True if members of the group are left.

        The number of a group is reused only when it names neither a process nor a group
        (fork(2)). So a process of that number is a stranger, and so is its group; and once the group
        was empty, the members of a group of that number are strangers too.
        """
        if stopping.grouped:
            os_pid = stopping.process.os_pid
            stopping.grouped = group_alive(os_pid) and not os.path.exists(f"/proc/{os_pid}")
        return stopping.grouped

    def _look(self, pid: int) -> None:
        """Look for survivors: at once when no leader is left to wait for, but many stops share one walk."""
        self._leaving[pid] = None
        now = self._deadlines.clock()
        at = max(self._rest_until, now if self._leaders <= 0 else now + BATCH_DELAY)
        if at < self._walk_at:
            self._walk_at = at
            self._deadlines.at(at, partial(self._walk, at))

    def _walk(self, at: float) -> None:
        if at != self._walk_at:
            return  # an earlier one was asked for meanwhile
        began = self._deadlines.clock()
        self._walk_at = math.inf
        self._look_at_all()
        now = self._deadlines.clock()
        self._rest_until = now + min(WALK_REST_FACTOR * (now - began), MAX_WALK_REST)

    def _look_at_all(self) -> None:
        leaving, self._leaving = self._leaving, {}
        batch = {pid: self._stopping[pid] for pid in leaving if pid in self._stopping}
        if not batch:
            return
        ids = {f"{self._node_id}.{pid}": pid for pid in batch}
        for pid in batch if self.unchecked else ():
            ids |= {f"{self._node_id}.{past}": pid for past in self.unchecked.get(self._owned[pid].job, ())}
        groups = {one.process.os_pid: pid for pid, one in batch.items() if self._group_left(one)}
        again = {pid for pid, one in batch.items() if one.killing and (self.cheap or one.kills or one.unclear)}
        if again:
            self.hunt(belongs_to(text for text, pid in ids.items() if pid in again))
        left = self.find(ids, groups)
        for pid, stopping in batch.items():
            if pid in left:
                self._still_there(stopping, left[pid])
            elif left.unclear and stopping.unclear < MAX_UNCLEAR_WALKS:
                stopping.unclear += 1
                self._recheck(stopping)
            else:
                self._gone(pid)

    def _gone(self, pid: int) -> None:
        owned = self._owned[pid]
        self.forget(pid)
        self._supervisor.gone(owned.job, owned.copy, owned.process)

    def _still_there(self, stopping: Stopping, os_pids: list[int]) -> None:
        process = stopping.process
        fresh = [os_pid for os_pid in os_pids if os_pid not in stopping.watchers]
        if stopping.killing:
            stopping.kills += 1
            if stopping.kills > MAX_KILLS and process.pid not in self.stuck:
                self._tell_stuck(stopping, os_pids)
        stopping.latest = set(os_pids)
        self._watch(stopping, fresh)
        for os_pid in os_pids if stopping.killing else self._escaped(process, fresh):
            if os_pid in stopping.watchers:
                _signal(stopping.watchers[os_pid][0], stopping.signum)
                _signal(stopping.watchers[os_pid][0], signal.SIGCONT)
        if stopping.killing or not stopping.watchers:
            self._recheck(stopping)

    def _tell_stuck(self, stopping: Stopping, os_pids: list[int]) -> None:
        process = stopping.process
        self.stuck.add(process.pid)
        reason = f"process {process.pid} left {len(os_pids)} behind that cannot be ended: "
        if stopping.latest.isdisjoint(os_pids):
            reason += "they fork anew faster than they are found"
        else:
            reason += f"KILL does not end os_pid {', '.join(map(str, os_pids[:MAX_NAMED]))}"
        log.error("job %s: %s; gaffer goes on trying, see gafferctl strays", process.name, reason)
        owned = self._owned[process.pid]
        self._supervisor.not_ended(owned.job, owned.copy, process, reason)

    def _recheck(self, stopping: Stopping) -> None:
        _cancel(stopping.recheck)
        pid = stopping.process.pid
        delay = LONG_RECHECK_DELAY if pid in self.stuck else RECHECK_DELAY
        stopping.recheck = self._deadlines.after(delay, partial(self._check, pid))

    @staticmethod
    def _escaped(process: Process, os_pids: Iterable[int]) -> list[int]:
        """Return those that left the group, so that the signal to it did not reach them."""
        return [os_pid for os_pid in os_pids if _group(os_pid) != process.os_pid]

    def _watch(self, stopping: Stopping, os_pids: Iterable[int]) -> None:
        for os_pid in os_pids:
            try:
                fd = os.pidfd_open(os_pid)
            except OSError:
                continue
            watcher = self._loop.io(fd, 1)
            stopping.watchers[os_pid] = (fd, watcher)
            watcher.start(self._survivor_exited, stopping, os_pid)

    def _survivor_exited(self, stopping: Stopping, os_pid: int) -> None:
        """Look for other survivors when the last known one has gone; called by the loop."""
        fd, watcher = stopping.watchers.pop(os_pid)
        watcher.stop()
        watcher.close()
        os.close(fd)
        self._group_left(stopping)
        if not stopping.watchers:
            self._supervisor.post(None, partial(self._check, stopping.process.pid))

    def _check(self, pid: int) -> None:
        if pid in self._stopping:
            self._look(pid)

    def close(self) -> None:
        """Give back the descriptors of all watchers."""
        for stopping in self._stopping.values():
            stopping.close()


def _cancel(deadline: Deadline | None) -> None:
    if deadline is not None:
        deadline.cancel()


def _signal(pidfd: int, signum: int) -> None:
    """Signal exactly the process that was found, even if its number was given away (pidfd_send_signal(2))."""
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except OSError:
        pass  # it has gone meanwhile


def _group(os_pid: int) -> int:
    try:
        return os.getpgid(os_pid)
    except OSError:
        return -1
