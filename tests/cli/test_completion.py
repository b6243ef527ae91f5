"""Completion of what gafferd knows, and of signals."""

import pytest
from click.shell_completion import ShellComplete

from gaffer.cli.app.gaffer import make_program as make_gaffer
from gaffer.cli.ctl.gafferctl import make_program


def completed(uri, *words):
    return values(make_program(), "--connect", uri, *words)


def values(program, *words):
    *before, last = words
    shell = ShellComplete(program, {}, program.name, "_COMPLETE")
    return [item.value for item in shell.get_completions(before, last)]


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


@pytest.mark.parametrize("command", ["logs", "kill", "info", "attach", "send", "recv"])
def test_gaffer_completes_the_processes_of_its_application(gafferd, tmp_path, command):
    gafferd.load("shop.web", start=True, numprocesses=2)
    gafferd.load("other.web", start=True)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "Procfile").write_text("web: serve\nworker: work\n")

    def complete(uri, incomplete):
        return values(make_gaffer(), "-g", uri, "-d", str(tmp_path / "shop"), command, incomplete)

    assert complete(gafferd.uri, "web") == ["web", "web.1", "web.2"]
    assert complete(gafferd.uri, "") == ["web", "worker", "web.1", "web.2"]
    assert complete(gafferd.uri, "2") == ["2"]
    assert complete("http://127.0.0.1:1", "w") == ["web", "worker"]


def test_signals_are_completed():
    uri = "http://127.0.0.1:1"
    assert completed(uri, "kill", "web", "te") == ["TERM"]
    assert completed(uri, "kill", "web", "SIGTE") == ["SIGTERM"]


def test_nothing_is_completed_without_a_gafferd():
    assert completed("http://127.0.0.1:1", "stop", "we") == []
