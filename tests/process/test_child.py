"""Single processes: failures between start and registration, ends that gaffer caused, streams by name."""

import os
import signal

import gevent
import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import Forbidden, NotFound, SpawnError
from gaffer.process import child, pipes, spawn
from gaffer.process.process import Process
from gaffer.process.spawn import SpawnPlan
from gaffer.testing.fakes import FakeClock, FakeProcess


def launch(**settings):
    config = JobConfig("web", "sleep 1000", **settings)
    plan = SpawnPlan(["sleep", "1000"], dict(os.environ), None, 0, 1)
    return Process.launch(gevent.get_hub().loop, config, plan, on_exit=lambda process: None)


@pytest.fixture
def started(monkeypatch):
    """Return the os_pids of what was started; none may be alive at the end."""
    os_pids, execute = [], spawn.execute
    gevent.idle()  # the loop has its own descriptors by now

    def noted(*args):
        os_pids.append(execute(*args))
        return os_pids[-1]

    monkeypatch.setattr(child, "execute", noted)
    return os_pids


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))


def fail(error):
    def function(*args, **kwargs):
        raise error

    return function


@pytest.mark.parametrize(
    "module, name, error, shown",
    [
        (child.os, "pidfd_open", OSError(24, "Too many open files"), SpawnError),
        (pipes, "Reader", OSError(24, "Too many open files"), SpawnError),
        (pipes, "Reader", RuntimeError("no"), RuntimeError),
        (pipes, "Duplex", OSError(24, "Too many open files"), SpawnError),
        (child.Child, "watch", KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failure_after_the_start_leaves_no_process_and_no_descriptor(monkeypatch, started, module, name, error, shown):
    monkeypatch.setattr(module, name, fail(error))
    before = open_descriptors()
    with pytest.raises(shown):
        launch(redirect_output=["out"], redirect_input=True, custom_streams=["chat"])
    assert open_descriptors() == before
    [os_pid] = started
    with pytest.raises(ProcessLookupError):
        os.kill(os_pid, 0)


@pytest.mark.parametrize("name", ["prlimit", "setrlimit"])
def test_failure_of_the_limits_after_the_start_does_not_lose_the_process(monkeypatch, name):
    """A limit cannot be set any more once what this program may have was lowered."""
    monkeypatch.setattr(spawn.resource, name, fail(ValueError("current limit exceeds maximum limit")))
    config = JobConfig("web", "sleep 1000")
    plan = SpawnPlan(["sleep", "1000"], dict(os.environ), None, 0, 1)
    # Without redirected output the limit is inherited, with a low one it is set from outside.
    limit = (4, 4096) if name == "prlimit" else (1024, 4096)
    process = Process.launch(gevent.get_hub().loop, config, plan, file_limit=limit)
    assert process.active
    process.signal_group(9)
    while process.collect() is None:
        gevent.sleep(0.01)
    process.close()


# -- on a fake process


def fake(clock=None, ignores=(), **settings):
    plan = SpawnPlan(["serve"], {}, None, 0, 7)
    return FakeProcess(JobConfig("web", "serve", **settings), plan, clock or FakeClock(), ignores=ignores)


def test_end_by_a_signal_through_gaffer_is_no_crash():
    process = fake()
    process.kill(signal.SIGKILL)
    process.collect()
    assert process.was_killed()


def test_end_by_another_signal_is_a_crash():
    process = fake()
    process.die(signal.SIGSEGV)
    process.collect()
    assert not process.was_killed()


@pytest.mark.parametrize(
    "signum, seconds, caused",
    [(signal.SIGTERM, 1.0, True), (signal.SIGTERM, 11.0, False), (signal.SIGUSR1, 1.0, False)],
)
def test_exit_after_a_signal_through_gaffer_counts_for_the_graceful_timeout(signum, seconds, caused):
    clock = FakeClock()
    process = fake(clock, ignores=[signum], graceful_timeout=10.0)
    process.kill(signum)
    clock.advance(seconds)
    process.exit(1)
    process.collect()
    assert process.was_killed() is caused


def test_signal_to_an_ended_process_is_an_error():
    process = fake()
    process.exit()
    process.collect()
    with pytest.raises(NotFound, match="has exited already"):
        process.kill(signal.SIGTERM)


def test_streams_are_found_by_their_names():
    process = fake(redirect_output=["out"], redirect_input=True, custom_streams=["chat"])
    for name in (None, "", "stdin", "ttin"):
        assert process.writer(name) is process.stdin
    assert process.writer("chat") is process.duplexes["chat"].writer
    assert process.reader("chat") is process.duplexes["chat"].reader
    assert process.reader("out") is process.readers["out"]


def test_missing_streams_are_errors_that_name_the_remedy():
    process = fake(redirect_output=["out"])
    with pytest.raises(Forbidden, match="redirect_input = true"):
        process.writer(None)
    with pytest.raises(Forbidden, match="out of web is an output"):
        process.writer("out")
    with pytest.raises(NotFound, match="no stream 'gone'"):
        process.writer("gone")
    with pytest.raises(NotFound, match="no stream 'gone'"):
        process.reader("gone")


def test_uptime_counts_from_the_start():
    clock = FakeClock()
    process = fake(clock)
    clock.advance(2.5)
    assert process.uptime() == 2.5
