"""One OS process: its descriptors, its end, its signals."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable, NamedTuple

from .errors import Forbidden, NotFound, SpawnError
from .jobconfig import JobConfig
from .names import JobName
from .spawn import SpawnPlan, execute, limit_files
from .streams import TAIL_SIZE, Duplex, Reader, Sink, Writer, last_lines, make_pipe

#: Lines of stderr kept of a process that failed (CONTRACT §2).
TAIL_LINES = 20
#: Signals that people send to end a process; others may mean anything.
_ASK_FOR_AN_END = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class ExitStatus(NamedTuple):
    """How a process ended; both are None when its status was lost to somebody else's wait."""

    code: int | None
    signal: int | None

    @property
    def exit_code(self) -> int:
        """The exit code as shells tell it: 128 + n after signal n, 255 if unknown."""
        if self.code is not None:
            return self.code
        return 255 if self.signal is None else 128 + self.signal

    def __str__(self) -> str:
        if self.signal is not None:
            return f"signal {_signal_name(self.signal)}"
        return "unknown status" if self.code is None else f"code {self.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def collect(pidfd: int) -> ExitStatus | None:
    """Take the status of an exited child; None while it lives.

    A status that somebody else took (ECHILD) is unknown, never an error (waitid(2)).
    """
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return ExitStatus(None, None)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return ExitStatus(result.si_status, None)
    return ExitStatus(None, result.si_status)


def decode_status(raw: int) -> ExitStatus:
    """Return what a wait status says (wait(2))."""
    if os.WIFSIGNALED(raw):
        return ExitStatus(None, os.WTERMSIG(raw))
    return ExitStatus(os.WEXITSTATUS(raw), None)


