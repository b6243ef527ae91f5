"""Output of one stream in lines, as a terminal shows it: progress that returns to the line's start, and prompts."""

from __future__ import annotations

import re
import time
from typing import Any, Callable

import gevent

#: What has no end yet is shown after so many seconds in which nothing came: a prompt, most likely.
PAUSE = 0.5
_RETURNS = re.compile(rb"\r+\n?")


class PieceCutter:
    """Cuts bytes into lines, after line feeds and carriage returns, and after a pause.

    :param most: a longer line without its end is cut, in bytes.
    :param show: called with whole lines, each with a line feed.
    :param busy: tells that the terminal is slow, so that a pause means nothing.
    """

    __slots__ = ("_most", "_show", "_busy", "_rest", "_cut", "_due", "_later")

    def __init__(self, most: int, show: Callable[[bytes], object], busy: Callable[[], bool]) -> None:
        self._most, self._show, self._busy = most, show, busy
        self._rest = b""
        #: Whether the line was shown before its end came: a line feed that comes next adds no empty line.
        self._cut = False
        #: When the rest is shown, in monotonic seconds, and the greenlet that looks then.
        self._due = 0.0
        self._later: Any = None

    def write(self, data: bytes) -> None:
        """Take bytes as they were read; a line or a character may be split anywhere."""
        if self._cut:
            data = data.lstrip(b"\r")
            if not data:
                return
            self._cut = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            data = self._returned(self._rest + data)
        elif self._rest:
            data = self._rest + data
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        whole = data[:end]
        while len(self._rest) > self._most:
            cut = character_start(self._rest, self._most)
            whole += self._rest[:cut] + b"\n"
            self._rest = self._rest[cut:]
        if whole:
            self._show(whole)
        self._wait()

    def _returned(self, data: bytes) -> bytes:
        """Return *data* with line feeds in place of carriage returns, none of which makes an empty line."""
        before = data.rstrip(b"\r")
        self._cut = before != data and before[-1:] not in (b"", b"\n")
        return _RETURNS.sub(_line_end, data)

    def _wait(self) -> None:
        if self._rest:
            self._due = time.monotonic() + PAUSE
            if self._later is None:
                self._later = gevent.spawn_later(PAUSE, self._look)

    def _look(self) -> None:
        """Show the rest, unless more of it came meanwhile; one greenlet serves many pieces."""
        self._later = None
        left = self._due - time.monotonic()
        if self._rest and left > 0.001:
            self._later = gevent.spawn_later(left, self._look)
        elif self._rest:
            self.pause()

    def pause(self) -> None:
        """Show what has no end, except a character that is not complete."""
        if self._busy():
            self._wait()
            return
        end = len(self._rest) - incomplete(self._rest)
        shown, self._rest = self._rest[:end], self._rest[end:]
        if shown:
            self._cut = not self._rest
            self._show(shown + b"\n")

    def close(self) -> None:
        """Show what came after the last line."""
        if self._later is not None:
            self._later.kill(block=False)
            self._later = None
        rest, self._rest = self._rest, b""
        if rest:
            self._show(rest + b"\n")


def _line_end(found: re.Match[bytes]) -> bytes:
    start = found.start()
    returned = found.group().endswith(b"\n") or (start and found.string[start - 1] != 10)
    return b"\n" if returned else b""


def character_start(data: bytes, position: int) -> int:
    """Return the start of the UTF-8 character that *position* is in; of bytes that are none, *position*."""
    for start in range(position, position - 4, -1):
        if data[start] & 0xC0 != 0x80:
            return start
    return position


def incomplete(data: bytes) -> int:
    """Return how many bytes at the end of *data* begin a UTF-8 character that is not complete."""
    for count in range(1, min(3, len(data)) + 1):
        byte = data[-count]
        if byte & 0xC0 != 0x80:
            size = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return count if size > count else 0
    return 0
