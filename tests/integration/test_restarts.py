"""What follows an exit: the restart setting, backoff, flapping, and exits that do not count."""

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


# -- the restart setting ----------------------------------------------------------------
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
    """Everybody hears of both, in order; but nobody who listens makes the replacement wait."""
    manager.load(job("sleep 1000", min_uptime=0.0))
    first = one(manager, watch, 1)
    order, launch, told = [], manager.engine.launch, manager.engine.observer.notify
    monkeypatch.setattr(manager.engine, "launch", lambda *args: order.append("launch") or launch(*args))
    monkeypatch.setattr(manager.engine.observer, "notify", lambda *args: order.append(args[1].event) or told(*args))
    os.kill(first.os_pid, signal.SIGKILL)
    one(manager, watch, 2)
    assert order == ["launch", "exit", "reap", "spawn"]
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


@pytest.mark.parametrize("cmd", ["true", "false"])
def test_restart_always_after_any_exit_code(manager, watch, cmd):
    manager.load(job(cmd, min_uptime=0.0))
    one(manager, watch, 3)


@pytest.mark.parametrize(
    ("setting", "codes", "cmd", "comes_back"),
    [
        ("on-failure", [0], "true", False),
        ("on-failure", [0], "sh -c 'exit 3'", True),
        ("on-failure", [0, 3], "sh -c 'exit 3'", False),
        ("on-failure", [3], "true", True),
        ("on-failure", [0], "sh -c 'kill -TERM $$'", True),
        ("never", [0], "true", False),
        ("never", [0], "sh -c 'exit 3'", False),
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


def test_job_that_is_done_can_be_started_again(manager, watch):
    manager.load(job("true", restart="never"))
    for number in (1, 2, 3):
        one(manager, watch, number)
        state(manager, "stopped")
        manager.start_job("web")


def test_job_is_done_when_all_its_copies_are(manager, watch, tmp_path):
    """Each copy waits for a file of its own."""
    cmd = "sh -c 'while [ ! -e go.$GAFFER_INDEX ]; do sleep 0.02; done'"
    manager.load(job(cmd, restart="never", numprocesses=2, cwd=str(tmp_path)))
    one(manager, watch, 2)
    (tmp_path / "go.1").touch()
    eventually(lambda: watch.count("exited") == 1)
    settle(manager)
    assert manager.info("web")["active"] and manager.info("web")["running"] == 1
    (tmp_path / "go.0").touch()
    assert not state(manager, "stopped")["active"]


# -- backoff ------------------------------------------------------------------------------
def test_early_exits_are_retried_with_growing_delays(manager, watch):
    manager.load(job("false", min_uptime=100.0))
    one(manager, watch, 4)
    starts = [process.started for process in watch.processes]
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
    # 0.1 s doubling, each up to a fifth shorter; a busy machine only makes them longer
    assert all(gap >= least for gap, least in zip(gaps, (0.08, 0.16, 0.32))), gaps


def test_wait_for_a_retry_is_shown(manager, watch):
    manager.load(job("sh -c 'exit 3'", min_uptime=100.0))
    one(manager, watch, 3)
    info = state(manager, "backoff")
    assert 0 < info["retry_in"] <= 30.0
    assert info["reason"] == "exited with code 3" and info["last_exit"]["exit_status"] == 3
    assert info["active"] and info["running"] == 0 and info["processes"] == []


def test_long_uptime_resets_the_delays(manager, watch, tmp_path):
    """The first two die at once, the third when it is told to, after min_uptime."""
    cmd = "sh -c 'echo >> starts; [ $(wc -l < starts) -lt 3 ] || exec sleep 1000'"
    manager.load(job(cmd, min_uptime=0.3, cwd=str(tmp_path)))
    third = one(manager, watch, 3)
    state(manager, "running")
    assert third.uptime() >= 0.3
    os.kill(third.os_pid, signal.SIGKILL)
    one(manager, watch, 4)
    assert manager.job("web").copies[0].history.failures == 0


def test_each_copy_has_its_own_backoff(manager, watch):
    manager.load(job("sh -c '[ $GAFFER_INDEX = 0 ] && exit 1; exec sleep 1000'", numprocesses=2, min_uptime=100.0))
    eventually(lambda: watch.count("spawned") >= 4)
    live = manager.list("web")
    healthy = next(process for process in live if process.index == 1)
    assert alive(healthy.os_pid) and healthy.pid <= 2
    assert manager.info("web")["running"] >= 1


@pytest.mark.parametrize("end", ["stop_job", "unload", "scale", "reload", "update", "manager"])
def test_no_timer_brings_a_stopped_job_back(make_manager, watch, end):
    """Whatever ends the wait, the deadline that was set for the retry changes nothing."""
    manager = make_manager(watch)
    manager.load(job("false", min_uptime=100.0))
    one(manager, watch, 3)
    state(manager, "backoff")
    if end == "scale":
        manager.scale("web", "=0")
    elif end == "update":
        manager.update(job("false", min_uptime=100.0), start=False)
    elif end == "reload":
        manager.stop_job("web")
        manager.reload("web")
    elif end == "manager":
        for name in manager.jobs():
            manager.stop_job(name)
    else:
        getattr(manager, end)("web")
    seen = watch.count("spawned")
    pass_deadlines(manager)
    assert watch.count("spawned") == seen


@pytest.mark.parametrize("end", ["stop_job", "unload"])
def test_no_timer_brings_a_flapping_job_back(manager, watch, end):
    manager.load(job("false", flapping=[1, 10.0, 0.3, 5]))
    state(manager, "flapping")
    getattr(manager, end)("web")
    seen = watch.count("spawned")
    pass_deadlines(manager)
    assert watch.count("spawned") == seen


def test_retry_of_an_unloaded_job_does_not_affect_its_successor(manager, watch):
    """The old job's timer comes while its successor, of the same name, waits as well."""
    manager.load(job("false", min_uptime=100.0))
    one(manager, watch, 3)
    manager.unload("web")
    manager.load(job("sleep 1000"))
    pass_deadlines(manager)
    assert manager.info("web")["running"] == 1 and manager.info("web")["restarts"] == 0


@pytest.mark.parametrize("poke", ["start_job", "restart_job", "reload"])
def test_start_command_does_not_wait_for_the_retry(manager, watch, poke):
    manager.load(job("false", flapping=[1, 10.0, 10_000.0, 5]))
    state(manager, "flapping")
    getattr(manager, poke)("web")
    one(manager, watch, 2)
    state(manager, "flapping")


def test_update_does_not_wait_for_the_retry(manager, watch):
    manager.load(job("false", flapping=[1, 10.0, 10_000.0, 5]))
    state(manager, "flapping")
    manager.update(job("sleep 1000"))
    state(manager, "running", "starting")


# -- flapping -------------------------------------------------------------------------------
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


def test_failed_job_can_be_started(manager, watch):
    manager.load(job("false", flapping=[1, 30.0, 0.01, 0]))
    state(manager, "failed")
    assert watch.count("spawned") == 1
    manager.start_job("web")
    one(manager, watch, 2)
    state(manager, "failed")
    manager.update(job("sleep 1000"), start=True)
    state(manager, "running", "starting")
    assert manager.info("web")["reason"] is None


def test_without_a_limit_flapping_never_gives_up(manager, watch):
    manager.load(job("false", flapping=[1, 30.0, 0.01, -1]))
    eventually(lambda: watch.count("flapping") >= 10)
    assert manager.info("web")["active"]


def test_fewer_exits_than_attempts_are_no_flapping(manager, watch):
    manager.load(job("false", flapping=[1000, 30.0, 1.0, 5]))
    one(manager, watch, 20)
    assert watch.count("flapping") == 0
    assert manager.info("web")["state"] in ("starting", "running", "backoff", "stopped")


def test_flapping_is_counted_for_each_copy(manager, watch):
    cmd = "sh -c '[ $GAFFER_INDEX = 1 ] && exit 1; exec sleep 1000'"
    manager.load(job(cmd, numprocesses=3, flapping=[2, 30.0, 0.01, 1]))
    info = state(manager, "failed")
    assert info["active"] and info["running"] == 2
    assert sorted(process.index for process in manager.list("web")) == [0, 2]


# -- exits that do not count ------------------------------------------------------------------
def test_exits_that_gaffer_caused_do_not_count(manager, watch):
    """Each of these would mean a wait of its own, for nobody lives min_uptime."""
    manager.load(job("sleep 1000", min_uptime=100.0))
    for number in range(1, 6):
        manager.stop_process(one(manager, watch, number).pid)
    one(manager, watch, 6)
    assert manager.info("web")["retry_in"] is None
    assert not manager.job("web").copies[0].remembered().exits


@pytest.mark.parametrize("setting", ["never", "on-failure"])
def test_kill_through_gaffer_obeys_the_restart_setting(manager, watch, setting):
    manager.load(
        job(
            "sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.02; done'",
            restart=setting,
            exit_codes=[7],
            redirect_output=["out"],
        )
    )
    process = one(manager, watch, 1)
    said(process)
    manager.kill(process.pid, "TERM")
    state(manager, "stopped")
    settle(manager)
    assert watch.count("spawned") == 1


@pytest.mark.parametrize("signum", ["KILL", "term", 2, "SIGUSR1"])
def test_kill_through_gaffer_is_no_failure(manager, watch, signum):
    manager.load(job("sleep 1000", min_uptime=100.0))
    for number in range(1, 4):
        manager.kill(one(manager, watch, number).pid, signum)
    manager.killall("web", signum)
    one(manager, watch, 4)
    assert manager.info("web")["retry_in"] is None
    assert not manager.job("web").copies[0].remembered().exits


def test_kill_through_gaffer_does_not_count_for_flapping(manager, watch):
    manager.load(job("sleep 1000", flapping=[1, 100.0, 1000.0, 0]))
    manager.kill(one(manager, watch, 1).pid, "KILL")
    one(manager, watch, 2)
    assert watch.count("flapping") == 0


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
