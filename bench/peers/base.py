"""What a driver can do."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

from ..procfs import cpu_ns, family, pss_mb
from ..stamps import BenchError, Stamp, Stamps, kill_strays


class Load(NamedTuple):
    """What to run: *jobs* jobs of *copies* processes each, up from the start or only on command."""

    jobs: int = 1
    copies: int = 1
    autostart: bool = True

    @property
    def processes(self) -> int:
        return self.jobs * self.copies


class Peer(ABC):
    """A supervisor under test. One object is one life of it: launch, measure, quit."""

    #: The column's heading.
    name = ""
    #: Whether it knows several processes of one job; otherwise each process is a job of its own.
    has_copies = True

    def __init__(self, child: Path, work: Path) -> None:
        self.child = child
        self.work = work / self.name
        self.process: subprocess.Popen[bytes] | None = None
        self.launched_ns = 0

    @classmethod
    def missing(cls) -> str | None:
        """Say in a sentence why this supervisor cannot be measured here, or return None."""
        return None

    @classmethod
    def install(cls, work: Path) -> None:
        """Fetch what this supervisor needs, once for all runs; most need nothing."""
        return None

    @abstractmethod
    def configure(self, load: Load) -> list[str]:
        """Write the configuration for *load*; return the command line of the supervisor."""

    @abstractmethod
    def wait_ready(self) -> None:
        """Return when commands are accepted and everything is loaded."""

    @abstractmethod
    def start(self) -> None:
        """Order all processes up; may return before they are."""

    @abstractmethod
    def stop(self) -> None:
        """Order all processes down, gracefully; return when the supervisor says that they are."""

    @abstractmethod
    def quit(self) -> None:
        """Ask the supervisor to end, its processes with it."""

    def launch(self, load: Load) -> None:
        """Run the supervisor on *load*; it may not be ready for commands yet."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.stamps = Stamps(self.work / "stamps")
        command = self.configure(load)
        with open(self.work / "log", "wb") as log:
            self.launched_ns = time.monotonic_ns()
            self.process = subprocess.Popen(
                command,
                cwd=self.work,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """Return what the supervisor finds in its environment: ours, but Python may keep its compiled modules."""
        return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def born(self, count: int) -> list[Stamp]:
        """Return the notes of the next *count* children that come to life."""
        return self.stamps.wait(count, self.alive)

    def end(self) -> int:
        """End the supervisor and whatever it leaves behind; return how many children those were."""
        if self.process is None:
            return 0
        try:
            self.quit()
            self.process.wait(60)
        except (OSError, BenchError, subprocess.TimeoutExpired):
            self._kill_family()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None
        return kill_strays(self.child)

    def _kill_family(self) -> None:
        assert self.process is not None
        for os_pid in family(self.process.pid, self.child):
            with contextlib.suppress(ProcessLookupError):
                os.kill(os_pid, signal.SIGKILL)
        self.process.wait()

    def alive(self) -> None:
        """Raise BenchError with the end of its log when the supervisor has died."""
        assert self.process is not None
        if self.process.poll() is not None:
            said = (self.work / "log").read_text("utf-8", "replace").strip().splitlines()
            raise BenchError(f"{self.name} ended with {self.process.returncode}: {said[-1] if said else 'no word'}")

    def own_processes(self) -> list[int]:
        """Return the os pids of the supervisor, without its children under test."""
        assert self.process is not None
        return family(self.process.pid, self.child)

    def pss_mb(self) -> float:
        return pss_mb(self.own_processes())

    def cpu_ns(self) -> int:
        return cpu_ns(self.own_processes())

    def wait_for_port(self, port: int, timeout: float = 60.0) -> None:
        """Return when 127.0.0.1:*port* accepts connections."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.alive()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise BenchError(f"{self.name} does not listen on port {port} after {timeout:g} s")


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
