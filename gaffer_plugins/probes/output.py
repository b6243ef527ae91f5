"""Probes that wait for a line of output."""

from __future__ import annotations

import re
import time

from gevent.event import Event

from .network import ProbeFailed

#: A line is cut here, in bytes: what matters stands at its beginning.
MAX_LINE = 1024
#: An expression that takes longer for one piece of output is given up, in seconds: gafferd would stand still.
MAX_SEARCH = 0.25


class LineMatch:
    """Waits for a line that matches a regular expression, on any output of a process."""

    def __init__(self, expression: str) -> None:
        self.wake = Event()
        #: None when nothing is looked for any more.
        self.pattern: re.Pattern[bytes] | None = re.compile(expression.encode())
        self._answer: str | None = None

    def ask(self) -> str:
        """Return the line.

        :raises ProbeFailed: there is none yet.
        """
        if self._answer is not None:
            return self._answer
        if self.pattern is None:
            raise ProbeFailed("the expression takes too long to search for; write a simpler one")
        raise ProbeFailed("no such line yet")

    def search(self, lines: list[bytes]) -> None:
        """Look for a match in whole lines."""
        if self.pattern is None:
            return
        began = time.monotonic()
        for line in lines:
            if line and self.pattern.search(line[:MAX_LINE]):
                self._answer = line[:MAX_LINE].decode("utf-8", "replace").strip()
                break
        if self._answer is not None or time.monotonic() - began > MAX_SEARCH:
            self.pattern = None
            self.wake.set()


class LineSink:
    """Receives one stream of a process until the line was there; called in the hub, and never waits."""

    def __init__(self, match: LineMatch) -> None:
        self._match = match
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Search the lines that *data* completes."""
        if self._match.pattern is None:
            return
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:MAX_LINE]
        self._match.search(lines)

    def close(self) -> None:
        """Search what has no end of line."""
        self._match.search([self._rest])
        self._rest = b""
