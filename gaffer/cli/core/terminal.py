"""The settings of the terminal while ``attach`` uses it; they are always restored."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

from ...errors import BadRequest

#: Signals that would end the program without restoring the terminal.
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
DETACH_KEY = "ctrl-]"


def parse_key(text: str) -> bytes:
    """Return the character of a key: ``ctrl-]``, ``^]`` or one character; ``none`` is no key.

    :raises BadRequest: it is none of these.
    """
    if text.lower() == "none":
        return b""
    name = text[5:] if text.lower().startswith("ctrl-") else text[1:] if len(text) == 2 and text[0] == "^" else ""
    if len(name) == 1 and name.upper() in "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_":
        return bytes([ord(name.upper()) ^ 0x40])
    if len(text) == 1 and text.isascii():
        return text.encode()
    raise BadRequest(f"'{text}' is no key; write ctrl-] or ^], a character, or none")


class Terminal:
    """A terminal that goes on editing lines, but hands out a line as soon as *key* ends it.

    So what is typed can be corrected and is shown, as the process, which has a pipe
    and no terminal, cannot do. Where stdin is no terminal, nothing is done.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        # Without any stdin, as after <&-, Python has none.
        self.descriptor = sys.stdin.fileno() if sys.stdin is not None else -1
        self.is_one = self.descriptor >= 0 and os.isatty(self.descriptor)
        self._saved: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Terminal:
        if self.is_one:
            import termios

            self._saved = termios.tcgetattr(self.descriptor)
            for number in _ENDINGS:
                self._handlers[number] = signal.signal(number, _leave)
            self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, lambda *_: self._apply())
            self._apply()
        return self

    def _apply(self) -> None:
        import termios

        changed = termios.tcgetattr(self.descriptor)
        if self.key:
            changed[6][termios.VEOL] = self.key
        termios.tcsetattr(self.descriptor, termios.TCSANOW, changed)

    def __exit__(self, *exc_info: object) -> None:
        if self.is_one:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self.restore()

    def restore(self) -> None:
        """Give the terminal the settings back that it had; another thread may call this."""
        if self._saved:
            import termios

            termios.tcsetattr(self.descriptor, termios.TCSANOW, self._saved)

    def read(self, size: int) -> tuple[bytes, bool]:
        """Return the input, and whether the detach key ended it; no input and no key at the end."""
        data = os.read(self.descriptor, size)
        if not self.is_one or not self.key or self.key not in data:
            return data, False
        return data.partition(self.key)[0], True


def _leave(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)
