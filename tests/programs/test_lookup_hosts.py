"""A lookupd and a node on hosts of their own, network namespaces with a cable between them, which is cut."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaffer.httpclient import LookupServer

from .gafferd import COMMAND, PATIENCE, environment, eventually
from .lookupd import COMMAND as LOOKUPD

LOOKUP, NODE = "10.77.0.1", "10.77.0.2"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """Two network namespaces, and what runs in them; all of it ends with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = [f"gaffer-{os.getpid()}-{letter}" for letter in "ab"]
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Hosts:
        try:
            for name in self.names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip(
                "-n",
                self.names[0],
                "link",
                "add",
                "eth0",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                self.names[1],
            )
            for name, address in zip(self.names, (LOOKUP, NODE)):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
        except (OSError, subprocess.CalledProcessError):
            self.__exit__()
            pytest.skip("network namespaces cannot be made here")
        return self

    def run(self, host: int, *words: str) -> subprocess.Popen[bytes]:
        """Run a program on a host."""
        with (self._folder / f"host-{host}.log").open("ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[host], *words],
                cwd=self._folder,
                env=environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def cable(self, state: str) -> None:
        """Plug the cable in (``up``), or pull it (``down``): packets are lost without a word."""
        ip("-n", self.names[0], "link", "set", "eth0", state)

    def __exit__(self, *exc: object) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.fixture
def hosts(tmp_path) -> Iterator[Hosts]:
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    with Hosts(tmp_path) as found:
        yield found


def test_a_node_behind_a_cut_cable_expires_and_returns_by_itself(hosts, tmp_path):
    (tmp_path / "g.ini").write_text("[plugin:lookup]\nname = far\n[process:web]\ncmd = sleep 600\n")
    places = f"{LOOKUP}:5010,unix:{tmp_path}/s"
    hosts.run(0, *LOOKUPD, "--bind", places, "--allow-anonymous", "--ping-interval", "0.5")
    address = ["--lookupd-address", f"http://{LOOKUP}:5010", "--broadcast-address", f"http://{NODE}:5000"]
    node = hosts.run(1, *COMMAND, "g.ini", *address)
    with LookupServer(f"unix:{tmp_path}/s") as client:
        eventually(client.ping)
        eventually(lambda: [node["name"] for node in client.nodes()] == ["far"])
        hosts.cable("down")
        eventually(lambda: client.nodes() == [])
        assert node.poll() is None
        hosts.cable("up")
        eventually(lambda: [one["sources"][0]["pids"] for one in client.jobs()] == [[1]])
    assert "far was silent for 1.5 seconds and is given up" in (tmp_path / "host-0.log").read_text()
