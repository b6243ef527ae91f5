"""Messages to the job machine and effects that it returns.

Messages come from commands, from the engine and from the loop; effects are what
the engine has to do. Both are plain values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol

from ..config.jobconfig import JobConfig
from .restart_policy import Decision

if TYPE_CHECKING:
    from .job import Copy


class LiveProcess(Protocol):
    """The part of a process that the job machine reads."""

    pid: int
    started: float
    config: JobConfig


# -- messages -------------------------------------------------------------------
class Start(NamedTuple):
    """The job is wanted up."""


class Stop(NamedTuple):
    """The job is wanted down.

    :param keep_detached: leave detached processes alone; gaffer itself ends.
    """

    keep_detached: bool = False


class Restart(NamedTuple):
    """Replace all processes; a stopped job is started."""


class Reload(NamedTuple):
    """Back to the configured number; replace all processes."""


class StopAll(NamedTuple):
    """Stop all processes; they are replaced."""


class StopPid(NamedTuple):
    """Stop one process; it is replaced unless it was committed."""

    pid: int


class Scale(NamedTuple):
    number: int


class Update(NamedTuple):
    """Take a new configuration.

    :param start: True starts, False stops, None keeps the job up or down as it is.
    :param replace: replace the processes if it matters to them; if false, the caller does.
    """

    config: JobConfig
    start: bool | None = None
    replace: bool = True


class SetReady(NamedTuple):
    """A process can be used, or cannot.

    :param reason: why, in a sentence.
    """

    pid: int
    ready: bool
    reason: str = ""


class Fail(NamedTuple):
    """Stop a process that does not work; that counts as if it had died.

    :param reason: what is wrong, in a sentence.
    """

    pid: int
    reason: str


class Release(NamedTuple):
    """Ask again about the starts that plugins hold."""


class Surge(NamedTuple):
    """Keep so many copies more than are wanted, while others are replaced."""

    number: int


class Unload(NamedTuple):
    """Stop everything and finish with :class:`Removed`."""


class Commit(NamedTuple):
    """Start one extra process, not counted and not replaced.

    :param answer: called with None when it runs, or with the reason why it does not.
    """

    pid: int
    env: dict[str, str] | None = None
    graceful_timeout: float | None = None
    answer: Callable[[Exception | None], Any] | None = None


class StartTurn(NamedTuple):
    """The job may start one process now."""


class Approved(NamedTuple):
    """Plugins agreed to a start."""

    copy: Copy
    generation: int
    plan: Any


class Held(NamedTuple):
    """A plugin lets a start wait until :class:`Release`.

    :param reason: what it waits for, in a sentence.
    """

    copy: Copy
    generation: int
    reason: str


class Spawned(NamedTuple):
    copy: Copy
    process: LiveProcess


class ReadyDue(NamedTuple):
    """The process has lived ``min_uptime``, which is how one without a probe becomes ready."""

    copy: Copy
    generation: int


class SpawnFailed(NamedTuple):
    copy: Copy
    generation: int
    error: Exception


class Exited(NamedTuple):
    """The process' status was collected.

    :param code: exit code, None after a signal.
    :param caused: if true, gaffer was asked to send the signal that ended it.
    :param status: the status that events show.
    """

    copy: Copy
    code: int | None
    status: Any
    caused: bool = False


class Gone(NamedTuple):
    """Nothing that the process started is left."""

    copy: Copy


class NotEnded(NamedTuple):
    """KILL did not end what the process left behind; :class:`Gone` may never come."""

    copy: Copy
    process: LiveProcess
    reason: str


class Decided(NamedTuple):
    copy: Copy
    generation: int
    decision: Decision


class RetryDue(NamedTuple):
    """The delay of a waiting copy is over."""

    copy: Copy
    generation: int


# -- effects --------------------------------------------------------------------
class Enqueue(NamedTuple):
    """Give the job a :class:`StartTurn` when it is its turn."""


class Prepare(NamedTuple):
    """Ask plugins about a start; answer :class:`Approved` or :class:`SpawnFailed`."""

    copy: Copy


class Launch(NamedTuple):
    """Start a process; answer :class:`Spawned` or :class:`SpawnFailed`."""

    copy: Copy
    plan: Any


class End(NamedTuple):
    """Stop a process and all it started; answer :class:`Exited`, then :class:`Gone`."""

    copy: Copy


class Abandon(NamedTuple):
    """Stop supervising a detached process and leave it alone."""

    process: LiveProcess


class Decide(NamedTuple):
    """Ask for the restart decision after a process ended; answer :class:`Decided`."""

    copy: Copy
    process: LiveProcess | None
    status: Any
    code: int | None
    uptime: float | None


class Later(NamedTuple):
    """Send a message at a monotonic time."""

    at: float
    message: RetryDue | ReadyDue


class ReportCommit(NamedTuple):
    """Report the result of a :class:`Commit` to its caller."""

    commit: Commit
    error: Exception | None


class Notify(NamedTuple):
    """Publish an event; ``event`` is its name in docs/events.rst."""

    event: str
    process: LiveProcess | None = None
    data: Any = None


class Removed(NamedTuple):
    """The job was unloaded and nothing of it is left."""
