"""Console as an application, as in gaffer 0.5: prints events and output of a manager's processes."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any, Iterable

from gaffer import hookimpl
from gaffer.api import BadRequest, nearest

from .printer import COLORS, ConsolePainter, ConsolePrinter, escape_codes, output_lines
from .writer import ConsoleWriter

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Job

_REVERSE, _RESET = "\x1b[7m", "\x1b[0m"


class ConsoleOutput:
    """Prints what happens, and what processes say: ``Manager(apps=[ConsoleOutput()])``.

    :param colorize: a colour for each job, on terminals and where ``NO_COLOR`` is not set.
    :param output_streams: print redirected output too.
    :param actions: names of the events that are printed; :attr:`DEFAULT_ACTIONS` if None.
    :param stream: where to; standard output if None.
    """

    name = "console_output"
    description = "prints events and output"

    DEFAULT_ACTIONS = ["start", "stop", "spawn", "reap", "exit", "stop_pid"]

    def __init__(
        self,
        colorize: bool = True,
        output_streams: bool = True,
        actions: Iterable[str] | None = None,
        stream: IO[str] | None = None,
    ) -> None:
        self.colorize = colorize
        self.output_streams = output_streams
        self.actions = self.DEFAULT_ACTIONS if actions is None else list(actions)
        self._stream = stream
        self._manager: Manager | None = None
        self._printer: ConsolePrinter | None = None

    def start(self, loop: Any, manager: Manager) -> None:
        """Begin to print what happens in *manager*.

        :param loop: accepted as in gaffer 0.5.
        """
        stream = self._stream or sys.stdout
        painter = ConsolePainter.for_stream(stream, None if self.colorize else False)
        self._manager, self._printer = manager, ConsolePrinter(ConsoleWriter(stream), painter)

    def stop(self) -> None:
        """Print what happened until now, and nothing more."""
        if self._manager is not None and self._printer is not None:
            self._manager.hooks.flush()
            self._printer.writer.close()
            self._printer = None

    def restart(self) -> None:
        """The manager restarts; there is nothing to do."""

    @hookimpl
    def gaffer_event(self, event: dict[str, Any]) -> None:
        """Print one event, if it is one of the actions."""
        if self._printer is not None and event["event"] in self.actions:
            self._printer.event(event)

    @hookimpl
    def gaffer_open_sinks(self, job: Job, label: str) -> Any:
        """Print one stream, if it is redirected."""
        if self._printer is None or not self.output_streams or label not in job.config.redirect_output:
            return None
        return output_lines(self._printer, job.name.short)


class Color:
    """Colours text for terminals."""

    def __init__(self) -> None:
        self._codes = escape_codes()

    def output(self, color_name: str, lines: str | Iterable[str]) -> str:
        """Return *lines*, a text or several that become lines, in a colour.

        :param color_name: cyan, yellow, green, magenta, red, blue, or one of these with ``intense_`` before it.
        :raises BadRequest: it is none of these.
        """
        if color_name not in COLORS:
            raise BadRequest(f"there is no colour {color_name!r}{nearest(color_name, COLORS)}")
        text = lines if isinstance(lines, str) else "\n".join(lines)
        return f"{self._codes[color_name]}{text}{self._codes['reset']}"


def colored(color_name: str, lines: str | Iterable[str]) -> str:
    """Return *lines* in a colour, see :meth:`Color.output`."""
    return Color().output(color_name, lines)


def status_bar(s: str) -> str:
    """Return *s* as a bar across the terminal: in reverse, cut or filled up to its width."""
    import shutil  # late: it takes longer than all of this module

    width = shutil.get_terminal_size().columns
    return f"{_REVERSE}{s[:width]:<{width}}{_RESET}"
