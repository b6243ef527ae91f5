"""Output of ``gaffer start``, in batches of lines ``HH:MM:SS name | line``."""

from __future__ import annotations

import re
import time
from signal import Signals
from typing import IO, TYPE_CHECKING, Any, Callable, Iterable

from gaffer import hookimpl

from .pieces import PieceCutter
from .printer import MAX_WIDTH, ConsolePainter, clean
from .writer import PatientWriter, PausableSource

if TYPE_CHECKING:
    from gaffer.api import ExitStatus, Job, Process

#: A longer line without its end is printed in pieces, in bytes.
MAX_BATCHED_LINE = 262_144
#: Bytes that only :func:`~gaffer_plugins.console.printer.clean` may judge: controls except tab and line feed.
_SUSPECT = bytes(byte for byte in range(32) if byte not in b"\t\n") + b"\x7f"
#: The controls that UTF-8 writes as two bytes.
_C1 = re.compile(rb"\xc2[\x80-\x9f]")


class RunConsole:
    """Prints the starts, the ends and the output of an application's processes.

    A process is called ``web``, or ``web.2`` where there are several. Nothing is dropped: a child waits for a
    slow terminal as it would if it had that for itself.

    :param stream: where to.
    :param names: those that will be printed, to align them.
    :param colorize: a colour for each name; None decides by the terminal and ``NO_COLOR``.
    :param timestamps: whether lines begin with the time.
    :param gone: called in the hub when the reader of *stream* is gone.
    """

    name = "console"
    description = "prints starts, ends and output"

    def __init__(
        self,
        stream: IO[str],
        names: Iterable[str] = (),
        colorize: bool | None = None,
        timestamps: bool = True,
        gone: Callable[[], object] = lambda: None,
    ) -> None:
        self.writer = PatientWriter(stream, gone)
        self._painter = ConsolePainter.for_stream(stream, colorize)
        self._width = min(MAX_WIDTH, max(map(len, names), default=0))
        self._timestamps = timestamps
        self._second = -1
        self._prefixes: dict[str, bytes] = {}

    # -- lines ----------------------------------------------------------------------
    def say(self, name: str, sentence: str) -> None:
        """Print what gaffer has to say about *name*, in its colour."""
        prefix = self._prefix_text(name)
        self.writer.write(self._painter.paint(name, prefix + clean(sentence)) + "\n")

    def lines(self, name: str, data: bytes, source: PausableSource | None = None) -> None:
        """Print the output of a process.

        :param data: whole lines, each with its end.
        :param source: who waits while the terminal is slow.
        """
        prefix = self._prefix(name)
        if is_plain(data):
            out = b"".join((prefix, data[:-1].replace(b"\n", b"\n" + prefix), b"\n"))
        else:
            out = self._cleaned(name, data)
        self.writer.put(out, source)

    def _cleaned(self, name: str, data: bytes) -> bytes:
        prefix, paint = self._prefix_text(name), self._painter.paint
        lines = data[:-1].decode("utf-8", "replace").split("\n")
        return "".join(f"{paint(name, prefix, clean(line))}\n" for line in lines).encode("utf-8", "replace")

    def _prefix(self, name: str) -> bytes:
        """Return what stands before each line; made once in a second."""
        second = int(time.time()) if self._timestamps else 0
        if second != self._second:
            self._second = second
            self._prefixes.clear()
        found = self._prefixes.get(name)
        if found is None:
            found = self._prefixes[name] = self._painter.paint(name, self._prefix_text(name)).encode()
        return found

    def _prefix_text(self, name: str) -> str:
        clock = time.strftime("%H:%M:%S ") if self._timestamps else ""
        return f"{clock}{name:<{self._width}} | "

    @property
    def prefix_width(self) -> int:
        """Columns of a line before the process' own text."""
        return len(self._prefix_text(""))

    # -- hooks ----------------------------------------------------------------------
    @hookimpl
    def gaffer_spawned(self, job: Job, process: Process) -> None:
        self.say(label(job, process.index), f"spawn process with pid {process.os_pid}")

    @hookimpl
    def gaffer_exited(self, job: Job, process: Process, status: ExitStatus) -> None:
        self.say(label(job, process.index), f"exit process with pid {process.os_pid}{_ending(status)}")

    @hookimpl
    def gaffer_spawn_failed(self, job: Job, index: int, error: Exception) -> None:
        self.say(label(job, index), f"spawn failed: {error}")

    @hookimpl
    def gaffer_open_sinks(self, job: Job, process: Any) -> BatchSink:
        return BatchSink(self, label(job, process.index))

    def close(self) -> int:
        """Wait until everything is written, as long as the reader takes it; returns how many bytes were not."""
        self.writer.close()
        return self.writer.unwritten


class BatchSink:
    """A sink: cuts the bytes of one stream after the last whole line."""

    def __init__(self, console: RunConsole, name: str) -> None:
        self._console, self._name = console, name
        self._source: PausableSource | None = None
        self._pieces = PieceCutter(MAX_BATCHED_LINE, self._lines, lambda: console.writer.full)
        self.write, self.close = self._pieces.write, self._pieces.close

    def attach(self, source: PausableSource) -> None:
        """Remember who waits when the terminal is slow."""
        self._source = source

    def _lines(self, data: bytes) -> None:
        self._console.lines(self._name, data, self._source)


def is_plain(data: bytes) -> bool:
    """Tell whether *data* can be printed as it is: UTF-8 without control characters except tabs and line ends."""
    if len(data.translate(None, _SUSPECT)) != len(data):
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return not _C1.search(data)


def label(job: Job, index: int) -> str:
    """Return what a process is called: its job's own name, with a number if there may be several."""
    name = job.name.job
    return name if job.config.numprocesses < 2 or index < 0 else f"{name}.{index + 1}"


def _ending(status: ExitStatus) -> str:
    if status.signal is not None:
        known = status.signal in set(Signals)
        return f" ({Signals(status.signal).name if known else f'signal {status.signal}'})"
    return f" (code {status.code})" if status.code else ""
