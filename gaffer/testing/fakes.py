"""Time and processes that a test moves by hand."""

from __future__ import annotations

import signal
from collections import deque
from typing import Any, Callable, Iterable

import gevent

from ..config.jobconfig import JobConfig
from ..errors import Conflict, SpawnError
from ..manager.manager import Manager
from ..process.child import Child
from ..process.proc_scan import Survivors
from ..process.process import ExitStatus, Process
from ..process.ring_buffer import RING_SIZE
from ..process.sink_worker import Sink, SinkWorker, workers
from ..process.spawn import SpawnPlan
from ..process.standalone import StandaloneOwner
from ..process.streams import TAIL_SIZE, Duplex, Reader, Writer

#: The kernel gives no such number (PID_MAX_LIMIT in proc(5)), so a signal that slips through reaches no process.
FIRST_OS_PID = 2**22
#: Signals that end no process that does not ask for it (signal(7)).
HARMLESS_SIGNALS = frozenset(
    (
        0,
        signal.SIGCHLD,
        signal.SIGCONT,
        signal.SIGURG,
        signal.SIGWINCH,
        signal.SIGSTOP,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    )
)
#: Turns of the hub in which plugins that do not wait have answered.
_SETTLE_ROUNDS = 10


class FakeClock:
    """Monotonic time that stands still until it is told to advance.

    :param now: what it shows first, in seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._listeners: list[Callable[[], Any]] = []

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass; what is due then happens in the hub's next turn (:func:`settle`)."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds}")
        self._now += seconds
        for listener in self._listeners:
            listener()

    def on_advance(self, listener: Callable[[], Any]) -> None:
        """Call *listener* after every advance."""
        self._listeners.append(listener)


class FakeReader(Reader):
    """A reader fed by a test."""

    __slots__ = ()

    def __init__(self, label: str, size: int, sinks: list[Sink | SinkWorker] | None) -> None:
        self.label, self.fd, self.size, self.sinks = label, -1, size, workers(sinks, label)
        self._ring, self._watcher, self._limits, self.over, self.at_end = None, None, None, False, False

    def feed(self, data: bytes) -> None:
        """Do what a read of *data* does."""
        self.ring.append(data)
        for sink in self.sinks or ():
            sink.write(data)

    def drain(self) -> None:
        """There is never anything left to read."""

    def close(self) -> None:
        self._end()


class FakeWriter(Writer):
    """A writer that keeps what is written."""

    __slots__ = ("written",)

    def __init__(self, label: str) -> None:
        self.label, self.fd, self.written, self._finish = label, -1, b"", False

    def write(self, data: bytes) -> None:
        if self._finish:
            raise Conflict(f"{self.label} is closed: the process does not read it any more")
        self.written += data

    def finish(self) -> None:
        self._finish = True

    def close(self) -> None:
        self._finish = True


class FakeDuplex(Duplex):
    """Both of them under one label."""

    __slots__ = ()

    def __init__(self, label: str, sinks: list[Sink | SinkWorker] | None) -> None:
        self.reader, self.writer = FakeReader(label, RING_SIZE, sinks), FakeWriter(label)


class FakeProcess(Process):
    """A process that lives until a test, or a signal, ends it.

    :param plan: what would have been started: ``plan.argv``, ``plan.env``.
    :param clock: monotonic seconds.
    :param ignores: signals that do not end it; KILL always does.

    ``signals`` lists what was sent to it, in order; CONT follows every other
    signal of a stop, so that stopped processes act on it.
    """

    __slots__ = ("plan", "clock", "ignores", "signals", "_coming")

    def __init__(
        self,
        config: JobConfig,
        plan: SpawnPlan,
        clock: Callable[[], float],
        on_exit: Callable[[Process], None] | None = None,
        ignores: Iterable[int] = (),
    ) -> None:
        Child.__init__(self, None, plan.pid, config, plan.index, on_exit)
        self.owner = StandaloneOwner(self)
        self.began(FIRST_OS_PID + plan.pid, reaper="a test")
        self.plan = plan
        self.clock = clock
        self.ignores = set(ignores)
        self.signals: list[int] = []
        self.started = clock()
        self._coming: ExitStatus | None = None
        self._attach()

    def _attach(self) -> None:
        """Make the streams that the settings and the plugins' sinks ask for."""
        config, sinks = self.config, self.plan.sinks
        labels = config.redirect_output
        if len(labels) > 1:
            self.stderr_label = labels[1]
        elif not config.detach or "stderr" in sinks:
            self.stderr_label = "2" if "stderr" in labels else "stderr"
        self.duplexes = {label: FakeDuplex(label, sinks.get(label)) for label in config.custom_streams}
        others = [label for label in sinks if label not in self.duplexes]
        for label in filter(None, dict.fromkeys([*labels, *others, self.stderr_label])):
            self.readers[label] = FakeReader(label, RING_SIZE if label in labels else TAIL_SIZE, sinks.get(label))
        if config.redirect_input:
            self.stdin = FakeWriter("stdin")

    # -- what a test does ---------------------------------------------------------
    def exit(self, code: int = 0) -> None:
        """Let it exit with *code*."""
        self._end(ExitStatus(code, None))

    def die(self, signum: int = signal.SIGSEGV) -> None:
        """Let it die of a signal from outside."""
        self._end(ExitStatus(None, int(signum)))

    def vanish(self) -> None:
        """Let it end with a status that other code has taken."""
        self._end(ExitStatus(None, None))

    def say(self, data: bytes, stream: str = "stdout") -> None:
        """Let it write *data*; what is not redirected is lost, as in reality.

        :param stream: ``stdout``, ``stderr`` or the label of a custom stream.
        """
        labels = self.config.redirect_output
        named = {"stdout": labels[0] if labels else "stdout", "stderr": self.stderr_label}
        label = named.get(stream, stream)
        duplex = (self.duplexes or {}).get(label)
        reader = duplex.reader if duplex else self.readers.get(label)
        if isinstance(reader, FakeReader):
            reader.feed(data)

    @property
    def alive(self) -> bool:
        """True until it ends; gaffer is notified in the hub's next turn."""
        return self._coming is None

    @property
    def written(self) -> bytes:
        """Bytes that were written to its stdin."""
        return self.stdin.written if isinstance(self.stdin, FakeWriter) else b""

    def _end(self, status: ExitStatus) -> None:
        if self._coming is not None:
            raise RuntimeError(f"{self!r} has ended already")
        self._coming = status
        if self._on_exit is not None:
            self._on_exit(self)

    # -- what gaffer does -----------------------------------------------------------
    def watch(self) -> None:
        """Do nothing: :meth:`exit`, :meth:`die`, :meth:`vanish` or a signal end it."""

    def collect(self) -> ExitStatus | None:
        if self.status is None and self._coming is not None:
            self.status, self.ended = self._coming, self.clock()
        return self.status

    def signal_group(self, signum: int) -> bool:
        if not self.alive:
            return False
        self.signals.append(signum)
        if signum == signal.SIGKILL or signum not in HARMLESS_SIGNALS and signum not in self.ignores:
            self._end(ExitStatus(None, int(signum)))
        return True

    signal_process = signal_group

    def kill(self, signum: int, group: bool = False) -> None:
        super().kill(signum, group)
        if self._asked:
            self._asked[signum] = self.clock()

    def uptime(self, now: float | None = None) -> float:
        return (self.clock() if now is None else now) - self.started


