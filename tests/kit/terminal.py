"""A terminal with a program in it: a user types, and reads what it shows."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from typing import Any, Sequence

from .gafferd import PATIENCE


class Terminal:
    """A program on a terminal of its own; it is ended with the block."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.shown = b""
        self.before = termios.tcgetattr(self.master)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, preexec_fn=_control
        )
        self._slave = slave

    def type(self, text: str | bytes) -> None:
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def read_until(self, text: str) -> str:
        """Return what is shown up to *text*, and forget it."""
        wanted = text.encode()
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.shown:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.master], [], [], max(0, left))
            assert ready, f"{text!r} never came, but {self.shown!r}"
            self.shown += os.read(self.master, 65536)
        found, _, self.shown = self.shown.partition(wanted)
        return (found + wanted).decode()

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.master)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def rest(self) -> str:
        """Return what was shown at last, once the program has ended."""
        while select.select([self.master], [], [], 0)[0]:
            self.shown += os.read(self.master, 65536)
        return self.shown.decode()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)


def _control() -> None:
    """Make the terminal that of the program: ctrl-C is a signal then."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
