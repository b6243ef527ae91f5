"""Real gaffer_lookupds and nodes that register with them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

from gaffer.httpclient import LookupServer
from gaffer.httpclient.errors import Quiet
from gaffer.httpclient.sockets import Socket

from .gafferd import PATIENCE, Gafferd, environment, eventually
from .ports import free_port

COMMAND = [sys.executable, "-m", "gaffer.lookupd.main"]


def run(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run gaffer_lookupd to its end."""
    return subprocess.run(
        [*COMMAND, *args], cwd=folder, env=environment(folder, **env), capture_output=True, text=True, timeout=PATIENCE
    )


class Lookupd:
    """A gaffer_lookupd that ends with the block.

    Nodes may be silent for a minute, so that a busy machine makes none of them expire; *args* may say otherwise.
    """

    def __init__(self, folder: Path, *args: str, port: int | None = None, name: str = "lookupd") -> None:
        self.folder, self.args = folder, args
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        self.client = LookupServer(self.url, timeout=PATIENCE)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Lookupd:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--bind", f"127.0.0.1:{self.port}", "--ping-interval", "20", *self.args],
                cwd=self.folder,
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self.process.poll() is None and self.client.ping())
        return self

    def nodes(self) -> list[str]:
        """Return the names of the nodes that it knows."""
        return [node["name"] for node in self.client.nodes()]

    def kill(self) -> None:
        """Kill it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop it gracefully and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def logged(self, text: str) -> str:
        """Wait for a line on standard error."""
        return eventually(lambda: next((line for line in self.log.read_text().splitlines() if text in line), ""))

    def __enter__(self) -> Lookupd:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Talker:
    """The protocol of nodes, by hand."""

    def __init__(self, lookupd: Any) -> None:
        self._socket = Socket(lookupd.client.transport, "/ws")

    def say(self, type: str, **more: Any) -> dict[str, Any]:
        """Send a message and return the answer."""
        self._socket.send(json.dumps({"msgid": 1, "type": type, **more}))
        answer = self._socket.receive(PATIENCE)
        assert answer is not None, self._socket.reason
        return dict(json.loads(answer))

    def identify(self, life: str, name: str = "n", **more: Any) -> dict[str, Any]:
        """Say to be one life of a node."""
        return self.say("IDENTIFY", name=name, origin="http://10.0.0.1:5000", life=life, **more)

    def told(self) -> str:
        """Wait for the end, and return why it is."""
        while self._socket.receive(PATIENCE) is not None:
            pass
        return self._socket.reason

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answer pings, as a node that lives does; nothing else may be said meanwhile."""
        ended = threading.Event()

        def read() -> None:
            while not ended.is_set():
                with suppress(Quiet):
                    self._socket.receive(0.05)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            ended.set()
            reader.join()

    def leave(self) -> None:
        """Say that the node stops."""
        self._socket._websocket.send_close(1001)

    def cut(self) -> None:
        """Lose the connection, without a word."""
        self._socket._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()


def refused(lookupd: Any, life: str) -> str:
    """Say to be another life of a node until that is refused; returns why.

    A lookupd whose etcd takes long lets a node in, and finds out later.
    """

    def attempt() -> str:
        with Talker(lookupd) as talker:
            answer = talker.identify(life)
        assert answer.get("ok") or (answer["errno"], answer["error"]) == (409, "conflict"), answer
        return str(answer.get("reason", ""))

    return str(eventually(attempt))


def make_node(folder: Path, name: str, lookupds: list[Any], labels: str = "", jobs: str = "") -> Gafferd:
    """Return a gafferd that registers as *name* with *lookupds*; it is not started."""
    (folder / name).mkdir(exist_ok=True)
    addresses = ", ".join(one if isinstance(one, str) else one.url for one in lookupds)
    jobs = jobs or "[process:web]\ncmd = sleep 600\n"
    section = f"[plugin:lookup]\nname = {name}\nlabels = {labels}\n"
    return Gafferd(folder / name, f"{section}{jobs}", f"lookupd_address = {addresses}")


def pause(node: Gafferd) -> None:
    """Let a gafferd do nothing, as one does that the network has lost."""
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGSTOP)


def resume(node: Gafferd) -> None:
    """Let it go on."""
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGCONT)
