"""A tiny process beside us, which kills what we leave when we are killed; see :mod:`~gaffer.foreground._guard`.

It is started first of all: it comes up while we import the engine, and not when children want the processors.
"""

from __future__ import annotations

import os
import subprocess
import sys

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_guard.py")


class Guard:
    """The guard, and the pipe whose end wakes it."""

    def __init__(self) -> None:
        reader, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reader)

    def watch(self, node_id: str) -> None:
        """Let it know whose processes to look for, by their mark; before the first of them."""
        self._tell(f"={node_id}\n")

    def add(self, group: int) -> None:
        """Spare it looking for the leader of a group."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Its number may be somebody else's soon."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            pass  # somebody killed the guard; or it is stuck, and finds by their mark whom it was not told of

    def close(self) -> None:
        """Nothing is left to guard; nothing happens the second time."""
        if self._pipe >= 0:
            self._process.kill()
            self._process.wait()
            os.close(self._pipe)
            self._pipe = -1
