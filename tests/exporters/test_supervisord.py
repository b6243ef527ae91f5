"""Programs for supervisor, read by supervisor's own parser."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.errors import InvalidConfig
from gaffer_plugins.exporters import supervisord
from tests.kit.gafferd import eventually

from ..kit.exports import AWKWARD, TEXTS, VARIABLES, application, job, only_text

#: What a line of an ini file can hold at all.
ONE_LINE = AWKWARD | TEXTS.filter(lambda text: not set(text) & set("\r\n"))
AWKWARD_VALUE = 'it\'s "50%" ; of $HOME #1'

pytest.importorskip("supervisor")


def read(text, folder):
    """Return what supervisor makes of a configuration: the settings of each process by name."""
    from supervisor.options import ServerOptions

    path = folder / "supervisord.conf"
    path.write_text("[supervisord]\nidentifier = x\n" + text, "utf-8")
    options = ServerOptions()
    options.realize(["-c", str(path)])
    found = {config.name: config for group in options.process_group_configs for config in group.process_configs}
    return options.process_group_configs, found


def line_of(argv):
    return shlex.join(argv)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("supervisor")


def test_an_application_becomes_a_group(tmp_path):
    web = job("python -u web.py", {"A": "b c", "P": "50%"}, copies=2, graceful_timeout=5, cwd=str(tmp_path))
    worker = job(
        "echo $PORT | cat", name="worker", shell=True, restart="on-failure", exit_codes=[0, 3], stop_signal="INT"
    )
    (group,), found = read(only_text(supervisord.export(application(web, worker))), tmp_path)
    assert group.name == "shop"
    assert sorted(found) == ["shop-web-1", "shop-web-2", "shop-worker-1"]
    second = found["shop-web-2"]
    assert (second.command, second.directory, second.stopwaitsecs) == ("python -u web.py", str(tmp_path), 5)
    assert second.environment == {"A": "b c", "P": "50%", "PORT": "5101"}
    assert (second.autorestart.__name__, second.stopasgroup, second.killasgroup) == (
        "RestartUnconditionally",
        True,
        True,
    )
    third = found["shop-worker-1"]
    assert shlex.split(third.command) == ["/bin/sh", "-c", "echo $PORT | cat"]
    assert (third.exitcodes, third.stopsignal.name) == ([0, 3], "SIGINT")


def test_supervisor_runs_it(tmp_path):
    """Started for real: what each process finds in its environment, and what a stop reaches."""
    web = job('printf "%s|%s" "$PORT" "$AWKWARD" > "out.$PORT"; exec sleep 1000', {"AWKWARD": AWKWARD_VALUE}, copies=2,
              cwd=str(tmp_path), shell=True)  # fmt: skip
    path = tmp_path / "supervisord.conf"
    path.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n"
        + only_text(supervisord.export(application(web)))
    )
    words = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(path)]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for port in ("5100", "5101"):
            eventually(lambda port=port: (tmp_path / f"out.{port}").exists() and (tmp_path / f"out.{port}").read_text())
            assert (tmp_path / f"out.{port}").read_text() == f"{port}|{AWKWARD_VALUE}"
    finally:
        running.terminate()
        running.wait(60)


@given(words=st.lists(ONE_LINE, max_size=3), env=st.dictionaries(VARIABLES, ONE_LINE, max_size=3))
def test_words_and_variables_survive_supervisors_parser(words, env, folder):
    exported = job(line_of(["prog", *words]), env, cwd="/")
    _, found = read(only_text(supervisord.export(application(exported))), folder)
    argv, seen = shlex.split(found["shop-web-1"].command), dict(found["shop-web-1"].environment)
    if argv[0] == "/usr/bin/env":  # takes what environment= cannot hold
        end = argv.index("prog")
        seen.update(part.split("=", 1) for part in argv[1:end])
        argv = argv[end:]
    assert (argv, seen) == (["prog", *words], {**env, "PORT": "5100"})


def test_what_it_cannot_hold_is_refused():
    with pytest.raises(InvalidConfig, match="line break in a command; put it into a script"):
        supervisord.export(application(job("echo 'a\nb'")))
    with pytest.raises(InvalidConfig, match="cannot hold the directory"):
        supervisord.export(application(job("x", cwd="/srv/a ;b")))


def test_what_it_does_not_know_is_told():
    export = supervisord.export(application(job("x", flapping=[2, 1, 7, 5])))
    assert export.notes == ["web: flapping is left out: supervisor counts failed starts only, and has no window"]
    assert "startretries=12\n" in only_text(export)
