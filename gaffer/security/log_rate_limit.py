"""Log lines that a client can cause: so many a minute, and how many were left out."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable

#: Lines per minute.
MOST = 10
_WINDOW = 60.0


class Bounded:
    """The lines about one thing, such as a URL.

    :param most: lines per minute; further ones are counted, and the next line that is written says how many.
    """

    def __init__(self, log: logging.Logger, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._most, self._clock = log, most, clock
        self._began, self._written, self._left_out = clock(), 0, 0

    def write(self, level: int, sentence: str, *args: Any, **options: Any) -> None:
        """Log a line, or count it.

        :param options: those of :meth:`logging.Logger.log`.
        """
        now = self._clock()
        if now - self._began >= _WINDOW:
            self._began, self._written = now, 0
        if self._written >= self._most:
            self._left_out += 1
            return
        self._written += 1
        if self._left_out:
            sentence, args = f"{sentence} (%d lines about this were left out)", (*args, self._left_out)
            self._left_out = 0
        self._log.log(level, sentence, *args, **options)
