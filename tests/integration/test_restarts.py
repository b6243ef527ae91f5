"""What follows an exit of a real process; tests/manager/test_restarts.py has the rules."""

import os
import signal

import pytest

import gaffer

from ..kit.manager import alive, eventually, pass_deadlines, said, settle


def job(cmd, **settings):
    """A job whose processes get a short time to end, lest :func:`pass_deadlines` waits for long ones."""
    return gaffer.JobConfig("web", cmd, **{"graceful_timeout": 0.5, **settings})


def state(manager, *wanted):
    return eventually(
        lambda: manager.info("web")["state"] in wanted and manager.info("web"),
        what=f"web is {manager.info('web')['state']}, not {wanted}",
    )


def one(manager, watch, number):
    """Wait for start *number* and return its process."""
    eventually(lambda: len(watch.processes) >= number, what=f"only {len(watch.processes)} starts")
    return watch.processes[number - 1]


def test_killed_process_comes_back(manager, watch):
    manager.load(job("sleep 1000", min_uptime=0.0))
    first = one(manager, watch, 1)
    os.kill(first.os_pid, signal.SIGKILL)
    second = one(manager, watch, 2)
    assert alive(second.os_pid) and not alive(first.os_pid)
    info = manager.info("web")
    assert info["restarts"] == 1 and info["active"]
    assert info["last_exit"]["term_signal"] == 9 and info["last_exit"]["exit_status"] == 128 + 9
    assert info["last_exit"]["pid"] == first.pid and info["last_exit"]["os_pid"] == first.os_pid


def test_replacement_is_started_before_the_exit_is_published(manager, watch, monkeypatch):
    """All listeners hear of both, in order; but none of them makes the replacement wait."""
    manager.load(job("sleep 1000", min_uptime=0.0))
    first = one(manager, watch, 1)
    order, launch, told = [], manager.engine.launch, manager.engine.observer.notify
    monkeypatch.setattr(manager.engine, "launch", lambda *args: order.append("launch") or launch(*args))
    monkeypatch.setattr(manager.engine.observer, "notify", lambda *args: order.append(args[1].event) or told(*args))
    os.kill(first.os_pid, signal.SIGKILL)
    one(manager, watch, 2)
    assert order[:4] == ["launch", "exit", "reap", "spawn"]
    mine = [event["event"] for event in watch.events if event["event"] in ("spawn", "exit", "reap")]
    assert mine == ["spawn", "exit", "reap", "spawn"]
    ended = manager.info("web")["last_exit"]["time"]
    assert first.create_time < ended <= watch.processes[1].create_time


def test_exit_is_published_if_kill_comes_while_the_group_ends(manager, watch, monkeypatch):
    lingers = [True]
    monkeypatch.setattr("gaffer.supervisor.engine.LAST_GROUP_CHECK", 1e9)
    monkeypatch.setattr("gaffer.supervisor.engine.group_left", lambda *args: lingers[0])
    manager.load(job("sleep 1000", graceful_timeout=0.0))
    found = one(manager, watch, 1)
    os.kill(found.os_pid, signal.SIGKILL)
    eventually(lambda: found.status is not None)
    manager.stop_job("web")
    manager.engine.submit(None, lambda: None)
    assert "reap" not in [event["event"] for event in watch.events]
    lingers[0] = False
    eventually(lambda: watch.count("stopped"))
    mine = [event["event"] for event in watch.events if event["event"] in ("exit", "reap")]
    assert mine == ["exit", "reap"] and manager.info("web")["last_exit"]["term_signal"] == 9


@pytest.mark.parametrize("ask", [lambda manager: manager.stop_job("web"), lambda manager: manager.unload("web")])
def test_command_returns_after_its_notifications(manager, watch, monkeypatch, ask):
    manager.load(job("sleep 1000", min_uptime=0.0))
    one(manager, watch, 1)
    ask(manager)
    assert "stop_pid" in [event["event"] for event in watch.events]


