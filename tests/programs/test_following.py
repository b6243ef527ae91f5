"""gafferctl's commands that go on, as installed: pipes, terminals, signals, and a gafferd that goes away."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Iterator

import pytest

from gaffer.httpclient import Server

from ..kit.gafferd import PATIENCE, Gafferd, environment, eventually
from ..kit.terminal import Terminal

GAFFERCTL = [str(Path(sys.executable).parent / "gafferctl")]
#: Says something, and then whatever it is told; its parts end at once when they are told to.
CAT = "redirect_input = true\nredirect_output = stdout, stderr\n"
JOBS = f"""
[process:echo]
cmd = sh -c 'echo ready; exec cat'
{CAT}
[process:sent]
cmd = sh -c 'echo ready; exec cat'
{CAT}
[process:two]
cmd = sh -c 'echo up; exec cat'
numprocesses = 2
{CAT}
[process:ends]
cmd = sh -c 'echo one; echo two >&2; read line; echo "got $line"; exit 3'
{CAT}
[process:followed]
cmd = sh -c 'echo one; echo two >&2; read line; echo "got $line"; exit 3'
{CAT}
[process:mute]
cmd = sleep 1000
[process:talker]
cmd = sh -c 'while :; do echo talk; sleep 0.05; done'
redirect_output = stdout
redirect_input = false
[process:filed]
cmd = sh -c 'echo to the file; echo not kept >&2; exec sleep 1000'
stdout_logfile = %(name)s.log
"""


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with Gafferd(tmp_path_factory.mktemp("live"), JOBS).start() as gafferd:
        gafferd.ready()
        for name in ("echo", "sent", "two", "ends", "followed", "talker"):
            eventually(lambda name=name: gafferd.get(f"/jobs/default/{name}")["processes"])
        yield gafferd


def env(gafferd: Gafferd, **more: str) -> dict[str, str]:
    found = environment(gafferd.folder, GAFFERCTL_CONNECT=f"http://127.0.0.1:{gafferd.port}", **more)
    return {**found, "TERM": "xterm"}


def pid_of(gafferd: Gafferd, name: str) -> int:
    return int(eventually(lambda: gafferd.get(f"/jobs/default/{name}")["processes"])[0])


class Running:
    """gafferctl in the background, its output in pipes."""

    def __init__(self, gafferd: Gafferd, *args: str, stdin: int = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            [*GAFFERCTL, *args], env=env(gafferd), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode(), err.decode()

    def interrupt(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()


def run(gafferd: Gafferd, *args: str, input: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run([*GAFFERCTL, *args], env=env(gafferd), input=input, capture_output=True, timeout=PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# -- logs and send ------------------------------------------------------------------------------


def test_what_is_sent_comes_back_in_the_logs(gafferd: Gafferd) -> None:
    assert run(gafferd, "send", "sent", "hello", "world") == (0, "", "")
    assert run(gafferd, "send", str(pid_of(gafferd, "sent")), "-", input=b"bytes \xff\0\nx\n") == (0, "", "")
    logs = eventually(lambda: (found := run(gafferd, "logs", "sent", "-n", "4")[1]).endswith("x\n") and found)
    assert logs == "ready\nhello world\nbytes \ufffd\\x00\nx\n"
    raw = subprocess.run([*GAFFERCTL, "logs", "sent", "-o", "raw"], env=env(gafferd), capture_output=True)
    assert raw.stdout == b"ready\nhello world\nbytes \xff\0\nx\n"


def test_logs_follow_across_restarts_and_stop_at_ctrl_c(gafferd: Gafferd) -> None:
    with Running(gafferd, "logs", "followed", "-f", "-t") as logs:
        assert sorted(line.partition(" | ")[2] for line in logs.lines(2)) == ["one\n", "two\n"]
        assert run(gafferd, "send", "followed", "x")[0] == 0
        got, *again = logs.lines(3)
        assert re.fullmatch(r"\d\d:\d\d:\d\d \| got x\n", got)
        assert sorted(line.partition(" | ")[2] for line in again) == ["one\n", "two\n"]
        code, out, err = logs.interrupt()
        assert (code, out, err.strip()) == (130, "", "")


def test_processes_are_told_apart(gafferd: Gafferd) -> None:
    first, second = sorted(gafferd.get("/jobs/default/two")["processes"])
    found = eventually(lambda: len(out := run(gafferd, "logs", "two")[1].splitlines()) == 2 and out)
    assert sorted(found) == sorted([f"two.{first} | up", f"two.{second} | up"])
    assert run(gafferd, "logs", "two", "--no-prefix")[1] == "up\nup\n"
    code, _, err = run(gafferd, "send", "two", "x")
    assert (code, err) == (2, f"gafferctl: two has 2 processes; give the pid of one: {first}, {second}\n")
    assert run(gafferd, "send", "two", "--all", "all")[0] == 0
    line = json.loads(eventually(lambda: run(gafferd, "logs", str(second), "-o", "json", "-n", "1")[1]))
    assert (line["pid"], line["label"]) == (second, "stdout")


def test_logs_of_a_pattern_leave_jobs_without_output_out(gafferd: Gafferd) -> None:
    code, out, err = run(gafferd, "logs", "all", "-n", "1000", "-o", "json")
    assert (code, err) == (0, "") and {json.loads(line)["label"] for line in out.splitlines()} == {"stdout", "stderr"}
    assert run(gafferd, "logs", "default.*", "--label", "stderr")[0] == 0  # talker has none
    code, out, err = run(gafferd, "logs", "all", "--label", "nope")
    assert (code, out) == (1, "") and "no stream 'nope'" in err
    assert "of job mute is not redirected" in run(gafferd, "logs", "all", "mute")[2]


def test_logs_of_a_job_that_has_only_a_log_file(gafferd: Gafferd) -> None:
    for label in ((), ("--label", "stdout")):
        assert eventually(lambda label=label: run(gafferd, "logs", "filed", *label)[1]) == "to the file\n"
    code, _, err = run(gafferd, "logs", "filed", "--label", "stderr")
    assert code == 1 and "has no stream 'stderr'; it has stdout" in err
    (pid,) = gafferd.get("/jobs/default/filed")["processes"]
    assert run(gafferd, "logs", str(pid))[1] == "to the file\n"


def test_a_reader_that_leaves_ends_it_though_nothing_more_comes(gafferd: Gafferd) -> None:
    command = f"{shlex.quote(GAFFERCTL[0])} logs -f two | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=env(gafferd), capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[-1] == "141" and done.stderr == ""


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["logs", "nope"], 1, "no job 'nope'"),
        (["logs", "9999"], 1, "no process 9999"),
        (["logs", "mute"], 1, "is not redirected"),
        (["logs", "echo", "--label", "nope"], 1, "no stream 'nope'; it has stdout, stderr"),
        (["logs", "echo", "--since", "yesterday"], 2, "since must be"),
        (["logs", "echo", "two", "-o", "raw"], 2, "one job or process only"),
        (["send", "nope", "x"], 1, "no job 'nope'"),
        (["send", "mute", "x"], 4, "redirect_input"),
        (["send", "echo", "--stream", "nope", "x"], 1, "nope"),
        (["attach", "nope"], 1, "no job 'nope'"),
        (["attach", "mute"], 1, "nothing of mute is redirected"),
        (["attach", "two"], 2, "two has 2 processes; give the pid of one"),
        (["attach", "echo", "--detach-key", "F1"], 2, "'F1' is no key"),
        (["watch", "a.b.c.d.e"], 2, "no pattern of events"),
        (["stats", "nope", "--follow"], 1, "no job 'nope'"),
    ],
)
def test_what_cannot_be(gafferd: Gafferd, words: list[str], code: int, sentence: str) -> None:
    ended, out, err = run(gafferd, *words)
    assert (ended, out) == (code, "") and sentence in err and "Traceback" not in err


def test_sending_from_a_terminal_line_by_line(gafferd: Gafferd) -> None:
    with Terminal([*GAFFERCTL, "send", "echo"], env(gafferd)) as terminal:
        terminal.read_until("each line goes to echo; ctrl-D ends")
        terminal.type("typed\n")
        eventually(lambda: run(gafferd, "logs", "echo", "-n", "1")[1] == "typed\n")
        terminal.type("\x04")
        assert terminal.wait() == 0


# -- attach -------------------------------------------------------------------------------------


def test_attach_talks_and_detaches(gafferd: Gafferd) -> None:
    pid = pid_of(gafferd, "echo")
    with Terminal([*GAFFERCTL, "attach", "echo"], env(gafferd)) as terminal:
        terminal.read_until(f"attached to echo, process {pid}; ctrl-] detaches")
        eventually(lambda: terminal.settings != terminal.before)
        terminal.type("hello\n")
        terminal.read_until("hello\r\nhello\r\n")  # typed, and answered
        terminal.type("half a line\x1d")
        terminal.read_until(f"detached; process {pid} goes on; 11 bytes without a line end were not sent")
        assert terminal.wait() == 0
        assert terminal.settings == terminal.before
    assert pid_of(gafferd, "echo") == pid
    run(gafferd, "send", "echo", "whole")
    eventually(lambda: run(gafferd, "logs", "echo", "-n", "1")[1] == "whole\n")


@pytest.mark.parametrize("ending, code", [(b"\x03", 130), (b"\x04", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_terminal_is_restored_whatever_happens(gafferd: Gafferd, ending: bytes | int, code: int) -> None:
    with Terminal([*GAFFERCTL, "attach", "echo", "--detach-key", "^X"], env(gafferd)) as terminal:
        terminal.read_until("^X detaches")
        eventually(lambda: terminal.settings[6][termios.VEOL] == b"\x18")
        if isinstance(ending, bytes):
            terminal.type(ending)
        else:
            terminal.process.send_signal(ending)
        assert terminal.wait() == code
        assert terminal.settings == terminal.before


def test_attach_ends_with_the_process(gafferd: Gafferd) -> None:
    pid = pid_of(gafferd, "ends")
    with Terminal([*GAFFERCTL, "attach", "-n", "5", str(pid)], env(gafferd)) as terminal:
        terminal.read_until("one")
        terminal.type("me\n")
        terminal.read_until("got me")
        terminal.read_until(f"process {pid} has exited with code 3")
        assert terminal.wait() == 0 and terminal.settings == terminal.before


def test_attach_in_a_pipe(gafferd: Gafferd) -> None:
    pid = pid_of(gafferd, "ends")
    code, out, err = run(gafferd, "attach", str(pid), "-n", "1", input=b"pipe\n")
    assert (code, out) == (0, "one\ngot pipe\n")
    assert err == f"two\ngafferctl: process {pid} has exited with code 3\n"


def test_without_any_stdin(gafferd: Gafferd) -> None:
    pid = pid_of(gafferd, "ends")
    ctl = shlex.quote(GAFFERCTL[0])
    script = f"{ctl} send ends - <&-; {ctl} attach {pid} -n1 <&- & {ctl} send ends x; wait $!"
    done = subprocess.run(["bash", "-c", script], env=env(gafferd), capture_output=True, text=True, timeout=PATIENCE)
    # What the process says on stderr, and how it ended, or that it had ended before.
    assert {line for line in done.stderr.splitlines() if not line.startswith("gafferctl: ")} <= {"two"}
    assert f"process {pid}" in done.stderr and "defect" not in done.stderr


def test_attach_passes_the_end_of_its_input_on(gafferd: Gafferd) -> None:
    pid = pid_of(gafferd, "echo")
    code, out, err = run(gafferd, "attach", str(pid), "--eof", input=bytes(range(32, 127)) * 2000)
    assert (code, len(out)) == (0, 95 * 2000) and f"process {pid} has exited with code 0" in err


def test_attach_that_only_looks(gafferd: Gafferd) -> None:
    with Terminal([*GAFFERCTL, "attach", "talker"], env(gafferd)) as terminal:
        terminal.read_until("output only; ctrl-] detaches")
        terminal.read_until("talk")
        terminal.type("\x1d")
        assert terminal.wait() == 0


# -- watch and stats ----------------------------------------------------------------------------


def test_watch_as_it_was_always_shown(gafferd: Gafferd) -> None:
    run(gafferd, "restart", "ends")
    with (
        Running(gafferd, "watch", "-n", "4") as all_of_them,
        Running(gafferd, "watch", "proc(ends).spawn", "-n1") as one,
    ):
        # What was before tells that they listen.
        assert all("ready" in line for line in all_of_them.lines(2))  # of any job: each is told under two names
        assert one.line()[9:] == "ends | proc(ends).spawn ends\n"
        run(gafferd, "send", "ends", "x")
        line = one.line()
        assert re.fullmatch(r"\d\d:\d\d:\d\d ends \| proc\(ends\)\.spawn ends\n", line)
        # Other jobs may become ready meanwhile.
        new = (line[9:] for line in iter(all_of_them.line, "") if " ends\n" in line and "ready" not in line)
        assert list(islice(new, 6)) == [
            f"ends | {at}{event} ends\n" for event in ("exit", "reap", "spawn") for at in ("", "proc(ends).")
        ]
        assert all_of_them.interrupt()[0] == one.interrupt()[0] == 130
    with Running(gafferd, "watch", "exit", "-n", "1", "-o", "json") as last:
        event = json.loads(last.line())
        assert (event["event"], event["name"], event["exit_status"]) == ("exit", "ends", 3)


def test_stats_again_and_again(gafferd: Gafferd) -> None:
    with Running(gafferd, "stats", "-f", "--interval", "0.1", "-o", "json") as stats:
        for _ in range(2):
            assert {job["name"] for job in json.loads(stats.line())} >= {"echo", "two"}
        assert stats.interrupt()[0] == 130
    with Terminal([*GAFFERCTL, "stats", "echo", "-f", "--interval", "0.1"], env(gafferd)) as terminal:
        for _ in range(2):
            assert "\x1b[H\x1b[J" in terminal.read_until("OS PID")
        terminal.type("\x03")
        assert terminal.wait() == 130


# -- gafferd goes away --------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_gafferd_goes_away(tmp_path: Path, how: int) -> None:
    with Gafferd(tmp_path, JOBS).start() as gafferd:
        gafferd.ready()
        pid_of(gafferd, "echo")
        followers = ["watch -n 4", "logs -f echo", "logs -f echo ends", "stats -f", "attach echo -n 1"]
        running = [Running(gafferd, *words.split(), stdin=subprocess.PIPE) for words in followers]
        children = [gafferd.get(f"/{pid}")["os_pid"] for pid in gafferd.get("/pids")["pids"]]
        assert all(one.line() for one in running)  # they listen
        gafferd.signal(how)
        gafferd.wait()
        for words, one in zip(followers, running):
            code, _, err = one.end()
            if words.startswith("attach") and how == signal.SIGTERM:
                assert code in (0, 3)  # its process has exited just before
            else:
                assert code == 3, (words, code, err)
            assert "gafferctl: " in err and "Traceback" not in err
        for group in children:
            with suppress(ProcessLookupError):  # each child leads a group
                os.killpg(group, signal.SIGKILL)


def test_a_program_that_follows_events_survives_a_new_gafferd(tmp_path: Path) -> None:
    job = "[process:web]\ncmd = sleep 1000\n"
    with Gafferd(tmp_path, job).start() as first, Server(f"http://127.0.0.1:{first.port}") as server:
        first.ready()
        with server.events("proc.web.spawn", tail=1, timeout=PATIENCE) as events:
            before = next(events)
            first.signal(signal.SIGTERM)
            first.wait()
            with Gafferd(tmp_path, job, port=first.port).start() as second:
                second.ready()
                again = next(events)
                assert (again["event"], again["name"]) == ("proc.web.spawn", "web")
                assert again["os_pid"] != before["os_pid"] and again["time"] > before["time"]
