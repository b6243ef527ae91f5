"""gaffer shows the output of an application on a gafferd and talks to its processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import pytest

from ..kit.gafferd import PATIENCE, Gafferd, environment, eventually
from ..kit.terminal import Terminal

GAFFER = [str(Path(sys.executable).parent / "gaffer")]
PROCFILE = """\
echo: sh -c 'echo "$PS is ready"; exec cat'
talker: sh -c 'echo one; echo two >&2; exec sleep 1000'
"""


@contextmanager
def talking(folder: Path) -> Iterator[Gafferd]:
    (folder / "Procfile").write_text(PROCFILE)
    (folder / ".env").write_text("GAFFER_REDIRECT_INPUT=echo\n")
    jobs = "[procfile:shop]\npath = Procfile\nconcurrency = talker=2\n"
    jobs += "[process:other:talker]\ncmd = sh -c 'echo three; exec sleep 1000'\nredirect_output = out\n"
    with Gafferd(folder, jobs).start() as gafferd:
        gafferd.ready()
        yield gafferd


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with talking(tmp_path_factory.mktemp("talk")) as gafferd:
        yield gafferd


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gafferd]:
    """A gafferd of the test alone, for what is said to its processes ends up in their logs."""
    with talking(tmp_path) as gafferd:
        yield gafferd


def env(gafferd: Gafferd) -> dict[str, str]:
    endpoint = f"http://127.0.0.1:{gafferd.port}"
    found = environment(gafferd.folder, GAFFER_ENDPOINT=endpoint, GAFFER_DIRECTORY=str(gafferd.folder / "shop"))
    return {**found, "TERM": "xterm"}


def gaffer(gafferd: Gafferd, *args: str, stdin: str = "") -> Any:
    ended = subprocess.run(
        [*GAFFER, *args], env=env(gafferd), input=stdin, capture_output=True, text=True, timeout=PATIENCE
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def pids(gafferd: Gafferd, name: str) -> list[int]:
    return list(gafferd.get(f"/jobs/shop/{name}")["processes"])


def said(gafferd: Gafferd, *args: str) -> list[str]:
    code, out, err = gaffer(gafferd, "logs", "--no-colorize", *args)
    assert (code, err) == (0, "")
    return sorted(out.splitlines())


def test_logs_of_the_application(gafferd: Gafferd) -> None:
    first, second = pids(gafferd, "talker")
    (echo,) = pids(gafferd, "echo")
    expected = [f"{name} | {line}" for name in (f"talker.{first}", f"talker.{second}") for line in ("one", "two")]
    expected = sorted([*expected, f"echo.{echo} | echo.1 is ready"])
    eventually(lambda: [re.sub(r" +\|", " |", line) for line in said(gafferd)] == expected)


def test_logs_of_types_and_processes(gafferd: Gafferd) -> None:
    first, _ = pids(gafferd, "talker")
    eventually(lambda: said(gafferd, f"talker.{first}") == ["one", "two"])
    assert said(gafferd, str(first), "--label", "stderr") == ["two"]
    assert said(gafferd, "talker", "--no-prefix", "-n", "1") in (["one"], ["two"])
    eventually(lambda: said(gafferd, "other.talker") == ["three"])
    out = eventually(lambda: gaffer(gafferd, "logs", "echo", "-o", "json")[1])
    assert json.loads(out)["line"] == "echo.1 is ready"


def test_what_is_sent_is_received(own: Gafferd) -> None:
    (pid,) = pids(own, "echo")
    receiver = subprocess.Popen(
        [*GAFFER, "recv", f"echo.{pid}", "-n", "1"], env=env(own), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert receiver.stdout is not None and receiver.stderr is not None
        assert receiver.stdout.readline() == b"echo.1 is ready\n"
        assert gaffer(own, "send", "echo", "hello", "there") == (0, "", "")
        assert receiver.stdout.readline() == b"hello there\n"
        assert gaffer(own, "send", str(pid), "-", stdin="a\0b\n") == (0, "", "")
        assert receiver.stdout.readline() == b"a\0b\n"
        assert gaffer(own, "send", f"echo.{pid}", "--eof", "last") == (0, "", "")
        out, err = receiver.communicate(timeout=PATIENCE)
        assert (receiver.returncode, out, err) == (0, b"last\n", b"")
    finally:
        receiver.kill()
        receiver.communicate()


def test_attaching(own: Gafferd) -> None:
    eventually(lambda: pids(own, "echo"))
    with Terminal([*GAFFER, "attach", "echo"], env(own)) as terminal:
        terminal.read_until("attached to shop.echo")
        terminal.type("through the terminal\n")
        terminal.read_until("through the terminal\r\nthrough the terminal\r\n")
        terminal.type("\x1d")
        assert terminal.wait() == 0


@pytest.mark.parametrize(
    "args, code, sentence",
    [
        (["logs", "tlker"], 1, "application 'shop' has no process type 'tlker'; did you mean 'talker'?"),
        (["logs", "none.web"], 1, "has no application 'none'"),
        (["send", "talker", "x"], 2, "talker has 2 processes; give the pid of one: "),
        (["send", "other.talker", "x"], 4, "stdin"),
        (["attach", "web.999999"], 1, "999999"),
        (["recv", "echo", "--stream", "none"], 1, "none"),
    ],
)
def test_bad_input(gafferd: Gafferd, args: list[str], code: int, sentence: str) -> None:
    ended = gaffer(gafferd, *args)
    assert ended[0] == code
    assert sentence in ended[2] and len(ended[2].splitlines()) == 1
