"""Processes as the engine uses them: start, descriptors, end, signals."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any, Callable, TypeVar

from ..config.jobconfig import JobConfig
from ..config.names import ProcessName
from ..errors import Forbidden, NotFound, SpawnError, Unavailable
from ..service.signals import STOP
from .exit_status import ExitStatus, collect, decode_status, has_exited
from .pipes import Pipes, set_window
from .ring_buffer import RingLimits
from .spawn import SpawnPlan, execute
from .streams import TAIL_SIZE, Duplex, Reader, Writer, last_lines

#: Lines of stderr kept of a process that failed (docs/configuration.rst).
TAIL_LINES = 20
#: In place of the pidfd of a process that was closed; -1 is one that has none.
_CLOSED = -2

_C = TypeVar("_C", bound="Child")


class Child:
    """A child process before, during and after its life; :class:`gaffer.process.Process` is its public face.

    :param loop: gevent's hub loop.
    :param pid: gaffer's own id, never reused.
    :param config: the job's settings at its start.
    :param index: number of the copy; -1 when committed.
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
        "silent_stdin",
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
        index: int = 0,
        on_exit: Callable[[Any], None] | None = None,
    ) -> None:
        self.loop = loop
        self.pid = pid
        self.name = ProcessName(*config.job_name)
        self.config = config
        self.index = index
        #: The kernel's id; 0 until it is started.
        self.os_pid = 0
        self.started = 0.0
        self.create_time = 0.0
        #: How it ended; None before that.
        self.status: ExitStatus | None = None
        self.ended = 0.0
        self.readers: dict[str, Reader] = {}
        self.duplexes: dict[str, Duplex] | None = None
        self.stdin: Writer | None = None
        #: Our end of a stdin that stays open and says nothing, -1 without.
        self.silent_stdin = -1
        self.env_extra: dict[str, str] | None = None
        #: Seconds between the stop signal and KILL of a committed process; None for the job's.
        self.graceful_timeout: float | None = None
        #: Signals sent on request, and when.
        self._asked: dict[int, float] | None = None
        self.stderr_label = ""
        self._on_exit = on_exit
        self._pidfd = -1
        self._watcher: Any = None

    @classmethod
    def launch(
        cls: type[_C],
        loop: Any,
        config: JobConfig,
        plan: SpawnPlan,
        on_exit: Callable[[Any], None] | None = None,
        file_limit: tuple[int, int] | None = None,
        reaper: str = "pidfd",
        rings: RingLimits | None = None,
    ) -> _C:
        """Start a process for an engine.

        :param on_exit: called in the hub when the process has exited; must only enqueue.
        :param file_limit: RLIMIT_NOFILE for the child, if gafferd raised its own.
        :param reaper: ``pidfd``, or ``loop`` in programs whose loop has child watchers of its own.
        :param rings: how much of its output is kept.
        :raises SpawnError: one sentence with the system's reason.
        """
        process = cls.__new__(cls)
        Child.__init__(process, loop, plan.pid, config, plan.index, on_exit)
        process.start(plan, file_limit, reaper, rings)
        return process

    # -- its life -------------------------------------------------------------
    def start(
        self,
        plan: SpawnPlan,
        file_limit: tuple[int, int] | None = None,
        reaper: str = "pidfd",
        rings: RingLimits | None = None,
    ) -> None:
        """Start it; see :meth:`launch`."""
        if reaper == "loop":
            self.loop.install_sigchld()  # before the child can exit
        pipes = Pipes(self.config, plan.sinks, plan.window)
        try:
            os_pid = execute(plan, self.config, pipes.stdio, pipes.extra, file_limit)
        except BaseException:
            pipes.close_ours()
            raise
        finally:
            pipes.close_theirs()
        try:
            self.began(os_pid, reaper)
            pipes.attach(self, plan.sinks, rings)
            self.watch()
        except BaseException as error:
            self._undo_start(os_pid, pipes)
            if isinstance(error, OSError):
                text = f"cannot watch the process: {error.strerror}; raise the limit of open files"
                raise SpawnError(text) from error
            raise

    def _undo_start(self, os_pid: int, pipes: Pipes) -> None:
        """End a process that was just started and cannot be supervised."""
        with suppress(OSError):
            os.killpg(os_pid, signal.SIGKILL)
        with suppress(OSError):
            os.waitpid(os_pid, 0)
        self._on_exit = None
        self.close()
        self.os_pid, self.started = 0, 0.0
        pipes.close_ours()

    def began(self, os_pid: int, reaper: str = "pidfd") -> None:
        """Record the start of the process."""
        if reaper == "pidfd" and hasattr(os, "pidfd_open"):
            self._pidfd = os.pidfd_open(os_pid)
        self.os_pid = os_pid
        self.started = time.monotonic()
        self.create_time = time.time()

    def watch(self) -> None:
        """Watch for the exit: by pidfd where the system has it, else by a child watcher (reason 2)."""
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

    def has_exited(self) -> bool:
        """Return True if it has exited and is not collected yet; an exit that was not noticed yet is noticed now.

        Its output ends a moment before the kernel reports the exit, and that moment need not be waited for (reason 34).
        """
        if self._pidfd < 0 or self.status is not None or self._on_exit is None:
            return False
        if self._watcher is not None and has_exited(self._pidfd):
            self._exited()
        return self._watcher is None

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

    def close_ended(self) -> None:
        """Close the outputs that have ended, while the rest of it is still waited for."""
        for reader in self._all_readers():
            if reader.at_end:
                reader.close()

    def signal_group(self, signum: int) -> bool:
        """Send a signal to the process and its group; return False if there is no such group.

        Safe against reuse of the id: the leader is our child and not yet waited
        for, or members of its group keep the id taken.
        """
        if not self.os_pid:
            return False  # and 0 would be our own group
        try:
            os.killpg(self.os_pid, signum)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # there is a member that changed to another user
        return True

    def signal_process(self, signum: int) -> bool:
        """Send a signal to the process alone; return False if it has gone. Safe as :meth:`signal_group` is."""
        if not self.os_pid or self.status is not None:
            return False
        try:
            os.kill(self.os_pid, signum)
        except ProcessLookupError:
            return False
        return True

    def kill(self, signum: int, group: bool = False) -> None:
        """Send a signal to the process.

        :param group: send it to all of its group, as a stop does.
        :raises NotFound: it has exited, or is not started.
        """
        if not self.active or not (self.signal_group if group else self.signal_process)(signum):
            raise NotFound(f"process {self.pid} of {self.name} {'has exited already' if self.os_pid else 'never ran'}")
        self._asked = self._asked or {}
        self._asked[signum] = time.monotonic()

    def was_killed(self) -> bool:
        """Return True if :meth:`kill` ended it, so that it is no crash.

        It died of a signal that was sent, or exited, as servers do, in the time that a stop would
        have given it after one that asks for an end.
        """
        if self._asked is None or self.status is None:
            return False
        if self.status.signal is not None:
            return self.status.signal in self._asked
        since = self.ended - self.config.graceful_timeout
        ending = {*STOP, self.config.stop_signal}  # others may mean anything
        return any(signum in ending and at >= since for signum, at in self._asked.items())

    def close(self) -> None:
        """Give back every descriptor; what was read can still be read. No exit is reported after this."""
        self._unwatch()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = _CLOSED
        if self.stdin is not None:
            self.stdin.close()
        if self.silent_stdin >= 0:
            os.close(self.silent_stdin)
            self.silent_stdin = -1
        for reader in self._all_readers():
            reader.drain()
            reader.close()
        for duplex in (self.duplexes or {}).values():
            duplex.close()

    @property
    def closed(self) -> bool:
        """True once it has given back its descriptors."""
        return self._pidfd == _CLOSED

    def _all_readers(self) -> list[Reader]:
        return [*self.readers.values(), *(duplex.reader for duplex in (self.duplexes or {}).values())]

    # -- input and output -------------------------------------------------------
    def write(self, data: bytes | str, stream: str | None = None) -> None:
        """Write to stdin, or to the custom stream *stream*; never waits. From any thread.

        :raises Forbidden: stdin is not redirected. :raises NotFound: no such stream.
        :raises Unavailable: the process leaves too much unread. :raises Conflict: it has closed the stream.
            For other threads both go to the log.
        """
        self.writer(stream).write(data.encode() if isinstance(data, str) else data)

    def writer(self, stream: str | None) -> Writer:
        """Return the writer of stdin, or of the custom stream *stream*.

        :raises Forbidden: it is not redirected, or an output. :raises NotFound: no such stream.
        """
        if stream in (None, "", "stdin", "ttin"):
            if self.stdin is None and self.config.redirect_input:
                raise Unavailable(f"process {self.pid} of {self.name} is not started")
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

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal a new size and tell it; nothing happens without ``tty`` or after its end."""
        reader = self.readers.get(self.stderr_label)
        if self.config.tty and self.active and reader is not None and reader.fd >= 0:
            set_window(reader.fd, rows, columns)
            self.signal_group(signal.SIGWINCH)  # the kernel tells only those whose session the terminal controls

    # -- what is shown ----------------------------------------------------------
    @property
    def active(self) -> bool:
        """True from its start to its exit."""
        return self.os_pid > 0 and self.status is None

    @property
    def committed(self) -> bool:
        return self.index < 0

    def uptime(self, now: float | None = None) -> float:
        """Seconds since its start."""
        return (time.monotonic() if now is None else now) - self.started if self.os_pid else 0.0

    @property
    def info(self) -> dict[str, Any]:
        """The answer to ``GET /PID`` (docs/http-api.rst)."""
        config = self.config
        return {
            "pid": self.pid,
            "os_pid": self.os_pid or None,
            "name": self.name.full,
            "cmd": config.cmd,
            "args": config.to_dict()["args"],
            "env": {**config.env, **(self.env_extra or {})},
            "uid": config.uid,
            "gid": config.gid,
            "create_time": self.create_time or None,
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
