"""A real gafferd in a folder of its own, and what can be seen of it from outside."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from .ports import free_port

COMMAND = [sys.executable, "-m", "gaffer.daemon.main"]
#: How long anything may take on a busy machine, in seconds.
PATIENCE = 60.0


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GAFFER")}
    return {**clean, "HOME": str(folder), **more}


def run(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run gafferd to its end."""
    return subprocess.run(
        [*COMMAND, *args], cwd=folder, env=environment(folder, **env), capture_output=True, text=True, timeout=PATIENCE
    )


def eventually(check: Callable[[], Any]) -> Any:
    """Return what *check* returns as soon as that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    return found


def processes(folder: Path) -> dict[int, str]:
    """Return the command lines of all processes that work in *folder*, zombies and gafferds left out."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                words = Path(f"/proc/{entry}/cmdline").read_bytes().decode().split("\0")
                found[int(entry)] = " ".join(words).strip()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line and "gaffer" not in line}


class Gafferd:
    """A gafferd whose home and working folder is *folder*; it is ended with the block."""

    def __init__(self, folder: Path, jobs: str = "", options: str = "", port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.options = options
        self.ini = folder / "g.ini"
        self.log = folder / "stderr"
        self.configure(jobs)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, jobs: str) -> None:
        self.ini.write_text(f"[gaffer]\nbind = 127.0.0.1:{self.port}\n{self.options}\n{jobs}")

    def start(self, *args: str, **env: str) -> Gafferd:
        """Start it and do not wait."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *args, str(self.ini)],
                cwd=self.folder,
                env=environment(self.folder, **env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def ready(self) -> Gafferd:
        """Wait until jobs are loaded: requests wait for that in gafferd's backlog."""
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                assert self.get("/ping", text=True) == "OK"
                return self
            except ConnectionError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.01)

    def get(self, path: str, text: bool = False) -> Any:
        return self._request("GET", path, text)

    def post(self, path: str) -> Any:
        return self._request("POST", path)

    def delete(self, path: str) -> Any:
        return self._request("DELETE", path)

    def _request(self, method: str, path: str, text: bool = False) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path)
            body = connection.getresponse().read()
        finally:
            connection.close()
        return body.decode() if text else json.loads(body)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def logged(self, text: str) -> str:
        """Wait for a line on standard error."""
        return eventually(lambda: next((line for line in self.log.read_text().splitlines() if text in line), ""))

    def __enter__(self) -> Gafferd:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            finally:
                self.process.kill()
                self.process.wait()


@contextmanager
def gafferd_with_key(folder: Path, options: str = "", jobs: str = "") -> Iterator[tuple[Gafferd, str]]:
    """Start a gafferd that wants keys; gives it and the key of an administrator."""
    words = [*COMMAND, "--create-admin-user", "--username", "ann"]
    subprocess.run(
        words, cwd=folder, env=environment(folder), input="secret word\n", text=True, timeout=PATIENCE, check=True
    )
    with Gafferd(folder, jobs, f"require_key = true\n{options}").start().ready() as node:
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
        basic = base64.b64encode(b"ann:secret word").decode()
        connection.request("POST", "/auth", headers={"Authorization": f"Basic {basic}"})
        key = str(json.loads(connection.getresponse().read())["api_key"])
        connection.close()
        yield node, key


def zombies(parent: int) -> list[int]:
    """Return the dead children of a process that it has not waited for."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    states = {int(child): Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children}
    return [child for child, state in states.items() if state == "Z"]