class Process:
    """A process that runs or ran.

    :param loop: gevent's hub loop.
    :param pid: gaffer's own id, never reused.
    :param config: the job's settings at its start.
    :param index: number of the copy; -1 when committed.
    :param os_pid: the kernel's id; :meth:`launch` makes one from a plan.
    :param reaper: ``pidfd``, or ``loop`` in programs whose loop has child watchers of its own.
    :param on_exit: called in the hub when the process has exited; must only enqueue.
    """

    __slots__ = (
        "loop",
        "pid",
        "name",
        "config",
        "index",
        "os_pid",
        "started",
        "create_time",
        "status",
        "readers",
        "duplexes",
        "stdin",
        "env_extra",
        "graceful_timeout",
        "stderr_label",
        "ended",
        "_asked",
        "_pidfd",
        "_watcher",
        "_on_exit",
    )

    def __init__(
        self,
        loop: Any,
        pid: int,
        config: JobConfig,
        os_pid: int,
        *,
        index: int = 0,
        reaper: str = "pidfd",
        on_exit: Callable[[Process], None] | None = None,
    ) -> None:
        self.loop = loop
        self.pid = pid
        self.name: JobName = config.job_name
        self.config = config
        self.index = index
        self.os_pid = os_pid
        self.started = time.monotonic()
        self.create_time = time.time()
        self.status: ExitStatus | None = None
        self.ended = 0.0
        self.readers: dict[str, Reader] = {}
        self.duplexes: dict[str, Duplex] | None = None
        self.stdin: Writer | None = None
        self.env_extra: dict[str, str] | None = None
        #: Seconds between the stop signal and KILL of a committed process; None for the job's.
        self.graceful_timeout: float | None = None
        #: Signals that somebody asked gaffer to send, and when.
        self._asked: dict[int, float] | None = None
        self.stderr_label = ""
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(os_pid) if reaper == "pidfd" and hasattr(os, "pidfd_open") else -1
        self._watcher: Any = None

    @classmethod
    def launch(
        cls,
        loop: Any,
        config: JobConfig,
        plan: SpawnPlan,
        on_exit: Callable[[Process], None] | None = None,
        file_limit: tuple[int, int] | None = None,
        reaper: str = "pidfd",
    ) -> Process:
        """Start a process.

        :param file_limit: RLIMIT_NOFILE for the child, if gafferd raised its own.
        :param reaper: see :class:`Process`.
        :raises SpawnError: one sentence with the system's reason.
        """
        if reaper == "loop":
            loop.install_sigchld()  # before the child can exit
        pipes = _Pipes(config, plan.sinks)
        try:
            os_pid = execute(plan, config, pipes.stdio, pipes.extra)
        except BaseException:
            pipes.close_ours()
            raise
        finally:
            pipes.close_theirs()
        limit_files(os_pid, file_limit)
        try:
            process = cls(loop, plan.pid, config, os_pid, index=plan.index, reaper=reaper, on_exit=on_exit)
        except OSError as error:
            pipes.close_ours()
            os.killpg(os_pid, signal.SIGKILL)  # nobody would ever notice its end
            os.waitpid(os_pid, 0)
            raise SpawnError(f"cannot watch the process: {error.strerror}; raise the limit of open files") from error
        pipes.attach(process, plan.sinks)
        process.watch()
        return process

    # -- its life -------------------------------------------------------------
    def watch(self) -> None:
        """Be told of the exit by the loop: pidfd where the system has it, else a child watcher."""
        if self._pidfd >= 0:
            self._watcher = self.loop.io(self._pidfd, 1)
        else:
            self._watcher = self.loop.child(self.os_pid)
        self._watcher.start(self._exited)

    def _exited(self) -> None:
        if self._pidfd < 0:
            self.status = decode_status(self._watcher.rstatus)  # the loop has waited for it already
        self._unwatch()
        if self._on_exit is not None:
            self._on_exit(self)

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def collect(self) -> ExitStatus | None:
        """Take the exit status; None while the process lives. The group is untouched."""
        if self.status is None:
            self.status = collect(self._pidfd)
        if self.status is not None and not self.ended:
            self.ended = time.monotonic()
            for reader in self._all_readers():
                reader.drain()
        return self.status

    def signal_group(self, signum: int) -> bool:
        """Send a signal to the process and its group; tell whether anybody was there.

        Safe against reuse of the id: the leader is our child and not yet waited
        for, or members of its group keep the id taken.
        """
        try:
            os.killpg(self.os_pid, signum)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # somebody is there who changed to another user
        return True

    def kill(self, signum: int) -> None:
        """Send a signal to the process and its group.

        :raises NotFound: it has exited.
        """
        if self.status is not None or not self.signal_group(signum):
            raise NotFound(f"process {self.pid} of {self.name} has exited already")
        self._asked = self._asked or {}
        self._asked[signum] = time.monotonic()

    def was_killed(self) -> bool:
        """Tell whether its end is the work of :meth:`kill`, so that it is no crash.

        It died of a signal that was sent, or exited, as servers do, in the time that a stop would
        have given it after one that asks for an end.
        """
        if self._asked is None or self.status is None:
            return False
        if self.status.signal is not None:
            return self.status.signal in self._asked
        since = self.ended - self.config.graceful_timeout
        ending = {*_ASK_FOR_AN_END, self.config.stop_signal}
        return any(signum in ending and at >= since for signum, at in self._asked.items())

    def close(self) -> None:
        """Give back every descriptor; what was read can still be read."""
        self._unwatch()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self.stdin is not None:
            self.stdin.close()
        for reader in self._all_readers():
            reader.drain()
            reader.close()
        for duplex in (self.duplexes or {}).values():
            duplex.close()

    def _all_readers(self) -> list[Reader]:
        return [*self.readers.values(), *(duplex.reader for duplex in (self.duplexes or {}).values())]

    # -- input and output -------------------------------------------------------
    def write(self, data: bytes | str, stream: str | None = None) -> None:
        """Write to stdin, or to the custom stream *stream*.

        :raises Forbidden: stdin is not redirected. :raises NotFound: no such stream.
        """
        if isinstance(data, str):
            data = data.encode()
        self._writer(stream).write(data)

    def _writer(self, stream: str | None) -> Writer:
        if stream in (None, "", "stdin", "ttin"):
            if self.stdin is None:
                raise Forbidden(f"stdin of {self.name} is not redirected; set redirect_input = true")
            return self.stdin
        duplex = (self.duplexes or {}).get(stream)
        if duplex is not None:
            return duplex.writer
        if stream in self.readers:
            raise Forbidden(f"{stream} of {self.name} is an output; it cannot be written")
        raise NotFound(f"process {self.pid} of {self.name} has no stream {stream!r}")

    def reader(self, label: str) -> Reader:
        """Return the reader of a redirected output or custom stream.

        :raises NotFound: no such stream.
        """
        duplex = (self.duplexes or {}).get(label)
        found = duplex.reader if duplex is not None else self.readers.get(label)
        if found is None:
            raise NotFound(f"process {self.pid} of {self.name} has no stream {label!r}")
        return found

    def stderr_tail(self) -> list[str]:
        """Return the last lines of stderr, redirected or not."""
        reader = self.readers.get(self.stderr_label)
        if reader is None or reader._ring is None:
            return []
        return last_lines(reader.ring.read()[1][-TAIL_SIZE:], TAIL_LINES)

    # -- what is shown ----------------------------------------------------------
    @property
    def active(self) -> bool:
        """Whether it has not exited."""
        return self.status is None

    @property
    def committed(self) -> bool:
        return self.index < 0

    def uptime(self, now: float | None = None) -> float:
        """Seconds since its start."""
        return (time.monotonic() if now is None else now) - self.started

    def info(self) -> dict[str, Any]:
        """Return what ``GET /PID`` shows (CONTRACT §4)."""
        config = self.config
        return {
            "pid": self.pid,
            "os_pid": self.os_pid,
            "name": self.name.full,
            "cmd": config.cmd,
            "args": config.to_dict()["args"],
            "env": {**config.env, **(self.env_extra or {})},
            "uid": config.uid,
            "gid": config.gid,
            "create_time": self.create_time,
            "committed": self.committed,
            "redirect_output": list(config.redirect_output),
            "redirect_input": config.redirect_input,
            "custom_streams": list(config.custom_streams),
            "active": self.active,
            "index": self.index,
            "uptime": self.uptime(),
        }

    def __repr__(self) -> str:
        return f"<Process {self.pid} of {self.name}, os_pid {self.os_pid}>"