class FakeSpawner:
    """Stands in for :meth:`gaffer.process.Process.launch`: starts nothing and keeps what it made.

    :param clock: the time of its processes, and of managers it is installed in.
    :param ignores: signals that its processes ignore: ``[signal.SIGTERM]`` makes stubborn ones.
    """

    def __init__(self, clock: FakeClock | None = None, ignores: Iterable[int] = ()) -> None:
        self.clock = clock or FakeClock()
        self.ignores = set(ignores)
        #: Every process it made, the oldest first.
        self.processes: list[FakeProcess] = []
        self._failures: deque[Exception] = deque()

    def __call__(
        self,
        loop: Any,
        config: JobConfig,
        plan: SpawnPlan,
        on_exit: Callable[[Process], None] | None = None,
        file_limit: tuple[int, int] | None = None,
        **options: Any,
    ) -> FakeProcess:
        """Do what ``Process.launch`` does, with its arguments."""
        if self._failures:
            raise self._failures.popleft()
        process = FakeProcess(config, plan, self.clock, on_exit, self.ignores)
        self.processes.append(process)
        return process

    def fail(self, *errors: Exception | str) -> None:
        """Let the next starts fail, one for each error; a text becomes a :class:`~gaffer.errors.SpawnError`."""
        self._failures.extend(SpawnError(error) if isinstance(error, str) else error for error in errors)

    @property
    def last(self) -> FakeProcess:
        """The process made last."""
        return self.processes[-1]

    @property
    def alive(self) -> list[FakeProcess]:
        """The processes that have not ended."""
        return [process for process in self.processes if process.alive]

    def install(self, manager: Manager) -> None:
        """Give *manager* these processes and this clock; before it is started."""
        engine = manager.engine
        engine.launch, engine.clock = self, self.clock
        # What never lived leaves no descendants.
        engine.termination.find = lambda ids, groups=None: Survivors()
        engine.termination.hunt = lambda belongs: True
        manager.shutdown.find = lambda node_id: Survivors()
        self.clock.on_advance(lambda: engine.post(None, lambda: None))  # look at what is due


def settle(manager: Manager) -> None:
    """Wait until *manager* has done all there is to do now, and its plugins were notified.

    Plugins that wait for something real are waited for only while they are notified;
    what they are asked goes on afterwards.
    """
    for _ in range(_SETTLE_ROUNDS):
        if manager.state != "stopped":
            manager.engine.submit(None, lambda: None)
        manager.hooks.flush()
        gevent.idle()
