"""Rolling reloads on fake processes: order, surge, failure with and without a way back, and what overtakes them."""

import signal

import pytest

import gaffer
from gaffer.errors import InvalidConfig
from gaffer.testing import settle

ROLLING = {"cmd": "serve", "reload": "rolling", "min_uptime": 0}


class Watch:
    """Keeps how many processes were alive at each start and end."""

    def __init__(self):
        self.counts = []
        self.count = 0

    @gaffer.hookimpl
    def gaffer_event(self, event):
        if event["event"] in ("spawn", "reap"):
            self.count += 1 if event["event"] == "spawn" else -1
            self.counts.append(self.count)


class Gate:
    """Lets no process be ready by itself."""

    def __init__(self):
        self.closed = False

    @gaffer.hookimpl
    def gaffer_before_spawn(self, job, plan):
        if self.closed:
            plan.unready = "the probe has not answered"


@pytest.fixture
def run(gaffer_manager, gaffer_spawner, gaffer_clock):
    class Run:
        def __init__(self):
            self.spawner, self.clock, self.watch, self.gate = gaffer_spawner, gaffer_clock, Watch(), Gate()
            self.manager = gaffer_manager(self.watch, self.gate)
            self.manager.start()

        def load(self, number=3, **settings):
            self.manager.load({"name": "web", "numprocesses": number, **ROLLING, **settings})
            settle(self.manager)
            self.watch.counts.clear()

        def update(self, cmd="serve -v", number=3, **settings):
            self.manager.update({"name": "web", "numprocesses": number, **ROLLING, "cmd": cmd, **settings})
            settle(self.manager)

        def commands(self):
            return sorted(" ".join(process.plan.argv) for process in self.spawner.alive)

        @property
        def info(self):
            return self.manager.info("web")

        @property
        def roll(self):
            return self.info["rolling"]

    return Run()


def test_one_more_is_started_first_and_never_fewer_than_wanted_live(run):
    run.load()
    run.update()
    assert run.commands() == ["serve -v"] * 3
    assert sorted(process.index for process in run.spawner.alive) == [0, 1, 2]
    assert (min(run.watch.counts), max(run.watch.counts), len(run.watch.counts)) == (3, 4, 8)
    assert run.roll == {
        "replaced": 3,
        "processes": 3,
        "text": "all 3 processes replaced",
        "error": None,
        "done": True,
    }


@pytest.mark.parametrize(
    ("surge", "unavailable", "least", "most"), [(0, 1, 2, 3), (2, 0, 3, 5), (1, 1, 2, 4), (9, 0, 3, 6)]
)
def test_surge_and_unavailable_are_the_bounds(run, surge, unavailable, least, most):
    run.load(max_surge=surge, max_unavailable=unavailable)
    run.update(max_surge=surge, max_unavailable=unavailable)
    assert run.commands() == ["serve -v"] * 3
    assert least <= min(run.watch.counts) and max(run.watch.counts) <= most


def test_each_step_waits_until_the_new_process_is_ready(run):
    run.load()
    run.gate.closed = True
    run.update()
    assert run.commands() == ["serve"] * 3 + ["serve -v"]
    assert (run.info["state"], run.info["ready"]) == ("starting", 3)
    for replaced in (0, 0, 1, 2):  # the first one is beside the old ones
        assert (run.roll["replaced"], run.roll["done"]) == (replaced, False)
        run.manager.set_ready(run.spawner.last.pid)
        settle(run.manager)
    assert run.commands() == ["serve -v"] * 3 and run.roll["done"]


