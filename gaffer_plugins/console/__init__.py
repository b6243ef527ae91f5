"""``gafferd -v`` prints events, ``-vv`` every process's output too.

While it is quiet it takes part in nothing: the hooks for events and output are
registered only when they are wanted, since being asked costs a little at every
event and every start of a process.
"""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

from gaffer import Plugin, hookimpl

if TYPE_CHECKING:
    from .printer import ConsolePrinter

__all__ = ["ConsolePlugin"]


class ConsolePlugin(Plugin):
    """Prints what happens.

    :param verbose: 1 prints events, 2 output too; None takes the option ``verbose``.
    :param stream: where to; standard output if None.
    :param colorize: None decides by the terminal and ``NO_COLOR``.
    """

    name = "console"
    description = "prints events with -v, and output with -vv"

    def __init__(self, verbose: int | None = None, stream: IO[str] | None = None, colorize: bool | None = None) -> None:
        self.verbose, self.stream, self.colorize = verbose, stream, colorize

    @hookimpl
    def gaffer_manager_start(self, manager: Any) -> None:
        verbose = self.verbose
        if verbose is None:
            verbose = int(manager.option("verbose") or 0)
        if verbose < 1:
            return
        # Late: most daemons are quiet, and the first process need not wait for this.
        from .printer import ConsolePainter, ConsolePrinter
        from .writer import ConsoleWriter

        stream = self.stream or sys.stdout
        printer = ConsolePrinter(ConsoleWriter(stream), ConsolePainter.for_stream(stream, self.colorize))
        manager.plugins.add(_ConsoleEvents(manager, printer), name="console.events", origin="console")
        if verbose > 1:
            manager.plugins.add(_Output(printer), name="console.output", origin="console")


class _ConsoleEvents:
    """Prints every event once: derived names such as ``job.default.web.spawn`` are the same event again."""

    description = "prints events"

    def __init__(self, manager: Any, printer: ConsolePrinter) -> None:
        self._manager = manager
        self._printer = printer
        self._aligned = False

    @hookimpl
    def gaffer_event(self, event: dict[str, Any]) -> None:
        if "." in event["event"]:
            return
        if not self._aligned:
            self._aligned = True
            self._printer.align(name.removeprefix("default.") for name in self._manager.jobs())
        self._printer.event(event)

    @hookimpl
    def gaffer_health(self) -> dict[str, Any]:
        return {"ok": True, "dropped_lines": self._printer.writer.dropped}

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        self._printer.writer.close()


class _Output:
    """Opens a sink for every stream of every process, redirected or not."""

    description = "prints output"

    def __init__(self, printer: ConsolePrinter) -> None:
        self._printer = printer

    @hookimpl
    def gaffer_open_sinks(self, job: Any) -> Any:
        from .printer import output_lines

        return output_lines(self._printer, job.name.short)
