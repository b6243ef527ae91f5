"""Applications of ``tests/data/apps``, started in the terminal and loaded on a gafferd: what their processes get."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gaffer.cli.app.gaffer import make_program
from gaffer.procfile.application import read_application
from gaffer.procfile.parser import parse_text

from ..kit.data import data_folder
from ..kit.gafferd import PATIENCE, Gafferd, environment, eventually

APPS = data_folder() / "apps"
GAFFER = str(Path(sys.executable).with_name("gaffer"))
#: Prints its environment, and goes on.
SHOW = """import json, os, time
print("env", json.dumps(dict(os.environ)), flush=True)
time.sleep(1000)
"""


@pytest.fixture
def application(tmp_path):
    """Return a function that copies an application into a folder of its own."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(APPS / name, tmp_path / name))

    return copy


def gaffer(folder: Path, *words: str) -> str:
    """Run gaffer in *folder*; returns what it prints."""
    ended = subprocess.run(
        [GAFFER, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def printed(text: str, name: str) -> str:
    """Return the lines of a type out of what gaffer prints."""
    lines = [line.partition("|") for line in text.splitlines()]
    return "\n".join(line[2].removeprefix(" ") for line in lines if line[0].strip() == name)


def test_quotes_mean_in_a_terminal_what_they_mean_to_a_shell(application):
    folder = application("quoting")
    for name in ("*.md", "a.md", "[a]"):
        (folder / name).touch()
    text = gaffer(folder, "start", "--on-exit", "ignore", "--no-timestamp")
    for name, line in parse_text((folder / "Procfile").read_text()).items():
        by_shell = subprocess.run(
            ["/bin/sh", "-c", line], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60
        )
        assert by_shell.stdout.rstrip("\n") in printed(text, name), line


def test_variables_reach_a_process_in_a_terminal_and_on_a_gafferd(application, tmp_path):
    folder = application("escapes")
    (folder / "show.py").write_text(SHOW)
    (folder / "web").write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} show.py\n")
    (folder / "web").chmod(0o755)
    wanted = json.loads((APPS / "escapes" / "expected.json").read_text())["escapes.web"]["env"]

    def found(text: str) -> dict[str, str]:
        line = next((line for line in text.splitlines() if "env {" in line), "")
        return json.loads(line.partition("env ")[2]) if line.endswith("}") else {}

    with (tmp_path / "out").open("wb") as out:
        started = subprocess.Popen([GAFFER, "start"], cwd=folder, env=environment(folder), stdout=out, stderr=out)
    try:
        env = eventually(lambda: found((tmp_path / "out").read_text()))
    finally:
        started.terminate()
        started.wait(PATIENCE)
    assert env | wanted == env and (env["PORT"], env["PS"]) == ("5100", "web.1")
    with Gafferd(tmp_path).start() as gafferd:
        on = ("-g", f"http://127.0.0.1:{gafferd.ready().port}")
        gaffer(folder, *on, "load")
        env = eventually(lambda: found(gaffer(folder, *on, "logs", "web")))
        assert env | wanted == env and env["PORT"] == "5100"


def test_every_application_is_loaded_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIR", raising=False)
    with Gafferd(tmp_path).start() as gafferd:
        on = ["-g", f"http://127.0.0.1:{gafferd.ready().port}"]
        for folder in sorted(APPS.iterdir()):
            monkeypatch.chdir(folder)
            # The second time, nothing has changed.
            first, second = [
                CliRunner().invoke(make_program(), [*on, "load", "--nostart", "--no-port"]) for _ in range(2)
            ]
            assert (first.exit_code, second.exit_code) == (0, 0), (folder.name, first.output, second.output)
            assert "unchanged" in second.output
            for config in read_application(root=".", environ={}).configs():
                loaded = gafferd.get(f"/jobs/{config.job_name.session}/{config.job_name.job}")["config"]
                loaded["env"].pop("PORT", None)  # of .env, which --no-port leaves alone
                assert (loaded["cmd"], loaded["env"], loaded["shell"]) == (config.cmd, dict(config.env), config.shell)
