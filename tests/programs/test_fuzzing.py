"""schemathesis against a real gafferd: every operation of its description, with what fits it and what does not."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..kit.gafferd import Gafferd
from .fuzzing import JOBS
from .test_auth import ask, gafferd

pytest.importorskip("schemathesis", reason="needs Python 3.11 or later")

#: Only a bound: 15 s on an idle machine.
SECONDS = 240
EXAMPLES = 8
#: 426 is what a websocket's URL answers here. 422 and 503 are documented: an account that does not exist here, an
#: environment file that is missing. A body that may be left out is sometimes left out, and then taken for a wrong one;
#: tests/plugins has wrong ones for these routes.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "426", "429", "503"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "426", "429"]
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
[[operations]]
include-name = "POST /jobs/{session}/{job}/commit"
[operations.checks.negative_data_rejection]
enabled = false
"""
#: Every corner of every schema takes its time, and most were seen without keys already.
KEY_CONFIG = """
[[operations]]
include-name = "POST /auth"
[operations.checks.negative_data_rejection]
enabled = false
[[operations]]
exclude-path-regex = "^/(auth|keys|users/.*key)"
[operations.phases.coverage]
enabled = false
"""
#: Commands are made up; none of them is really run, and never many.
HARMLESS = """
from gaffer import hookimpl

@hookimpl
def gaffer_before_load(draft):
    draft.update(numprocesses=min(draft["numprocesses"], 1), detach=False)
    # What is read has something to say, see below.
    draft.update(redirect_output=draft["redirect_output"] or ["out"], custom_streams=draft["custom_streams"][:3])
    # Files of any name would be made.
    draft.update(stdout_logfile=None, stderr_logfile=None)
    # Commands that are really run, and addresses that are really asked.
    draft.update(ready=None, alive=None)

@hookimpl
def gaffer_before_scale(count):
    return min(count, 2)

@hookimpl
def gaffer_before_spawn(plan):
    plan.argv[:] = ["sh", "-c", "for fd in 1 2 3 4 5; do echo fuzzed >&$fd; done; exec sleep 1000"]

@hookimpl
def gaffer_stop_steps():
    return [(9, 5.0)]
"""
JOBS_INI = "".join(f"[process:job{number}]\ncmd = sleep 1000\nredirect_output = out, err\n" for number in range(JOBS))
SOCKJS = "^/channel/[{]server"
ROOT = Path(__file__).resolve().parents[2]


ANN = "Basic " + base64.b64encode(b"ann:correct horse").decode()
#: Keys and users that are there to be read, changed and deleted.
VICTIMS = 6
#: What the two keys allow that ask: everything, and what a program of one session may have that makes keys for others.
ROLES: dict[str, dict[str, Any]] = {
    "admin": {"admin": True},
    "weak": {"create_key": True, "manage": ["default.job0"], "write": ["other"], "read": ["default"]},
}


@pytest.fixture
def plugins(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "harmless.py").write_text(HARMLESS)
    return folder


@pytest.fixture
def node(tmp_path, plugins):
    with Gafferd(tmp_path, JOBS_INI).start("-p", str(plugins)).ready() as gafferd:
        yield gafferd
        gafferd.signal(signal.SIGTERM)
        assert gafferd.wait() == 0


@pytest.fixture
def locked(tmp_path, plugins):
    """A gafferd with keys, and what those who ask it have to know."""
    made = gafferd(tmp_path, "--create-admin-user", "--username", "ann", said="correct horse\n")
    assert made.returncode == 0, made.stderr
    with (
        Gafferd(tmp_path, JOBS_INI, f"require_key = true\naudit_reads = true\naudit_log = {tmp_path}/audit\n")
        .start("-p", str(plugins))
        .ready() as node
    ):
        admin = ask(node, "POST", "/auth", Authorization=ANN)[1]
        make = partial(ask, node, "POST", X_Api_Key=admin["api_key"])
        keys = {role: make("/keys", {"permissions": allowed})[1] for role, allowed in ROLES.items()}
        victims = [make("/keys", {"permissions": {}})[1]["id"] for _ in range(VICTIMS)]
        users = [f"user{number}" for number in range(VICTIMS)]
        for user in users:
            assert make("/users", {"username": user, "password": "correct horse"})[0] == 201
        known = {
            "login": ANN,
            "keys": victims,
            "users": users,
            "own": [admin["id"], *(key["id"] for key in keys.values())],
        }
        (tmp_path / "known.json").write_text(json.dumps(known))
        yield node, {role: key["api_key"] for role, key in keys.items()}
        node.signal(signal.SIGTERM)
        assert node.wait() == 0


def fuzz(
    node: Gafferd, folder: Path, *options: str, document: Any, examples: int = EXAMPLES, config: str = "", **more: str
) -> Any:
    """Run schemathesis, which must find nothing; returns its report."""
    (folder / "st.toml").write_text(CONFIG + config)
    (folder / "openapi.json").write_text(json.dumps(document))
    # /shutdown would end the test; tests/plugins has one of its own. Sessions of SockJS wait for what comes, and their
    # refusals are those of its protocol; tests/web/sockjs has them.
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "st.toml", "run", "openapi.json"),
        *("--url", f"http://127.0.0.1:{node.port}"),
        *("--exclude-path", "/shutdown", "--exclude-path-regex", SOCKJS),
        *("--max-examples", str(examples), "--seed", "1", "--no-color"),
        *("--report", "json", "--report-json-path", "report.json", *options),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.programs.fuzzing", **more}
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 0, run.stdout + run.stderr + node.log.read_text()
    assert "Traceback" not in node.log.read_text()
    report = json.loads((folder / "report.json").read_text())
    operations = sum(len(item) for path, item in document["paths"].items() if not re.match(SOCKJS, path))
    # Not /shutdown.
    assert report["operations"]["tested"] == operations - 1
    return report


def test_the_api_is_as_described(node, tmp_path):
    report = fuzz(node, tmp_path, document=node.get("/openapi.json"))
    assert report["test_cases"]["generated"] > 1500


@pytest.mark.parametrize("role", ROLES)
def test_with_a_key_it_is_too(role, locked, tmp_path):
    """Every client has a key; and everything is asked again without one and with a wrong one, which has to be a 401."""
    node, keys = locked
    options = ["-H", f"X-Api-Key: {keys[role]}"]
    if role != "admin":
        options += ["--phases", "examples,fuzzing,stateful"]
    _, document = ask(node, "GET", "/openapi.json", X_Api_Key=keys[role])
    known = str(tmp_path / "known.json")
    fuzz(
        node,
        tmp_path,
        *options,
        document=document,
        examples=2 if role == "admin" else 1,
        config=KEY_CONFIG,
        GAFFER_KNOWN=known,
    )
    # It has neither locked itself out nor made itself stronger.
    _, now = ask(node, "GET", "/keys/self", X_Api_Key=keys[role])
    assert {name: value for name, value in now["permissions"].items() if value} == ROLES[role]
    said = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert len({line["what"] for line in said if line.get("errno") == 401}) > 25
    done = {line["what"] for line in said if line["result"] == "done" and (line["who"] or {}).get("name") == now["id"]}
    beyond = {"load", "update", "unload", "health", "plugins", "GET /users", "POST /users", "GET /webhooks"}
    assert "sessions" in done and (role == "admin" or done.isdisjoint(beyond))
