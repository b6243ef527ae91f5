"""The real gafferd: its start, its stop, its signals, its exit statuses."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gaffer.process.proc_scan import children

from ..kit.gafferd import COMMAND, PATIENCE, Gafferd, environment, eventually, processes, run, zombies
from ..kit.ports import free_port
from ..kit.signal_masks import signals
from ..kit.terminal import Terminal

SLEEPER = "[job:{0}]\ncmd = sleep 1000\n"
BROKEN = "[gaffer]\nbindd = x\n[job:web]\ncmd = touch started\nnumproceses = 2\n[env:wob]\nx = 1\n"
BROKEN_SENTENCES = [
    "broken.ini:2: unknown key 'bindd' in [gaffer]; did you mean 'bind'?",
    "broken.ini:5: unknown setting 'numproceses'; did you mean 'numprocesses'?",
    "broken.ini:6: there is no job 'wob' that this could be the environment of; did you mean 'web'?",
]


class TestWithoutStarting:
    def test_version_and_help(self, tmp_path: Path) -> None:
        assert run(tmp_path, "--version").stdout.startswith("gafferd ")
        assert "--error-log FILE" in run(tmp_path, "--help", "no-such.ini").stdout

    def test_wrong_usage(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--bindd", "x")
        assert (result.returncode, result.stdout) == (2, "")
        assert "unrecognized arguments: --bindd" in result.stderr

    def test_check(self, tmp_path: Path) -> None:
        (tmp_path / "good.ini").write_text("[job:a]\ncmd = touch started\n")
        result = run(tmp_path, "--check", "good.ini")
        assert (result.returncode, result.stdout, result.stderr) == (0, "good.ini: no problems\n", "")
        assert not (tmp_path / "started").exists()

    @pytest.mark.parametrize("args", [["--check"], [], ["--daemon"]], ids=["check", "start", "daemon"])
    def test_every_problem_at_once_and_nothing_starts(self, tmp_path: Path, args: list[str]) -> None:
        (tmp_path / "broken.ini").write_text(BROKEN)
        result = run(tmp_path, *args, "broken.ini")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.splitlines() == BROKEN_SENTENCES
        assert not (tmp_path / "started").exists()

    def test_a_configuration_that_is_not_there(self, tmp_path: Path) -> None:
        result = run(tmp_path, "none.ini")
        assert (result.returncode, result.stderr) == (2, "none.ini: No such file or directory\n")

    def test_plugins(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--plugins", "--no-plugin", "stats")
        header, *rows = [line.split() for line in result.stdout.splitlines()]
        assert header == ["NAME", "VERSION", "STATE", "ORIGIN", "HOOKS"]
        states = {row[0]: row[2] for row in rows}
        assert (states["inijobs"], states["stats"]) == ("loaded", "disabled")

    def test_a_plugin_that_does_not_exist_cannot_be_left_out(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--check", "--no-plugin", "statz")
        assert result.returncode == 2
        assert result.stderr == "--no-plugin: there is no plugin 'statz'; did you mean 'stats'?\n"
        listed = run(tmp_path, "--plugins", "--no-plugin", "statz")
        assert (listed.returncode, listed.stderr) == (2, result.stderr)
        assert "NAME" in listed.stdout

    def test_a_plugin_that_does_not_load(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/bad.py").write_text("import no_such_module\n")
        result = run(tmp_path, "--check", "-p", "plugins")
        assert result.returncode == 2
        assert "bad.py" in result.stderr and "no_such_module" in result.stderr and "Traceback" not in result.stderr
        listed = run(tmp_path, "--plugins", "-p", "plugins")
        assert (listed.returncode, listed.stderr) == (2, result.stderr)
        assert ["bad", "failed"] in [line.split()[:3:2] for line in listed.stdout.splitlines()]

    def test_a_plugin_whose_options_are_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/bad.py").write_text(
            "import gaffer\n@gaffer.hookimpl\ndef gaffer_add_options(options):\n    options.add('bind', None)\n"
        )
        result = run(tmp_path, "-p", "plugins")
        assert result.returncode == 2
        assert "plugin bad failed in gaffer_add_options: ValueError: option 'bind' is declared already" in result.stderr
        assert "Traceback" not in result.stderr

    def test_a_plugin_that_cannot_check(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/bad.py").write_text(
            "import gaffer\n@gaffer.hookimpl\ndef gaffer_check_config(settings):\n    return 1 / 0\n"
        )
        result = run(tmp_path, "--check", "-p", "plugins")
        assert (result.returncode, result.stderr) == (
            2,
            "plugin bad cannot check the configuration: ZeroDivisionError: division by zero\n",
        )

    @pytest.mark.parametrize("route", ["command='info'", "handler=print, permission='read'", "command='nonsense'"])
    def test_check_reports_a_route_that_stops_the_start(self, tmp_path: Path, route: str) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/mine.py").write_text(
            "import gaffer\nfrom gaffer.api.web import Route\n@gaffer.hookimpl\ndef gaffer_routes():\n"
            f"    return [Route('GET', '/jobs/<a>/<b>', {route})]\n"
        )
        checked = run(tmp_path, "--check", "-p", "plugins")
        assert checked.returncode == 2 and "mine" in checked.stderr and "Traceback" not in checked.stderr
        started = run(tmp_path, "--bind", "127.0.0.1:0", "-p", "plugins")
        assert started.returncode == 1 and checked.stderr.strip() in started.stderr

    def test_check_and_start_report_jobs_that_would_get_the_same_port(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "Procfile").write_text("web: touch started\n")
        ini = "[procfile:a]\nroot = a\n[procfile:b]\nroot = b\n[process:c]\ncmd = touch started\nport = 5100\n"
        (tmp_path / "g.ini").write_text(ini)
        checked = run(tmp_path, "--check", "g.ini")
        remedy = "choose others with --port N, or port = N in the configuration; or use --no-port"
        assert (checked.returncode, checked.stderr.splitlines()) == (
            2,
            [
                f"g.ini:3: port 5100 of b.web is that of a.web; {remedy}",
                f"g.ini:7: port 5100 of c is that of a.web; {remedy}",
            ],
        )
        started = run(tmp_path, "--bind", "127.0.0.1:0", "g.ini")
        assert started.returncode == 1 and f"port 5100 of b.web is that of a.web; {remedy}" in started.stderr
        assert not list(tmp_path.glob("*/started"))

    def test_doors_that_stand_open(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--bind", "0.0.0.0:0")
        assert result.returncode == 2 and "--allow-anonymous" in result.stderr
        assert run(tmp_path, "--bind", "0.0.0.0:0", "--allow-anonymous", "--check").returncode == 0

    def test_keys_without_a_plugin_that_checks_them(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--bind", "0.0.0.0:0", "--require-key", "--no-plugin", "auth")
        assert result.returncode == 2
        assert result.stderr.startswith("--require-key: keys are required, but no plugin that checks them is loaded")


class TestStart:
    def test_ready_means_loaded(self, tmp_path: Path) -> None:
        with Gafferd(tmp_path, SLEEPER.format("a") + SLEEPER.format("b")).start().ready() as gafferd:
            assert gafferd.get("/jobs") == {"jobs": ["default.a", "default.b"]}
            title = Path(f"/proc/{gafferd.process.pid}/cmdline")
            eventually(lambda: title.read_text().startswith(f"gafferd: master [{gafferd.ini}]"))

    def test_an_address_in_use_stops_it_before_any_child(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with Gafferd(tmp_path, "[job:a]\ncmd = touch started\n", port=port).start() as gafferd:
                assert gafferd.wait() == 1
        (line,) = gafferd.log.read_text().splitlines()
        assert line.startswith("gafferd: ") and f"127.0.0.1:{port}: the address is in use" in line
        assert not (tmp_path / "started").exists()

    def test_an_application_that_cannot_start_stops_it(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/bad.py").write_text(
            "class App:\n    def start(self, loop, manager):\n        raise ValueError('no luck')\n"
            "import gaffer\n__all__ = ['Bad']\nclass Bad(gaffer.Plugin):\n    name = 'bad'\n"
            "    def app(self, cfg):\n        return App()\n"
        )
        with Gafferd(tmp_path, "[job:a]\ncmd = touch started\n").start("-p", "plugins") as gafferd:
            assert gafferd.wait() == 1
        last = gafferd.log.read_text().splitlines()[-1]
        assert last == "gafferd: application bad failed to start: ValueError: no luck"
        assert not (tmp_path / "started").exists()

    def test_where_the_configuration_is_looked_for(self, tmp_path: Path) -> None:
        (tmp_path / ".gaffer").mkdir()
        (tmp_path / ".gaffer/gafferd.ini").write_text("[job:a]\nx = 1\n")
        assert run(tmp_path, "--check").stderr.startswith(f"{tmp_path}/.gaffer/gafferd.ini:1: cmd: required")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/gafferd.ini").write_text("")
        assert run(tmp_path, "--check", "sub").stdout == "sub/gafferd.ini: no problems\n"
        assert run(tmp_path, "--check", GAFFERD_CONFIG="sub").stdout == "sub/gafferd.ini: no problems\n"

    def test_options_from_the_environment(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--check", GAFFERD_BIND="10.0.0.1:1", GAFFERD_LOG_LEVEL="loud")
        assert result.returncode == 2
        bind, level = result.stderr.splitlines()
        assert bind.startswith("GAFFERD_BIND: other machines can reach 10.0.0.1:1")
        assert level.startswith("GAFFERD_LOG_LEVEL: expected one of debug, info,")

    def test_options_of_plugins(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/quick.py").write_text(
            "import gaffer\nfrom gaffer.config.fields import Int\n"
            "@gaffer.hookimpl\ndef gaffer_add_options(options):\n"
            "    options.add('speed', Int(), 1, 'how fast', flags=('--speed',))\n"
            "@gaffer.hookimpl\ndef gaffer_load_jobs(settings):\n"
            "    return [gaffer.JobConfig('quick', 'sleep 1000', numprocesses=settings.get('speed'))]\n"
        )
        assert "--speed SPEED" in run(tmp_path, "--help", "-p", "plugins").stdout
        wrong = run(tmp_path, "-p", "plugins", "--speed", "fast")
        assert (wrong.returncode, wrong.stderr) == (2, "--speed: expected an integer, not 'fast'\n")
        with Gafferd(tmp_path).start("-p", "plugins", "--speed", "3").ready() as gafferd:
            assert gafferd.get("/jobs/default/quick")["max_processes"] == 3

    def test_children_get_nothing_of_gafferds_own(self, tmp_path: Path) -> None:
        (tmp_path / "look").write_text(
            "#!/bin/sh\n{ ls /proc/self/fd | sort -n; grep SigIgn /proc/self/status; ulimit -n; } > tmp\n"
            "mv tmp seen; exec sleep 1000\n"
        )
        (tmp_path / "look").chmod(0o755)
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        gafferd = Gafferd(tmp_path, "[job:a]\ncmd = ./look\n")

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, 2000))

        with subprocess.Popen(
            [*COMMAND, str(gafferd.ini)], cwd=tmp_path, env=environment(tmp_path), pass_fds=(writer,), preexec_fn=limit
        ) as process:
            os.close(writer)
            seen = eventually(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text())
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            process.terminate()
        os.close(reader)
        # 3 is ls' own view of its folder.
        *descriptors, ignored, files = seen.replace("SigIgn:", "").split()
        assert (descriptors, signals(ignored), files) == (["0", "1", "2", "3"], set(), "200")
        assert next(line for line in limits.splitlines() if "open files" in line).split()[3:5] == ["2000", "2000"]


def test_paths_in_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "env").write_text("A=1\n")
    job = "[job:a]\ncmd = sh -c 'pwd; echo $A; exec sleep 1000'\ncwd = ~/work\nenv_file = ~/work/env\n"
    options = "pidfile = ~/pid\nerror_log = ~/error.log\nlogfile_dir = ~/logs\n"
    with Gafferd(tmp_path, f"{job}stdout_logfile = ~/out\nstderr_logfile = err\n", options).start().ready():
        eventually(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text().count("\n") == 2)
        assert (tmp_path / "out").read_text() == f"{tmp_path}/work\n1\n"
        assert (tmp_path / "pid").exists() and "is ready" in (tmp_path / "error.log").read_text()
    assert not (tmp_path / "~").exists() and not (tmp_path / "work" / "~").exists()


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    def test_gracefully(self, tmp_path: Path, number: int) -> None:
        with Gafferd(tmp_path, SLEEPER.format("a"), f"pidfile = {tmp_path}/pid").start().ready() as gafferd:
            assert gafferd.process is not None
            assert (tmp_path / "pid").read_text() == f"{gafferd.process.pid}\n"
            assert len(eventually(lambda: processes(tmp_path))) == 1
            gafferd.signal(number)
            assert gafferd.wait() == 0
        assert processes(tmp_path) == {}
        assert not (tmp_path / "pid").exists()
        assert "Traceback" not in gafferd.log.read_text()

    def test_a_second_signal_kills_at_once(self, tmp_path: Path) -> None:
        stubborn = "[job:a]\ncmd = sh -c 'trap \"\" TERM; touch ready; sleep 1000'\ngraceful_timeout = 600\n"
        with Gafferd(tmp_path, stubborn).start().ready() as gafferd:
            eventually((tmp_path / "ready").exists)
            gafferd.signal(signal.SIGTERM)
            gafferd.logged("a second signal kills at once")
            assert processes(tmp_path)
            gafferd.signal(signal.SIGINT)
            assert gafferd.wait() == 0
        assert processes(tmp_path) == {}

    def test_ctrl_c_on_a_terminal_says_which_jobs_are_waited_for_and_how_long(self, tmp_path: Path) -> None:
        jobs = (
            "[job:slow]\ncmd = sh -c 'trap \"\" TERM; touch ready; sleep 1000'\ngraceful_timeout = 600\n"
            f"cwd = {tmp_path}\n[job:db]\ncmd = sleep 1000\npriority = 1\ncwd = {tmp_path}\n"
        )
        gafferd = Gafferd(tmp_path, jobs)
        with Terminal([*COMMAND, str(gafferd.ini)], environment(tmp_path)) as terminal:
            eventually((tmp_path / "ready").exists)
            terminal.type("\x03")
            terminal.read_until("stopping; a second signal kills at once")
            terminal.read_until("\r\x1b[Kwaiting for slow: ")
            terminal.read_until(" s, KILL in ")
            assert 500 < int(terminal.read_until(" ")) < 600
            terminal.type("\x03")
            # The line is removed before the log goes on.
            assert "\r\x1b[K" in terminal.read_until("everything is killed now").rpartition("waiting for ")[2]
            assert terminal.wait() == 0
        assert processes(tmp_path) == {}

    def test_signals_without_end_do_not_change_how_it_ended(self, tmp_path: Path) -> None:
        with Gafferd(tmp_path, SLEEPER.format("a")).start().ready() as gafferd:
            assert gafferd.process is not None
            gafferd.signal(signal.SIGTERM)
            gafferd.logged("stopped")
            deadline = time.monotonic() + PATIENCE
            while gafferd.process.poll() is None and time.monotonic() < deadline:
                gafferd.signal(signal.SIGQUIT)
            assert gafferd.wait() == 0

    def test_through_http(self, tmp_path: Path) -> None:
        with Gafferd(tmp_path, SLEEPER.format("a")).start().ready() as gafferd:
            gafferd.post("/shutdown")
            assert gafferd.wait() == 0
        assert processes(tmp_path) == {}

    def test_at_any_moment_of_the_start(self, tmp_path: Path) -> None:
        """Whatever the moment, no child is left, and from the installation of handlers on the status is 0."""
        jobs = "".join(f"[job:j{number}]\ncmd = sleep 1000\nnumprocesses = 15\n" for number in range(10))
        chance = random.Random(20261122)
        interrupted = 0
        for _ in range(12):
            with Gafferd(tmp_path, jobs, f"pidfile = {tmp_path}/pid").start() as gafferd:
                if chance.random() < 0.7:
                    # The file is made when handlers are there; what follows is the start itself.
                    eventually((tmp_path / "pid").exists)
                    handled = True
                else:
                    handled = False
                time.sleep(chance.uniform(0, 0.12))
                gafferd.signal(signal.SIGTERM)
                status = gafferd.wait()
            assert processes(tmp_path) == {}
            assert status == 0 or not handled and status == -signal.SIGTERM, gafferd.log.read_text()
            assert "Traceback" not in gafferd.log.read_text()
            interrupted += "is ready" not in gafferd.log.read_text()
            (tmp_path / "pid").unlink(missing_ok=True)
            gafferd.log.unlink()
        assert interrupted, "every signal came too late to say anything about the start"

    @pytest.mark.parametrize("hook", ["gaffer_manager_start(manager)", "gaffer_load_jobs(settings)"])
    def test_although_a_plugin_never_finishes_its_start(self, tmp_path: Path, hook: str) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/stuck.py").write_text(
            f"import gaffer, time\n@gaffer.hookimpl\ndef {hook}:\n    open('asked', 'w')\n    time.sleep(1000)\n"
        )
        with Gafferd(tmp_path, SLEEPER.format("a"), f"pidfile = {tmp_path}/pid").start("-p", "plugins") as gafferd:
            eventually((tmp_path / "asked").exists)
            gafferd.signal(signal.SIGTERM)
            assert gafferd.wait() == 0
        assert "a plugin did not finish its start" in gafferd.log.read_text()
        assert not (tmp_path / "pid").exists()

    def test_a_dead_gafferds_pidfile_does_not_matter(self, tmp_path: Path) -> None:
        gafferd = Gafferd(tmp_path, "", f"pidfile = {tmp_path}/pid")
        with gafferd.start().ready():
            refused = run(tmp_path, "--pidfile", "pid", "--bind", f"127.0.0.1:{free_port()}")
            assert refused.returncode == 1
            running = f"another gafferd is running, with process id {gafferd.process.pid}"
            assert refused.stderr == f"gafferd: {running}: it holds the pidfile pid\n"
            gafferd.signal(signal.SIGKILL)
            gafferd.wait()
        assert (tmp_path / "pid").exists()
        with gafferd.start().ready():
            assert (tmp_path / "pid").read_text() == f"{gafferd.process.pid}\n"


class TestReload:
    def test_touches_only_what_changed(self, tmp_path: Path) -> None:
        with (
            Gafferd(
                tmp_path, "[job:same]\ncmd = sleep 1001\n[job:gone]\ncmd = sleep 1002\n[job:new]\ncmd = sleep 1003\n"
            )
            .start()
            .ready() as gafferd
        ):
            before = eventually(lambda: len(found := processes(tmp_path)) == 3 and found)
            gafferd.configure(
                "[job:same]\ncmd = sleep 1001\n[job:new]\ncmd = sleep 1004\n[job:more]\ncmd = sleep 1005\n"
            )
            gafferd.signal(signal.SIGHUP)
            line = gafferd.logged("configuration reloaded")
            assert line.endswith("loaded: default.more; unloaded: default.gone; updated: default.new")
            after = eventually(
                lambda: (
                    sorted((found := processes(tmp_path)).values()) == [f"sleep {n}" for n in (1001, 1004, 1005)]
                    and found
                )
            )
            assert set(before) & set(after) == {pid for pid, line in before.items() if line == "sleep 1001"}

    def test_any_problem_keeps_everything(self, tmp_path: Path) -> None:
        with Gafferd(tmp_path, SLEEPER.format("a")).start().ready() as gafferd:
            before = eventually(lambda: processes(tmp_path))
            gafferd.configure("[job:b]\ncmd = sleep 1\nstart = maybe\n[job:c]\n")
            gafferd.signal(signal.SIGHUP)
            gafferd.logged("everything stays as it was")
            log = gafferd.log.read_text()
            assert f"{gafferd.ini}:6: start: expected true or false, not 'maybe'" in log
            assert f"{gafferd.ini}:7: cmd: required" in log
            answer = gafferd.post("/reload")
            assert (answer["error"], len(answer["reason"].splitlines())) == ("invalid_config", 2)
            assert gafferd.get("/jobs") == {"jobs": ["default.a"]}
            assert processes(tmp_path) == before

    def test_in_the_middle_of_the_start_waits_for_its_end(self, tmp_path: Path) -> None:
        jobs = "[job:a]\ncmd = sleep 1000\nnumprocesses = 30\n"
        with Gafferd(tmp_path, jobs, f"pidfile = {tmp_path}/pid").start() as gafferd:
            eventually((tmp_path / "pid").exists)
            gafferd.signal(signal.SIGHUP)
            assert gafferd.logged("configuration reloaded").endswith("no job has changed")
            log = gafferd.log.read_text()
            assert log.index("is ready") < log.index("configuration reloaded")
            eventually(lambda: len(gafferd.get("/pids")["pids"]) == 30)

    def test_options_that_need_a_new_gafferd_are_told(self, tmp_path: Path) -> None:
        with Gafferd(tmp_path).start().ready() as gafferd:
            gafferd.options = "backlog = 7\nlog_level = error\n"
            gafferd.configure("")
            assert gafferd.post("/reload")["ok"] is True
            gafferd.logged("backlog has changed; that takes effect when gafferd is started again")
            gafferd.configure("[job:x]\n")
            gafferd.post("/reload")
            assert "log_level" not in gafferd.log.read_text()
            gafferd.signal(signal.SIGUSR1)
            gafferd.signal(signal.SIGTERM)
            assert gafferd.wait() == 0
            assert "stopped" not in gafferd.log.read_text()  # that would be info

    def test_log_files_are_opened_again(self, tmp_path: Path) -> None:
        with Gafferd(tmp_path).start("--error-log", "g.log").ready() as gafferd:
            (tmp_path / "g.log").rename(tmp_path / "old.log")
            gafferd.signal(signal.SIGUSR2)
            gafferd.signal(signal.SIGUSR1)
            eventually((tmp_path / "g.log").exists)
            gafferd.signal(signal.SIGTERM)
            assert gafferd.wait() == 0
            assert "stopped" in (tmp_path / "g.log").read_text()
            assert "is ready with 0 jobs" in (tmp_path / "old.log").read_text()
            assert gafferd.log.read_text() == ""


class TestDaemon:
    def start(self, gafferd: Gafferd, *args: str) -> subprocess.CompletedProcess[str]:
        return run(gafferd.folder, "--daemon", *args, str(gafferd.ini))

    def test_returns_when_it_is_ready(self, tmp_path: Path) -> None:
        gafferd = Gafferd(tmp_path, SLEEPER.format("a"), "pidfile = pid\nerror_log = log\n")
        result = self.start(gafferd)
        os_pid = int((tmp_path / "pid").read_text())
        try:
            assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
            assert gafferd.get("/ping", text=True) == "OK"
            assert os.getsid(os_pid) not in (os_pid, os.getsid(0))
            assert {os.readlink(f"/proc/{os_pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
            assert os.readlink(f"/proc/{os_pid}/cwd") == str(tmp_path)
            assert "Umask:\t0022" in Path(f"/proc/{os_pid}/status").read_text()
        finally:
            os.kill(os_pid, signal.SIGTERM)
        eventually(lambda: not (tmp_path / "pid").exists())
        assert processes(tmp_path) == {}

    def test_says_that_it_logs_nowhere(self, tmp_path: Path) -> None:
        gafferd = Gafferd(tmp_path, "", "pidfile = pid\numask = 027\n")
        result = self.start(gafferd)
        os_pid = int((tmp_path / "pid").read_text())
        try:
            assert result.returncode == 0
            assert "a daemon needs --error-log FILE" in result.stderr
            assert "Umask:\t0027" in Path(f"/proc/{os_pid}/status").read_text()
        finally:
            os.kill(os_pid, signal.SIGTERM)
        eventually(lambda: not (tmp_path / "pid").exists())

    def test_its_failure_is_told_where_it_was_started(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            gafferd = Gafferd(tmp_path, port=taken.getsockname()[1])
            result = self.start(gafferd)
        assert result.returncode == 1
        assert "the address is in use" in result.stderr and len(result.stderr.splitlines()) == 1

    def test_its_death_is_told_too(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins/deadly.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
        result = self.start(Gafferd(tmp_path), "-p", "plugins")
        assert (result.returncode, result.stderr) == (
            1,
            "gafferd: the daemon died while it started; run it in the foreground to see why\n",
        )


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_process_1_reaps_orphans(tmp_path: Path) -> None:
    """In a process namespace of its own, gafferd is what the kernel gives orphans to."""
    orphan = "[job:a]\ncmd = sh -c '(setsid sh -c \"sleep 0.2; echo gone >> ended\" &) ; exec sleep 1000'\n"
    gafferd = Gafferd(tmp_path, orphan)
    probe = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*probe, "true"], capture_output=True).returncode:
        pytest.skip("namespaces cannot be made here")
    with subprocess.Popen([*probe, *COMMAND, str(gafferd.ini)], cwd=tmp_path, env=environment(tmp_path)) as unshare:
        try:
            (os_pid,) = eventually(lambda: Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split())
            eventually((tmp_path / "ended").exists)
            eventually(lambda: not zombies(int(os_pid)))
            gafferd.process = unshare
            assert len(gafferd.ready().get("/pids")["pids"]) == 1
            os.kill(int(os_pid), signal.SIGTERM)
            assert unshare.wait(PATIENCE) == 0
        finally:
            unshare.kill()


def test_the_examples(tmp_path: Path) -> None:
    """The seeds' configuration runs as it is, but for the port."""
    examples = Path(__file__).parents[2] / "examples"
    for name in ("dummy.py", "echo.py"):
        shutil.copy(examples / name, tmp_path)
    gafferd = Gafferd(tmp_path)
    gafferd.ini.write_text((examples / "gaffer.ini").read_text().replace("5000", str(gafferd.port)))
    with gafferd.start("-vv", PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}").ready():
        assert gafferd.get("/jobs") == {"jobs": ["default.dummy", "default.echo"]}
        for line in ("STDOUT 2", "STDERR 2"):
            assert "dummy" in gafferd.logged(line)
        assert {gafferd.get(f"/jobs/default/{name}")["state"] for name in ("dummy", "echo")} == {"running"}


