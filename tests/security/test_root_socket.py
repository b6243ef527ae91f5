"""Where a gafferd listens that root starts without an address, with a /run and a network of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

from tests.kit.commands import command_line
from tests.kit.gafferd import COMMAND, PATIENCE, environment, eventually
from tests.security import attack

SOCKET = "/run/gaffer/gafferd.sock"
NOBODY = 65534


def possible() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        return not subprocess.run(
            ["unshare", "-m", "-n", "mount", "-t", "tmpfs", "none", "/run"], timeout=30
        ).returncode
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not possible(), reason="only root can make namespaces, and not everywhere")


class Machine:
    """A mount and a network namespace that last as long as the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "stderr"
        self.started: list[subprocess.Popen[bytes]] = []
        script = "mount -t tmpfs -o mode=755 none /run && ip link set lo up && echo ready && exec sleep 600"
        command = ["unshare", "-m", "-n", "sh", "-c", script]
        self.keeper = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.keeper.stdout is not None and self.keeper.stdout.readline() == b"ready\n"
        self.enter = ["nsenter", "-t", str(self.keeper.pid), "-m", "-n"]

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.enter, f"--wd={self.folder}", *command],
            env=environment(self.folder, **env),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def sh(self, script: str) -> str:
        done = self.run("sh", "-c", script)
        assert done.returncode == 0, done
        return done.stdout

    def cli(self, program: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(*command_line(program), *args, **env)

    def gafferd(self, *args: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [*self.enter, f"--wd={self.folder}", *COMMAND, *args]
            one = subprocess.Popen(
                command, env=environment(self.folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.started.append(one)
        eventually(lambda: "listening on" in self.log.read_text() or one.poll() is not None)
        return one

    def close(self) -> None:
        for one in self.started:
            if one.poll() is None:
                one.send_signal(signal.SIGTERM)
                one.wait(PATIENCE)
        self.keeper.kill()
        self.keeper.wait()
        assert self.keeper.stdout is not None
        self.keeper.stdout.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    one = Machine(tmp_path)
    try:
        yield one
    finally:
        one.close()


def urls(machine: Machine, **env: str) -> list[str]:
    done = machine.cli("gafferctl", "health", "-o", "json", **env)
    assert done.returncode == 0, done
    return list(json.loads(done.stdout)["plugins"]["http"]["urls"])


def test_unconfigured_gafferd_of_root_listens_at_the_port_and_at_roots_socket(machine: Machine) -> None:
    gafferd = machine.gafferd()
    assert urls(machine) == ["http://127.0.0.1:5000", f"unix:{SOCKET}"]
    assert machine.sh(f"umask 0; stat -c '%a %u' {SOCKET} /run/gaffer") == "600 0\n755 0\n"
    assert machine.cli("gafferctl", "--connect", "http://127.0.0.1:5000", "ping").stdout == "OK\n"
    # A second one finds the port in use, as ever, and takes nothing from the first.
    second = machine.gafferd("--log-level", "info")
    assert second.wait(PATIENCE) == 1 and "127.0.0.1:5000: the address is in use" in machine.log.read_text()
    assert machine.cli("gaffer", "apps").returncode == 0
    gafferd.send_signal(signal.SIGTERM)
    assert gafferd.wait(PATIENCE) == 0
    assert machine.sh(f"ls -A {os.path.dirname(SOCKET)}") == ""


@attack(
    "another account of the machine",
    "a program that listens at 127.0.0.1:5000, for root's gafferctl to command it instead of gafferd",
    "a gafferd that root starts without an address listens at a socket for root alone, too, and root's gafferctl goes "
    "there first",
)
def test_roots_commands_prefer_roots_socket_to_the_port(machine: Machine) -> None:
    machine.gafferd()
    # Whichever program has the port: there is no network any more.
    machine.sh("ip addr flush dev lo")
    assert machine.cli("gafferctl", "ping").stdout == "OK\n"
    assert machine.cli("gaffer", "apps").returncode == 0
    assert machine.cli("gafferctl", "--connect", "http://127.0.0.1:5000", "ping").returncode == 3
    assert machine.cli("gafferctl", "ping", GAFFERCTL_CONNECT="http://127.0.0.1:5000").returncode == 3
    assert machine.cli("gaffer", "apps", GAFFER_ENDPOINT="http://127.0.0.1:5000").returncode == 3


def test_configured_address_is_the_only_one(machine: Machine) -> None:
    machine.gafferd("--bind", "127.0.0.1:5000")
    assert urls(machine) == ["http://127.0.0.1:5000"]
    assert machine.sh("ls -A /run") == ""


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("mount -o remount,ro /run", "/run/gaffer cannot be made: Read-only file system"),
        (f"mkdir /run/gaffer && chown {NOBODY} /run/gaffer", "only root can change"),
        ("mkdir -m 777 /run/gaffer && chmod 777 /run/gaffer", "only root can change"),
        (f"mkdir /run/x && chown {NOBODY} /run/x && ln -s x /run/gaffer", "only root can change"),
        (f"mkdir /run/gaffer && touch {SOCKET}", "something that is no socket"),
    ],
)
def test_socket_that_cannot_be_made_costs_one_line_of_the_log(machine: Machine, before: str, reason: str) -> None:
    machine.sh(before)
    machine.gafferd()
    (line,) = [line for line in machine.log.read_text().splitlines() if SOCKET in line]
    assert reason in line and "INFO" in line.upper()
    assert urls(machine) == ["http://127.0.0.1:5000"]


SERVE = f"""
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind({SOCKET!r})
if sys.argv[1] != "0":
    os.chmod({SOCKET!r}, 0o666)
    os.setuid(int(sys.argv[1]))
sock.listen()
print("ready", flush=True)
while True:
    connection = sock.accept()[0]
    if connection.recv(1):
        print("heard", flush=True)
    connection.close()
"""


@attack(
    "another account of the machine",
    "a socket of its own where root's gafferctl looks for gafferd's",
    "it is not talked to: folder, socket and the program behind it must be root's",
)
@pytest.mark.parametrize(("folder", "uid"), [("root", NOBODY), (str(NOBODY), 0)], ids=["its program", "its folder"])
def test_socket_of_another_account_is_not_roots(machine: Machine, folder: str, uid: int) -> None:
    machine.gafferd("--bind", "127.0.0.1:5000")
    machine.sh(f"mkdir -m 755 /run/gaffer && chown {folder} /run/gaffer")
    command = [*machine.enter, sys.executable, "-c", SERVE, str(uid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"ready\n"
            assert machine.cli("gafferctl", "ping").stdout == "OK\n"
        finally:
            other.kill()
        assert other.stdout.read() == b""


def test_key_that_root_kept_for_the_port_is_found_for_the_socket(machine: Machine) -> None:
    made = machine.run(*COMMAND, "--create-admin-user", "--username", "ann", GAFFERD_PASSWORD="correct horse")
    assert made.returncode == 0, made
    machine.gafferd("--require-key")
    login = f"{shlex.quote(sys.executable)} -c 'from gaffer.cli.app.gaffer import main; main()'"
    machine.sh(f"echo correct horse | {login} -g http://127.0.0.1:5000 login ann")
    assert machine.cli("gafferctl", "sessions").returncode == 0
    assert machine.cli("gaffer", "logout").returncode == 0
    assert machine.cli("gafferctl", "sessions").returncode == 4
