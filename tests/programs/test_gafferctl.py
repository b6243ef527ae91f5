"""gafferctl against a real gafferd: every command once, wrong input, exit codes, a unix socket, no server there."""

from __future__ import annotations

import glob
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from gaffer.cli.core.program import run
from gaffer.cli.ctl.gafferctl import make_program

from ..kit.ports import free_port

GAFFERD = [sys.executable, "-m", "gaffer.daemon.main"]
GAFFERCTL = [sys.executable, "-c", "from gaffer.cli.ctl.gafferctl import main; main()"]
#: Lives until it is told to end, in one process.
SLEEPER = "sleep 1000"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Gafferd:
    """A gafferd of its own home, listening on a free port and on a unix socket."""

    def __init__(self, home: Path) -> None:
        self.home, self.ini, self.unix = home, home / "g.ini", f"unix:{home}/g.sock"
        self.uri = f"http://127.0.0.1:{free_port()}"
        self.configure("")
        self.log = home / "log"
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GAFFER")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*GAFFERD, "-c", str(self.ini)], stdout=log, stderr=log, cwd=home, env={**environ, "HOME": str(home)}
            )

    def configure(self, jobs: str) -> None:
        bind = f"{self.uri.removeprefix('http://')}, {self.unix}"
        self.ini.write_text(f"[gaffer]\nbind = {bind}\n{jobs}")

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 20
        while subprocess.run([*GAFFERCTL, "--connect", self.uri, "ping"], capture_output=True).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    gafferd = Gafferd(tmp_path_factory.mktemp("gafferd"))
    try:
        gafferd.wait_ready()
        yield gafferd
    finally:
        gafferd.end()


Call = Callable[..., Ended]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run gafferctl in this process, which is quicker than starting one for each call."""

    def call(*args: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            run(make_program(), args)
        return Ended(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def ctl(gafferd: Gafferd, call: Call) -> Iterator[Call]:
    """Run gafferctl against the module's gafferd, which is empty again afterwards."""
    yield lambda *args: call("--connect", gafferd.uri, *args)
    call("--connect", gafferd.uri, "stop", "all")
    for name in call("--connect", gafferd.uri, "processes").out.split():
        call("--connect", gafferd.uri, "del_process", name)


@pytest.fixture
def load(ctl: Call, tmp_path: Path) -> Callable[..., Ended]:
    """Load a job whose processes have started well after 20 ms."""

    def load(name: str, cmd: str = SLEEPER, **settings: object) -> Ended:
        file = tmp_path / "job.json"
        file.write_text(json.dumps({"name": name, "cmd": cmd, "min_uptime": 0.02, "graceful_timeout": 5, **settings}))
        return ctl("load_process", str(file))

    return load


def info(ctl: Call, name: str) -> dict:
    return json.loads(ctl("status", name, "-o", "json").out)


def test_ping_version_and_the_rest_of_an_empty_node(ctl):
    assert ctl("ping") == (0, "OK\n", "")
    assert ctl("version").out.strip()
    for command in ("processes", "pids", "sessions"):
        assert ctl(command) == (0, "", "")
    assert ctl("start", "all") == (0, "", "")
    assert ctl("status").out.startswith("NAME  STATE  PROCESSES")
    assert ctl("stats").code == 0


def test_the_unix_socket(gafferd, call):
    assert call("--connect", gafferd.unix, "ping") == (0, "OK\n", "")


def test_the_life_of_a_job(ctl):
    assert ctl("add_process", "web", "sleep", "1000").out == "web: added\n"
    assert ctl("processes").out == "web\n"
    assert ctl("sessions").out == "default\n"
    assert info(ctl, "web")["state"] == "stopped"
    assert ctl("status", "web").code == 1
    assert ctl("start", "web").out.startswith("web: running, 1 process (pid ")
    assert ctl("status", "web").code == 0
    assert ctl("running", "web").out == ctl("numprocesses", "web").out == "1\n"
    assert ctl("pids", "web").out == ctl("pids").out == ctl("processes", "--running").out
    pid = ctl("pids", "web").out.strip()
    assert json.loads(ctl("info", pid, "-o", "json").out)["name"] == "web"
    assert json.loads(ctl("get_process", "web", "-o", "json").out)["args"] == ["1000"]
    assert ctl("stop", "web") == (0, "web: stopped\n", "")
    assert ctl("pids").out == ""
    assert ctl("del_process", "web").out == "web: removed\n"
    assert ctl("processes").out == ""


def test_add_process_and_start_it(ctl):
    ctl("add_process", "web", "--start", "sleep", "1000")
    assert ctl("wait", "web", "--for", "running", "--timeout", "10").code == 0


@pytest.mark.parametrize("spelling", ["shop.web", "shop:web", "shop/web"])
def test_every_spelling_of_a_name(ctl, load, spelling):
    assert load(spelling, start=False).out == "shop.web: added\n"
    assert ctl("start", spelling).code == 0
    assert ctl("status", "shop.*", "-o", "name").out == "shop.web\n"
    assert ctl("scale", spelling, "=0").out == "0\n"


