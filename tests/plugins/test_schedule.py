"""Scheduled jobs on fake processes and a clock of the test's own."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

import gaffer
from gaffer.errors import Conflict, InvalidConfig
from gaffer.testing import HookRecorder, settle
from gaffer_plugins.schedule.plugin import SchedulePlugin
from gaffer_plugins.schedule.timetable import next_run, read_every

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=BERLIN).timestamp()
FIELDS = {"timezone": "Europe/Berlin"}


class Clock:
    """Time of the machine."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def world(gaffer_manager, gaffer_spawner):
    class World:
        def __init__(self):
            self.clock, self.spawner = Clock(), gaffer_spawner
            self.plugin = SchedulePlugin(self.clock)
            self.recorder = HookRecorder("gaffer_event")
            self.manager = gaffer_manager(self.plugin, self.recorder)
            self.manager.start()

        def load(self, **settings):
            self.manager.load({"name": "backup", "cmd": "save", **settings})
            settle(self.manager)

        def pass_to(self, hour, minute=0, day=1):
            self.clock.now = datetime(2026, 6, day, hour, minute, tzinfo=BERLIN).timestamp()
            self.plugin._find().look()
            settle(self.manager)

        def end(self, code=0):
            self.spawner.alive[0].exit(code)
            settle(self.manager)

        @property
        def info(self):
            return self.manager.info("backup")

        @property
        def runs(self):
            return self.plugin._find().runs(self.manager.job("backup"))["runs"]

        def events(self):
            found = [call["event"]["event"] for call in self.recorder.of("gaffer_event")]
            return [event for event in found if event.startswith("schedule.")]

        def told(self, name):
            found = [call["event"] for call in self.recorder.of("gaffer_event")]
            return [event for event in found if event["event"] == f"schedule.{name}"]

    return World()


# -- times


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def due(after, **settings):
    manager = gaffer.Manager(plugins=[SchedulePlugin()])
    config = gaffer.JobConfig.from_dict({"name": "x", "cmd": "y", **FIELDS, **settings}, manager.job_fields)
    return datetime.fromtimestamp(next_run(config, after, NOON), BERLIN).isoformat()


