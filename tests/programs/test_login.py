"""``gaffer login``, ``user`` and ``key`` with the real programs; gafferctl finds the key, no other account does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ..kit.certificates import make_certificates
from ..kit.commands import command_line
from ..kit.gafferd import PATIENCE, Gafferd, environment
from .test_auth import PASSWORD, gafferd

JOBS = "[process:web]\ncmd = sleep 1000\n[process:back:db]\ncmd = sleep 1000\n"
COMMANDS = {"gaffer": "-g", "gafferctl": "--connect"}


class Person:
    """A user with a home of their own, and a gafferd to talk to."""

    def __init__(self, home: Path, node: Gafferd, cacert: Path | None = None) -> None:
        self.home, self.url = home, f"http://127.0.0.1:{node.port}"
        self.more: list[str] = []
        if cacert is not None:
            self.url, self.more = f"https://localhost:{node.port}", ["--cacert", str(cacert)]
        self.keys = home / ".gaffer" / "keys.json"
        home.mkdir(exist_ok=True)

    def __call__(self, program: str, *args: str, said: str = "", status: int = 0, **env: str) -> str:
        """Run a program; returns what it says."""
        done = subprocess.run(
            [*command_line(program), COMMANDS[program], self.url, *self.more, *args],
            cwd=self.home,
            env=environment(self.home, **env),
            input=said,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == status, (args, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    gafferd(folder, "--create-admin-user", "--username", "ann", said=f"{PASSWORD}\n")
    with Gafferd(folder, JOBS, "require_key = true\n").start().ready() as started:
        yield started


@pytest.fixture
def ann(node, tmp_path):
    person = Person(tmp_path / "ann", node)
    said = person("gaffer", "login", "ann", "--label", "laptop", said=f"{PASSWORD}\n")
    assert f"logged in at {person.url} as ann" in said
    return person


def test_a_login_is_kept_and_found_by_both_programs_and_ends(ann):
    assert ann.keys.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in ann.keys.read_text()
    assert ann("gafferctl", "processes") == "back.db\nweb\n"
    assert "laptop" in ann("gaffer", "key", "list")
    key = json.loads(ann.keys.read_text())[ann.url]["api_key"]
    # One that is given counts before the one that is kept.
    assert "unknown or expired key" in ann("gafferctl", "processes", status=4, GAFFER_API_KEY="wrong")
    assert "logged out" in ann("gaffer", "logout")
    assert "a key is needed" in ann("gafferctl", "processes", status=4)
    assert "unknown or expired key" in ann("gafferctl", "processes", status=4, GAFFERCTL_API_KEY=key)
    assert "no key for" in ann("gaffer", "logout", status=2)


def test_keys_that_others_can_read_are_not_used(ann):
    ann.keys.chmod(0o644)
    assert "chmod 600" in ann("gafferctl", "processes", status=1)
    ann.keys.write_text("{")
    ann.keys.chmod(0o600)
    assert "is broken" in ann("gafferctl", "processes", status=1)


def test_a_key_for_another_user(ann, node, tmp_path):
    made = ann("gaffer", "key", "create", "for ci", "--read", "default", "--days", "1").strip()
    ci = Person(tmp_path / "ci", node)
    assert ci("gafferctl", "processes", GAFFER_API_KEY=made) == "web\n"
    assert "it allows: read=default" in ci("gaffer", "key", "save", said=f"{made}\n")
    assert ci("gafferctl", "processes") == "web\n"
    assert "has no permission 'manage'" in ci("gafferctl", "stop", "web", status=4)
    assert "no permission to create keys" in ci("gaffer", "key", "create", "--read", "default", status=4)
    id = made.split("_")[1]
    shown = json.loads(ann("gaffer", "key", "show", id, "-o", "json"))
    assert (shown["label"], shown["permissions"]["read"]) == ("for ci", ["default"])
    assert "stays, since 1 others" in ann("gaffer", "logout")
    assert ci("gafferctl", "processes") == "web\n"
    assert ann("gaffer", "login", "ann", said=f"{PASSWORD}\n")
    assert ann("gaffer", "key", "delete", id) == f"{id}: deleted\n"
    assert "unknown or expired key" in ci("gafferctl", "processes", status=4)


def test_users(ann, node, tmp_path):
    assert ann("gaffer", "user", "create", "bob", "--read", "*", said="bobs old password\n") == "bob: created\n"
    assert "application" in ann("gaffer", "user", "list") and "read=*" in ann("gaffer", "user", "show", "bob")
    bob = Person(tmp_path / "bob", node)
    assert "wrong user name or password" in bob("gaffer", "login", "bob", said="wrong password\n", status=4)
    bob("gaffer", "login", "bob", said="bobs old password\n")
    assert "no permission to manage users" in bob("gaffer", "user", "list", status=4)
    assert bob("gaffer", "user", "password", "bob", said="bobs old password\nbobs new password\n")
    assert bob("gafferctl", "processes") == "back.db\nweb\n"
    assert ann("gaffer", "user", "permit", "bob", "--read", "back") == "bob: changed\n"
    assert "unknown or expired key" in bob("gafferctl", "processes", status=4)
    bob("gaffer", "login", "bob", said="bobs new password\n")
    assert bob("gafferctl", "processes") == "back.db\n"
    assert ann("gaffer", "user", "delete", "bob") == "bob: deleted\n"
    assert bob("gafferctl", "processes", status=4)


def test_every_command_knows_the_authority_of_a_certificate(tmp_path):
    make_certificates(tmp_path, "tls")
    gafferd(tmp_path, "--create-admin-user", "--username", "ann", said=f"{PASSWORD}\n")
    options = "require_key = true\ncertfile = tls.pem\nkeyfile = tls.key\n"
    with Gafferd(tmp_path, JOBS, options).start() as node:
        node.logged("listening on https://")
        ann, ci = (Person(tmp_path / name, node, tmp_path / "tls.pem") for name in ("ann", "ci"))
        assert ann("gaffer", "login", "ann", said=f"{PASSWORD}\n")
        made = ann("gaffer", "key", "create", "--read", "default").strip()
        assert "it allows: read=default" in ci("gaffer", "key", "save", said=f"{made}\n")
        assert ci("gafferctl", "processes") == "web\n"
        assert ann("gaffer", "logout", "--all-keys") == f"logged out of {ann.url}\n"
        assert "unknown or expired key" in ci("gafferctl", "processes", status=4)
