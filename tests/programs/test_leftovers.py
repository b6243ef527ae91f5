"""gafferd is killed, and another one comes: what the first left running ends, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gaffer.daemon.recovery import Leftovers

from ..kit.gafferd import PATIENCE, Gafferd, environment, eventually, processes, run

OPTIONS = "pidfile = g.pid\norphans = stop\n"
#: One with a child that has left its group; one that shall live on.
JOBS = """
[process:plain]
cmd = sh -c "setsid sleep 1111 & sleep 1112"
[process:lasting]
cmd = sleep 1113
detach = true
"""
#: Lives for two milliseconds, and goes on as another process in another session. It does not act on TERM.
FORK = """import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while not os.fork():
    os.setsid()
    with open("beat", "a") as file:
        file.write(".")
    time.sleep(0.002)
"""


def lines(folder: Path) -> list[str]:
    return sorted(processes(folder).values())


def kill(gafferd: Gafferd) -> None:
    gafferd.signal(signal.SIGKILL)
    gafferd.wait()


def test_what_a_killed_gafferd_left_is_ended_and_what_is_detached_is_not(tmp_path: Path) -> None:
    gafferd = Gafferd(tmp_path, JOBS, OPTIONS)
    stranger = subprocess.Popen(["sleep", "1114"], cwd=tmp_path, env=environment(tmp_path, GAFFER_ID="abcdefabcdef.1"))
    try:
        with gafferd.start().ready():
            before = eventually(lambda: found if len(found := processes(tmp_path)) >= 5 else None)
            kill(gafferd)
            assert set(before) <= set(processes(tmp_path))
            gafferd.configure("[process:new]\ncmd = sleep 1115\n")
            gafferd.start().ready()
            gafferd.logged("processes of a gafferd that was killed are still running; they are ended now")
            assert lines(tmp_path) == ["sleep 1113", "sleep 1114", "sleep 1115"]
            assert (tmp_path / "g.pid.node").stat().st_mode & 0o777 == 0o600
        # It ended as it should, so there is nothing to remember.
        assert not (tmp_path / "g.pid.node").exists()
        assert lines(tmp_path) == ["sleep 1113", "sleep 1114"]
    finally:
        for os_pid in processes(tmp_path):
            os.kill(os_pid, signal.SIGKILL)
        stranger.wait()


def test_what_left_the_session_of_a_crashed_process_is_ended_before_the_next_one_starts(tmp_path: Path) -> None:
    jobs = '[process:web]\ncmd = sh -c "setsid sleep 2222 & sleep 0.2; exit 1"\n'
    with Gafferd(tmp_path, jobs).start().ready() as gafferd:
        eventually(lambda: gafferd.get("/jobs/default/web")["restarts"] >= 3)
        assert lines(tmp_path).count("sleep 2222") <= 1
        assert gafferd.get("/health")["strays"] == 0
        gafferd.delete("/jobs/default/web")
        eventually(lambda: not processes(tmp_path))


def test_strays_are_listed_and_killed_on_request(tmp_path: Path) -> None:
    # It has no GAFFER_ID when its leader exits, and shows one later.
    (tmp_path / "late").write_text(
        'id=$GAFFER_ID\nsetsid env -u GAFFER_ID sh -c "sleep 0.5; exec env GAFFER_ID=$id GAFFER_JOB=web sleep 2223" &\n'
    )
    jobs = "[process:web]\ncmd = sh late\nrestart = never\n"
    with Gafferd(tmp_path, jobs).start().ready() as gafferd:
        (stray,) = eventually(lambda: gafferd.get("/strays")["strays"])
        assert (stray["pid"], stray["job"]) == (1, "web")
        assert processes(tmp_path)[stray["os_pid"]] == "sleep 2223"
        assert gafferd.get("/health")["strays"] == 1
        assert gafferd.delete("/strays") == {"strays": [stray]}
        eventually(lambda: gafferd.get("/strays") == {"strays": []})
        assert not processes(tmp_path)


def test_what_forks_itself_anew_in_new_sessions_is_ended_with_its_job(tmp_path: Path) -> None:
    (tmp_path / "fork.py").write_text(FORK)
    command = f"'{sys.executable}' fork.py & sleep 1111"
    jobs = f'[process:web]\ncmd = sh -c "{command}"\ngraceful_timeout = 0.1\n'
    beat = tmp_path / "beat"
    with Gafferd(tmp_path, jobs).start().ready() as gafferd:
        eventually(lambda: beat.exists() and beat.stat().st_size > 200)
        gafferd.delete("/jobs/default/web")
        eventually(lambda: gafferd.get("/health")["processes"] == 0)
        # A new one would write within a few milliseconds.
        eventually(lambda: not beat.exists() or beat.unlink())
        assert gafferd.get("/strays") == {"strays": []} and not beat.exists()


def test_they_are_left_alone_unless_that_is_said(tmp_path: Path) -> None:
    gafferd = Gafferd(tmp_path, "[process:web]\ncmd = sleep 1111\n", "pidfile = g.pid\n")
    try:
        with gafferd.start().ready():
            eventually(lambda: lines(tmp_path) == ["sleep 1111"])
            kill(gafferd)
            (left,) = processes(tmp_path)
            gafferd.configure("")
            gafferd.start().ready()
            told = gafferd.logged("1 processes of a gafferd that was killed are still running beside those")
            assert f"os_pid {left}; end them with kill, or set orphans = stop" in told
            assert lines(tmp_path) == ["sleep 1111"]
        assert not (tmp_path / "g.pid.node").exists()
    finally:
        for os_pid in processes(tmp_path):
            os.kill(os_pid, signal.SIGKILL)


def test_stop_signal_and_time_of_the_job_are_used(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("trap 'echo int > got; exit' INT\ntrap '' TERM\nwhile :; do sleep 0.05; done\n")
    jobs = "[process:web]\ncmd = sh job\nstop_signal = INT\ngraceful_timeout = 60\n"
    with Gafferd(tmp_path, jobs, OPTIONS).start().ready() as gafferd:
        eventually(lambda: lines(tmp_path) and gafferd.get("/jobs/default/web")["state"] == "running")
        kill(gafferd)
        gafferd.start().ready()
        assert (tmp_path / "got").read_text() == "int\n"


def test_processes_of_a_living_gafferd_are_never_touched(tmp_path: Path) -> None:
    """Not even if a user lets a second one look for them: it has not got the lock."""
    with Gafferd(tmp_path, "[process:web]\ncmd = sleep 1111\n", OPTIONS).start().ready() as gafferd:
        eventually(lambda: lines(tmp_path) == ["sleep 1111"])
        second = run(tmp_path, "--bind", "127.0.0.1:0", "--pidfile", "g.pid", GAFFERD_ORPHANS="stop")
        assert second.returncode == 1 and "g.pid" in second.stderr
        assert lines(tmp_path) == ["sleep 1111"]
        assert gafferd.get("/jobs/default/web")["restarts"] == 0


def test_a_node_file_of_another_account_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "g.pid.node").write_text("abcdefabcdef\n")
    (tmp_path / "g.pid.node").chmod(0o666)
    stranger = subprocess.Popen(["sleep", "1114"], cwd=tmp_path, env=environment(tmp_path, GAFFER_ID="abcdefabcdef.1"))
    try:
        with Gafferd(tmp_path, "", OPTIONS).start().ready() as gafferd:
            gafferd.logged("is not what a gafferd wrote")
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_pidfile_is_needed(tmp_path: Path) -> None:
    done = run(tmp_path, "--check", "--bind", "127.0.0.1:0", GAFFERD_ORPHANS="stop")
    assert done.returncode == 2 and "orphans = stop needs a pidfile" in done.stderr


def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    pidfile, node = str(tmp_path / "g.pid"), "abcdefabcdef"
    Leftovers(pidfile, node).end()
    ignores = "trap '' TERM; echo; while :; do sleep 0.1; done"
    env = environment(tmp_path, GAFFER_ID=f"{node}.7")
    with subprocess.Popen(["sh", "-c", ignores], cwd=tmp_path, env=env, stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        assert Leftovers(pidfile, "0123456789ab").end(grace=0.1) >= 1
        assert stubborn.wait(PATIENCE) == -signal.SIGKILL
    Leftovers(pidfile, "0123456789ac").forget()
    assert not (tmp_path / "g.pid.node").exists()


def test_a_gafferd_that_descends_from_the_one_before_leaves_all_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in the middle of what would be ended."""
    Leftovers(str(tmp_path / "g.pid"), "abcdefabcdef").end()
    monkeypatch.setenv("GAFFER_ID", "000000000000.1/abcdefabcdef.3")
    with subprocess.Popen(["sleep", "1114"], env=environment(tmp_path) | {"GAFFER_ID": "abcdefabcdef.3"}) as stranger:
        assert Leftovers(str(tmp_path / "g.pid"), "0123456789ab").end(grace=0.1) == 0
        assert stranger.poll() is None
        stranger.kill()
