"""A job as a pure state machine: ``step(message, now)`` returns effects.

No clock, no input or output and no gevent in here, so that histories and random
commands can be tested by themselves. The engine carries the effects out.

A job keeps up to ``wanted`` *copies*, numbered from 0. Each copy is in one state
and owns at most one process; a copy's process must be entirely gone before its
replacement is started, so there are never more than ``wanted`` of them.
Messages about a copy carry its generation; late ones are ignored.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Iterator

from ..config.jobconfig import JobConfig
from ..config.names import JobName
from ..errors import Unavailable
from .messages import (
    Abandon,
    Approved,
    Commit,
    Decide,
    Decided,
    End,
    Enqueue,
    Exited,
    Fail,
    Gone,
    Held,
    Later,
    Launch,
    NotEnded,
    Notify,
    Prepare,
    ReadyDue,
    Release,
    Reload,
    Removed,
    ReportCommit,
    Restart,
    RetryDue,
    Scale,
    SetReady,
    Spawned,
    SpawnFailed,
    Start,
    StartTurn,
    Stop,
    StopAll,
    StopPid,
    Surge,
    Unload,
    Update,
)
from .restart_policy import After, Done, GiveUp, History, after_kill

# -- states of a copy ---------------------------------------------------------
QUEUED = "queued"  # waits for its turn to be started
PREPARING = "preparing"  # plugins are asked about the start
HELD = "held"  # a plugin lets the start wait for something
UP = "up"  # its process lives
STOPPING = "stopping"  # its process was told to stop, or left others behind
DECIDING = "deciding"  # its process died, the policy is asked
WAITING = "waiting"  # will be retried after a delay
FLAPPING = "flapping"  # paused by the flapping rule
FAILED = "failed"  # given up
DONE = "done"  # ended as its restart setting allows

# -- readiness of a copy that is up ---------------------------------------------
YOUNG = "young"  # has no probe and lives for less than min_uptime
AWAITED = "awaited"  # was not ready yet
READY = "ready"  # can be used
UNREADY = "unready"  # was ready, and is not any more

#: Reason of the end of a process that a plugin found not to work.
UNHEALTHY = "unhealthy"

_ENDED = (FAILED, DONE)
#: States of a job, the one that needs attention first; its copies decide.
_WORST_FIRST = (
    (FAILED, "failed"),
    (FLAPPING, "flapping"),
    (WAITING, "backoff"),
    (DECIDING, "backoff"),
    (UNREADY, "unready"),
    (STOPPING, "stopping"),
    (HELD, "waiting"),
    (QUEUED, "starting"),
    (PREPARING, "starting"),
    (AWAITED, "starting"),
)


Effects = list[Any]


class Copy:
    """A place for one process of a job, with its state and history."""

    __slots__ = (
        "index",
        "number",
        "state",
        "generation",
        "process",
        "history",
        "due",
        "reason",
        "ordered",
        "spawns",
        "error",
        "committed",
        "asked_at",
        "unready",
        "readiness",
        "ready_reason",
        "ready_since",
        "well",
    )

    def __init__(self, index: int, committed: Commit | None = None) -> None:
        self.index = index
        #: What its process finds as GAFFER_INDEX; a committed one gets a free number at its start.
        self.number = index
        self.state = QUEUED
        self.generation = 0
        self.process: Any = None
        self.history: History | None = None
        self.due = 0.0
        self.reason = ""
        #: Whether gaffer was asked to end its latest process.
        self.ordered = False
        self.spawns = 0
        self.error = ""
        self.committed = committed
        #: How often the job's starts had been released when plugins were last asked.
        self.asked_at = 0
        #: Why its process is not ready at the start, as plugins said; None if they did not.
        self.unready: str | None = None
        #: Whether its process can be used, "" without one; why, and since which monotonic time.
        self.readiness = ""
        self.ready_reason = ""
        self.ready_since = 0.0
        #: Whether its latest process ended with a code of ``exit_codes``.
        self.well = False

    def remembered(self) -> History:
        """Return the history, made when first needed: most copies never die."""
        if self.history is None:
            self.history = History()
        return self.history

    def __repr__(self) -> str:
        return f"<Copy {self.index} {self.state}>"


class Job:
    """A loaded job: state machine of its copies.

    :param config: its settings.
    :param order: its place in the order of loading.
    """

    __slots__ = (
        "config",
        "name",
        "order",
        "active",
        "wanted",
        "copies",
        "extras",
        "asked",
        "restarts",
        "replacements",
        "last_exit",
        "last_exit_info",
        "unloading",
        "removed",
        "queued",
        "blocked",
        "stop_pending",
        "stderr_tail",
        "last_spawn",
        "surge",
        "order_given",
        "_releases",
        "_queue",
        "_counts",
    )

    def __init__(self, config: JobConfig, order: int = 0) -> None:
        self.config = config
        self.name: JobName = config.job_name
        self.order = order
        self.active = False
        self.wanted: int = config.numprocesses
        #: Copies by index; those ended on purpose leave the table.
        self.copies: dict[int, Copy] = {}
        #: Committed processes by pid.
        self.extras: dict[int, Copy] = {}
        #: Pids reserved for committed processes whose callers wait.
        self.asked: set[int] = set()
        #: Processes started in place of one that died by itself, and of one that gaffer was asked to end.
        self.restarts = 0
        self.replacements = 0
        self.last_exit: Any = None
        #: The same as JSON shows it.
        self.last_exit_info: dict[str, Any] | None = None
        self.unloading = False
        self.removed = False
        #: Whether the engine has the job in its queue of starts.
        self.queued = False
        #: Whether starts have to wait until an unloaded job of the same name is gone.
        self.blocked = False
        self.stop_pending = False
        #: The last lines of stderr of the process that failed last.
        self.stderr_tail: list[str] = []
        #: Monotonic time of the latest start.
        self.last_spawn = 0.0
        #: What was last ordered of it, by whom, and when in seconds since 1970.
        self.order_given = ("loaded", "gafferd", 0.0)
        #: Copies beyond the wanted ones, while others are replaced one by one.
        self.surge = 0
        #: How often starts were released, so that none is missed between a question and its answer (reason 40).
        self._releases = 0
        self._queue: deque[int] = deque()
        #: How many counted copies are in each state and readiness, so that asking is cheap with thousands.
        self._counts: dict[str, int] = {}

    # -- what others read -----------------------------------------------------
    def live(self) -> Iterator[Copy]:
        """Yield every copy that has a process, committed ones last."""
        for copy in list(self.copies.values()):
            if copy.process is not None:
                yield copy
        for copy in list(self.extras.values()):
            if copy.process is not None:
                yield copy

    @property
    def out(self) -> int:
        """The number of committed processes, with those about to be started."""
        return len(self.extras.keys() | self.asked)

    def find(self, pid: int) -> Copy | None:
        """Return the copy whose process has *pid*."""
        return next((copy for copy in self.live() if copy.process.pid == pid), None)

    def state(self, now: float) -> str:
        """Return the job's state; of its copies the one that needs attention first decides."""
        for copy_state, job_state in _WORST_FIRST:
            if self._counts.get(copy_state):
                return job_state
        if self.active and self._queue:
            return "starting"
        if not self._counts.get(UP):
            return "stopped"
        young = self._counts.get(YOUNG) and now - self.last_spawn < self.config.min_uptime
        return "starting" if young else "running"

    @property
    def ready(self) -> int:
        """The number of counted copies that can be used."""
        return self._counts.get(READY, 0)

    @property
    def started(self) -> int:
        """The number of wanted copies that had a process since the job was started, and were not given up."""
        return sum(copy.spawns > 0 and copy.state != FAILED for copy in self._wanted_copies())

    @property
    def completed(self) -> int:
        """The number of wanted copies that ended for good, with a code of ``exit_codes``."""
        return sum(copy.state == DONE and copy.well for copy in self._wanted_copies())

    @property
    def running(self) -> bool:
        """True if a counted process lives, one that is being stopped too."""
        return any(copy.process is not None for copy in self.copies.values())

    def _wanted_copies(self) -> Iterator[Copy]:
        return (copy for copy in self.copies.values() if copy.index < self.wanted)

    @property
    def ended_by_itself(self) -> bool:
        """True if all copies have failed, or ended as their restart setting allows."""
        return not self.active and any(copy.state in _ENDED for copy in self.copies.values())

    @property
    def places(self) -> int:
        """The number of copies that are kept at the moment."""
        return self.wanted + self.surge

    def retry_in(self, now: float) -> float | None:
        """Return the seconds until the next retry, None if none is waiting."""
        dues = [copy.due for copy in self.copies.values() if copy.state in (WAITING, FLAPPING)]
        return max(0.0, min(dues) - now) if dues else None

    def reasons(self) -> list[str]:
        """Return why copies are waiting, not ready, have failed or cannot be ended, each reason once."""
        copies = list(self.copies.values())
        why = [copy.error for copy in copies if copy.state in (WAITING, FLAPPING, FAILED, HELD)]
        why += [copy.error for copy in self.live() if copy.state in (UP, STOPPING)]
        why += [copy.ready_reason for copy in copies if copy.readiness in (AWAITED, UNREADY)]
        return list(dict.fromkeys(reason for reason in why if reason))

    # -- the machine ------------------------------------------------------------
    def step(self, message: Any, now: float) -> Effects:
        """Take one message and return what has to be done, in order.

        :param now: monotonic time in seconds.
        """
        effects: Effects = []
        copy = getattr(message, "copy", None)
        if copy is None:
            _COMMANDS[type(message)](self, message, now, effects)
            return effects
        if getattr(message, "generation", copy.generation) != copy.generation:
            return effects
        action = _TABLE.get((copy.state, type(message)))
        if action is not None:
            action(self, copy, message, now, effects)
        return effects

    # -- commands ---------------------------------------------------------------
    def _start(self, message: Start, now: float, effects: Effects) -> None:
        if self.unloading:
            return
        self.stop_pending = False
        self._refresh()
        if not self.active:
            self.active = True
            effects.append(Notify("start"))
        self._fill(effects)

    def _stop(self, message: Stop, now: float, effects: Effects) -> None:
        self.stop_pending = self.stop_pending or self.active or any(True for _ in self.live())
        self.active = False
        self.surge = 0
        self._queue.clear()
        self._drop_idle(effects)
        for copy in [*self.copies.values(), *self.extras.values()]:
            copy.spawns = 0  # what follows a stop is no replacement, even if the process is still there then
            if message.keep_detached and self.config.detach and copy.state == UP:
                self._abandon(copy, effects)
            else:
                self._end(copy, "unload" if self.unloading else "stop", effects)
        self._settle(effects)

    def _restart(self, message: Restart, now: float, effects: Effects) -> None:
        if self.unloading:
            return
        effects.append(Notify("restart"))
        self._replace_all("restart", effects)
        self._start(Start(), now, effects)

    def _reload(self, message: Reload, now: float, effects: Effects) -> None:
        self._scale(Scale(self.config.numprocesses), now, effects)
        self._replace_all("restart", effects)
        if self.active:
            self._start(Start(), now, effects)

    def _stop_all(self, message: StopAll, now: float, effects: Effects) -> None:
        self._replace_all("restart", effects)

    def _stop_pid(self, message: StopPid, now: float, effects: Effects) -> None:
        copy = self.find(message.pid)
        if copy is not None:
            self._end(copy, "stop", effects)

    def _scale(self, message: Scale, now: float, effects: Effects) -> None:
        self._set_number(message.number, effects, alone=True)

    def _set_number(self, number: int, effects: Effects, alone: bool) -> None:
        """Change the wanted number; *alone* without other settings, so that no other event tells of it."""
        before, self.wanted = self.wanted, number
        if before != self.wanted:
            effects.append(Notify("scale", data=(before, self.wanted, alone)))
        self._retire_surplus(effects)
        if self.active:
            self._fill(effects)

    def _surge(self, message: Surge, now: float, effects: Effects) -> None:
        if not self.active:
            return
        self.surge = message.number
        self._retire_surplus(effects)
        self._fill(effects)

    def _set_ready(self, message: SetReady, now: float, effects: Effects) -> None:
        copy = self.find(message.pid)
        if copy is not None and copy.state == UP:
            self._become(copy, message.ready, message.reason, now, effects)

    def _fail(self, message: Fail, now: float, effects: Effects) -> None:
        copy = self.find(message.pid)
        if copy is not None and copy.state == UP:
            copy.error = message.reason
            self._end(copy, UNHEALTHY, effects)

    def _release(self, message: Release, now: float, effects: Effects) -> None:
        self._releases += 1
        for copy in list(self.copies.values()):
            if copy.state == HELD:
                self._again(copy, effects)

    def _update(self, message: Update, now: float, effects: Effects) -> None:
        previous, self.config = self.config, message.config
        effects.append(Notify("update", data=previous))
        if previous.needs_restart(self.config):
            if message.replace:
                self._replace_all("restart", effects)
        else:
            for copy in self.live():
                copy.process.config = self.config  # its stop signal and its time to stop may be new
        self._set_number(self.config.numprocesses, effects, alone=False)
        if message.start is False and self.active:
            self._stop(Stop(), now, effects)
        elif self.active or message.start:
            self._start(Start(), now, effects)
        if previous.needs_restart(self.config):
            self._prepare_again(effects)  # last of all, for those that are still wanted

    def _unload(self, message: Unload, now: float, effects: Effects) -> None:
        self.unloading = True
        self._stop(Stop(), now, effects)

    def _commit(self, message: Commit, now: float, effects: Effects) -> None:
        if self.unloading:
            effects.append(ReportCommit(message, Unavailable(f"job {self.name} was unloaded meanwhile")))
            return
        copy = Copy(-1, committed=message)
        self.extras[message.pid] = copy
        self._ask(copy, effects)

    def _turn(self, message: StartTurn, now: float, effects: Effects) -> None:
        while self._queue:
            index = self._queue.popleft()
            copy = self.copies.get(index)
            if copy is None:
                copy = self._new(index)
            if index >= self.places or not self.active or copy.state != QUEUED:
                if copy.state == QUEUED:
                    self._drop(copy)
                continue
            self._ask(copy, effects)
            break
        if self._queue:
            effects.append(Enqueue())

    # -- what happens to a copy -------------------------------------------------
    def _approved(self, copy: Copy, message: Approved, now: float, effects: Effects) -> None:
        copy.unready = getattr(message.plan, "unready", None)
        effects.append(Launch(copy, message.plan))

    def _held(self, copy: Copy, message: Held, now: float, effects: Effects) -> None:
        if copy.committed:
            effects.append(ReportCommit(copy.committed, Unavailable(f"job {self.name} waits: {message.reason}")))
            self._drop(copy)
            self._settle(effects)
        elif copy.asked_at != self._releases:
            self._again(copy, effects)
        else:
            self._to(copy, HELD)
            told = self._counts[HELD] > 1 and any(
                other.state == HELD and other.error == message.reason for other in self.copies.values()
            )
            copy.error = message.reason
            if not told:
                effects.append(Notify("waiting", data=message.reason))

    def _spawned(self, copy: Copy, message: Spawned, now: float, effects: Effects) -> None:
        self._to(copy, UP)
        copy.process = message.process
        self.last_spawn = now
        copy.error = ""
        if copy.spawns and copy.ordered:
            self.replacements += 1
        elif copy.spawns:
            self.restarts += 1
        copy.spawns += 1
        effects.append(Notify("spawn", message.process))
        self._begin_readiness(copy, now, effects)
        if copy.committed:
            effects.append(ReportCommit(copy.committed, None))

    def _begin_readiness(self, copy: Copy, now: float, effects: Effects) -> None:
        copy.ready_since = now
        if copy.unready is not None:
            self._count_readiness(copy, AWAITED, copy.unready)
        elif not self.config.min_uptime:
            self._become(copy, True, "", now, effects)
        else:
            self._count_readiness(copy, YOUNG, "")
            effects.append(Later(now + self.config.min_uptime, ReadyDue(copy, copy.generation)))

    def _ready_due(self, copy: Copy, message: ReadyDue, now: float, effects: Effects) -> None:
        if copy.readiness == YOUNG:
            self._become(copy, True, "", now, effects)

    def _become(self, copy: Copy, ready: bool, reason: str, now: float, effects: Effects) -> None:
        before = copy.readiness
        was_ready = before in (READY, UNREADY)
        self._count_readiness(copy, READY if ready else UNREADY if was_ready else AWAITED, reason)
        if copy.readiness != before:
            copy.ready_since = now
        if ready != (before == READY):
            effects.append(Notify("ready" if ready else "unready", copy.process, reason))

    def _spawn_failed(self, copy: Copy, message: SpawnFailed, now: float, effects: Effects) -> None:
        self._to(copy, DECIDING)
        copy.error = str(message.error)
        effects.append(Notify("spawn_failed", data=(copy, message.error)))
        if copy.committed:
            effects.append(ReportCommit(copy.committed, message.error))
            self._drop(copy)
            self._settle(effects)
            return
        copy.remembered().enter(self.config, None, now)
        effects.append(Decide(copy, None, None, None, None))

    def _died(self, copy: Copy, message: Exited, now: float, effects: Effects) -> None:
        process, copy.process = copy.process, None
        uptime = (process.ended or now) - process.started  # what it left behind may have lived longer
        self.last_exit = message.status
        copy.well = message.code is not None and message.code in self.config.exit_codes
        effects.append(Notify("exit", process, message.status))
        effects.append(Notify("reap", process, "exit"))
        if copy.committed:
            self._drop(copy)
            self._settle(effects)
            return
        self._to(copy, DECIDING)
        copy.ordered = bool(message.caused)
        if message.caused:
            decision = after_kill(self.config, message.code)
            self._decided(copy, Decided(copy, copy.generation, decision), now, effects)
        else:
            copy.error = f"exited with {message.status}"
            copy.remembered().enter(self.config, uptime, now)
            effects.append(Decide(copy, process, message.status, message.code, uptime))

    def _stopped(self, copy: Copy, message: Exited, now: float, effects: Effects) -> None:
        self.last_exit = message.status
        effects.append(Notify("exit", copy.process, message.status))

    def _gone(self, copy: Copy, message: Gone, now: float, effects: Effects) -> None:
        process, copy.process = copy.process, None
        effects.append(Notify("reap", process, copy.reason))
        if not copy.committed and self.active and copy.index < self.places:
            copy.ordered = copy.reason != UNHEALTHY
            if copy.ordered:
                self._again(copy, effects)
                return
            uptime = now - process.started
            copy.well = False
            self._to(copy, DECIDING)
            copy.remembered().enter(self.config, uptime, now)
            effects.append(Decide(copy, process, self.last_exit, None, uptime))
            return
        self._drop(copy)
        self._settle(effects)

    def _not_ended(self, copy: Copy, message: NotEnded, now: float, effects: Effects) -> None:
        copy.error = message.reason
        effects.append(Notify("stop_failed", message.process, message.reason))

    def _decided(self, copy: Copy, message: Decided, now: float, effects: Effects) -> None:
        decision = message.decision
        if isinstance(decision, After):
            self._to(copy, FLAPPING if decision.flapping else WAITING)
            copy.due = now + decision.seconds
            effects.append(Later(copy.due, RetryDue(copy, copy.generation)))
            if decision.flapping:
                effects.append(Notify("flap", data=(copy, decision)))
        elif isinstance(decision, (GiveUp, Done)):
            self._to(copy, FAILED if isinstance(decision, GiveUp) else DONE)
            copy.error = decision.reason if isinstance(decision, GiveUp) else ""
            self._ended(effects)
        else:
            self._again(copy, effects)

    def _due(self, copy: Copy, message: RetryDue, now: float, effects: Effects) -> None:
        self._again(copy, effects)

    # -- small moves -------------------------------------------------------------
    def _new(self, index: int) -> Copy:
        copy = self.copies[index] = Copy(index)
        self._counts[QUEUED] = self._counts.get(QUEUED, 0) + 1
        return copy

    def _ask(self, copy: Copy, effects: Effects) -> None:
        self._to(copy, PREPARING)
        copy.asked_at = self._releases
        effects.append(Prepare(copy))

    def _count_readiness(self, copy: Copy, readiness: str, reason: str) -> None:
        """Change the readiness of a copy, "" when it is not up any more."""
        if not copy.committed:
            if copy.readiness:
                self._counts[copy.readiness] -= 1
            if readiness:
                self._counts[readiness] = self._counts.get(readiness, 0) + 1
        copy.readiness, copy.ready_reason = readiness, reason

    def _to(self, copy: Copy, state: str) -> None:
        """Change a copy's state; answers to earlier questions are late from now on."""
        if copy.readiness:
            self._count_readiness(copy, "", "")
        if not copy.committed:
            self._counts[copy.state] -= 1
            self._counts[state] = self._counts.get(state, 0) + 1
        copy.state = state
        copy.generation += 1

    def _fill(self, effects: Effects) -> None:
        """Queue a start for every wanted copy that has none."""
        known = self.copies.keys() | set(self._queue)
        missing = [index for index in range(self.places) if index not in known]
        self._queue.extend(missing)
        if self._queue:
            effects.append(Enqueue())

    def _again(self, copy: Copy, effects: Effects) -> None:
        self._to(copy, QUEUED)
        self._queue.append(copy.index)
        effects.append(Enqueue())

    def _refresh(self) -> None:
        """Forget failures, delays and results for a fresh start."""
        for copy in list(self.copies.values()):
            if copy.state in (WAITING, FLAPPING, DECIDING, HELD, *_ENDED):
                self._drop(copy)

    def _drop_idle(self, effects: Effects) -> None:
        """Forget all copies without a process."""
        for copy in [*self.copies.values(), *self.extras.values()]:
            if copy.process is None:
                self._drop(copy)
                if copy.committed:
                    effects.append(ReportCommit(copy.committed, Unavailable(f"job {self.name} was stopped meanwhile")))

    def _drop(self, copy: Copy) -> None:
        copy.generation += 1
        if copy.readiness:
            self._count_readiness(copy, "", "")
        if copy.committed:
            self.extras.pop(copy.committed.pid, None)
        elif self.copies.get(copy.index) is copy:
            self._counts[copy.state] -= 1
            del self.copies[copy.index]

    def _retire_surplus(self, effects: Effects) -> None:
        for index in [index for index in self.copies if index >= self.places]:
            self._retire(index, effects)

    def _retire(self, index: int, effects: Effects) -> None:
        copy = self.copies[index]
        if copy.process is None:
            self._drop(copy)
        else:
            self._end(copy, "scale", effects)

    def _replace_all(self, reason: str, effects: Effects) -> None:
        for copy in list(self.copies.values()):
            self._end(copy, reason, effects)

    def _prepare_again(self, effects: Effects) -> None:
        """Ask plugins again about starts that were prepared for an old configuration."""
        for copy in [*self.copies.values(), *self.extras.values()]:
            if copy.state == PREPARING:
                self._ask(copy, effects)

    def _end(self, copy: Copy, reason: str, effects: Effects) -> None:
        if copy.process is None or copy.state == STOPPING:
            return
        self._to(copy, STOPPING)
        copy.reason = reason
        effects.append(Notify("stop_pid", copy.process))
        effects.append(End(copy))

    def _abandon(self, copy: Copy, effects: Effects) -> None:
        effects.append(Abandon(copy.process))
        copy.process = None
        self._drop(copy)

    def _ended(self, effects: Effects) -> None:
        """Deactivate the job once every copy has failed or is done (reason 10)."""
        if self.active and len(self.copies) >= self.places and not self._queue:
            if all(copy.state in _ENDED for copy in self.copies.values()):
                self.active = False
                self.surge = 0
                self.stop_pending = True
                self._settle(effects)

    def _settle(self, effects: Effects) -> None:
        """Emit ``stop``, and remove an unloaded job, once no process is left."""
        if self.active or any(True for _ in self.live()):
            return
        if self.stop_pending:
            self.stop_pending = False
            effects.append(Notify("stop"))
        if self.unloading and not self.removed:
            self.removed = True
            effects.append(Notify("delete"))
            effects.append(Removed())


