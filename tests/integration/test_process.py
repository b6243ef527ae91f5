"""A process without a manager: made, started, heard, measured and stopped by a program that is not patched."""

from __future__ import annotations

import gc
import os
import signal
import threading

import gevent
import pytest

from gaffer.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidConfig,
    IONotRedirected,
    NotFound,
    SpawnError,
    Unavailable,
)
from gaffer.process.process import Process, ProcessConfig, ProcessWatcher, get_process_stats

from ..kit.manager import alive, eventually

ECHO = "sh -c 'while read line; do echo got $line; done'"


class Ends:
    """What *on_exit_cb* was told."""

    def __init__(self):
        self.told = []

    def __call__(self, process, exit_status, term_signal):
        assert gevent.getcurrent() is not gevent.get_hub()
        self.told.append((process, exit_status, term_signal))

    def wait(self):
        return eventually(lambda: self.told)[0]


class Heard:
    def __init__(self):
        self.messages = []

    def __call__(self, label, message):
        assert message["event"] == label and message["lost"] == 0
        self.messages.append(message)

    def data(self, label=None):
        return b"".join(one["data"] for one in self.messages if label in (None, one["event"]))


@pytest.fixture
def ends():
    return Ends()


@pytest.fixture
def make(ends):
    """Return a function that makes processes; they are gone afterwards, and so are their descriptors."""
    made = []
    loop = gevent.get_hub().loop
    gc.collect()  # what other tests left is closed now, not meanwhile
    before = len(os.listdir("/proc/self/fd"))

    def make(cmd="sleep 1000", **settings):
        process = Process(loop, len(made) + 1, "dummy", cmd, on_exit_cb=ends, **settings)
        made.append(process)
        return process

    yield make
    for process in made:
        if process.active:
            process.kill(signal.SIGKILL)
    eventually(lambda: all(process.closed for process in made if process.os_pid))
    assert len(os.listdir("/proc/self/fd")) <= before


def test_process_is_made_started_and_stopped(make, ends):
    process = make()
    assert not process.active and not process.closed and process.status is None
    assert process.info["os_pid"] is None and process.info["create_time"] is None and process.uptime() == 0
    process.spawn()
    assert process.active and alive(process.os_pid) and process.info["os_pid"] == process.os_pid
    process.stop()
    assert ends.wait() == (process, 128 + signal.SIGTERM, signal.SIGTERM)
    assert process.closed and not process.active and str(process.status) == "signal SIGTERM"
    process.stop()  # nothing is left to stop


def test_exit_code_is_reported(make, ends):
    make("sh -c 'exit 7'").spawn()
    assert ends.wait()[1:] == (7, 0)


def test_process_can_be_started_once(make):
    process = make()
    process.spawn()
    with pytest.raises(Conflict, match="process 1 of dummy was started already"):
        process.spawn()


def test_failed_starts_are_errors(make, ends):
    process = make("/does/not/exist")
    with pytest.raises(SpawnError, match="/does/not/exist"):
        process.spawn()
    with pytest.raises(NotFound, match="process 1 of dummy never ran"):
        process.kill(signal.SIGTERM)
    assert not process.active and ends.told == []
    with pytest.raises(InvalidConfig, match="uid"):
        make(uid="no-such-account")


def test_settings_of_a_process(make, tmp_path):
    heard = Heard()
    process = make("pwd; echo $A $B", args=[], shell=True, cwd=str(tmp_path), env={"A": "1"}, redirect_output=["out"])
    process.monitor_io("out", heard)
    process.spawn(once=True, env={"B": "2"})
    eventually(lambda: heard.data() == f"{tmp_path}\n1 2\n".encode())
    assert process.committed and process.info["env"] == {"A": "1", "B": "2"}


def test_process_without_a_manager_has_the_variables_of_every_process(make):
    heard = Heard()
    process = make("echo $GAFFER_JOB $GAFFER_INDEX $PS", args=[], shell=True, redirect_output=["out"])
    process.monitor_io("out", heard)
    process.spawn()
    name = process.name
    eventually(lambda: heard.data() == f"{name.short} 0 {name.job}.1\n".encode())


def test_arguments_are_shown_as_they_were_given(make):
    assert make(args="-x 'a b'").info["args"] == "-x 'a b'"


def test_stop_kills_the_process_and_its_descendants_after_the_graceful_timeout(make, ends, tmp_path):
    script = f"trap '' TERM; setsid sleep 1000 & echo $! > {tmp_path}/away; sleep 1000 & wait; wait"
    process = make(script, shell=True)
    process.spawn(graceful_timeout=0.2)
    away = int(eventually(lambda: (tmp_path / "away").exists() and (tmp_path / "away").read_text().strip()))
    process.stop()
    process.stop()
    assert ends.wait()[1:] == (128 + signal.SIGKILL, signal.SIGKILL)
    eventually(lambda: not alive(away))


