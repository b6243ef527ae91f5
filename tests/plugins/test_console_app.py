"""The seeds' console application: which events and streams it prints, in which colours, and when it is silent."""

import io
import re

import pytest

import gaffer
from gaffer.console_output import Color, ConsoleOutput, status_bar
from gaffer.errors import BadRequest
from tests.kit.web import wait_until


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def run():
    """Return a function that runs a manager with a console; it answers with what was printed."""

    def run(cmd="echo hello; echo oops >&2", stream=None, settings=None, **options):
        stream = stream or io.StringIO()
        manager = gaffer.Manager(apps=[ConsoleOutput(stream=stream, **options)])
        with manager:
            job = {"name": "web", "cmd": cmd, "shell": True, "restart": "never", "redirect_output": ["out", "err"]}
            manager.load({**job, **(settings or {})})
            wait_until(lambda: not manager.job("web").active)
        return stream.getvalue()

    return run


def words(text):
    """The lines without time and pid."""
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in text.splitlines()]
    return sorted(re.sub(r"pid \d+", "pid N", line) for line in lines)


def test_the_default_actions_and_output(run):
    assert ConsoleOutput.DEFAULT_ACTIONS == ["start", "stop", "spawn", "reap", "exit", "stop_pid"]
    printed = words(run())
    assert printed == [
        "web | exit process with pid N",
        "web | hello",
        "web | oops",
        "web | reap process with pid N",
        "web | spawn process with pid N",
        "web | start",
        "web | stop",
    ]


def test_chosen_actions_only(run):
    assert words(run(actions=["exit"], output_streams=False)) == ["web | exit process with pid N"]


def test_redirected_output_only(run):
    assert words(run(actions=[], settings={"redirect_output": ["out"]})) == ["web | hello"]


def test_colours_are_for_terminals_that_want_them(run, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" in run(stream=Terminal())
    assert "\x1b" not in run()
    assert "\x1b" not in run(stream=Terminal(), colorize=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(stream=Terminal())


def test_a_console_that_was_stopped_is_silent(capsys):
    console = ConsoleOutput()
    with gaffer.Manager(apps=[console]) as manager:
        manager.load({"name": "web", "cmd": "sleep 1000"})
        wait_until(manager.pids)
        console.stop()
        console.restart()
        manager.stop_job("web")
    assert words(capsys.readouterr().out) == ["web | spawn process with pid N", "web | start"]


def test_colours_of_text():
    color = Color()
    assert color.output("cyan", "hello") == "\x1b[36mhello\x1b[0m"
    assert color.output("intense_red", ["a", "b"]) == "\x1b[91ma\nb\x1b[0m"
    with pytest.raises(BadRequest, match="no colour 'cyna'; did you mean 'cyan'"):
        color.output("cyna", "x")


@pytest.mark.parametrize("text, shown", [("two jobs", "two jobs  "), ("two jobs running", "two jobs r")])
def test_a_bar_across_the_terminal(monkeypatch, text, shown):
    monkeypatch.setenv("COLUMNS", "10")
    assert status_bar(text) == f"\x1b[7m{shown}\x1b[0m"
