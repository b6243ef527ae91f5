"""schemathesis against a real gafferd: every operation of its description, with what fits it and what does not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .fuzzing import JOBS
from .gafferd import Gafferd

pytest.importorskip("schemathesis", reason="needs Python 3.11 or later")

#: Only a bound: 15 s on an idle machine.
SECONDS = 240
EXAMPLES = 8
#: 426 is what a websocket's URL answers here. 422 and 503 are documented: an account that does not exist here, an
#: environment file that is missing. A body that may be left out is sometimes left out, and then taken for a wrong one;
#: tests/plugins has wrong ones for that route.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "426", "503"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "415", "422", "426"]
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
[[operations]]
include-name = "POST /jobs/{session}/{job}/commit"
[operations.checks.negative_data_rejection]
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
SOCKJS = "^/channel/[{]server"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def node(tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "harmless.py").write_text(HARMLESS)
    jobs = "".join(f"[process:job{number}]\ncmd = sleep 1000\nredirect_output = out, err\n" for number in range(JOBS))
    with Gafferd(tmp_path, jobs).start("-p", str(plugins)).ready() as gafferd:
        yield gafferd
        gafferd.signal(signal.SIGTERM)
        assert gafferd.wait() == 0


def test_the_api_is_as_described(node, tmp_path):
    (tmp_path / "st.toml").write_text(CONFIG)
    # /shutdown would end the test; tests/plugins has one of its own. Sessions of SockJS wait for what comes, and their
    # refusals are those of its protocol; tests/web/sockjs has them.
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "st.toml", "run"),
        f"http://127.0.0.1:{node.port}/openapi.json",
        *(
            "--exclude-path",
            "/shutdown",
            "--exclude-path-regex",
            SOCKJS,
            "--max-examples",
            str(EXAMPLES),
            "--seed",
            "1",
            "--no-color",
        ),
        *("--report", "json", "--report-json-path", "report.json"),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.programs.fuzzing"}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 0, run.stdout + run.stderr + node.log.read_text()
    report = json.loads((tmp_path / "report.json").read_text())
    paths = node.get("/openapi.json")["paths"].items()
    operations = sum(len(item) for path, item in paths if not re.match(SOCKJS, path))
    # Not /shutdown, and not the description itself, which is what was read.
    assert report["operations"]["tested"] == operations - 2
    assert report["test_cases"]["generated"] > 1500
    assert "Traceback" not in node.log.read_text()