class _Pipes:
    """The descriptors of one start, ours and theirs, so that none is ever left over."""

    def __init__(self, config: JobConfig, sinks: dict[str, list[Sink]]) -> None:
        self.config = config
        self.ours: dict[str, int] = {}
        self.theirs: list[int] = []
        self.duplexes: dict[str, int] = {}
        self.stderr_label = ""
        try:
            stdin = self._input()
            self.stdio = (stdin, *self._outputs(sinks))
            self.extra = tuple(self._extra())
        except OSError as error:
            self.close_ours()
            self.close_theirs()
            raise SpawnError(f"cannot make pipes: {error.strerror}; raise the limit of open files") from error
        except ValueError as error:
            self.close_ours()
            self.close_theirs()
            raise SpawnError(f"a custom channel cannot be used: {error}") from error

    def _input(self) -> int:
        if not self.config.redirect_input:
            return -1
        theirs, ours = make_pipe()
        self.ours["stdin"] = ours
        self.theirs.append(theirs)
        return theirs

    def _outputs(self, sinks: dict[str, list[Sink]]) -> tuple[int, int]:
        labels = self.config.redirect_output
        first = self._output(labels[0], True) if labels else self._output("stdout", False) if "stdout" in sinks else -1
        if len(labels) > 1 and labels[1] == labels[0]:
            self.stderr_label = labels[1]
            return first, first
        if len(labels) > 1:
            self.stderr_label = labels[1]
            return first, self._output(labels[1], True)
        # stderr is read even when nobody redirects it: its tail explains failures. A
        # detached process outlives us, and a pipe without a reader would kill it.
        if self.config.detach and "stderr" not in sinks:
            return first, -1
        self.stderr_label = "stderr" if "stderr" not in labels else "2"
        return first, self._output(self.stderr_label, False)

    def _output(self, label: str, large: bool) -> int:
        ours, theirs = make_pipe(large)
        self.ours[label] = ours
        self.theirs.append(theirs)
        return theirs

    def _extra(self) -> list[int]:
        ends: list[int] = []
        if self.config.custom_streams:
            import socket

            for label in self.config.custom_streams:
                ours, theirs = socket.socketpair()
                self.duplexes[label] = ours.detach()
                ends.append(theirs.detach())
                self.theirs.append(ends[-1])
        return ends + [fd if isinstance(fd, int) else fd.fileno() for fd in self.config.custom_channels]

    def attach(self, process: Process, sinks: dict[str, list[Sink]]) -> None:
        """Hand our ends to *process*."""
        for label, fd in self.ours.items():
            if label == "stdin":
                process.stdin = Writer(process.loop, label, fd)
                continue
            redirected = label in self.config.redirect_output
            extra = {} if redirected else {"size": TAIL_SIZE}
            process.readers[label] = Reader(process.loop, label, fd, sinks=sinks.get(label), **extra)
        process.stderr_label = self.stderr_label
        if self.duplexes:
            process.duplexes = {
                label: Duplex(process.loop, label, fd, sinks.get(label)) for label, fd in self.duplexes.items()
            }

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs.clear()

    def close_ours(self) -> None:
        for fd in [*self.ours.values(), *self.duplexes.values()]:
            os.close(fd)
        self.ours.clear()
        self.duplexes.clear()
