"""Completion of what gafferd knows, and of signals."""

import pytest
from click.shell_completion import ShellComplete

from gaffer.cli.ctl.gafferctl import make_program


def completed(uri, *words):
    *before, last = words
    shell = ShellComplete(make_program(), {}, "gafferctl", "_GAFFERCTL_COMPLETE")
    return [item.value for item in shell.get_completions(["--connect", uri, *before], last)]


@pytest.mark.parametrize("command", ["stop", "status", "del_process", "numprocesses"])
def test_names_of_jobs_are_completed(gafferd, command):
    gafferd.load("default.web", start=True)
    gafferd.load("default.worker")
    assert completed(gafferd.uri, command, "we") == ["web"]
    assert completed(gafferd.uri, command, "") == ["web", "worker"]


@pytest.mark.parametrize("command", ["logs", "kill", "info", "attach"])
def test_pids_are_completed_where_they_are_taken(gafferd, command):
    gafferd.load("default.web", start=True)
    assert completed(gafferd.uri, command, "") == ["web", "1"]


def test_signals_are_completed():
    uri = "http://127.0.0.1:1"
    assert completed(uri, "kill", "web", "te") == ["TERM"]
    assert completed(uri, "kill", "web", "SIGTE") == ["SIGTERM"]


def test_nothing_is_completed_without_a_gafferd():
    assert completed("http://127.0.0.1:1", "stop", "we") == []
