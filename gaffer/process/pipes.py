"""The pipes of one start: made before it, handed to the process after it."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, Any

from ..config.jobconfig import JobConfig
from ..errors import SpawnError
from ..service.rlimits import exhausted, is_scarce
from .ring_buffer import RingLimits
from .sink_worker import Sinks
from .streams import TAIL_SIZE, Duplex, Reader, Writer, make_pipe

if TYPE_CHECKING:
    from .child import Child


#: Our end of a stdin without a writer; a label that no stream can have.
_SILENT = ""


def set_window(terminal: int, rows: int, columns: int) -> None:
    """Set the size of a terminal (ioctl_tty(2), TIOCSWINSZ)."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Pipes:
    """The descriptors of one start, ours and theirs, so that none is ever left over."""

    def __init__(self, config: JobConfig, sinks: Sinks, window: tuple[int, int] = (24, 80)) -> None:
        self.config = config
        self.window = window
        self.ours: dict[str, int] = {}
        self.theirs: list[int] = []
        self.duplexes: dict[str, int] = {}
        self.stderr_label = ""
        try:
            stdin = self._input()
            self.stdio = (stdin, *self._outputs(sinks))
            self.extra = tuple(self._extra())
            if is_scarce(max([*self.ours.values(), *self.theirs, *self.duplexes.values()], default=0)):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        except OSError as error:
            self.close_ours()
            self.close_theirs()
            reason = exhausted() if error.errno == errno.EMFILE else error.strerror
            raise SpawnError(f"cannot make pipes: {reason}") from error
        except ValueError as error:
            self.close_ours()
            self.close_theirs()
            raise SpawnError(f"a custom channel cannot be used: {error}") from error

    def _input(self) -> int:
        silent = self.config.stdin == "open" or self.config.tty and self.config.stdin == "auto"
        if not self.config.redirect_input and not silent:
            return -1
        # Programs that watch files end when their stdin does, and take the null device for one that has ended.
        theirs, ours = make_pipe()
        self.ours["stdin" if self.config.redirect_input else _SILENT] = ours
        self.theirs.append(theirs)
        return theirs

    def _outputs(self, sinks: Sinks) -> tuple[int, int]:
        labels = self.config.redirect_output
        if self.config.tty:
            theirs = self._terminal(labels[0] if labels else "stdout")
            return theirs, theirs
        first = self._output(labels[0], True) if labels else self._output("stdout", True) if "stdout" in sinks else -1
        if len(labels) > 1 and labels[1] == labels[0]:
            self.stderr_label = labels[1]
            return first, first
        if len(labels) > 1:
            self.stderr_label = labels[1]
            return first, self._output(labels[1], True)
        # stderr is read even when it is not redirected: its tail explains failures. A
        # detached process outlives us, and a pipe without a reader would kill it (reason 6).
        if self.config.detach and "stderr" not in sinks:
            return first, -1
        self.stderr_label = "stderr" if "stderr" not in labels else "2"
        return first, self._output(self.stderr_label, self.stderr_label in sinks)

    def _terminal(self, label: str) -> int:
        ours, theirs = os.openpty()
        self.ours[label] = ours
        self.theirs.append(theirs)
        self.stderr_label = label
        set_window(theirs, *self.window)
        attributes = termios.tcgetattr(theirs)
        attributes[1] &= ~termios.ONLCR  # lines end as they were written
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
        return theirs

    def _output(self, label: str, large: bool) -> int:
        ours, theirs = make_pipe(large)
        self.ours[label] = ours
        self.theirs.append(theirs)
        return theirs

    def _extra(self) -> list[int]:
        ends: list[int] = []
        if self.config.custom_streams:
            import socket  # late: most jobs have none
        for label in self.config.custom_streams:
            ours, theirs = socket.socketpair()
            self.duplexes[label] = ours.detach()
            ends.append(theirs.detach())
            # gevent's sockets, which these are where a program is monkey-patched, do not block; the child's has to.
            os.set_blocking(ends[-1], True)
            self.theirs.append(ends[-1])
        return ends + [fd if isinstance(fd, int) else fd.fileno() for fd in self.config.custom_channels]

    def attach(self, process: Child, sinks: Sinks, limits: RingLimits | None = None) -> None:
        """Hand our ends to *process*.

        :param limits: what redirected and custom streams keep, and those that a plugin takes, such as for a log file;
            other output keeps little and never grows.
        """
        kept: dict[str, Any] = {"size": limits.size, "limits": limits} if limits is not None else {}
        for label, fd in list(self.ours.items()):
            if label == _SILENT:
                process.silent_stdin = fd
            elif label == "stdin":
                process.stdin = Writer(process.loop, label, fd)
            else:
                extra = kept if label in self.config.redirect_output or sinks.get(label) else {"size": TAIL_SIZE}
                process.readers[label] = Reader(
                    process.loop, label, fd, sinks=sinks.get(label), exited=process.has_exited, **extra
                )
            del self.ours[label]  # only now: until then it is closed where a start fails
        process.stderr_label = self.stderr_label
        duplexes: dict[str, Duplex] = {}
        process.duplexes = duplexes if self.duplexes else None
        for label, fd in list(self.duplexes.items()):
            duplexes[label] = Duplex(process.loop, label, fd, sinks=sinks.get(label), **kept)
            del self.duplexes[label]

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs.clear()

    def close_ours(self) -> None:
        for fd in [*self.ours.values(), *self.duplexes.values()]:
            os.close(fd)
        self.ours.clear()
        self.duplexes.clear()
