"""Kills, readiness that comes and goes, stops, scaling, updates and reloads of jobs that depend on each other.

Whatever happens: no start before its conditions hold, and no start that waits while they do.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import gaffer
from gaffer.testing import FakeClock, FakeSpawner, settle
from gaffer_plugins.depends import DependsPlugin

EXAMPLES, STEPS = 40, 40
#: Jobs that are named before those that may depend on them.
NAMES = [f"job{number}" for number in range(8)]
ONCE = "job0"  # runs to its end
JOBS = st.sampled_from(NAMES)
POLICIES = st.sampled_from(["keep", "restart", "stop"])


class Storm(RuleBasedStateMachine):
    """A manager on fakes, with a check of every start against the facts of that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.spawner = FakeSpawner(self.clock)
        self.wanted: dict[str, gaffer.JobConfig] = {}
        self.manager = gaffer.Manager(plugins=[DependsPlugin(self.clock), self])
        self.spawner.install(self.manager)
        self.launch = self.manager.engine.launch
        self.manager.engine.launch = self.checked_launch
        #: Conditions that did not hold when plugins were asked about a start, by its pid.
        self.unmet: dict[int, list[str]] = {}
        self.wrong: list[str] = []

    name = "storm"

    @gaffer.hookimpl
    def gaffer_load_jobs(self) -> list[gaffer.JobConfig]:
        return list(self.wanted.values())

    @gaffer.hookimpl
    def gaffer_before_spawn(self, job: Any, plan: Any) -> None:
        """Asked right before the plugin, so both see the same."""
        may_go_on = job.started and job.config.on_lost == "keep"
        self.unmet[plan.pid] = [one for one in job.config.depends_on if not may_go_on and not self.holds(one)]

    def checked_launch(self, loop: Any, config: gaffer.JobConfig, plan: Any, *args: Any) -> Any:
        self.wrong += [f"{config.name} before {one}" for one in self.unmet.pop(plan.pid, ())]
        return self.launch(loop, config, plan, *args)

    def holds(self, dependency: str) -> bool:
        """What docs/dependencies.rst says, from what a client sees."""
        name, _, condition = dependency.partition(":")
        if not self.loaded(name):
            return condition == "stopped" and not self.live(name)
        info = self.manager.info(name)
        if condition == "ready":
            return info["ready"] >= info["max_processes"] > 0
        if condition == "stopped":
            return not info["active"] and not info["running"]
        if condition == "completed":
            ended = not info["active"] and not info["running"] and info["state"] == "stopped"
            return ended and bool(self.manager.job(name).copies) and info["last_exit"]["exit_code"] == 0
        copies = self.manager.job(name).copies.values()
        started = [
            copy for copy in copies if copy.spawns and copy.state != "failed" and copy.index < info["max_processes"]
        ]
        return (info["active"] or ONCE == name) and len(started) >= info["max_processes"] > 0

    def config(self, data: Any, number: int) -> gaffer.JobConfig:
        name, needs = NAMES[number], []
        for other in data.draw(st.lists(st.sampled_from(NAMES[:number]), max_size=3)) if number else ():
            conditions = ["ready", "started", "stopped", *(["completed"] if other == ONCE else [])]
            needs.append(f"{other}:{data.draw(st.sampled_from(conditions))}")
        once = {"restart": "on-failure"} if name == ONCE else {}
        return gaffer.JobConfig(name, "serve", depends_on=needs, on_lost=data.draw(POLICIES), **once)

    @initialize(data=st.data())
    def begin(self, data: Any) -> None:
        self.wanted = {NAMES[number]: self.config(data, number) for number in range(len(NAMES))}
        self.manager.start()
        settle(self.manager)

    def loaded(self, name: str) -> bool:
        return f"default.{name}" in self.manager.jobs()

    def live(self, name: str) -> list[Any]:
        return [one for one in self.spawner.alive if one.config.job_name.job == name]

    @rule(name=JOBS, code=st.sampled_from([0, 1]))
    def exit(self, name: str, code: int) -> None:
        for process in self.live(name)[:1]:
            process.exit(code)

    @rule(name=JOBS, ready=st.booleans())
    def flap(self, name: str, ready: bool) -> None:
        for process in self.live(name):
            self.manager.set_ready(process.pid, ready, "a probe")

    @rule(seconds=st.sampled_from([0.5, 1.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(name=JOBS, what=st.sampled_from(["start_job", "stop_job", "restart_job", "stopall", "reload"]))
    def command(self, name: str, what: str) -> None:
        if self.loaded(name):
            getattr(self.manager, what)(name)

    @rule(names=st.lists(JOBS, min_size=2, max_size=4), what=st.sampled_from(["start_job", "stop_job"]))
    def several(self, names: list[str], what: str) -> None:
        for name in filter(self.loaded, names):
            getattr(self.manager, what)(name)

    @rule(name=st.sampled_from(NAMES[1:]), number=st.integers(1, 3))
    def scale(self, name: str, number: int) -> None:
        if self.loaded(name):
            self.manager.scale(name, f"={number}")

    @rule(name=JOBS)
    def unload(self, name: str) -> None:
        """It comes back with the next reload."""
        if self.loaded(name):
            self.manager.unload(name)

    @rule(data=st.data(), number=st.integers(1, len(NAMES) - 1))
    def reload_config(self, data: Any, number: int) -> None:
        self.wanted[NAMES[number]] = self.config(data, number)
        self.manager.reload_config()

    @invariant()
    def starts_wait_as_long_as_they_have_to(self) -> None:
        if self.manager.state != "running":
            return
        for _ in range(3):
            settle(self.manager)
        assert not self.wrong
        for name in filter(self.loaded, NAMES):
            job = self.manager.job(name)
            if any(copy.state == "held" for copy in job.copies.values()):
                unmet = [one for one in job.config.depends_on if not self.holds(one)]
                assert unmet, f"{name} waits: {job.reasons()}"

    def teardown(self) -> None:
        self.manager.halt()
        assert self.manager.wait_stopped(10)
        assert not self.manager.hooks.counters().get("depends.watch", {}).get("failures")


def test_a_storm_of_events_starts_nothing_early_and_leaves_nothing_waiting():
    quiet = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],  # to find a shorter one would take minutes
    )
    run_state_machine_as_test(Storm, settings=quiet)