@pytest.mark.parametrize(
    ("setting", "codes", "cmd", "comes_back"),
    [
        ("on-failure", [0, 3], "sh -c 'exit 3'", False),
        ("on-failure", [0], "sh -c 'kill -TERM $$'", True),
        ("never", [0], "sh -c 'kill -KILL $$'", False),
    ],
)
def test_restart_setting(manager, watch, setting, codes, cmd, comes_back):
    manager.load(job(cmd, restart=setting, exit_codes=codes, min_uptime=0.0))
    if comes_back:
        one(manager, watch, 3)
    else:
        info = state(manager, "stopped")
        assert not info["active"] and info["reason"] is None
        settle(manager)
        assert watch.count("spawned") == 1
        assert watch.whats("started", "stopped") == ["started", "stopped"]


def test_early_exits_are_retried_with_growing_delays(manager, watch):
    manager.load(job("false", min_uptime=100.0))
    one(manager, watch, 4)
    starts = [process.started for process in watch.processes]
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
    # 0.1 s doubling, each up to a fifth shorter; a busy machine only makes them longer
    assert all(gap >= least for gap, least in zip(gaps, (0.08, 0.16, 0.32))), gaps


def test_flapping_pauses_then_gives_up(manager, watch):
    manager.load(job("false", flapping=[2, 30.0, 0.05, 2]))
    info = state(manager, "failed")
    # two exits, a pause, two more, a pause, two more, and that was it
    assert watch.count("spawned") == 6 and watch.details("flapping") == [0.05, 0.05]
    assert not info["active"] and "2 times" in info["reason"]
    flaps = [event["event"] for event in watch.events if event["event"].endswith("flap")]
    assert flaps == ["flap", "job.default.web.flap", "proc.web.flap"] * 2
    assert [event["retry_in"] for event in watch.events if event["event"] == "flap"] == [0.05, 0.05]
    eventually(lambda: watch.count("stopped") == 1)
    pass_deadlines(manager)
    assert watch.count("spawned") == 6


def test_kill_from_elsewhere_is_a_failure(manager, watch):
    manager.load(job("sleep 1000", min_uptime=100.0))
    os.kill(one(manager, watch, 1).os_pid, signal.SIGKILL)
    one(manager, watch, 2)
    assert len(manager.job("web").copies[0].history.exits) == 1


def test_survived_signal_does_not_excuse_a_later_crash(manager, watch):
    """It was asked for USR1 and survived; that it dies by KILL from elsewhere is a crash."""
    manager.load(
        job("sh -c 'trap : USR1; echo ready; while :; do sleep 0.02; done'", min_uptime=100.0, redirect_output=["out"])
    )
    process = one(manager, watch, 1)
    said(process)
    manager.kill(process.pid, "USR1")
    os.kill(process.os_pid, signal.SIGKILL)
    one(manager, watch, 2)
    assert len(manager.job("web").copies[0].history.exits) == 1


def test_exit_after_a_signal_through_gaffer_is_no_crash(manager, watch):
    """Servers catch TERM and exit with a code of their own: gaffer caused that as well."""
    manager.load(
        job(
            "sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.02; done'",
            min_uptime=100.0,
            redirect_output=["out"],
        )
    )
    for number in range(1, 4):
        process = one(manager, watch, number)
        said(process)
        manager.kill(process.pid, "TERM")
    one(manager, watch, 4)
    assert not manager.job("web").copies[0].remembered().exits


def test_last_process_of_a_burst_gets_the_processor_first(manager, monkeypatch):
    """Linux leaves a new process behind its maker; without that turn it would wait for all that follows its start."""
    turns = []
    monkeypatch.setattr("os.sched_yield", lambda: turns.append(len(manager.running)))
    manager.load(job("sleep 1000", numprocesses=10))
    eventually(lambda: len(manager.running) == 10)
    assert turns == [10]