def test_rest_of_the_group_is_killed_at_the_exit(make, ends, tmp_path):
    process = make(f"sleep 1000 & echo $! > {tmp_path}/left; exit 3", shell=True)
    process.spawn()
    assert ends.wait()[1:] == (3, 0)
    left = int((tmp_path / "left").read_text())
    eventually(lambda: not alive(left))


def test_process_gets_signals(make, ends):
    process = make()
    process.spawn()
    process.kill(signal.SIGUSR1)
    assert ends.wait()[2] == signal.SIGUSR1
    with pytest.raises(NotFound, match="process 1 of dummy has exited already"):
        process.kill(signal.SIGUSR1)


# -- output and input


def test_listener_gets_output_from_the_first_byte(make, ends):
    out, everything = Heard(), Heard()
    process = make("sh -c 'echo one; echo two >&2'", redirect_output=["out", "err"])
    process.monitor_io("out", out)
    process.monitor_io("", everything)
    process.monitor_io("", everything)
    process.spawn()
    eventually(lambda: len(everything.data()) == 8)
    assert out.messages == [{"event": "out", "name": "dummy", "pid": 1, "data": b"one\n", "lost": 0}]
    assert (everything.data("out"), everything.data("err")) == (b"one\n", b"two\n")


def test_listener_gets_all_of_a_large_output(make, ends):
    heard = Heard()
    process = make("sh -c 'head -c 3000000 /dev/zero'", redirect_output=["out"])
    process.monitor_io("out", heard)
    process.spawn()
    ends.wait()
    eventually(lambda: len(heard.data()) == 3_000_000)


def test_both_outputs_under_one_label(make):
    heard = Heard()
    process = make("sh -c 'echo one; echo two >&2'", redirect_output=["all", "all"])
    process.monitor_io("all", heard)
    process.spawn()
    eventually(lambda: heard.data() == b"one\ntwo\n")


def test_listener_is_removed_while_output_continues(make):
    heard, kept = Heard(), Heard()
    process = make(ECHO, redirect_output=["out"], redirect_input=True)
    process.spawn()
    process.monitor_io("out", heard)
    process.monitor_io("out", kept)
    process.write("a\n")
    process.writelines(["b\n", b"c\n"])
    eventually(lambda: heard.data() == b"got a\ngot b\ngot c\n")
    process.unmonitor_io("out", heard)
    process.unmonitor_io("out", heard)
    process.write(b"d\n")
    eventually(lambda: kept.data().endswith(b"got d\n"))
    assert heard.data() == b"got a\ngot b\ngot c\n"


def test_writing_to_streams_without_input_is_an_error(make, ends):
    with pytest.raises(Unavailable, match="process 1 of dummy is not started"):
        make(redirect_input=True).write("x")
    deaf = make()
    deaf.spawn()
    with pytest.raises(Forbidden, match="stdin of dummy is not redirected"):
        deaf.write("x")
    gone = make("true", redirect_input=True)
    gone.spawn()
    ends.wait()
    with pytest.raises(Conflict, match="stdin is closed"):
        gone.write("x")


def test_any_thread_may_write(make):
    heard = Heard()
    process = make(ECHO, redirect_output=["out"], redirect_input=True)
    process.spawn()
    process.monitor_io("out", heard)
    lines = [f"{number}\n" for number in range(100)]
    threads = [
        threading.Thread(target=lambda mine=mine: [process.write(line) for line in mine])
        for mine in (lines[:50], lines[50:])
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: heard.data().count(b"\n") == 100)
    for thread in threads:
        thread.join()
    got = [int(line.split()[1]) for line in heard.data().splitlines()]
    assert sorted(got) == list(range(100))
    assert [number for number in got if number < 50] == list(range(50))


def test_late_write_of_another_thread_is_logged(make, ends, caplog):
    process = make("true", redirect_input=True)
    process.spawn()
    ends.wait()
    thread = threading.Thread(target=process.write, args=["late"])
    thread.start()
    thread.join()
    eventually(lambda: any("4 bytes that another thread wrote are lost" in text for text in caplog.messages))


def test_listener_gets_custom_streams(make):
    heard = Heard()
    process = make("sh -c 'read line <&3; echo got $line >&3'", custom_streams=["chat"])
    process.monitor_io("", heard)
    process.spawn()
    process.write("hello\n", "chat")
    eventually(lambda: heard.data("chat") == b"got hello\n")


def test_unknown_streams_cannot_be_listened_to(make):
    process = make(redirect_output=["out"])
    for label, error in (("stderr", IONotRedirected), ("nothing", NotFound)):
        with pytest.raises(error):
            process.monitor_io(label, print)
    with pytest.raises(IONotRedirected, match="the output of dummy is not redirected; set redirect_output"):
        make().monitor_io("", print)


