"""Attacks of another account that listens at gafferd's port while gafferd does not."""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import pytest

from tests.kit.commands import command_line
from tests.kit.gafferd import PATIENCE, environment
from tests.kit.stranger import STRANGER, as_root
from tests.security import attack

pytestmark = [
    as_root,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sock_diag is Linux's"),
]

KEY = "k" * 64
ROOT = Path(__file__).parents[2]


class Listener(NamedTuple):
    """The wrong server: where it listens, and a file of what it gets."""

    url: str
    heard: Path


@pytest.fixture(params=["tcp", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    heard = tmp_path / "heard"
    command = [sys.executable, "-m", "tests.security.wrong_server", str(heard)]
    if request.param == "unix":
        command.append(str(tmp_path / "s"))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield Listener(server.stdout.readline().strip(), heard)
        finally:
            server.kill()


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
    assert f"that of account {pwd.getpwuid(STRANGER).pw_name}" in done.stderr and "--server-user" in done.stderr
    assert done.stderr.count("\n") == 1
    assert listener.heard.read_bytes() == b""


@attack(
    "another account of the machine",
    "the same, to get a password or a key that a user types",
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
    name = pwd.getpwuid(STRANGER).pw_name
    done = run(tmp_path, "gaffer", "-g", listener.url, "login", "--server-user", name, "me", said="password\n")
    assert done.returncode == 0, done
    kept = json.loads((tmp_path / ".gaffer" / "keys.json").read_text())
    assert [entry["server_uid"] for entry in kept.values()] == [STRANGER]
    assert run(tmp_path, "gaffer", "-g", listener.url, "key", "list").returncode != 3
    # It may log in again without saying so; another account's word is another account's.
    assert run(tmp_path, "gaffer", "-g", listener.url, "login", "me", said="password\n").returncode == 0
    keep(tmp_path, listener.url, server_uid=STRANGER - 1)
    assert run(tmp_path, "gaffer", "-g", listener.url, "key", "list").returncode == 3
    wrong = run(tmp_path, "gaffer", "-g", listener.url, "login", "--server-user", "no such one", "me", said="p\n")
    assert wrong.returncode == 2 and "--server-user: " in wrong.stderr


def test_key_that_is_given_goes_where_it_was_said(tmp_path: Path, listener: Listener) -> None:
    run(tmp_path, "gafferctl", "--connect", listener.url, "sessions", GAFFERCTL_API_KEY=KEY)
    assert KEY.encode() in listener.heard.read_bytes()
