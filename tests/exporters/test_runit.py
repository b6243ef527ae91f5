"""Service directories, run by runit where it is installed, their scripts by the shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaffer_plugins.exporters import runit

from ..kit.exports import AWKWARD, ENVIRONMENTS, application, job

RUNSVDIR = shutil.which("runsvdir")
#: chpst itself needs runit; what it is given can be seen without.
CHPST = '#!/bin/sh\nshift\nexec "$@"\n'
SHOW = """\
import os, sys
words = [*sys.argv[1:], *(f"{key}={text}" for key, text in os.environ.items())]
sys.stdout.buffer.write(b"\\0".join(map(os.fsencode, words)))
"""
needs_runit = pytest.mark.skipif(RUNSVDIR is None, reason="runit is not installed")


def write(export, folder):
    for file in export.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, "utf-8")
        path.chmod(file.mode)


def eventually(check):
    deadline = time.monotonic() + 60
    while not (found := check()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return found


@needs_runit
def test_runit_runs_it(tmp_path):
    services, work = tmp_path / "services", tmp_path / "work dir"
    work.mkdir()
    script = (
        'printf "%s|%s|%s\\n" "$PORT" "$GREETING" "$0" > "out.$PORT"; trap \'echo told > "told.$PORT"; exit 0\' USR1; '
    )
    script += "while :; do sleep 0.05; done"
    web = job(script, {"GREETING": 'it\'s "50%" $HOME'}, copies=2, cwd=str(work), shell=True, stop_signal="USR1")
    once = job("sh -c 'echo x >> once'", name="once", restart="never", cwd=str(work))
    write(runit.export(application(web, once)), services)
    runsvdir = subprocess.Popen([RUNSVDIR, "-P", str(services)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: (work / "out.5101").exists() and (work / "out.5101").read_text())
        assert (work / "out.5101").read_text() == '5101|it\'s "50%" $HOME|/bin/sh\n'
        stopped = subprocess.run(
            ["sv", "-w", "60", "down", str(services / "shop-web-2")], capture_output=True, text=True
        )
        assert stopped.returncode == 0, stopped.stdout
        assert (work / "told.5101").exists()
        eventually(lambda: "down:" in status(services / "shop-once-1"))
        assert (work / "once").read_text() == "x\n"
    finally:
        runsvdir.send_signal(1)  # HUP: ends the services too
        runsvdir.wait(60)


def status(service):
    return subprocess.run(["sv", "status", str(service)], capture_output=True, text=True).stdout.partition(";")[0]


@settings(max_examples=15, deadline=None)
@given(words=st.lists(AWKWARD, min_size=1, max_size=2), env=ENVIRONMENTS)
def test_words_and_variables_survive_the_shell(words, env, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "chpst").write_text(CHPST)
    (bin_folder / "chpst").chmod(0o755)
    (folder / "show.py").write_text(SHOW)
    env = {key: text for key, text in env.items() if key not in ("PATH", "PWD", "_", "OLDPWD", "SHLVL")}
    write(
        runit.export(
            application(job(shlex.join([shutil.which("python3"), "-ES", "show.py", *words]), env, cwd=str(folder)))
        ),
        folder,
    )
    ended = subprocess.run(
        [str(folder / "shop-web-1" / "run")],
        env={"PATH": f"{bin_folder}:{os.environ['PATH']}"},
        capture_output=True,
        timeout=60,
    )
    shown = os.fsdecode(ended.stdout).split("\0")
    assert shown[: len(words)] == words
    assert {*(f"{key}={text}" for key, text in env.items()), "PORT=5100"} <= set(shown[len(words) :])


@pytest.mark.parametrize("settings, option", [({"uid": 0, "gid": 0}, ":0:0"), ({"uid": "root"}, "root")])
def test_accounts(settings, option):
    assert f"exec chpst -P -u {option} x\n" in runit.export(application(job("x", **settings))).files[0].text


def test_a_job_that_is_not_to_be_started_is_down():
    assert "shop-web-1/down" in [file.path for file in runit.export(application(job("x", start=False))).files]


def test_what_it_does_not_know_is_told():
    assert (
        "web: priority is left out: runit starts all services at once"
        in runit.export(application(job("x", priority=1))).notes
    )
