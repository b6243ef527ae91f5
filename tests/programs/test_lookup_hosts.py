"""Lookupds, nodes and etcd on hosts of their own: network namespaces at a switch, from which they are unplugged."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gaffer.httpclient import LookupServer

from ..kit.gafferd import COMMAND, PATIENCE, environment, eventually
from ..kit.lookupd import COMMAND as LOOKUPD
from ..kit.lookupd import Talker
from ..kit.needed_programs import needs


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def address(host: int) -> str:
    """Return the address of a host, or of the network, which is 0."""
    return f"10.77.0.{host}"


class Hosts:
    """Network namespaces that are plugged into a switch, numbered from 1, and what runs in them.

    All of it ends with the block.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._switch = f"gaffer-{os.getpid()}"
        self.names = [self._switch, *(f"{self._switch}-{number}" for number in range(1, count + 1))]
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Hosts:
        try:
            for name in self.names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
            ip("-n", self._switch, "link", "set", "br0", "up")
            for number, name in enumerate(self.names[1:], 1):
                ends = ["name", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name]
                ip("-n", self._switch, "link", "add", *ends)
                ip("-n", self._switch, "link", "set", f"p{number}", "up", "master", "br0")
                ip("-n", name, "addr", "add", f"{address(number)}/24", "dev", "eth0")
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

    def unplug(self, host: int) -> None:
        """Cut a host off: packets are lost without a word."""
        ip("-n", self._switch, "link", "set", f"p{host}", "nomaster")

    def plug(self, host: int) -> None:
        """Connect it again."""
        ip("-n", self._switch, "link", "set", f"p{host}", "master", "br0")

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
def network(tmp_path) -> Callable[[int], Hosts]:
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    return lambda count: Hosts(tmp_path, count)


def test_a_node_behind_a_cut_cable_expires_and_returns_by_itself(network, tmp_path):
    (tmp_path / "g.ini").write_text("[plugin:lookup]\nname = far\n[process:web]\ncmd = sleep 600\n")
    with network(2) as hosts, LookupServer(f"unix:{tmp_path}/s") as client:
        places = f"{address(1)}:5010,unix:{tmp_path}/s"
        hosts.run(1, *LOOKUPD, "--bind", places, "--allow-anonymous", "--ping-interval", "0.5")
        here = ["--lookupd-address", f"http://{address(1)}:5010", "--broadcast-address", f"http://{address(2)}:5000"]
        node = hosts.run(2, *COMMAND, "g.ini", *here)
        eventually(client.ping)
        eventually(lambda: [node["name"] for node in client.nodes()] == ["far"])
        hosts.unplug(2)
        eventually(lambda: client.nodes() == [])
        assert node.poll() is None
        hosts.plug(2)
        eventually(lambda: [one["sources"][0]["pids"] for one in client.jobs()] == [[1]])
    assert "far was silent for 1.5 seconds and is given up" in (tmp_path / "host-1.log").read_text()


class Site:
    """A host with a member of etcd, a lookupd over it, and a node that registers there and nowhere else."""

    def __init__(self, hosts: Hosts, folder: Path, number: int, count: int) -> None:
        self.name, self.origin = f"node-{number}", f"http://{address(number)}:5000"
        self.client = LookupServer(f"unix:{folder}/{number}")
        own = address(number)
        cluster = ",".join(f"m{n}=http://{address(n)}:2380" for n in range(1, count + 1))
        words = {
            "name": f"m{number}",
            "data-dir": str(folder / f"m{number}"),
            "listen-client-urls": f"http://{own}:2379",
            "advertise-client-urls": f"http://{own}:2379",
            "listen-peer-urls": f"http://{own}:2380",
            "initial-advertise-peer-urls": f"http://{own}:2380",
            "initial-cluster": cluster,
        }
        hosts.run(number, needs("etcd"), *(f"--{word}={value}" for word, value in words.items()))
        registry = "etcd://" + ",".join(address(n) for n in range(1, count + 1))
        bind = ["--bind", f"{own}:5010,unix:{folder}/{number}", "--allow-anonymous"]
        hosts.run(number, *LOOKUPD, *bind, "--ping-interval", "2", "--registry", registry)
        ini = folder / f"{number}.ini"
        ini.write_text(f"[plugin:lookup]\nname = {self.name}\n[process:web-{number}]\ncmd = sleep 600\n")
        here = ["--lookupd-address", f"http://{own}:5010", "--broadcast-address", self.origin]
        hosts.run(number, *COMMAND, str(ini), *here)

    def answers(self) -> tuple[Any, ...]:
        """Return all that its lookupd says, and whether that may be out of date."""
        client = self.client
        return client.nodes(), client.jobs(), client.sessions(), client.stale is not None

    def nodes(self) -> list[str]:
        return [node["name"] for node in self.client.nodes()]


def test_a_site_that_is_cut_off_knows_that_and_comes_back(network, tmp_path):
    with network(3) as hosts, contextlib.ExitStack() as clients:
        sites = [Site(hosts, tmp_path, number, 3) for number in (1, 2, 3)]
        first, second, third = sites
        for site in sites:
            clients.callback(site.client.close)
            eventually(site.client.ping)
            eventually(lambda site=site: len(site.client.jobs()) == 3 and not site.client.stale)
        eventually(lambda: first.answers() == second.answers() == third.answers())
        hosts.unplug(3)
        eventually(lambda: third.client.nodes() and third.client.stale)
        assert "node-3" in third.nodes(), "its own node is still heard"
        eventually(lambda: first.nodes() == second.nodes() == ["node-1", "node-2"])
        eventually(lambda: first.answers() == second.answers() and first.client.stale is None)
        # Meanwhile another one takes the identity, which is free as far as the majority knows.
        with Talker(second) as other:
            said = {"name": third.name, "origin": third.origin, "life": "another"}
            assert other.say("IDENTIFY", **said)["ok"] and other.say("REGISTER_JOB", job_name="instead")["ok"]
            hosts.plug(3)
            alive = lambda: other.say("PING")["ok"]  # noqa: E731
            eventually(lambda: alive() and first.answers() == second.answers() == third.answers())
            assert [job["name"] for job in third.client.jobs()] == ["default.instead", "default.web-1", "default.web-2"]
            log = tmp_path / "host-3.log"
            told = f"a node node-3 at {third.origin} is connected already"
            eventually(lambda: alive() and told in log.read_text())
        eventually(lambda: first.answers() == second.answers() == third.answers() and len(third.client.jobs()) == 3)
        back = ["default.web-1", "default.web-2", "default.web-3"]
        eventually(lambda: [job["name"] for job in first.client.jobs()] == back)
