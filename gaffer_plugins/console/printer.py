"""Lines of the console: ``HH:MM:SS name | line``, names aligned, a colour per job."""

from __future__ import annotations

import os
import re
import time
from signal import Signals
from typing import IO, Any, Callable, Iterable

from .pieces import PieceCutter
from .writer import ConsoleWriter

#: A longer line without its end is printed in pieces, in bytes.
MAX_PRINTED_LINE = 8192
#: Names are aligned up to this width.
MAX_WIDTH = 32
_PLAIN = ("cyan", "yellow", "green", "magenta", "red", "blue")
#: In the order in which jobs get them.
COLORS = (*_PLAIN, *(f"intense_{color}" for color in _PLAIN))

# Colours of a process's own may stay; what moves the cursor or retitles the terminal may not.
_TERMINAL_CODE = re.compile(
    r"(\x1b\[[0-9;:]*m)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


def escape_codes() -> dict[str, str]:
    """Return the terminal's code of every colour in :data:`COLORS`, and of ``reset``."""
    from colorama import Fore, Style

    codes = {"reset": Style.RESET_ALL}
    for color in COLORS:
        base = color.removeprefix("intense_").upper()
        codes[color] = getattr(Fore, base if base.lower() == color else f"LIGHT{base}_EX")
    return codes


class ConsolePainter:
    """Colours the lines of each job; without codes it leaves them alone."""

    def __init__(self, codes: dict[str, str] | None) -> None:
        self._codes = codes
        self._colors: dict[str, str] = {}
        self._next = 0

    @classmethod
    def for_stream(cls, stream: IO[str], colorize: bool | None = None) -> ConsolePainter:
        """Return a painter for *stream*: colours only for terminals, and not where ``NO_COLOR`` is set."""
        if colorize is None:
            plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
            colorize = not plain and bool(getattr(stream, "isatty", lambda: False)())
        return cls(escape_codes() if colorize else None)

    def paint(self, name: str, text: str, rest: str = "") -> str:
        """Return *text* in the colour of the job *name*, and *rest* after it in its own colours."""
        if self._codes is None:
            return text + rest
        color = self._colors.get(name)
        if color is None:
            color = self._colors[name] = self._codes[COLORS[self._next % len(COLORS)]]
            self._next += 1
        reset = self._codes["reset"]
        return f"{color}{text}{reset}{rest}{reset}" if "\x1b" in rest else f"{color}{text}{reset}{rest}"

    def forget(self, name: str) -> None:
        """Forget the colour of a job that is gone."""
        self._colors.pop(name, None)


class ConsolePrinter:
    """Prints events and lines of output.

    :param clock: returns the time of day as ``HH:MM:SS``.
    """

    def __init__(
        self,
        writer: ConsoleWriter,
        painter: ConsolePainter,
        clock: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        self.writer = writer
        self._painter = painter
        self._clock = clock
        self._width = 0

    def align(self, names: Iterable[str]) -> None:
        """Make the column wide enough for *names*."""
        self._width = min(MAX_WIDTH, max([self._width, *map(len, names)]))

    def event(self, event: dict[str, Any]) -> None:
        """Print one event, the mapping that ``gaffer_event`` gets."""
        name = event.get("name", "gafferd")
        self.align([name])
        self._tell_lost()
        self.writer.write(self._painter.paint(name, self._prefix(name) + clean(describe(event))) + "\n")
        if event["event"] == "delete":
            self._painter.forget(name)

    def lines(self, name: str, lines: list[str]) -> None:
        """Print *lines* of the output of job *name*."""
        self._tell_lost()
        prefix = self._prefix(name)
        paint = self._painter.paint
        self.writer.write("".join(f"{paint(name, prefix, clean(line))}\n" for line in lines), len(lines))

    def _prefix(self, name: str) -> str:
        return f"{self._clock()} {name:<{self._width}} | "

    def _tell_lost(self) -> None:
        if not self.writer.full:
            lost = self.writer.take_lost()
            if lost:
                self.writer.write(f"{self._prefix('gafferd')}{lost} lines dropped: the terminal is too slow\n")


def clean(line: str) -> str:
    """Return *line* without control characters and escape sequences, except tabs and colours."""
    return line if line.isprintable() else _TERMINAL_CODE.sub(r"\1", line)


def describe(event: dict[str, Any]) -> str:
    """Return the words for an event, those of the documentation where it shows them."""
    kind = str(event["event"])
    if kind == "flap":
        return f"flap, retry in {event.get('retry_in', 0):g} s"
    if kind == "spawn_failed":
        return f"spawn failed: {event.get('reason', 'unknown reason')}"
    if kind == "stop_failed":
        return f"stop failed: {event.get('reason', 'unknown reason')}"
    if "os_pid" in event:
        return f"{kind.removesuffix('_pid')} process with pid {event['os_pid']}{_ending(event)}"
    return kind


def _ending(event: dict[str, Any]) -> str:
    number = event.get("term_signal")
    if number:
        note = f", {event['note']}" if event.get("note") else ""
        return f" ({Signals(number).name if number in set(Signals) else f'signal {number}'}{note})"
    return f" (code {event['exit_code']})" if event.get("exit_code") else ""


class OutputLines:
    """A sink: cuts the bytes of one stream into lines and prints them.

    :param show: called with a list of complete lines.
    :param full: tells that lines would be dropped anyway; *drop* is then given their number.
    """

    def __init__(
        self, show: Callable[[list[str]], None], full: Callable[[], bool], drop: Callable[[int], None]
    ) -> None:
        self._show, self._full, self._drop = show, full, drop
        self._pieces = PieceCutter(MAX_PRINTED_LINE, self._lines, full)
        self.write, self.close = self._pieces.write, self._pieces.close

    def _lines(self, data: bytes) -> None:
        if self._full():
            self._drop(data.count(b"\n"))
        else:
            self._show([line.decode("utf-8", "replace") for line in data[:-1].split(b"\n")])


def output_lines(printer: ConsolePrinter, name: str) -> OutputLines:
    """Return a sink that prints the output of the job *name*."""
    return OutputLines(lambda lines: printer.lines(name, lines), lambda: printer.writer.full, printer.writer.drop)
