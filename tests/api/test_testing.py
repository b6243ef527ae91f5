"""What plugin authors test with: a clock, processes and a recorder, used here on the real engine."""

import signal
import subprocess
import sys
import textwrap
from importlib import metadata
from types import SimpleNamespace

import gevent
import pytest

import gaffer
import gaffer.testing
from gaffer import hookspecs
from gaffer.config.jobconfig import JobConfig
from gaffer.errors import Conflict, NotFound, SpawnError
from gaffer.process.process import ExitStatus
from gaffer.process.spawn import SpawnPlan
from gaffer.supervisor.restart_policy import GiveUp
from gaffer.testing import FakeClock, FakeProcess, HookCall, HookRecorder, settle
from gaffer.testing.fakes import FIRST_OS_PID


class Sink:
    def __init__(self):
        self.data, self.closed = b"", False

    def write(self, data):
        self.data += data

    def close(self):
        self.closed = True


@pytest.fixture
def manager(gaffer_manager):
    """A running manager without processes."""
    made = gaffer_manager()
    made.start()
    return made


def load(manager, **settings):
    manager.load({"name": "web", "cmd": "serve -x", "min_uptime": 0, **settings})
    settle(manager)


def process(sinks=(), exits=None, ignores=(), **settings):
    """Return a process that no manager knows."""
    config = JobConfig("web", "serve", **settings)
    plan = SpawnPlan(["serve"], {}, None, 0, 7, dict(sinks))
    return FakeProcess(config, plan, FakeClock(), None if exits is None else exits.append, ignores)


# -- the clock


def test_time_stands_still():
    clock = FakeClock(5.0)
    assert clock() == clock() == 5.0


def test_time_passes_when_it_is_told_to():
    clock = FakeClock(5.0)
    clock.advance(2.5)
    assert clock() == 7.5


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError):
        FakeClock().advance(-1)


def test_who_waits_for_the_time_is_woken():
    clock, seen = FakeClock(5.0), []
    clock.on_advance(lambda: seen.append(clock()))
    clock.advance(1)
    assert seen == [6.0]


# -- processes


def test_a_process_lives_until_it_is_ended():
    exits = []
    one = process(exits=exits)
    assert one.alive and one.collect() is None
    one.exit(3)
    assert exits == [one] and one.collect() == ExitStatus(3, None) and not one.alive


@pytest.mark.parametrize(
    ("way", "args", "status"),
    [
        ("exit", (), ExitStatus(0, None)),
        ("die", (), ExitStatus(None, signal.SIGSEGV)),
        ("die", (signal.SIGBUS,), ExitStatus(None, signal.SIGBUS)),
        ("vanish", (), ExitStatus(None, None)),
    ],
)
def test_ways_to_end(way, args, status):
    one = process()
    getattr(one, way)(*args)
    assert one.collect() == status


def test_nothing_ends_twice():
    one = process()
    one.exit()
    with pytest.raises(RuntimeError, match="ended already"):
        one.exit()


def test_a_signal_ends_it_and_is_kept():
    one = process()
    assert one.signal_group(signal.SIGTERM) is True
    assert one.signals == [signal.SIGTERM] and one.collect() == ExitStatus(None, signal.SIGTERM)
    assert one.signal_group(signal.SIGTERM) is False


@pytest.mark.parametrize("signum", [0, signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP])
def test_a_signal_that_ends_no_process_ends_no_fake(signum):
    one = process()
    one.signal_group(signum)
    assert one.alive


def test_a_stubborn_process_goes_at_kill():
    one = process(ignores=[signal.SIGTERM, signal.SIGKILL])
    one.signal_group(signal.SIGTERM)
    assert one.alive
    one.signal_group(signal.SIGKILL)
    assert not one.alive


def test_its_number_is_one_that_the_kernel_never_gives():
    with open("/proc/sys/kernel/pid_max") as file:
        assert process().os_pid > FIRST_OS_PID >= int(file.read())


def test_what_it_says_is_read_under_the_labels_of_the_job():
    one = process(redirect_output=["out", "err"])
    one.say(b"hello\n")
    one.say(b"oops\n", "stderr")
    assert one.reader("out").ring.read()[1] == b"hello\n"
    assert one.reader("err").ring.read()[1] == b"oops\n"


def test_output_that_is_not_redirected_goes_nowhere():
    one = process()
    one.say(b"hello\n")
    with pytest.raises(NotFound):
        one.reader("stdout")


@pytest.mark.parametrize("settings", [{}, {"redirect_output": ["stderr"]}, {"redirect_output": ["both", "both"]}])
def test_the_end_of_stderr_is_kept_redirected_or_not(settings):
    one = process(**settings)
    one.say(b"a\nb\n", "stderr")
    assert one.stderr_tail() == ["a", "b"]


