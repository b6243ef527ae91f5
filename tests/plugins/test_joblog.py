"""gafferd's log of jobs in trouble, on fake jobs, a fake clock and timers that the test lets run."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from gaffer.config.names import parse_job_name
from gaffer.errors import NotFound
from gaffer.process.exit_status import ExitStatus
from gaffer_plugins.joblog import AGAIN, DELAY, WELL, JobLogPlugin


class FakeTimer:
    def __init__(self, seconds, call):
        self.seconds, self.call, self.killed = seconds, call, False

    def kill(self, block=True):
        self.killed = True


class FakeManager:
    """A manager whose answers the test writes."""

    def __init__(self):
        self.jobs, self.limit = {}, None

    def option(self, name):
        assert name == "health_max_troubled"
        return self.limit

    def info(self, name):
        if name not in self.jobs:
            raise NotFound(name)
        return {"state": "running", "running": 1, "retry_in": None, "reason": None, "uptime": 20.0, **self.jobs[name]}


class World:
    def __init__(self):
        self.now, self.timers, self.manager, self.pid = 0.0, [], FakeManager(), 0
        self.plugin = JobLogPlugin(self._later, lambda: self.now)
        self.plugin.gaffer_manager_start(self.manager)

    def _later(self, seconds, function, *args):
        self.timers.append(FakeTimer(seconds, lambda: function(*args)))
        return self.timers[-1]

    def job(self, name="default.web"):
        return SimpleNamespace(name=parse_job_name(name), config=SimpleNamespace(exit_codes=(0,)))

    def ends(self, status, because="exit", name="default.web", committed=False, **info):
        self.manager.jobs[name] = info
        self.pid += 1
        process = SimpleNamespace(pid=self.pid, committed=committed)
        self.plugin.gaffer_exited(process, status)
        self.plugin.gaffer_reaped(self.job(name), process, because)

    def run(self):
        """Let the last timer run out."""
        timer = self.timers.pop()
        assert not timer.killed
        self.now += timer.seconds
        timer.call()


@pytest.fixture
def world(caplog):
    caplog.set_level(logging.INFO, "gaffer.jobs")
    return World()


def lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_unexpected_end_is_told_with_what_follows(world, caplog):
    world.ends(ExitStatus(1, None), state="backoff", running=0, retry_in=0.5)
    assert not caplog.records and world.timers[-1].seconds == DELAY
    world.run()
    assert lines(caplog) == [
        ("WARNING", "default.web: process 1 ended unexpectedly with code 1; next start in 0.5 s"),
    ]


def test_many_ends_at_once_are_one_line(world, caplog):
    for _ in range(50):
        world.ends(ExitStatus(None, 9))
    world.run()
    assert lines(caplog) == [
        ("WARNING", "default.web: process 50 ended unexpectedly with signal SIGKILL (50 times); it was started again")
    ]


def test_same_trouble_is_told_again_after_a_minute_with_its_number(world, caplog):
    for _ in range(int(AGAIN) + 5):
        world.ends(ExitStatus(1, None))
        world.run()
        world.now += 1.0 - DELAY
    assert [line.partition(" with ")[2] for _, line in lines(caplog)] == [
        "code 1; it was started again",
        "code 1 (60 times); it was started again",
    ]


def test_other_reason_is_told_at_once(world, caplog):
    world.ends(ExitStatus(1, None))
    world.run()
    world.ends(ExitStatus(2, None))
    world.run()
    assert len(caplog.records) == 2


def test_job_that_was_given_up_is_an_error_with_the_remedy(world, caplog):
    world.ends(ExitStatus(1, None), state="failed", running=0, reason="it died 5 times in 1 s")
    world.run()
    ((level, line),) = lines(caplog)
    assert level == "ERROR" and "not started again: it died 5 times in 1 s; 'gafferctl start default.web'" in line
    assert world.plugin.gaffer_health()["troubled"] == 1 and not world.timers
    world.manager.jobs["default.web"] = {}
    world.plugin.gaffer_job_started(world.job())
    world.run()
    assert lines(caplog)[1:] == [("INFO", "default.web is well again: up for 20 s")]


def test_failed_start_is_told_with_its_reason(world, caplog):
    world.manager.jobs["default.web"] = {"state": "backoff", "running": 0, "retry_in": 2.0}
    world.plugin.gaffer_spawn_failed(world.job(), OSError("no program"))
    world.run()
    assert lines(caplog) == [("WARNING", "default.web: cannot be started: no program; next start in 2.0 s")]


def test_recovery_is_told_once_and_the_job_forgotten(world, caplog):
    world.ends(ExitStatus(1, None))
    world.run()
    assert world.timers[-1].seconds == WELL and world.plugin.gaffer_health()["troubled"] == 1
    world.run()
    assert lines(caplog)[-1] == ("INFO", "default.web is well again: up for 20 s")
    assert not world.timers and world.plugin.gaffer_health()["troubled"] == 0


@pytest.mark.parametrize("reason", ["stop", "scale", "restart", "unload"])
def test_ends_that_gaffer_caused_are_not_told(world, caplog, reason):
    world.ends(ExitStatus(None, 15), reason)
    assert not world.timers and not caplog.records


def test_clean_ends_and_committed_processes_are_not_told(world, caplog):
    world.ends(ExitStatus(0, None), state="stopped", running=0)
    world.run()
    world.ends(ExitStatus(1, None), committed=True)
    assert not world.timers and not caplog.records and world.plugin.gaffer_health() == {"ok": True, "troubled": 0}


def test_clean_ends_that_come_too_often_are_told(world, caplog):
    world.ends(ExitStatus(0, None), state="flapping", running=0, retry_in=7.0)
    world.run()
    assert lines(caplog) == [
        ("WARNING", "default.web: it ended too soon; it dies too often, next start in 7.0 s"),
    ]


def test_unloaded_job_is_forgotten(world, caplog):
    world.ends(ExitStatus(1, None))
    timer = world.timers[-1]
    world.plugin.gaffer_job_unloaded(world.job())
    assert timer.killed
    world.ends(ExitStatus(1, None))
    world.manager.jobs.clear()
    world.run()
    assert not caplog.records and world.plugin.gaffer_health()["troubled"] == 0


def test_health_is_not_ok_from_the_configured_number_of_jobs_on(world):
    world.manager.limit = 2
    world.plugin.gaffer_config_reloaded(world.manager)
    world.ends(ExitStatus(1, None), name="default.a")
    assert world.plugin.gaffer_health()["ok"]
    world.ends(ExitStatus(1, None), name="default.b")
    report = world.plugin.gaffer_health()
    assert not report["ok"] and report["reason"] == "2 jobs are in trouble (health_max_troubled)"
    world.plugin.gaffer_manager_stopped()
    assert all(timer.killed for timer in world.timers) and world.plugin.gaffer_health()["troubled"] == 0
