"""A line on a terminal that says what is waited for, written anew each second and removed at the end."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, Callable, Sequence

#: Seconds after which a wait is worth a line, and between two of them.
PATIENCE, PERIOD = 1.0, 1.0
#: So many of the names that are waited for are shown.
NAMES_SHOWN = 3
_CLEAR = "\r\x1b[K"


class StatusLine:
    """The line, on stderr. Where that is no terminal nothing is shown.

    :param text: returns what it says after so many seconds.
    :param on: false if nothing is to be shown anyway.
    """

    def __init__(
        self,
        text: Callable[[float], str],
        on: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> None:
        self._text, self._clock, self._sleep = text, clock, sleep
        self._begin = clock()
        self._next = self._begin + PATIENCE
        self._shown = False
        self._on = on and sys.stderr is not None and sys.stderr.isatty()

    def sleep(self, seconds: float) -> None:
        """Show the line if it is time for it, and sleep."""
        now = self._clock()
        if self._on and now >= self._next:
            self._next = now + PERIOD
            columns = shutil.get_terminal_size().columns
            self._write(_CLEAR + self._text(now - self._begin)[: columns - 1])
            self._shown = True
        try:
            self._sleep(seconds)
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


def waiting_text(names: Sequence[str], seconds: float, timeout: float | None, grace: float | None) -> str:
    """Return which jobs are waited for, how long so far, when they are killed and when the wait ends.

    :param grace: after so many seconds they are killed.
    """
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    words = [f"waiting for {', '.join(names[:NAMES_SHOWN])}{more}: {seconds:.0f} s"]
    if grace is not None and seconds < grace:
        words.append(f"KILL in {grace - seconds:.0f} s")
    if timeout is not None:
        words.append(f"{max(0.0, timeout - seconds):.0f} s left")
    return ", ".join(words)