def test_a_process_that_does_not_become_ready_brings_the_old_configuration_back(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.manager.set_ready(run.spawner.last.pid)
    settle(run.manager)
    assert run.commands() == ["serve"] * 2 + ["serve -v"] * 2
    run.gate.closed = False
    run.clock.advance(200)
    settle(run.manager)
    assert run.commands() == ["serve"] * 3
    assert run.info["config"]["cmd"] == "serve"
    assert run.roll["error"] == (
        "copy 0 is not ready after 60 s: the probe has not answered; the old configuration is back"
    )
    assert len([process for process in run.spawner.processes[:3] if process.alive]) == 2


def test_a_process_that_dies_at_once_ends_it_at_once(run):
    run.load(min_uptime=5)
    run.clock.advance(10)
    settle(run.manager)
    run.update(min_uptime=5)
    run.spawner.last.exit(1)
    settle(run.manager)
    assert run.commands() == ["serve"] * 3
    assert [process.alive for process in run.spawner.processes[:3]] == [True] * 3
    assert "copy 3 did not stay up: exited with code 1" in run.roll["error"]


def test_without_rollback_the_old_processes_stay_and_the_new_configuration_too(run):
    run.load(reload_rollback=False)
    run.gate.closed = True
    run.update(reload_rollback=False)
    run.clock.advance(200)
    settle(run.manager)
    assert run.commands() == ["serve"] * 3 and run.info["config"]["cmd"] == "serve -v"
    assert run.roll["error"].endswith("; the old processes stay")


def test_reload_and_rolling_restart_replace_without_another_configuration(run):
    run.load()
    for act in (run.manager.reload, lambda name: run.manager.restart_job(name, rolling=True)):
        old = {process.pid for process in run.spawner.alive}
        act("web")
        settle(run.manager)
        assert run.roll["done"] and len(run.spawner.alive) == 3
        assert not old & {process.pid for process in run.spawner.alive}
    assert min(run.watch.counts) == 3


def test_a_stop_ends_it(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.manager.stop_job("web")
    settle(run.manager)
    assert run.spawner.alive == [] and run.roll is None
    run.gate.closed = False
    run.manager.start_job("web")
    settle(run.manager)
    assert run.commands() == ["serve -v"] * 3


def test_another_update_overtakes_it(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.gate.closed = False
    run.update(cmd="serve -w")
    settle(run.manager)
    assert run.commands() == ["serve -w"] * 3 and run.roll["done"] and run.roll["error"] is None


def test_a_change_that_needs_no_new_processes_does_not_leave_the_reload_half_done(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.manager.set_ready(run.spawner.last.pid)
    settle(run.manager)
    run.gate.closed = False
    run.update(graceful_timeout=5.0)
    assert run.commands() == ["serve -v"] * 3 and run.roll["error"] is None


def test_a_failure_after_two_updates_goes_back_to_what_worked(run):
    run.load()
    run.gate.closed = True
    run.update(cmd="serve -v")
    run.update(cmd="serve -w")
    run.gate.closed = False
    run.clock.advance(200)
    settle(run.manager)
    assert run.commands() == ["serve"] * 3 and run.info["config"]["cmd"] == "serve"


def test_a_job_that_does_not_roll_any_more_is_replaced_at_once(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.gate.closed = False
    run.update(reload="replace")
    assert run.commands() == ["serve -v"] * 3 and run.roll is None


def test_a_plain_restart_ends_it_and_its_surplus(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.gate.closed = False
    run.manager.restart_job("web")
    settle(run.manager)
    assert run.commands() == ["serve -v"] * 3 and run.roll is None


def test_scaling_down_in_the_middle_is_no_failure(run):
    run.load()
    run.gate.closed = True
    run.update()
    run.manager.set_ready(run.spawner.last.pid)
    settle(run.manager)
    run.gate.closed = False
    run.manager.scale("web", "=0")
    settle(run.manager)
    run.clock.advance(200)
    settle(run.manager)
    assert run.commands() == [] and run.roll["error"] is None and run.info["config"]["cmd"] == "serve -v"


def test_fewer_processes_are_wanted_meanwhile(run):
    run.load()
    run.update(number=1)
    assert run.commands() == ["serve -v"]


def test_a_job_that_is_stopped_is_only_changed(run):
    run.load(start=False)
    run.update()
    assert run.spawner.processes == [] and run.roll is None


def test_a_signal_reloads_programs_that_can_do_it(run):
    run.load(reload_signal="HUP")
    before = run.spawner.alive
    for process in before:
        process.ignores = {signal.SIGHUP}
    run.manager.reload("web")
    settle(run.manager)
    assert run.spawner.alive == before
    assert [process.signals for process in before] == [[signal.SIGHUP]] * 3


def test_no_surge_and_none_unavailable_is_refused(run):
    with pytest.raises(InvalidConfig, match="leaves no way to replace a process"):
        run.load(max_surge=0)