def test_several_jobs_and_sessions(ctl, load):
    for name in ("web", "shop.web", "shop.db"):
        load(name, start=False)
    assert [line.split(":")[0] for line in ctl("start", "shop.*").out.splitlines()] == ["shop.db", "shop.web"]
    assert info(ctl, "web")["state"] == "stopped"
    assert ctl("start", "web", "shop.web").code == 0
    assert sorted(line.split(":")[0] for line in ctl("stop", "all").out.splitlines()) == ["shop.db", "shop.web", "web"]
    assert ctl("sessions").out == "default\nshop\n"


@pytest.mark.parametrize("command", ["restart", "reload"])
def test_restart_and_reload_replace_every_process(ctl, load, command):
    load("web", numprocesses=2)
    ctl("start", "web")
    old = set(ctl("pids", "web").out.split())
    ctl("add", "web")
    assert ctl(command, "web").code == 0
    new = set(ctl("pids", "web").out.split())
    assert not old & new
    assert len(new) == {"restart": 3, "reload": 2}[command]


def test_scaling(ctl, load):
    load("web", start=False)
    for words, number in [
        (["add", "web", "2"], 3),
        (["add", "web"], 4),
        (["sub", "web", "2"], 2),
        (["scale", "web", "-1"], 1),
        (["scale", "web", "+4"], 5),
        (["scale", "web", "1"], 6),
        (["scale", "web", "=3"], 3),
        (["scale", "web", "-99"], 0),
    ]:
        assert ctl(*words) == (0, f"{number}\n", "")
        assert ctl("numprocesses", "web").out == f"{number}\n"


def test_update_process_keeps_the_rest(ctl, load):
    load("web", numprocesses=2, env={"A": "b"}, flapping=[2, 1, 7, 5], umask="022", stop_signal="INT", start=False)
    before = json.loads(ctl("get_process", "web", "-o", "json").out)
    assert ctl("update_process", "web", "sleep", "2000").out == "web: updated\n"
    after = json.loads(ctl("get_process", "web", "-o", "json").out)
    assert {key for key in after if after[key] != before[key]} <= {"cmd", "args"}
    assert (after["cmd"], after["args"]) == ("sleep", ["2000"])
    assert info(ctl, "web")["state"] == "stopped"
    ctl("update_process", "web", "sleep", "3000", "--start")
    assert ctl("wait", "web", "--for", "ready", "--timeout", "10").code == 0


def test_kill(ctl, load):
    load("web")
    ctl("start", "web")
    pid = ctl("pids", "web").out.strip()
    assert ctl("kill", pid, "sigkill") == (0, "", "")
    deadline = time.monotonic() + 60
    while pid in ctl("pids", "web").out.split() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ctl("wait", "web", "--for", "ready", "--timeout", "10").code == 0
    shown = ctl("status", "web").out
    words = [" ".join(line.split()) for line in shown.splitlines()]
    assert {"last exit signal KILL", "restarts 0", "replacements 1"} <= set(words)
    assert ctl("kill", "web", "-9").code == 0


def test_a_command_that_cannot_be_executed(ctl, load):
    load("bad", "/no/such/program", start=False)
    ended = ctl("start", "bad")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("gafferctl: bad: backoff: cannot execute '/no/such/program': No such file or directory")
    assert "bad: cannot execute '/no/such/program'" in ctl("status").out


def test_a_command_that_dies_at_once(ctl, load):
    load("crash", "sh -c 'echo first >&2; echo last words >&2; exit 3'", min_uptime=5, start=False)
    ended = ctl("start", "crash")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("gafferctl: crash: backoff: ")
    assert "last words" in ended.err
    shown = ctl("status", "crash").out
    assert "last exit   code 3\n" in shown
    assert "last lines of stderr:\n  first\n  last words\n" in shown


def test_a_job_that_ran_to_its_end(ctl, load):
    load("good", "true", restart="never", min_uptime=5, start=False)
    assert ctl("start", "good") == (0, "good: ended with code 0\n", "")
    load("bad", "sh -c 'exit 4'", restart="never", min_uptime=5, start=False)
    assert ctl("start", "bad") == (1, "", "gafferctl: bad: ended with code 4\n")


def test_a_stop_that_takes_too_long(ctl, load):
    load("deaf", "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done'", min_uptime=0.3)
    ctl("start", "deaf")
    ended = ctl("stop", "deaf", "--timeout", "0.1")
    assert ended.code == 1
    assert ended.err.startswith("gafferctl: deaf: still stopping after 0.1 s, 1 process (pid ")
    ctl("kill", "deaf", "KILL")
    assert ctl("wait", "deaf", "--for", "stopped", "--timeout", "10").code == 0


