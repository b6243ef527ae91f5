"""gaffer start and gaffer run for real: the installed program, real processes, real terminals."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ..kit.gafferd import PATIENCE, environment, eventually, processes, zombies
from ..kit.signal_masks import signals

#: The installed program, beside the interpreter; from there even when it is not in PATH.
GAFFER = str(Path(sys.executable).with_name("gaffer"))
#: Makes its standard input the controlling terminal, so that Ctrl-C means something, and becomes what follows.
CONTROLLING = [
    sys.executable,
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
]
TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.M)


class Started:
    """A gaffer whose output goes to a file, or to a terminal."""

    def __init__(self, folder: Path, *args: str, terminal: bool = False, **options) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.master = -1
        environ = {**environment(folder), "NO_COLOR": "", **options.pop("env", {})}
        if terminal:
            self.master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
            os.set_blocking(self.master, False)
            environ["TERM"] = "xterm"
            options.update(stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        else:
            options.setdefault("stdout", os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC))
            options.setdefault("stderr", subprocess.STDOUT)
            options.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [*(CONTROLLING if terminal else ()), GAFFER, *args], cwd=folder, env=environ, **options
        )
        os.close(options["stdout"])
        self._seen = b""

    @property
    def text(self) -> str:
        """Everything printed until now, without times."""
        if self.master >= 0:
            try:
                while data := os.read(self.master, 65536):
                    self._seen += data
            except OSError:
                pass
            data = self._seen
        else:
            data = self.log.read_bytes()
        return TIME.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n"))

    def saw(self, pattern: str, times: int = 1) -> list:
        return eventually(lambda: len(found := re.findall(pattern, self.text, re.M)) >= times and found)

    def kill(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)
        eventually(lambda: not processes(self.folder))


@pytest.fixture
def app(tmp_path):
    """Return a function that writes a Procfile and starts gaffer beside it."""
    folder = tmp_path / "shop"
    folder.mkdir()

    def start(procfile: str, *args: str, **options) -> Started:
        (folder / "Procfile").write_text(procfile)
        return Started(folder, *(args or ("start", "--no-port")), **options)

    start.folder = folder
    return start


def run(app, procfile: str, *args: str, stdin: bytes = b"", env=None) -> tuple[int, str, str]:
    (app.folder / "Procfile").write_text(procfile)
    done = subprocess.run(
        [GAFFER, *args],
        cwd=app.folder,
        env=environment(app.folder, **(env or {})),
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# -- start


def test_the_application_runs_until_a_signal_and_leaves_nothing(app):
    (app.folder / ".env").write_text("GREETING=hello\n")
    text = "web: echo $GREETING $PS $PORT; exec sleep 1000\nlong-name: sleep 1000\n"
    with app(text, "start", "-p", "15100", "-c", "web=2") as gaffer:
        pids = gaffer.saw(r"^(\S+) +\| spawn process with pid (\d+)$", 3)
        assert sorted(name for name, _ in pids) == ["long-name", "web.1", "web.2"]
        gaffer.saw(r"^web\.1     \| hello web\.1 15100$")
        gaffer.saw(r"^web\.2     \| hello web\.2 15101$")
        assert sorted(map(int, (pid for _, pid in pids))) == sorted(processes(app.folder))
        gaffer.kill(signal.SIGTERM)
        assert gaffer.end() == 0
        assert not processes(app.folder)
        gaffer.saw(r"^long-name \| exit process with pid \d+ \(SIGTERM\)$")
        assert len({line.index(" | ") for line in gaffer.text.splitlines()}) == 1


def test_a_plain_start_needs_no_command_line(app):
    with app("web: echo $PORT; exec sleep 1000\n", "start", env={"PORT": "15150"}) as gaffer:
        gaffer.saw(r"^web \| 15150$")
        loaded = Path(f"/proc/{gaffer.process.pid}/maps").read_text()
        assert "gevent" in loaded
        gaffer.kill(signal.SIGINT)
        assert gaffer.end() == 0


@pytest.mark.parametrize(
    "procfile, env, code, sentence",
    [
        ("web x\n", {}, 2, "Procfile:1: expected 'name: command', not 'web x'"),
        ("web: x\n", {"PORT": "none"}, 2, "gaffer: PORT: expected a number from 1 to 65535, not 'none'; "),
        ("web: x\n", {"GAFFER_PROCFILE": "gone"}, 2, "gone: there is no such Procfile; "),
    ],
)
def test_what_is_wrong_with_a_plain_start_is_one_sentence(app, procfile, env, code, sentence):
    found = run(app, procfile, "start", env=env)
    assert found[:2] == (code, "") and found[2].startswith(sentence) and found[2].count("\n") == 1


def test_a_process_that_ends_comes_back_with_its_port(app):
    text = "web: echo $PORT; read line < go; sleep 1.1; exit 3\n"
    os.mkfifo(app.folder / "go")
    with app(text, "start", "-p", "15200") as gaffer:
        (pid,) = gaffer.saw(r"^web \| spawn process with pid (\d+)$")
        (app.folder / "go").write_text("\n")
        gaffer.saw(rf"^web \| exit process with pid {pid} \(code 3\)\nweb \| spawn process with pid \d+\nweb \| 15200$")


def test_the_first_end_stops_all_and_its_code_is_ours(app):
    text = "web: sleep 1000\nbad: sleep 0.1; exit 7\n"
    with app(text, "start", "--on-exit", "stop", "--no-port") as gaffer:
        assert gaffer.end() == 7
        assert "\nbad | ended with code 7; everything is stopped\n" in gaffer.text
        assert not processes(app.folder)


def test_a_command_that_cannot_be_started_is_told_why(app):
    with app("a: ./nothing-here\n", "start", "--on-exit", "stop", "--no-port") as gaffer:
        assert gaffer.end() == 1
        assert "a | spawn failed: cannot execute './nothing-here': No such file or directory\n" in gaffer.text


@pytest.mark.parametrize("command, code", [("kill -9 $$", 137), ("./nothing-here", 1), ("true", 0)])
def test_how_the_first_one_ended(app, command, code):
    with app(f"a: {command}\nb: sleep 1000\n", "start", "--on-exit", "stop", "--no-port") as gaffer:
        assert gaffer.end() == code


def test_ends_are_ignored_until_the_last(app):
    with app("a: sh -c 'exit 4'\nb: sleep 0.3\n", "start", "--on-exit", "ignore", "--no-port") as gaffer:
        assert gaffer.end() == 4
        assert re.search(r"^b \| exit process with pid \d+$", gaffer.text, re.M)
        assert gaffer.text.count("spawn") == 2


def test_only_what_was_named_runs(app):
    with app("a: sleep 1000\nb: sleep 1000\n", "start", "--no-port", "b") as gaffer:
        gaffer.saw(r"^b \| spawn")
        assert list(processes(app.folder).values()) == ["sleep 1000"]


STUBBORN = "web: trap '' TERM; echo up; while :; do sleep 0.05; done\n"


def test_the_second_signal_kills(app):
    with app(STUBBORN) as gaffer:
        gaffer.saw(r"^web \| up$")
        gaffer.kill(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            gaffer.process.wait(0.3)
        gaffer.kill(signal.SIGINT)
        assert gaffer.end() == 130
        assert not processes(app.folder)


def test_under_nohup_a_closed_terminal_is_no_end(app):
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    text = "web: grep SigIgn /proc/self/status; echo up; exec sleep 1000\n"
    with app(text, "start", "--no-port", preexec_fn=ignore) as gaffer:
        gaffer.saw(r"^web \| up$")
        assert signals(re.search(r"SigIgn:\t(\w+)", gaffer.text)[1]) == set()
        gaffer.kill(signal.SIGHUP)
        gaffer.kill(signal.SIGWINCH)
        with pytest.raises(subprocess.TimeoutExpired):
            gaffer.process.wait(0.3)
        gaffer.kill(signal.SIGTERM)
        assert gaffer.end() == 0


def test_a_stuck_terminal_does_not_hold_up_the_end_for_ever(app):
    with app("web: yes\n", "start", "--no-port", terminal=True) as gaffer:
        eventually(lambda: processes(app.folder))
        gaffer.kill(signal.SIGTERM)
        assert gaffer.end() == 0
        assert not processes(app.folder)


def test_nothing_outlives_a_gaffer_that_is_killed(app):
    """Its children get a signal by the kernel; the guard finds what they started, wherever that went."""
    text = "a: sleep 1000\nb: sh -c 'sleep 1001 & setsid sleep 1002 & exec sleep 1003'\nc: env -i sleep 1004; true\n"
    with app(text) as gaffer:
        eventually(lambda: len([line for line in processes(app.folder).values() if line.startswith("sleep")]) == 5)
        gaffer.saw(r"^[abc] +\| spawn", 3)
        gaffer.kill(signal.SIGKILL)
        gaffer.end()
        eventually(lambda: not processes(app.folder))


def test_a_child_dies_with_gaffer_even_without_the_guard(app):
    with app("a: sleep 1000\n") as gaffer:
        gaffer.saw(r"^a \| spawn")
        guards = eventually(lambda: guards_of(gaffer.process.pid))
        for pid in guards:
            os.kill(pid, signal.SIGKILL)
        gaffer.kill(signal.SIGKILL)
        gaffer.end()
        eventually(lambda: not processes(app.folder))


def guards_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if b"_guard.py" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_every_byte_of_a_flood_is_printed(app):
    text = "web: seq -f '%099.0f' 300000\n"
    code, out, err = run(app, text, "start", "--no-port", "--no-timestamp", "--on-exit", "stop")
    assert (code, err) == (0, "")
    lines = [line.removeprefix("web | ") for line in out.splitlines() if re.fullmatch(r"web \| \d+", line)]
    assert lines == [f"{number:099d}" for number in range(1, 300001)]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_and_prompts_are_shown_as_they_come(app, terminal):
    command = r"printf '\r10%%\r20%%'; sleep 1; printf '\r30%%\ndone\n'; printf 'Password: '; sleep 1000"
    with app(f"web: {command}\n", terminal=terminal, env={"NO_COLOR": "1"}) as gaffer:
        gaffer.saw("Password: ")
        lines = [line for line in re.findall(r"\| (.*)$", gaffer.text, re.M) if not line.startswith("spawn")]
        assert lines == ["10%", "20%", "30%", "done", "Password: "]


def test_stderr_stays_in_order_with_stdout(app):
    text = "web: for i in 1 2 3; do echo out $i; echo err $i >&2; done\n"
    _, out, _ = run(app, text, "start", "--no-port", "--no-timestamp", "--on-exit", "stop")
    expected = [f"{where} {number}" for number in (1, 2, 3) for where in ("out", "err")]
    assert re.findall(r"^web \| (\w+ \d)$", out, re.M) == expected


def test_a_reader_that_goes_ends_the_run(app):
    (app.folder / "Procfile").write_text("web: while echo line; do sleep 0.01; done\n")
    command = f"{shlex.quote(GAFFER)} start --no-port | head -n 3; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=app.folder, env=environment(app.folder), capture_output=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (141, 3, b"")
    assert not processes(app.folder)


def test_input_goes_to_the_types_that_want_it(app):
    (app.folder / ".env").write_text("GAFFER_REDIRECT_INPUT=echo\n")
    text = "echo: cat\nother: timeout 1 cat; sleep 0.2\n"
    code, out, _ = run(app, text, "start", "--no-port", "--no-timestamp", "--on-exit", "ignore", stdin=b"one\ntwo\n")
    assert code == 0 and re.findall(r"^(\w+) +\| (one|two)$", out, re.M) == [("echo", "one"), ("echo", "two")]


def test_changed_files_restart_the_type(app):
    pytest.importorskip("watchfiles")
    (app.folder / "src").mkdir()
    text = "web: echo up; exec sleep 1000\nworker: sleep 1000\n"
    with app(text, "start", "--no-port", "--watch", "web=src/**/*.py") as gaffer:
        gaffer.saw(r"^web    \| up$")

        def restarted():
            # The first change may come before the watch has begun.
            (app.folder / "src" / "a.py").write_text("")
            (app.folder / "src" / "a.txt").write_text("")
            return re.search(r"^web    \| restart: src/a\.py changed$", gaffer.text, re.M)

        eventually(restarted)
        gaffer.saw(r"^web    \| up$", 2)
        assert "worker | restart" not in gaffer.text


# -- in a terminal


def test_a_terminal_gives_each_process_one_of_its_own(app):
    script = "import os, sys, time; print(sys.stdout.isatty(), os.get_terminal_size(), flush=True); time.sleep(1000)"
    text = f'web: {shlex.quote(sys.executable)} -c "{script}"\n'
    with app(text, "start", "--no-port", terminal=True) as gaffer:
        gaffer.saw(r"True os.terminal_size\(columns=85, lines=30\)")
        assert "\x1b[36m" in gaffer.text
        os.write(gaffer.master, b"\x03")
        assert gaffer.end() == 0
        assert "stopping; press Ctrl-C again to kill" in gaffer.text
        assert not processes(app.folder)


def test_ctrl_c_says_which_types_are_waited_for_and_how_long(app):
    (app.folder / "slow.sh").write_text("trap '' TERM INT; echo up; while :; do sleep 0.02; done\n")
    with app("web: sh slow.sh\ndb: sleep 1000\n", "start", "--no-port", "--no-timestamp", terminal=True) as gaffer:
        gaffer.saw(r"up$")
        os.write(gaffer.master, b"\x03")
        gaffer.saw(r"waiting for web: 1 s, KILL in \d+ s")
        os.write(gaffer.master, b"\x03")
        assert gaffer.end() == 130
        assert not processes(app.folder)


def test_a_new_size_of_the_terminal_is_passed_on(app):
    (app.folder / "size.sh").write_text("trap 'stty size <&1' WINCH; echo up; while :; do sleep 0.02; done\n")
    with app("web: sh size.sh\n", "start", "--no-port", "--no-timestamp", terminal=True) as gaffer:
        gaffer.saw(r"up$")
        fcntl.ioctl(gaffer.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        gaffer.saw(r"40 114$")


def test_no_colour_where_it_is_not_wanted(app):
    for args, env in [(("--no-color",), {}), ((), {"NO_COLOR": "1"})]:
        text = "web: echo up; exec sleep 1000\n"
        with app(text, "start", "--no-port", *args, terminal=True, env=env) as gaffer:
            gaffer.saw(r"web \| up$")
            assert "\x1b[" not in gaffer.text


# -- run


@pytest.mark.parametrize(
    "args, code", [(["sh", "-c", "exit 5"], 5), (["sh", "-c", "kill -TERM $$"], 143), (["true"], 0)]
)
def test_the_exit_code_of_a_command_is_ours(app, args, code):
    assert run(app, "web: x\n", "run", *args)[0] == code


def test_a_command_has_environment_folder_and_input(app):
    (app.folder / ".env").write_text("A=1\n")
    script = "import os, sys; print(os.environ['A'], os.environ['PS'], os.getcwd(), sys.stdin.read())"
    code, out, err = run(app, "web: x\n", "run", sys.executable, "-c", script, stdin=b"input")
    assert (code, out, err) == (0, f"1 run.1 {app.folder} input\n", "")


def test_a_command_that_is_not_there(app):
    code, out, err = run(app, "web: x\n", "run", "no-such-program")
    assert (code, out, err) == (127, "", "gaffer: cannot execute 'no-such-program': No such file or directory\n")


def test_several_copies_are_shown_as_by_start(app):
    code, out, _ = run(app, "web: x\n", "run", "-c", "2", "sh", "-c", "echo $PS; exit $GAFFER_INDEX")
    assert code == 1 and set(re.findall(r"run\.\d \| (run\.\d)$", out, re.M)) == {"run.1", "run.2"}


def test_a_signal_reaches_the_command_once(app):
    script = "trap 'echo told >> log2' INT TERM; : > log2; echo up; "
    script += "until [ $(wc -l < log2) -ge 2 ]; do sleep 0.05; done; sleep 0.3; exit 6"
    with app("web: x\n", "run", "sh", "-c", script) as gaffer:
        gaffer.saw("up")
        gaffer.kill(signal.SIGTERM)
        eventually(lambda: (app.folder / "log2").read_text())
        gaffer.kill(signal.SIGINT)
        assert gaffer.end() == 6
    assert (app.folder / "log2").read_text() == "told\ntold\n"


def test_a_command_has_the_terminal(app):
    script = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), flush=True); print(repr(input()), flush=True)"
    with app("web: x\n", "run", sys.executable, "-c", script, terminal=True) as gaffer:
        gaffer.saw("True True")
        os.write(gaffer.master, b"typed\n")
        gaffer.saw("'typed'")
        assert gaffer.end() == 0


def test_ctrl_c_reaches_the_command_once(app):
    """The terminal sends it to both; gaffer does not send it again."""
    script = "trap 'echo told >> log2' INT; echo up; until [ -s log2 ]; do sleep 0.05; done; sleep 0.3; exit 6"
    with app("web: x\n", "run", "sh", "-c", script, terminal=True) as gaffer:
        gaffer.saw("up")
        os.write(gaffer.master, b"\x03")
        assert gaffer.end() == 6
    assert (app.folder / "log2").read_text() == "told\n"


def test_a_command_dies_with_a_gaffer_that_is_killed(app):
    with app("web: x\n", "run", "sleep", "1000") as gaffer:
        eventually(lambda: processes(app.folder))
        gaffer.kill(signal.SIGKILL)
        gaffer.end()
        eventually(lambda: not processes(app.folder))


# -- what cannot be


def test_a_port_that_is_taken_stops_the_start(app):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if port > 65000:
            pytest.skip("no room above")
        found = run(app, "web: x\n", "start", "-p", str(port))
    sentence = f"port {port} of web.1 is taken by another program; choose others with --port N, or use --no-port"
    assert found == (1, "", f"gaffer: {sentence}\n")


@pytest.mark.parametrize(
    "args, sentence",
    [
        (
            ["start", "--watch", "wbe=*"],
            "gaffer: --watch: no process type 'wbe' runs here; did you mean 'web'?;"
            " for files called so write './wbe=*'",
        ),
        (["start", "-c", "web=0"], "gaffer: there is nothing to run: -c asks for 0 processes of each type"),
        (["start", "wbe"], "gaffer: Procfile has no process type 'wbe'; did you mean 'web'?"),
        (["-e", "gone", "start"], "gone: there is no such environment file; create it, or leave out -e"),
        (
            ["start", "--watch", "/etc/*"],
            "gaffer: --watch takes a pattern of files inside the application's folder, not '/etc/*'",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(app, args, sentence):
    assert run(app, "web: x\n", *args, env={"PORT": "15300"}) == (2, "", f"{sentence}\n")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
@pytest.mark.parametrize(
    "args, children",  # those that stay; start and copies have a guard
    [(["start"], 2), (["run", "web"], 1), (["run", "-c", "2", "web"], 3)],
    ids=["start", "run", "copies"],
)
def test_process_1_reaps_orphans(tmp_path, args, children):
    """In a process namespace of its own, gaffer is what the kernel gives orphans to."""
    (tmp_path / "Procfile").write_text(
        "web: sh -c '(setsid sh -c \"sleep 0.2; echo gone >> ended\" &) ; exec sleep 1000'\n"
    )
    probe = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*probe, "true"], capture_output=True).returncode:
        pytest.skip("namespaces cannot be made here")
    options = {"cwd": tmp_path, "env": environment(tmp_path), "stdout": subprocess.DEVNULL}
    with subprocess.Popen([*probe, GAFFER, *args], **options) as unshare:
        try:
            (os_pid,) = eventually(lambda: children_of(unshare.pid))
            eventually((tmp_path / "ended").exists)
            eventually(lambda: len(children_of(os_pid)) == children)
            assert not zombies(os_pid)
            os.kill(os_pid, signal.SIGTERM)
            unshare.wait(PATIENCE)
        finally:
            unshare.kill()


def children_of(os_pid):
    return [int(child) for child in Path(f"/proc/{os_pid}/task/{os_pid}/children").read_text().split()]
