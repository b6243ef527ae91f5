"""Starts of single processes: what fails after the start ends the process, since nobody would hear of it."""

import os

import gevent
import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import SpawnError
from gaffer.process import child, pipes, spawn
from gaffer.process.process import Process
from gaffer.process.spawn import SpawnPlan


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
    """A limit cannot be set any more once somebody lowered what this program may have."""
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