def test_sinks_get_what_it_says_until_it_is_closed():
    out, err = Sink(), Sink()
    one = process(sinks={"stdout": [out], "stderr": [err]})
    one.say(b"hello")
    one.say(b"oops", "stderr")
    one.close()
    gevent.idle()
    assert (out.data, out.closed, err.data, err.closed) == (b"hello", True, b"oops", True)


def test_what_is_written_to_it_is_kept():
    one = process(redirect_input=True)
    one.write("hello ")
    one.write(b"world")
    assert one.written == b"hello world"


def test_nothing_can_be_written_once_it_is_closed():
    one = process(redirect_input=True)
    one.close()
    with pytest.raises(Conflict):
        one.write(b"hello")


def test_a_custom_stream_goes_both_ways():
    one = process(custom_streams=["chat"])
    one.say(b"hello", "chat")
    one.write(b"hi", "chat")
    assert one.reader("chat").ring.read()[1] == b"hello"
    assert one.duplexes["chat"].writer.written == b"hi"


def test_it_shows_what_a_process_shows():
    one = process(env={"A": "1"})
    assert (one.info["env"], one.info["active"], one.info["pid"]) == ({"A": "1"}, True, one.pid)
    assert one.uptime() == 0.0


# -- the spawner, in a manager


class Mailer:
    """The plugin of the documentation's example."""

    def __init__(self):
        self.sent = []

    @gaffer.hookimpl
    def gaffer_exited(self, job, process, status):
        if status.code:
            self.sent.append(f"{job.name} failed with {status}")


def test_the_example_of_the_documentation(gaffer_manager, gaffer_spawner):
    example = gaffer.testing.__doc__.partition("::\n\n")[2].partition("\n\nThe classes")[0]
    names = {"Mailer": Mailer, "settle": settle}
    exec(textwrap.dedent(example), names)
    names["test_every_crash_is_mailed"](gaffer_manager, gaffer_spawner)


def test_a_job_runs_without_a_process(manager, gaffer_spawner):
    load(manager, numprocesses=2, env={"A": "1"})
    assert manager.info("web")["running"] == 2
    assert [one.plan.argv for one in gaffer_spawner.processes] == [["serve", "-x"]] * 2
    assert gaffer_spawner.last.plan.env["A"] == "1"


def test_a_process_that_lived_is_replaced_at_once(manager, gaffer_spawner, gaffer_clock):
    load(manager, min_uptime=1)
    gaffer_clock.advance(1)
    gaffer_spawner.last.exit(1)
    settle(manager)
    assert [one.pid for one in gaffer_spawner.alive] == [2] and manager.info("web")["restarts"] == 1


def test_a_delay_passes_when_the_clock_says_so(manager, gaffer_spawner, gaffer_clock):
    load(manager, min_uptime=1)
    gaffer_spawner.last.exit(1)
    settle(manager)
    assert gaffer_spawner.alive == [] and manager.info("web")["state"] == "backoff"
    gaffer_clock.advance(0.2)
    settle(manager)
    assert len(gaffer_spawner.alive) == 1


def test_a_stop_kills_what_does_not_go(manager, gaffer_spawner, gaffer_clock):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    load(manager, graceful_timeout=5)
    manager.stop_job("web")
    gaffer_clock.advance(4.9)
    settle(manager)
    assert gaffer_spawner.last.alive
    gaffer_clock.advance(0.1)
    settle(manager)
    assert gaffer_spawner.last.signals == [signal.SIGTERM, signal.SIGCONT, signal.SIGKILL]
    assert manager.info("web")["state"] == "stopped"


def test_starts_can_fail(manager, gaffer_spawner):
    gaffer_spawner.fail("no such program", SpawnError("no more room"))
    load(manager, numprocesses=2)
    assert gaffer_spawner.processes == []
    assert manager.info("web")["reason"] == "no such program; no more room"


def test_a_failed_start_fails_once(manager, gaffer_spawner, gaffer_clock):
    gaffer_spawner.fail("no such program")
    load(manager)
    gaffer_clock.advance(1)
    settle(manager)
    assert len(gaffer_spawner.alive) == 1


def test_stubborn_processes_do_not_outlive_a_test(gaffer_manager, gaffer_spawner):
    made = gaffer_manager()
    made.start()
    gaffer_spawner.ignores.add(signal.SIGTERM)
    load(made)
    made.halt()
    assert made.wait_stopped(10) and gaffer_spawner.alive == []


def test_settling_a_manager_that_has_stopped(manager):
    manager.stop()
    settle(manager)
    assert manager.state == "stopped"


# -- the recorder


def test_every_hook_is_implemented(gaffer_manager, gaffer_recorder):
    made = gaffer_manager(gaffer_recorder)
    for module in hookspecs.MODULES:
        for name in vars(module):
            assert not name.startswith("gaffer_") or made.hooks.implemented(name)