def test_the_echo_example() -> None:
    echo = Path(__file__).parents[2] / "examples/echo.py"
    result = subprocess.run([sys.executable, str(echo)], input=b"ECHO\n\xff\n", capture_output=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"ECHO\n\xff\n", b"")


def test_signals_during_the_start_end_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "g.ini").write_text("[gaffer]\nbind = unix:s\n")
    for pause in (0.05, 0.15, 0.3):
        process = subprocess.Popen(
            [*COMMAND, "-c", "g.ini"], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
        )
        time.sleep(pause)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, said = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in said or pause == 0.05  # Python itself was not up yet


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a namespace of its own")
def test_process_1_can_be_stopped_long_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / "g.ini").write_text("[gaffer]\nbind = unix:s\n")
    inner = ["unshare", "--pid", "--fork", "--mount-proc", *COMMAND, "-c", "g.ini"]
    with subprocess.Popen(inner, cwd=tmp_path, env=environment(tmp_path)) as process:
        first = Path(f"/proc/{eventually(lambda: children(process.pid))[0]}")
        try:
            eventually(lambda: signal.SIGTERM in signals(caught(first)))
            assert "_ctypes" not in (first / "maps").read_text()
            os.kill(int(first.name), signal.SIGTERM)
            assert process.wait(PATIENCE) == 143
        finally:
            process.kill()


def caught(process: Path) -> str:
    return (process / "status").read_text().split("SigCgt:")[1].split()[0]
