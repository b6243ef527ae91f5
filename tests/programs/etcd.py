"""A real cluster of etcd on loopback."""

from __future__ import annotations

import signal
import subprocess
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .gafferd import PATIENCE, environment, eventually, free_port
from .tools import needs


class Etcd:
    """Some members, each with a folder and two ports of its own; they end with the block."""

    def __init__(self, folder: Path, members: int = 3) -> None:
        self.program, self.folder = needs("etcd"), folder
        self.ports = [(free_port(), free_port()) for _ in range(members)]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * members

    @property
    def url(self) -> str:
        """The registry of a lookupd."""
        return "etcd://" + ",".join(f"127.0.0.1:{client}" for client, _ in self.ports)

    def start(self, number: int) -> None:
        """Start a member, with what it knew before."""
        client, peer = self.ports[number]
        words = {
            "name": f"m{number}",
            "data-dir": str(self.folder / f"m{number}"),
            "listen-client-urls": f"http://127.0.0.1:{client}",
            "advertise-client-urls": f"http://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": ",".join(f"m{n}=http://127.0.0.1:{port}" for n, (_, port) in enumerate(self.ports)),
        }
        with (self.folder / f"m{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [self.program, *(f"--{word}={value}" for word, value in words.items())],
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def healthy(self, number: int) -> bool:
        """Tell whether a member belongs to a majority."""
        connection = HTTPConnection("127.0.0.1", self.ports[number][0], timeout=1)
        try:
            connection.request("GET", "/health")
            return b'"true"' in connection.getresponse().read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def kill(self, number: int, sign: int = signal.SIGKILL) -> None:
        """Kill a member, or stop it in the middle of things."""
        process = self.processes[number]
        assert process is not None
        process.send_signal(sign)
        if sign == signal.SIGKILL:
            process.wait(PATIENCE)

    def __enter__(self) -> Etcd:
        try:
            for number in range(len(self.ports)):
                self.start(number)
            for number in range(len(self.ports)):
                eventually(lambda number=number: self.healthy(number))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
