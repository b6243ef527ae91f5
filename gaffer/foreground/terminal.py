"""Sizes of the terminals of processes: the width of the user's terminal less the names."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

from ..hookspecs.markers import hookimpl

if TYPE_CHECKING:
    from ..manager.manager import Manager

#: A terminal that does not know its size, and the least that a process gets, in columns.
_DEFAULT_SIZE, _MIN_COLUMNS = (24, 80), 20


class Windows:
    """A plugin that sets the size of every process's terminal, at its start and when ours changes.

    :param stream: our terminal.
    :param taken: columns that names and times take.
    """

    name = "windows"
    description = "passes the size of the terminal on"

    def __init__(self, stream: IO[str], taken: int) -> None:
        self._stream = stream
        self._taken = taken

    @hookimpl
    def gaffer_before_spawn(self, plan: Any) -> None:
        """Set the size before the process can ask for it."""
        plan.window = self.size()

    def size(self) -> tuple[int, int]:
        """Return rows and columns for a process."""
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except OSError:  # it was closed
            rows, columns = _DEFAULT_SIZE
        if not rows or not columns:
            rows, columns = _DEFAULT_SIZE
        return rows, max(columns - self._taken, _MIN_COLUMNS)

    def resize(self, manager: Manager) -> None:
        """Set the new size of our terminal for all processes."""
        rows, columns = self.size()
        for process in list(manager.running.values()):
            process.resize(rows, columns)
