"""Judges and the watch, with a clock and a server of our own."""

import pytest

from gaffer.cli.operations.wait import (
    Outcome,
    default_timeout,
    exit_text,
    has_started,
    has_stopped,
    is_ready,
    is_running,
    processes,
    trouble,
    was_stopped,
    watch,
)
from gaffer.config.names import JobName
from gaffer.errors import NotFound

WEB, DB = JobName("default", "web"), JobName("default", "db")


def info(state="running", pids=(1,), **changes):
    return {
        "state": state,
        "active": state != "stopped",
        "processes": list(pids),
        "running": len(pids),
        "running_out": 0,
        "max_processes": 1,
        "last_exit": None,
        "reason": None,
        "stderr": [],
        "config": {"graceful_timeout": 5.0, "min_uptime": 2.0, "exit_codes": [0, 7]},
        **changes,
    }


def ending(code=0, signal=0):
    return {"exit_status": code, "term_signal": signal}


@pytest.mark.parametrize("state", ["starting", "stopping"])
def test_start_that_is_not_complete(state):
    assert has_started()(info(state)) is None


def test_start_that_went_well():
    assert has_started()(info()) == Outcome(True, "running, 1 process (pid 1)")


@pytest.mark.parametrize("state", ["backoff", "flapping", "failed"])
def test_start_in_trouble_is_a_failure(state):
    outcome = has_started()(info(state, (), reason="cannot execute /no/such"))
    assert outcome == Outcome(False, f"{state}: cannot execute /no/such")


def test_start_of_a_job_that_is_gone():
    assert has_started()(None).good is False


@pytest.mark.parametrize(
    "last_exit, good",
    [(ending(0), True), (ending(7), True), (ending(1), False), (ending(137, 9), False), (None, False)],
)
def test_job_that_ran_to_its_end(last_exit, good):
    assert has_started()(info("stopped", (), last_exit=last_exit)).good is good


def test_start_of_no_processes():
    assert has_started()(info("stopped", (), max_processes=0)).good


def test_restart_waits_until_the_old_processes_are_gone():
    judge = has_started(old=[1, 2])
    assert judge(info(pids=[1, 3])) is None
    assert judge(info(pids=[3, 4])).good


def test_restart_does_not_wait_for_committed_processes():
    judge = has_started(old=[1, 2])
    assert judge(info(pids=[3, 2], running_out=1)).good
    assert judge(info(pids=[1, 2], running_out=1)) is None


def test_stop():
    assert has_stopped(info("stopping")) is None
    assert has_stopped(info("stopped", (1,))) is None
    assert has_stopped(info("stopped", ())).good
    assert has_stopped(None).good


def test_running_means_that_all_live():
    assert is_running(info("starting")).good
    assert is_running(info(max_processes=2)) is None
    assert is_running(info(pids=[1, 2], max_processes=2, running_out=1)) is None
    assert is_running(info("stopped", ())) is None
    assert is_running(info("backoff", ())) is None
    assert is_running(info("failed", (), reason="it died")) == Outcome(False, "failed: it died")
    assert is_running(None).good is False


def test_ready_means_that_all_have_lived():
    assert is_ready(info("starting")) is None
    assert is_ready(info()).good
    assert is_ready(info("failed", ())).good is False
    assert is_ready(None).good is False


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"reason": "no such user"}, "no such user"),
        ({"last_exit": ending(3)}, "ended with code 3"),
        ({"reason": "r", "stderr": ["a", "boom"]}, "r; last line of stderr: boom"),
        ({}, "see 'gafferctl status'"),
    ],
)
def test_trouble(changes, text):
    assert trouble(info("backoff", (), **changes)) == text


@pytest.mark.parametrize(
    "last_exit, text",
    [(None, "-"), (ending(3), "code 3"), (ending(137, 9), "signal KILL"), (ending(0, 99), "signal 99")],
)
def test_exits(last_exit, text):
    assert exit_text(last_exit) == text


def test_many_pids_are_only_counted():
    assert processes(info(pids=range(9))).endswith("(pid 0, 1, 2, 3, 4, 5, 6, 7, 8)")
    assert processes(info(pids=range(10))) == "10 processes"
    assert processes(info(pids=[])) == "0 processes"


def test_default_timeout():
    assert default_timeout(info()) == 37.0
    assert default_timeout({"config": {}}) == 30.0


class Clock:
    def __init__(self):
        self.now, self.slept = 100.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Script:
    """A server whose jobs go through the given infos, and stay with the last."""

    def __init__(self, **jobs):
        self.jobs = jobs

    def info(self, name):
        coming = self.jobs[name.job]
        found = coming.pop(0) if len(coming) > 1 else coming[0]
        if found is None:
            raise NotFound("no such job")
        return found


def test_each_job_is_told_as_soon_as_it_is_known():
    clock = Clock()
    server = Script(web=[info("starting"), info("starting"), info()], db=[info("starting"), info("failed", ())])
    told = list(watch(server, {WEB: has_started(), DB: has_started()}, 10, clock, clock.sleep))
    assert [(name.job, outcome.good) for name, outcome in told] == [("db", False), ("web", True)]
    assert clock.slept == pytest.approx([0.01, 0.015])


def test_looks_become_rarer():
    clock = Clock()
    server = Script(web=[info("starting")] * 30 + [info()])
    list(watch(server, {WEB: has_started()}, None, clock, clock.sleep))
    assert clock.slept[0] == 0.01
    assert clock.slept[-1] == 0.2
    assert clock.slept == sorted(clock.slept)


def test_wait_ends_in_time():
    clock = Clock()
    told = list(watch(Script(web=[info("stopping")]), {WEB: lambda info: has_stopped(info)}, 1.5, clock, clock.sleep))
    assert told == [(WEB, Outcome(False, "still stopping after 1.5 s, 1 process (pid 1)"))]
    assert clock.now == pytest.approx(101.5)


def test_no_time_at_all_is_one_look():
    clock = Clock()
    assert list(watch(Script(web=[info()]), {WEB: has_started()}, 0, clock, clock.sleep))[0][1].good
    assert not list(watch(Script(web=[info("starting")]), {WEB: has_started()}, 0, clock, clock.sleep))[0][1].good
    assert clock.slept == []


def test_job_that_disappears():
    clock = Clock()
    told = list(
        watch(Script(web=[info("stopping"), None]), {WEB: lambda info: has_stopped(info)}, 9, clock, clock.sleep)
    )
    assert told == [(WEB, Outcome(True, "gone"))]


def test_job_that_is_unknown_from_the_start_has_not_stopped():
    assert was_stopped()(None) == Outcome(False, "there is no such job")


def test_job_that_is_removed_meanwhile_has_stopped():
    judge = was_stopped()
    assert judge({"running": 1, "state": "stopping"}) is None
    assert judge(None) == Outcome(True, "gone")
