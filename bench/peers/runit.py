"""runit: a runsvdir, and for each child a folder and a runsv; ordered with sv."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ..procfs import Watch
from ..stamps import BenchError
from .base import Load, Peer


class Runit(Peer):
    """runit as it is used: ``run`` is a shell script that ends in ``exec``."""

    name = "runit"
    has_copies = False

    @classmethod
    def missing(cls) -> str | None:
        absent = [program for program in ("runsvdir", "runsv", "sv") if not shutil.which(program)]
        return f"{', '.join(absent)} not found: on Debian, apt install runit" if absent else None

    def configure(self, load: Load) -> list[str]:
        services = self.work / "services"
        self.services = [services / f"child{number:05d}" for number in range(load.processes)]
        for service in self.services:
            service.mkdir(parents=True)
            self.write_run(service / "run")
            if not load.autostart:
                (service / "down").touch()
        return ["runsvdir", str(services)]

    def write_run(self, path: Path) -> None:
        path.write_text(f'#!/bin/sh\nexec "{self.child}" "{self.stamps.path}"\n', "utf-8")
        path.chmod(0o755)

    def wait_ready(self) -> None:
        """Every runsv has opened its control fifo."""
        deadline = time.monotonic() + 60
        for service in self.services:
            while not _listens(service / "supervise" / "control"):
                self.alive()
                if time.monotonic() > deadline:
                    raise BenchError(f"no runsv for {service.name} after 60 s")
                time.sleep(0.02)

    def start(self) -> None:
        self._order("up")

    def stop(self) -> None:
        self._order("-w", "60", "stop")

    def _order(self, *command: str) -> None:
        subprocess.run(["sv", *command, *map(str, self.services)], stdout=subprocess.DEVNULL, check=False)

    def quit(self) -> None:
        """HUP tells runsvdir to TERM its runsv processes before it ends; those end after their children."""
        assert self.process is not None
        ended = Watch(self.own_processes())
        self.process.send_signal(signal.SIGHUP)
        ended.wait(60)


class RunitDirect(Runit):
    """runit without the shell: ``run`` is the child itself, which no service is in practice."""

    name = "runit-direct"

    def write_run(self, path: Path) -> None:
        path.symlink_to(self.child)

    def environment(self) -> dict[str, str]:
        """A run program gets no arguments: the child finds its file in the environment."""
        return {**super().environment(), "GAFFER_BENCH_STAMPS": str(self.stamps.path)}


def _listens(fifo: Path) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return True
    except OSError:
        return False
