"""Completion of gaffer and gafferctl in real shells, against a real gafferd."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Iterator

import pytest

from gaffer.cli.core.completion_scripts import KEPT

from ..kit.commands import command_line
from ..kit.gafferd import Gafferd, environment, eventually
from ..kit.terminal import Terminal

CONTRIB = Path(__file__).parents[2] / "contrib" / "completion"
JOBS = "[job:worker]\ncmd = sleep 1000\n[job:shop.db]\ncmd = sleep 1000\n"
#: The program completes as ever; called otherwise it says with which words.
WRAPPER = """#!/bin/sh
[ -z "$_{upper}_COMPLETE" ] || {{ echo asked >> "$HOME/asked"; exec {real} "$@"; }}
printf 'CALLED<'; printf '%s|' {program} "$@"; echo '>'
"""
PROMPT = "READY: "
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {folder}/bash/{program}; PS1='READY: '\n"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath=({folder}/zsh $fpath); autoload -Uz compinit && compinit -u -D; PS1='READY: '\n",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "source {folder}/fish/{program}.fish; function fish_prompt; echo 'READY: '; end\n",
    ),
}


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with Gafferd(tmp_path_factory.mktemp("completion"), JOBS).start().ready() as gafferd:
        eventually(lambda: len(gafferd.get("/pids")["pids"]) == 2)
        yield gafferd


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, gafferd: Gafferd, tmp_path: Path) -> Iterator[Terminal]:
    """A shell that completes gaffer and gafferctl, in a folder with a Procfile."""
    words, setup = SHELLS[request.param]
    if not shutil.which(words[0]):
        pytest.skip(f"there is no {words[0]}")
    bin = tmp_path / "bin"
    bin.mkdir()
    for program in ("gaffer", "gafferctl"):
        path = bin / program
        real = shlex.join(command_line(program))
        path.write_text(WRAPPER.format(upper=program.upper(), real=real, program=program))
        path.chmod(0o755)
    (tmp_path / "Procfile").write_text("clock: sleep 1000\n")
    # An answer is kept for as long as a test may last on a busy machine.
    for script in CONTRIB.glob("*/*"):
        copy = tmp_path / script.relative_to(CONTRIB)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(script.read_text().replace(f"+ {KEPT})", "+ 3600)"))
    env = environment(tmp_path, GAFFERCTL_CONNECT=f"http://127.0.0.1:{gafferd.port}", TERM="dumb")
    env["PATH"] = f"{bin}:{env['PATH']}"
    with Terminal(words, env) as terminal:
        for program in ("gaffer", "gafferctl"):
            terminal.type(setup.format(folder=tmp_path, program=program))
        terminal.type(f"cd {tmp_path}; gafferctl is up\n")
        assert called(terminal) == "gafferctl|is|up|>"
        yield terminal


LINES = [
    ("gafferctl stop wor", "gafferctl|stop|worker"),
    ("gafferctl status shop", "gafferctl|status|shop.db"),
    ("gafferctl kill worker te", "gafferctl|kill|worker|TERM"),
    ("gafferctl kill worker TE", "gafferctl|kill|worker|TERM"),
    ("gafferctl logs 2", "gafferctl|logs|2"),
    ("gafferctl --connect {uri} stop wor", "gafferctl|--connect|{uri}|stop|worker"),
    ("gafferctl --connect={uri} stop wor", "gafferctl|--connect={uri}|stop|worker"),
    ("true; GAFFERCTL_TIMEOUT=5 gafferctl stop wor", "gafferctl|stop|worker"),
    ("gafferctl stop --no-w", "gafferctl|stop|--no-wait"),
    ("gafferctl wait worker --for read", "gafferctl|wait|worker|--for|ready"),
    ("gaffer start clo", "gaffer|start|clock"),
    ("gaffer kill clock US", "gaffer|kill|clock|USR"),
    ("gaffer kill clock HU", "gaffer|kill|clock|HUP"),
]


def complete(shell: Terminal, folder: Path, typed: str) -> str:
    """Type a line and Tab, and return what is called when that is completed."""
    asked = folder / "asked"
    before = asked.read_text() if asked.exists() else ""
    shell.type(typed + "\t")
    eventually(lambda: asked.exists() and asked.read_text() != before)
    shell.type("\n")
    return called(shell)


def called(shell: Terminal) -> str:
    found = shell.read_until("|>").rpartition("CALLED<")[2]
    shell.read_until(PROMPT)
    return found


def test_words_are_completed(shell: Terminal, gafferd: Gafferd, tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{gafferd.port}"
    wrong = {}
    for typed, expected in LINES:
        found = complete(shell, tmp_path, typed.format(uri=uri))
        if found != expected.format(uri=uri) + "|>":
            wrong[typed] = found
    assert wrong == {}


def test_answer_is_kept_for_a_moment(shell: Terminal, tmp_path: Path) -> None:
    assert complete(shell, tmp_path, "gafferctl stop wor") == "gafferctl|stop|worker|>"
    asked = (tmp_path / "asked").read_text()
    shell.type("gafferctl stop wor\t")
    shell.read_until("stop worker")
    shell.type("\n")
    assert called(shell) == "gafferctl|stop|worker|>"
    assert (tmp_path / "asked").read_text() == asked