def test_stats_of_live_processes(ctl, load):
    load("web")
    ctl("start", "web")
    header, row = ctl("stats", "web").out.splitlines()
    assert header.split()[0] == "PID"
    assert row.split()[0] == ctl("pids", "web").out.strip()
    assert json.loads(ctl("stats", "-o", "json").out)[0]["stats"][0]["mem_info1"] > 0


def test_plugins_and_health(ctl, load):
    assert "http" in ctl("plugins", "-o", "name").out.split()
    assert ctl("plugins").out.startswith("NAME")
    ended = ctl("health")
    assert ended.code == 0
    assert ended.out.startswith("ok ")


def test_reload_config(gafferd, ctl):
    gafferd.configure(f"[process:fromfile]\ncmd = {SLEEPER}\n")
    assert ctl("reload-config").out.splitlines()[0].split() == ["loaded", "fromfile"]
    gafferd.configure("[process:fromfile]\ncmd =\n")
    ended = ctl("reload-config")
    assert (ended.code, ended.out) == (2, "")
    assert f"{gafferd.ini}:" in ended.err
    assert ctl("processes").out == "fromfile\n"
    gafferd.configure("")
    refused = ctl("reload-config")
    assert refused.code == 1 and "would unload 1 of 1 jobs (fromfile); nothing was changed" in refused.err
    assert ctl("processes").out == "fromfile\n"
    assert ctl("reload-config", "--force", "-o", "json").code == 0
    assert ctl("processes").out == ""


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["status", "none"], 1, "no job 'none'"),
        (["start", "none"], 1, "no job 'none'"),
        (["stop", "none.*"], 1, "no session 'none'"),
        (["del_process", "none"], 1, "no job 'none'"),
        (["update_process", "none", "x"], 1, "no job 'none'"),
        (["info", "999999"], 1, "no process 999999"),
        (["kill", "999999", "TERM"], 1, "no process 999999"),
        (["add_process", "a b", "x"], 2, "job name 'a b' may hold"),
        (["add_process", "web", "'"], 2, "never closed"),
        (["scale", "web", "x"], 2, "none of N, +N, -N and =N"),
        (["kill", "web", "NOSUCH"], 2, "no signal 'NOSUCH'"),
        (["load_process", "/no/such"], 2, "cannot read /no/such"),
    ],
)
def test_wrong_input(ctl, load, words, code, sentence):
    load("web", start=False)
    ended = ctl(*words)
    assert (ended.code, ended.out) == (code, "")
    assert sentence in ended.err
    assert ctl("processes").out == "web\n"


def test_settings_that_gafferd_refuses(load, ctl):
    ended = load("web", nunprocesses=2)
    assert ended.code == 2
    assert "did you mean 'numprocesses'?" in ended.err
    assert ctl("processes").out == ""


def test_a_job_that_exists(load):
    load("web", start=False)
    ended = load("web", start=False)
    assert ended.code == 1
    assert "exists already" in ended.err


def test_no_server_there(call, tmp_path):
    ended = call("--connect", f"unix:{tmp_path}/none", "ping")
    assert ended.code == 3
    assert "is it running? start it with 'gafferd -c gaffer.ini'" in ended.err


def test_colour_on_a_terminal(gafferd, load, ctl):
    load("web")
    ctl("start", "web")
    environ = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    ours, theirs = pty.openpty()
    command = [*GAFFERCTL, "--connect", gafferd.uri, "status"]
    assert subprocess.run(command, stdout=theirs, env=environ).returncode == 0
    os.close(theirs)
    assert b"\x1b[32mrunning\x1b[0m" in os.read(ours, 65536)
    os.close(ours)
    assert b"\x1b" not in subprocess.run(command, capture_output=True, env=environ).stdout


def descriptors(os_pid):
    with suppress(FileNotFoundError):  # one was closed meanwhile
        return [os.readlink(path) for path in glob.glob(f"/proc/{os_pid}/fd/*")]
    return []


def test_an_interrupt_while_waiting_is_quiet(gafferd, load, ctl):
    load("web", start=False)
    command = [*GAFFERCTL, "--connect", gafferd.uri, "wait", "web", "--for", "running"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        deadline = time.monotonic() + 60
        while not any(link.startswith("socket:") for link in descriptors(waiting.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=10)
    assert (waiting.returncode, out, err.strip()) == (130, b"", b"")


def test_shutdown(tmp_path, call):
    gafferd = Gafferd(tmp_path)
    try:
        gafferd.wait_ready()
        call("--connect", gafferd.uri, "add_process", "web", "--start", *SLEEPER.split())
        assert call("--connect", gafferd.uri, "shutdown", "--timeout", "20") == (0, "gafferd: stopped\n", "")
        assert gafferd.process.wait(20) == 0
        assert call("--connect", gafferd.uri, "ping").code == 3
    finally:
        gafferd.end()
