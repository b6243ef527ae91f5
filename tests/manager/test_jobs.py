"""Commands while the old process of a job still ends, on fake processes: never two at once, the last one counts."""

import signal

import pytest

import gaffer
from gaffer.testing import settle


@pytest.fixture
def manager(gaffer_manager, gaffer_spawner):
    """A manager with a job ``web`` whose first process takes its time to end."""
    gaffer_spawner.ignores = {signal.SIGTERM}
    made = gaffer_manager()
    made.start()
    made.load(gaffer.JobConfig("web", "serve"))
    settle(made)
    gaffer_spawner.ignores = set()
    return made


@pytest.fixture
def end_old(manager, gaffer_spawner):
    """Return a function that lets the old process end, beside which nothing was started until then."""

    def end():
        settle(manager)
        (old,) = gaffer_spawner.processes
        assert old.signals == [signal.SIGTERM, signal.SIGCONT]
        old.exit()
        settle(manager)

    return end


def call(manager, command):
    if command == "scale":
        manager.scale("web", "=0")
        manager.scale("web", "=2")
    elif command == "update":
        manager.update(gaffer.JobConfig("web", "other"))
    elif command == "stop and start":
        manager.stop_job("web")
        manager.start_job("web")
    else:
        getattr(manager, command)("web")


COMMANDS = ["restart_job", "reload", "stopall", "scale", "update", "stop and start"]


@pytest.mark.parametrize("command", [one for one in COMMANDS if one != "scale"])
def test_replacement_waits_for_the_end_of_the_old_process(manager, gaffer_spawner, end_old, command):
    call(manager, command)
    assert manager.info("web")["active"]
    end_old()
    assert len(gaffer_spawner.alive) == 1


@pytest.mark.parametrize("first", COMMANDS)
@pytest.mark.parametrize("second", ["stop_job", "unload"])
def test_stop_wins_over_everything_in_progress(manager, gaffer_spawner, first, second):
    call(manager, first)
    call(manager, second)
    settle(manager)
    gaffer_spawner.processes[0].exit()
    settle(manager)
    assert gaffer_spawner.alive == [] and manager.pids() == []


def test_starting_and_stopping_twice_change_nothing(gaffer_manager, gaffer_recorder, gaffer_spawner):
    manager = gaffer_manager(gaffer_recorder)
    manager.start()
    manager.load(gaffer.JobConfig("web", "serve"))
    for command in ("start_job", "start_job", "stop_job", "stop_job", "stop_job"):
        call(manager, command)
        settle(manager)
    counted = ("gaffer_job_started", "gaffer_spawned", "gaffer_reaped", "gaffer_job_stopped")
    assert [name for name in gaffer_recorder.names if name in counted] == list(counted)


@pytest.mark.parametrize("command", [None, "start_job", *COMMANDS])
def test_job_loaded_again_waits_until_its_namesake_is_gone(manager, gaffer_spawner, end_old, command):
    manager.unload("web")
    manager.load(gaffer.JobConfig("web", "serve"))
    if command is not None:
        call(manager, command)
    assert manager.info("web")["active"]
    end_old()
    assert len(gaffer_spawner.alive) == (2 if command == "scale" else 1)


def test_namesake_that_was_stopped_meanwhile_stays_down(manager, gaffer_spawner, end_old):
    manager.unload("web")
    manager.load(gaffer.JobConfig("web", "serve"))
    manager.stop_job("web")
    end_old()
    assert gaffer_spawner.alive == []


def test_job_loaded_and_unloaded_many_times_at_once_runs_once(manager, gaffer_spawner, end_old):
    for _ in range(5):
        manager.unload("web")
        manager.load(gaffer.JobConfig("web", "serve"))
    end_old()
    assert len(gaffer_spawner.processes) == 2 and len(gaffer_spawner.alive) == 1
