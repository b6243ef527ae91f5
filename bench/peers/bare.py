"""The bare loop of native Popen: what Python can do at best when it does nothing else (see bare_loop.py)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ..stamps import BenchError
from .base import Load, Peer


class Bare(Peer):
    name = "bare"

    def configure(self, load: Load) -> list[str]:
        self.autostart = load.autostart
        program = Path(__file__).with_name("bare_loop.py")
        return [sys.executable, str(program), str(load.processes), str(self.child), str(self.stamps.path)]

    def launch(self, load: Load) -> None:
        super().launch(load)
        if load.autostart:
            self.start()

    def wait_ready(self) -> None:
        """The loop prints a line when it waits for commands."""
        self._hear("ready")

    def _hear(self, word: str) -> None:
        deadline = time.monotonic() + 60
        while not (self.work / "log").read_text().endswith(f"{word}\n"):
            self.alive()
            if time.monotonic() > deadline:
                raise BenchError(f"the bare loop does not say {word}")
            time.sleep(0.001)

    def start(self) -> None:
        self._say(b"u")

    def stop(self) -> None:
        self._say(b"d")
        self._hear("down")

    def quit(self) -> None:
        self._say(b"q")

    def _say(self, letter: bytes) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(letter)
        self.process.stdin.flush()