_COMMANDS: dict[type, Callable[..., None]] = {
    Start: Job._start,
    Stop: Job._stop,
    Restart: Job._restart,
    Reload: Job._reload,
    StopAll: Job._stop_all,
    StopPid: Job._stop_pid,
    Scale: Job._scale,
    SetReady: Job._set_ready,
    Fail: Job._fail,
    Release: Job._release,
    Surge: Job._surge,
    Update: Job._update,
    Unload: Job._unload,
    Commit: Job._commit,
    StartTurn: Job._turn,
}

#: Whatever is not in this table is late or meaningless, and ignored.
_TABLE: dict[tuple[str, type], Callable[..., None]] = {
    (PREPARING, Approved): Job._approved,
    (PREPARING, Held): Job._held,
    (PREPARING, Spawned): Job._spawned,
    (PREPARING, SpawnFailed): Job._spawn_failed,
    (UP, ReadyDue): Job._ready_due,
    (UP, Exited): Job._died,
    (STOPPING, Exited): Job._stopped,
    (STOPPING, Gone): Job._gone,
    (UP, NotEnded): Job._not_ended,
    (STOPPING, NotEnded): Job._not_ended,
    (DECIDING, Decided): Job._decided,
    (WAITING, RetryDue): Job._due,
    (FLAPPING, RetryDue): Job._due,
}
