"""A line on a terminal that says what is waited for, written anew each second and removed at the end."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Callable

from .output import Output, current, printable

#: Seconds after which a wait is worth a line, and between two of them.
PATIENCE, PERIOD = 1.0, 1.0
_CLEAR = "\r\x1b[K"


class StatusLine:
    """The line, on stderr. Without a terminal, and for one of many nodes, nothing is shown.

    :param text: returns what it says after so many seconds.
    """

    def __init__(self, text: Callable[[float], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._text, self._clock = text, clock
        self._begin = clock()
        self._next = self._begin + PATIENCE
        self._shown = False
        self._on = type(current.get()) is Output and sys.stderr is not None and sys.stderr.isatty()

    def sleep(self, seconds: float) -> None:
        """Show the line if it is time for it, and sleep."""
        now = self._clock()
        if self._on and now >= self._next:
            self._next = now + PERIOD
            self._write(_CLEAR + printable(self._text(now - self._begin))[: shutil.get_terminal_size().columns - 1])
            self._shown = True
        try:
            time.sleep(seconds)
        except KeyboardInterrupt:
            self.clear()
            raise

    def clear(self) -> None:
        """Remove the line; it comes back with the next sleep."""
        if self._shown:
            self._write(_CLEAR)
            self._shown, self._next = False, 0.0

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
