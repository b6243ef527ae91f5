"""Attacks of another account that listens at gafferd's port while gafferd does not."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from tests.kit.commands import command_line
from tests.kit.gafferd import PATIENCE, environment
from tests.security import attack

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a second account"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sock_diag is Linux's"),
]

NOBODY = 65534
KEY = "k" * 64
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
FOUND = json.dumps({"jobs": [], "id": "k1", "api_key": "n" * 64, "expires": None, "user": "me", "permissions": {}})


class Listener:
    """A program of another account that answers every request as gafferd would, and writes down what it gets."""

    def __init__(self, address: Any, heard: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.bind(address)
        if isinstance(address, str):
            os.chmod(address, 0o666)
        self.address = self.sock.getsockname()
        self.heard = heard
        heard.touch()
        writer = os.open(heard, os.O_WRONLY | os.O_APPEND)
        self.pid = os.fork()
        if not self.pid:
            try:
                self._serve(writer)
            finally:
                os._exit(0)
        os.close(writer)
        self.sock.close()

    def _serve(self, writer: int) -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        # The kernel calls its owner whoever made the socket, so this one does.
        sock = self.sock
        if isinstance(self.address, tuple):
            sock.close()
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self.address)
        sock.listen()
        while True:
            with sock.accept()[0] as connection:
                data = connection.recv(65536)
                if data:
                    os.write(writer, data)
                    connection.sendall(ANSWER % (len(FOUND), FOUND.encode()))

    def ready(self) -> Listener:
        deadline = time.monotonic() + PATIENCE
        while True:
            probe = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
            with probe:
                if not probe.connect_ex(self.address):
                    return self
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"unix:{self.address}" if isinstance(self.address, str) else f"http://127.0.0.1:{self.address[1]}"

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture(params=["tcp", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    address = ("127.0.0.1", 0) if request.param == "tcp" else str(tmp_path / "s")
    one = Listener(address, tmp_path / "heard")
    try:
        yield one.ready()
    finally:
        one.close()


def keep(home: Path, url: str, **more: Any) -> None:
    (home / ".gaffer").mkdir(mode=0o700, exist_ok=True)
    file = home / ".gaffer" / "keys.json"
    file.write_text(json.dumps({url: {"api_key": KEY, "id": "k1", "user": "me", "expires": None, **more}}))
    file.chmod(0o600)


def run(home: Path, program: str, *args: str, said: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command = [*command_line(program), *args]
    return subprocess.run(
        command, cwd=home, env=environment(home, **env), input=said, capture_output=True, text=True, timeout=PATIENCE
    )


@attack(
    "another account of the machine",
    "a program that listens at gafferd's address while gafferd is down, to get the key that 'gaffer login' has kept",
    "nothing is sent: gafferctl and gaffer end with exit code 3 and name the account",
)
@pytest.mark.parametrize(
    ("program", "option", "command"),
    [
        ("gafferctl", "--connect", ("status",)),
        ("gafferctl", "--connect", ("watch",)),
        ("gaffer", "-g", ("key", "list")),
        ("gaffer", "-g", ("user", "create", "ann")),
    ],
)
def test_kept_key_is_not_sent_to_a_program_of_another_account(
    tmp_path: Path, listener: Listener, program: str, option: str, command: tuple[str, ...]
) -> None:
    keep(tmp_path, listener.url)
    done = run(tmp_path, program, option, listener.url, *command, said="password\n")
    assert done.returncode == 3, done
    assert f"that of account {pwd.getpwuid(NOBODY).pw_name}" in done.stderr and "--server-user" in done.stderr
    assert done.stderr.count("\n") == 1
    assert listener.heard.read_bytes() == b""


@attack(
    "another account of the machine",
    "the same, to get a password or a key that somebody types",
    "nothing is sent: 'gaffer login' and 'gaffer key save' end with exit code 3 and name the account",
)
@pytest.mark.parametrize("command", [("login", "me"), ("key", "save"), ("user", "password", "me")])
def test_password_is_not_sent_to_a_program_of_another_account(
    tmp_path: Path, listener: Listener, command: tuple[str, ...]
) -> None:
    done = run(tmp_path, "gaffer", "-g", listener.url, *command, said="password\npassword\n")
    assert done.returncode == 3 and "neither key nor password was sent" in done.stderr, done
    assert listener.heard.read_bytes() == b""


def test_gafferd_of_an_account_of_its_own_is_named_once(tmp_path: Path, listener: Listener) -> None:
    name = pwd.getpwuid(NOBODY).pw_name
    done = run(tmp_path, "gaffer", "-g", listener.url, "login", "--server-user", name, "me", said="password\n")
    assert done.returncode == 0, done
    kept = json.loads((tmp_path / ".gaffer" / "keys.json").read_text())
    assert [entry["server_uid"] for entry in kept.values()] == [NOBODY]
    assert run(tmp_path, "gaffer", "-g", listener.url, "key", "list").returncode != 3
    # It may log in again without saying so; another account's word is another account's.
    assert run(tmp_path, "gaffer", "-g", listener.url, "login", "me", said="password\n").returncode == 0
    keep(tmp_path, listener.url, server_uid=NOBODY - 1)
    assert run(tmp_path, "gaffer", "-g", listener.url, "key", "list").returncode == 3
    wrong = run(tmp_path, "gaffer", "-g", listener.url, "login", "--server-user", "no such one", "me", said="p\n")
    assert wrong.returncode == 2 and "--server-user: " in wrong.stderr


def test_key_that_is_given_goes_where_it_was_said(tmp_path: Path, listener: Listener) -> None:
    run(tmp_path, "gafferctl", "--connect", listener.url, "sessions", GAFFERCTL_API_KEY=KEY)
    assert KEY.encode() in listener.heard.read_bytes()
