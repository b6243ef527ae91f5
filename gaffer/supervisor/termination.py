"""Ending processes: the signals, the time they get, and whatever they leave behind.

A stop goes to the process' group. When the leader has gone, what is left of its
descendants, those in other sessions too, gets the same signal and the rest of the
time; then KILL reaches whatever is still there, again until nothing is. Looking
for survivors takes a walk through ``/proc``, so many stops share one.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterable

from ..process.proc_scan import Found, group_alive, survivors
from .job import STOPPING

if TYPE_CHECKING:
    from ..process.process import Process
    from .engine import Engine
    from .job import Copy, Job

log = logging.getLogger("gaffer.stops")

#: While other leaders are still going, survivors are looked for this often, in seconds.
GATHER = 0.05
#: After a walk that took t seconds, the next one waits for this many times t …
REST = 1.0
#: … but no longer than this, in seconds.
LONGEST_REST = 0.5
#: Survivors that KILL did not end are tried again after this many seconds …
AGAIN = 0.05
#: … this many times; then they are named in the log and given up (uninterruptible sleep).
TRIES = 100
#: A look that left something unclear is taken again this many times.
DOUBTS = 3

Steps = list[tuple[int, float]]


class Ending:
    """One process on its way out."""

    __slots__ = ("process", "steps", "waits", "grouped", "at", "signum", "killing", "tries", "doubts", "watchers")

    def __init__(self, process: Process, steps: Steps) -> None:
        #: None once it is over: deadlines cannot be taken back, and must not keep its output in memory.
        self.process: Process | None = process
        self.steps = steps
        #: Whether its leader's exit is still to be told, and the walk for survivors has to wait for that.
        self.waits = True
        #: Whether the group may still have members; once it has none its number may be somebody else's.
        self.grouped = True
        self.at = 0
        self.signum = signal.SIGTERM.value
        self.killing = False
        self.tries = 0
        self.doubts = 0
        #: Watchers on the survivors' pidfds, by os_pid.
        self.watchers: dict[int, tuple[int, Any]] = {}


class Stops:
    """All processes of one engine, and those among them that are being stopped."""

    def __init__(self, engine: Engine, find: Callable[..., Found] = survivors) -> None:
        self._engine = engine
        #: Finds survivors; gafferd, being a subreaper, sets a cheaper one.
        self.find = find
        #: Pids of detached processes: what descends from them is no stray.
        self.detached: set[int] = set()
        self._owners: dict[int, tuple[Job, Copy]] = {}
        self._endings: dict[int, Ending] = {}
        self._leaving: dict[int, Process] = {}
        self._leaders = 0
        #: When the next walk is due; nothing before ``_rest_until``, so that walks never take most of the time.
        self._sweep_at = math.inf
        self._rest_until = 0.0

    # -- who is who -------------------------------------------------------------
    def register(self, process: Process, job: Job, copy: Copy) -> None:
        self._owners[process.pid] = (job, copy)
        if process.config.detach:
            self.detached.add(process.pid)

    def owner(self, process: Process) -> tuple[Job, Copy] | None:
        """Return the job and copy of a process; None when it was let go."""
        return self._owners.get(process.pid)

    def forget(self, process: Process) -> None:
        self._owners.pop(process.pid, None)
        ending = self._endings.pop(process.pid, None)
        if ending is not None:
            self._leaders -= ending.waits
            ending.process = None
            _unwatch(ending)

    # -- the signals --------------------------------------------------------------
    def begin(self, process: Process, steps: Steps | None = None) -> None:
        """Start to stop a process.

        :param steps: signals and how long each may take, in seconds; by default
            the job's stop signal and graceful timeout.
        """
        if process.pid not in self._owners or process.pid in self._endings:
            return
        if steps is None:
            own, config = process.graceful_timeout, process.config
            steps = [(int(config.stop_signal), config.graceful_timeout if own is None else own)]
        self._make(process, steps)
        self._step(process)

    def _make(self, process: Process, steps: Steps) -> Ending:
        ending = self._endings[process.pid] = Ending(process, steps)
        self._leaders += 1
        return ending

    def _step(self, process: Process) -> None:
        """Send the next signal and set the time of the one after it."""
        ending = self._endings.get(process.pid)
        if ending is None:
            return
        if ending.at < len(ending.steps):
            ending.signum, seconds = ending.steps[ending.at]
            ending.at += 1
            here = ending.at
            if seconds > 0 or ending.at < len(ending.steps):
                self._send(process, ending.signum)
                self._engine.at(self._engine.clock() + seconds, lambda: self._overdue(ending, here))
                return
        self.kill(process)

    def _overdue(self, ending: Ending, at: int) -> None:
        if ending.process is not None and ending.at == at and not ending.killing:
            self._step(ending.process)

    def kill(self, process: Process) -> None:
        """Go to KILL now, whatever the steps were."""
        ending = self._endings.get(process.pid)
        if ending is None:
            return
        ending.killing = True
        ending.signum = signal.SIGKILL.value
        self._send(process, ending.signum)
        if not ending.waits:
            self._look(process)

    def kill_all(self) -> None:
        """Go to KILL for everything that is being stopped, also for what plugins are still asked about."""
        for _, copy in list(self._owners.values()):
            if copy.state == STOPPING:
                if copy.process.pid not in self._endings:
                    self.begin(copy.process, [])
                elif not self._endings[copy.process.pid].killing:
                    self.kill(copy.process)

    def all_killed(self) -> bool:
        """Tell whether everything being stopped was sent KILL already."""
        return all(ending.killing for ending in self._endings.values())

    def _send(self, process: Process, signum: int) -> None:
        if process.status is None:
            process.signal_group(signum)
            if signum != signal.SIGKILL:
                process.signal_group(signal.SIGCONT)  # a stopped process acts on no other signal
        # With the leader collected its group id may be somebody else's; survivors are known one by one.
        for fd, _ in self._endings[process.pid].watchers.values():
            _signal(fd, signum)
        job = self._owners[process.pid][0]
        self._engine.afterwards(partial(self._engine.observer.signalled, job, process, signum))

    # -- what is left -------------------------------------------------------------
    def leader_exited(self, process: Process) -> None:
        """The process itself is gone; its descendants are looked for, many at once."""
        ending = self._endings.get(process.pid)
        if ending is None:
            # It died between the decision to stop it and the plugins' answer.
            ending = self._make(process, [])
            ending.killing = True
        self._leaders -= ending.waits
        ending.waits = False
        self._group_left(process, ending)
        self._look(process)

    @staticmethod
    def _group_left(process: Process, ending: Ending) -> bool:
        """Tell whether members of the group are left.

        The number of a group is given away only when nobody uses it any more, as process or as group
        (fork(2)). So a process of that number is a stranger, and so is its group; and once the group
        was empty whoever is in one of that number is a stranger too.
        """
        if ending.grouped:
            ending.grouped = group_alive(process.os_pid) and not os.path.exists(f"/proc/{process.os_pid}")
        return ending.grouped

    def _look(self, process: Process) -> None:
        """Look for survivors: at once when no leader is left to wait for, but many stops share one walk."""
        self._leaving[process.pid] = process
        now = self._engine.clock()
        at = max(self._rest_until, now if self._leaders <= 0 else now + GATHER)
        if at < self._sweep_at:
            self._sweep_at = at
            self._engine.at(at, lambda: self._sweep(at))

    def _sweep(self, at: float) -> None:
        if at != self._sweep_at:
            return  # an earlier one was asked for meanwhile
        began = self._engine.clock()
        self._sweep_at = math.inf
        self._look_at_all()
        now = self._engine.clock()
        self._rest_until = now + min(REST * (now - began), LONGEST_REST)

    def _look_at_all(self) -> None:
        batch, self._leaving = self._leaving, {}
        batch = {pid: process for pid, process in batch.items() if pid in self._endings}
        if not batch:
            return
        ids = {f"{self._engine.node_id}.{pid}": pid for pid in batch}
        groups = {
            process.os_pid: pid for pid, process in batch.items() if self._group_left(process, self._endings[pid])
        }
        left = self.find(ids, groups)
        for pid, process in batch.items():
            ending = self._endings[pid]
            if pid in left:
                self._still_there(process, left[pid])
            elif left.unclear and ending.doubts < DOUBTS:
                ending.doubts += 1
                self._check_again(process, ending)
            else:
                self._engine.gone(process)

    def _still_there(self, process: Process, os_pids: list[int]) -> None:
        ending = self._endings[process.pid]
        fresh = [os_pid for os_pid in os_pids if os_pid not in ending.watchers]
        if ending.killing:
            ending.tries += 1
            if ending.tries > TRIES:
                log.error("process %d of %s left behind what KILL does not end: %s", process.pid, process.name, os_pids)
                self._engine.gone(process)
                return
        self._watch(process, ending, fresh)
        for os_pid in os_pids if ending.killing else self._escaped(process, fresh):
            if os_pid in ending.watchers:
                _signal(ending.watchers[os_pid][0], ending.signum)
                _signal(ending.watchers[os_pid][0], signal.SIGCONT)
        if ending.killing or not ending.watchers:
            self._check_again(process, ending)

    def _check_again(self, process: Process, ending: Ending) -> None:
        self._engine.at(self._engine.clock() + AGAIN, lambda: self._check(process, ending))

    @staticmethod
    def _escaped(process: Process, os_pids: Iterable[int]) -> list[int]:
        """Return those that left the group, so that the signal to it did not reach them."""
        return [os_pid for os_pid in os_pids if _group(os_pid) != process.os_pid]

    def _watch(self, process: Process, ending: Ending, os_pids: Iterable[int]) -> None:
        for os_pid in os_pids:
            try:
                fd = os.pidfd_open(os_pid)
            except OSError:
                continue
            watcher = self._engine.loop.io(fd, 1)
            ending.watchers[os_pid] = (fd, watcher)
            watcher.start(self._survivor_exited, process, ending, os_pid)

    def _survivor_exited(self, process: Process, ending: Ending, os_pid: int) -> None:
        """Called by the loop; when the last known survivor has gone, look for others."""
        fd, watcher = ending.watchers.pop(os_pid)
        watcher.stop()
        watcher.close()
        os.close(fd)
        self._group_left(process, ending)
        if not ending.watchers:
            self._engine.post(None, lambda: self._check(process, ending))

    def _check(self, process: Process, ending: Ending) -> None:
        if self._endings.get(process.pid) is ending:
            self._look(process)

    def close(self) -> None:
        """Give back the descriptors of all watchers."""
        for ending in self._endings.values():
            _unwatch(ending)


def _unwatch(ending: Ending) -> None:
    for fd, watcher in ending.watchers.values():
        watcher.stop()
        watcher.close()
        os.close(fd)
    ending.watchers.clear()


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