@pytest.mark.parametrize(
    ("line", "after", "expected"),
    [
        ("0 3 * * *", "2026-06-01T12:00", "2026-06-02T03:00:00+02:00"),
        ("*/15 * * * *", "2026-06-01T12:01", "2026-06-01T12:15:00+02:00"),
        ("0 3 * * 1-5", "2026-06-05T12:00", "2026-06-08T03:00:00+02:00"),
        # An hour that does not exist, and one that exists twice.
        ("30 2 * * *", "2026-03-29T00:00", "2026-03-29T03:00:00+02:00"),
        ("30 2 * * *", "2026-10-25T00:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_times_of_cron(line, after, expected):
    assert due(at(after), schedule=line) == expected


def test_intervals_count_from_the_start(world):
    every = {"every": "15m", "timezone": None}
    assert due(NOON, **every) == "2026-06-01T12:15:00+02:00"
    assert due(NOON + 1000, **every) == "2026-06-01T12:30:00+02:00"
    assert [read_every(text) for text in ("1s", "15m", "2 h", "1d")] == [1, 900, 7200, 86_400]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule": "0 3 * *"}, "expected five words"),
        ({"schedule": "61 3 * * *"}, "is no schedule"),
        ({"schedule": "0 3 31 2 *"}, "0 3 31 2"),
        ({"every": "15"}, "expected a number of s, m, h or d, such as 15m"),
        ({"every": "0m"}, "expected a number"),
        ({"every": "9999d"}, "longer than 366 days"),
        ({"schedule": "0 3 * * *", "timezone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ({"schedule": "0 3 * * *", "timezone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"schedule": "0 3 * * *", "every": "1h"}, "leave one of them out"),
        ({"every": "1h", "timezone": "UTC"}, "it is for schedule"),
        ({"every": "1h", "numprocesses": 2}, "a run of a scheduled job is one process"),
        ({"every": "1h", "overlap": "never"}, "overlap"),
        ({"every": "1h", "jitter": -1}, "jitter"),
    ],
)
def test_what_cannot_be_meant_is_refused(world, settings, said):
    with pytest.raises(InvalidConfig, match=said.replace("*", r"\*")):
        world.load(**settings)
    assert not world.manager.jobs()


# -- runs


def test_a_scheduled_job_keeps_no_process_and_runs_at_its_times(world):
    world.load(schedule="0 15 * * *", **FIELDS)
    assert world.info["state"] == "waiting" and world.info["reason"].startswith("the next run is at 2026-06-01 1")
    assert world.spawner.alive == [] and world.info["plugins"]["schedule"]["last"] is None
    world.pass_to(14, 59)
    assert world.spawner.alive == []
    world.pass_to(15)
    assert len(world.spawner.alive) == 1
    world.end(3)
    (run,) = world.runs
    assert (run["status"], run["error"], run["seconds"]) == ("code 3", None, 0.0)
    assert world.info["plugins"]["schedule"]["next"] == at("2026-06-02T15:00")
    assert world.events() == ["schedule.run_started", "schedule.run_finished"]
    assert world.spawner.alive == []  # it is not started again


def test_output_of_a_run_is_remembered(world):
    world.load(schedule="0 15 * * *", redirect_output=["out"], **FIELDS)
    world.pass_to(15)
    world.spawner.last.say(b"".join(b"line %d\n" % number for number in range(20)), "out")
    world.end()
    assert world.runs[0]["lines"] == [f"line {number}" for number in range(10, 20)]


def test_a_run_that_overlaps_is_left_out(world):
    world.load(schedule="0 * * * *", **FIELDS)
    world.pass_to(13)
    world.pass_to(14)
    assert len(world.spawner.processes) == 1
    (missed,) = world.told("run_missed")
    assert missed["reason"] == "the run before it has not ended"
    world.end()
    world.pass_to(15)
    assert len(world.spawner.processes) == 2


def test_a_run_that_overlaps_waits_for_the_one_before(world):
    world.load(schedule="0 * * * *", overlap="queue", **FIELDS)
    for hour in (13, 14, 15):
        world.pass_to(hour)
    assert len(world.spawner.processes) == 1
    for started in (2, 3, 3):
        world.end()
        assert len(world.spawner.processes) == started
        if not world.spawner.alive:
            break
    assert not world.told("run_missed")


def test_a_run_that_overlaps_takes_the_place_of_the_one_before(world):
    world.load(schedule="0 * * * *", overlap="replace", **FIELDS)
    world.pass_to(13)
    world.pass_to(14)
    assert [process.alive for process in world.spawner.processes] == [False, True]


def test_a_time_that_passed_while_the_machine_slept(world):
    world.load(schedule="0 * * * *", **FIELDS)
    world.pass_to(18, 30)
    assert world.spawner.processes == [] and "the machine slept" in world.told("run_missed")[0]["reason"]
    world.manager.update({"name": "backup", "cmd": "save", "schedule": "0 * * * *", "catch_up": True, **FIELDS})
    settle(world.manager)
    world.pass_to(22, 30)
    assert len(world.spawner.processes) == 1


def test_runs_that_wait_are_not_stuck_when_a_start_fails(world):
    world.load(schedule="0 * * * *", overlap="queue", **FIELDS)
    for hour in (13, 14, 15):
        world.pass_to(hour)
    world.spawner.fail("no such program")
    world.end()
    assert [run["error"] is not None for run in world.runs] == [False, True, False]
    assert len(world.spawner.alive) == 1


def test_another_change_of_the_job_keeps_the_run_that_is_due(world, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    settings = {"name": "backup", "cmd": "save", "schedule": "0 15 * * *", "jitter": 600, **FIELDS}
    world.manager.load(settings)
    settle(world.manager)
    world.pass_to(15, 5)
    world.manager.update({**settings, "env": {"A": "1"}})
    settle(world.manager)
    world.pass_to(15, 10)
    assert len(world.spawner.processes) == 1


def test_a_stop_takes_back_a_run_that_has_just_come_due(world):
    world.load(schedule="0 15 * * *", **FIELDS)
    world.clock.now = at("2026-06-01T15:00")
    world.plugin._find().look()
    world.manager.stop_job("backup")
    settle(world.manager)
    assert world.spawner.alive == []


def test_health_counts_schedules_and_what_was_left_out(world):
    world.load(schedule="0 * * * *", **FIELDS)
    world.pass_to(13)
    world.pass_to(14)
    found = world.manager.health()["plugins"]["schedule.runs"]
    assert (found["schedules"], found["live"], found["missed"]) == (1, 1, 1)


def test_a_stop_switches_it_off_and_a_start_on(world):
    world.load(schedule="0 15 * * *", **FIELDS)
    world.manager.stop_job("backup")
    settle(world.manager)
    world.pass_to(15)
    assert world.spawner.processes == [] and world.info["plugins"]["schedule"]["next"] is None
    world.manager.start_job("backup")
    settle(world.manager)
    world.pass_to(15, day=2)
    assert len(world.spawner.processes) == 1


def test_a_run_can_be_asked_for(world):
    world.load(schedule="0 15 * * *", start=False, **FIELDS)
    pid = world.plugin._find().run(world.manager.job("backup"))
    assert world.spawner.last.pid == pid and len(world.spawner.alive) == 1


def test_a_run_that_cannot_be_started_is_told(world, caplog):
    world.load(schedule="0 15 * * *", **FIELDS)
    world.spawner.fail("no such program")
    world.pass_to(15)
    assert "no such program" in world.runs[0]["error"] and "a run could not be started" in caplog.text


def test_new_times_count_at_once(world):
    world.load(schedule="0 15 * * *", **FIELDS)
    world.manager.update({"name": "backup", "cmd": "save", "schedule": "0 13 * * *", **FIELDS})
    settle(world.manager)
    world.pass_to(13)
    assert len(world.spawner.processes) == 1
    world.end()
    world.manager.update({"name": "backup", "cmd": "save", "min_uptime": 0})
    settle(world.manager)
    assert world.info["running"] == 1 and world.info["state"] == "running"


def test_other_jobs_have_no_runs(world):
    world.load(schedule="0 15 * * *", **FIELDS)
    world.manager.load({"name": "web", "cmd": "serve"})
    with pytest.raises(Conflict, match="job web has no schedule"):
        world.plugin._find().run(world.manager.job("web"))
    settle(world.manager)
    assert world.manager.info("web")["running"] == 1
    assert "schedule" not in world.manager.info("web")["plugins"]


def test_a_clock_that_is_set_back_gives_new_times(world):
    world.clock.now = datetime(2030, 1, 1, 12, 0, tzinfo=BERLIN).timestamp()
    world.load(schedule="0 * * * *", **FIELDS)
    world.plugin._find().look()
    world.pass_to(12, 30)
    assert world.info["plugins"]["schedule"]["next"] == at("2026-06-01T13:00")
    world.pass_to(13)
    assert len(world.spawner.processes) == 1


def test_a_schedule_ends_the_process_that_ran_without_one(world):
    world.load()
    world.manager.update({"name": "backup", "cmd": "save", "schedule": "0 15 * * *", **FIELDS})
    settle(world.manager)
    assert (world.info["running"], world.info["state"]) == (0, "waiting")
    assert world.info["plugins"]["schedule"]["next"] == at("2026-06-01T15:00")


def test_the_zone_of_the_environment_counts(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert due(NOON, schedule="0 3 * * *", timezone=None) == "2026-06-01T20:00:00+02:00"


def test_jitter_is_within_its_bounds(world):
    world.load(schedule="0 15 * * *", jitter=600, **FIELDS)
    due = at("2026-06-01T15:00")
    assert due <= world.info["plugins"]["schedule"]["next"] <= due + 600


def test_without_a_scheduled_job_there_is_no_part_in_starts(gaffer_manager):
    plugin = SchedulePlugin()
    manager = gaffer_manager(plugin)
    manager.start()
    manager.load({"name": "web", "cmd": "serve"})
    assert plugin._find() is None and not manager.hooks.implemented("gaffer_before_spawn")