def test_the_life_of_a_job_as_plugins_see_it(gaffer_manager, gaffer_recorder, gaffer_spawner):
    made = gaffer_manager(gaffer_recorder)
    made.start()
    settle(made)
    load(made)
    gaffer_spawner.last.exit(1)
    settle(made)
    made.stop()
    settle(made)
    assert [name for name in gaffer_recorder.names if name not in ("gaffer_event", "gaffer_open_sinks")] == [
        "gaffer_addhooks",
        "gaffer_job_settings",
        "gaffer_manager_start",
        "gaffer_load_jobs",
        "gaffer_check_jobs",
        "gaffer_ready",
        "gaffer_before_load",
        "gaffer_job_loaded",
        "gaffer_job_started",
        "gaffer_before_spawn",
        "gaffer_spawned",
        "gaffer_process_ready",
        "gaffer_exited",
        "gaffer_reaped",
        "gaffer_restart_decision",
        "gaffer_before_spawn",
        "gaffer_spawned",
        "gaffer_process_ready",
        "gaffer_stop_order",
        "gaffer_manager_stopping",
        "gaffer_stop_steps",
        "gaffer_signalled",
        "gaffer_exited",
        "gaffer_reaped",
        "gaffer_job_stopped",
        "gaffer_manager_stopped",
    ]


def test_arguments_are_kept_by_name(gaffer_manager, gaffer_recorder):
    made = gaffer_manager(gaffer_recorder)
    made.start()
    load(made)
    made.scale("web", "=3")
    job = made.job("web")
    assert gaffer_recorder.of("gaffer_before_scale") == [{"job": job, "count": 3}]
    settle(made)
    assert HookCall("gaffer_job_scaled", {"job": job, "before": 1, "after": 3}) in gaffer_recorder.calls


def test_answers_can_be_values_exceptions_and_functions(gaffer_manager, gaffer_recorder):
    made = gaffer_manager(gaffer_recorder)
    made.start()
    load(made)
    gaffer_recorder.answers["gaffer_before_scale"] = 2
    assert made.scale("web", "=5") == 2
    gaffer_recorder.answers["gaffer_before_scale"] = lambda job, count: count + 1
    assert made.scale("web", "=5") == 6
    gaffer_recorder.answers["gaffer_before_scale"] = gaffer.Veto("enough")
    with pytest.raises(Conflict, match="plugin hook-recorder: enough"):
        made.scale("web", "=5")


def test_it_can_stand_for_a_policy(gaffer_manager, gaffer_recorder, gaffer_spawner):
    made = gaffer_manager(gaffer_recorder)
    made.start()
    load(made)
    gaffer_recorder.answers["gaffer_restart_decision"] = GiveUp("tired")
    gaffer_spawner.last.exit(1)
    settle(made)
    assert made.info("web")["state"] == "failed" and made.info("web")["reason"] == "tired"


def test_calls_can_be_forgotten():
    recorder = HookRecorder()
    recorder.gaffer_ready("a manager")
    assert recorder.names == ["gaffer_ready"]
    recorder.clear()
    assert recorder.calls == []


def test_only_some_hooks_may_be_asked_for(gaffer_manager):
    made = gaffer_manager(HookRecorder("gaffer_spawned"))
    assert made.hooks.implemented("gaffer_spawned") and not made.hooks.implemented("gaffer_event")


def test_hooks_that_do_not_exist_cannot_be_recorded():
    with pytest.raises(ValueError, match="no such hook: gaffer_spwaned"):
        HookRecorder("gaffer_spwaned")


def test_hooks_of_ones_own_are_recorded_too(gaffer_manager):
    @gaffer.hookspec
    def myapp_painted(what):
        """Something was painted."""

    own = SimpleNamespace(__name__="myapp.hookspecs", myapp_painted=myapp_painted)
    recorder = HookRecorder(hookspecs=[own])
    made = gaffer_manager(recorder, hookspecs=[own])
    made.hooks.tell("myapp_painted", what="door")
    made.hooks.flush()
    assert recorder.of("myapp_painted") == [{"what": "door"}]


# -- for pytest


def test_pytest_finds_the_fixtures_where_gaffer_is_installed():
    assert "gaffer.testing" in {point.value for point in metadata.entry_points(group="pytest11")}


def test_projects_that_do_not_use_it_do_not_pay_for_it():
    code = "import sys, gaffer.testing; print(*sorted(name for name in sys.modules if name.split('.')[0] in {modules}))"
    modules = ("gaffer", "gevent", "greenlet", "bottle", "psutil")
    shown = subprocess.run(
        [sys.executable, "-c", code.format(modules=modules)], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["gaffer", "gaffer.testing", "gaffer.version"]


def test_its_names_are_there_when_they_are_used():
    for name in gaffer.testing.__all__:
        assert getattr(gaffer.testing, name) is not None
    with pytest.raises(AttributeError, match="FakeNews"):
        _ = gaffer.testing.FakeNews