def test_failing_or_slow_listener_affects_no_other(make, ends, caplog):
    heard = Heard()

    def broken(label, message):
        raise ValueError("no")

    process = make("sh -c 'head -c 500000 /dev/zero'", redirect_output=["out"])
    for listener in (broken, lambda label, message: gevent.sleep(1000), heard):
        process.monitor_io("out", listener)
    process.spawn()
    assert ends.wait()[1] == 0
    eventually(lambda: len(heard.data()) == 500_000)
    assert any("listener broken of out of dummy failed" in text for text in caplog.messages)


def test_slow_listener_gets_the_size_of_the_gap(make, ends):
    seen, gate = [], gevent.event.Event()

    def slow(label, message):
        seen.append((message["lost"], len(message["data"])))
        gate.wait()

    process = make("sh -c 'echo; read go; head -c 9000000 /dev/zero'", redirect_output=["out"], redirect_input=True)
    process.monitor_io("out", slow)
    process.spawn()
    eventually(lambda: seen)
    process.write("go\n")
    assert ends.wait()[1] == 0
    gate.set()
    eventually(lambda: sum(lost + data for lost, data in seen) == 9_000_001)
    assert max(lost for lost, _ in seen) > 4_000_000


# -- statistics


def test_process_has_statistics(make, ends):
    process = make("sleep 1000")
    with pytest.raises(NotFound, match="process 1 of dummy does not run"):
        process.stats  # noqa: B018
    process.spawn()
    figures = process.stats
    assert (figures["pid"], figures["os_pid"], figures["cmdline"]) == (1, process.os_pid, "sleep 1000")
    assert get_process_stats(process)["pid"] == 1
    process.stop()
    ends.wait()
    with pytest.raises(NotFound):
        get_process_stats(process)


def test_process_is_monitored_from_start_to_exit(make, ends):
    seen = []
    process = make()
    process.monitor(lambda event, figures: seen.append((event, figures["pid"])))
    watcher = ProcessWatcher(process.loop, process)
    watcher.subscribe(seen.append)
    process.spawn()
    eventually(lambda: ("stat", 1) in seen)
    assert watcher.active and process.stats is process.owner.statistics.last(1)
    process.stop()
    ends.wait()
    eventually(lambda: not process.owner.statistics)


def test_process_is_monitored_until_unsubscribed(make):
    process, seen = make(), []
    process.spawn()
    process.monitor(lambda *figures: seen.append(figures))
    process.monitor()
    eventually(lambda: seen)
    process.unmonitor()
    process.unmonitor(print)
    assert process.owner.statistics
    with pytest.raises(BadRequest):
        process.monitor(print, interval=0)


# -- configurations


def test_configuration_makes_processes(ends):
    config = ProcessConfig("web", ECHO, env={"A": "1"}, redirect_output=["out"], redirect_input=True)
    process = config.make_process(gevent.get_hub().loop, 9, "shop.web", env={"B": "2"}, on_exit=ends)
    assert (process.pid, process.name.full, process.config.env) == (9, "shop.web", {"A": "1", "B": "2"})
    process.spawn()
    process.stop()
    assert ends.wait()[0] is process


def test_configuration_is_that_of_a_job():
    config = ProcessConfig.from_dict({"name": "web", "cmd": "run", "numprocesses": 3})
    assert isinstance(config.replace(cmd="x"), ProcessConfig)
    assert (config.get("numprocesses"), config.get("no", 1)) == (3, 1)
    assert ProcessConfig.from_dict(config.to_dict()) == config
    defaults = ProcessConfig.DEFAULT_PARAMS
    assert [defaults[key] for key in ("args", "custom_channels", "custom_streams", "cwd")] == [[], [], [], None]
    assert ProcessConfig("web", "run", **defaults) == ProcessConfig("web", "run")


@pytest.mark.parametrize("group", [False, True])
def test_signal_reaches_the_process_alone_unless_its_group_is_meant(make, ends, tmp_path, group):
    got = tmp_path / "got"
    # What is left of the group is killed when the leader has ended, so that waits for the other one.
    wait = f"while ! grep -q child {got}; do sleep 0.05; done; " if group else ""
    script = f"trap 'echo parent >> {got}; {wait}exit 0' USR1\n"
    script += f'sh -c \'trap "echo child >> {got}; exit" USR1; touch {tmp_path}/ready; '
    script += "while :; do sleep 0.05; done' &\nwhile :; do sleep 0.05; done"
    (tmp_path / "script").write_text(script)
    process = make(f"sh {tmp_path}/script")
    process.spawn()
    eventually(lambda: (tmp_path / "ready").exists())
    process.kill(signal.SIGUSR1, group=group)
    assert ends.wait()[1:] == (0, 0)
    assert sorted(got.read_text().split()) == (["child", "parent"] if group else ["parent"])
