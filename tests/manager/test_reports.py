"""What a manager shows of jobs, statistics and health, on fake processes and a fake clock."""

import json
import signal

import pytest

import gaffer
from gaffer.errors import NotFound, Unavailable
from gaffer.testing import HookRecorder, settle


class Sampler:
    """A plugin that measures 10 % for process 1, 20 % for process 2, and so on; *gone* have ended meanwhile."""

    def __init__(self):
        self.gone, self.asked, self.children = set(), [], {}

    @gaffer.hookimpl
    def gaffer_sample(self, processes):
        self.asked.append([process.pid for process in processes])
        return {
            one.pid: {"cpu": 10 * one.pid, "mem": one.pid, "children": self.children.get(one.pid, [])}
            for one in processes
            if one.pid not in self.gone
        }


@pytest.fixture
def sampler():
    return Sampler()


@pytest.fixture
def manager(gaffer_manager, sampler):
    made = gaffer_manager(sampler)
    made.start()
    return made


def load(manager, name="web", **settings):
    manager.load(gaffer.JobConfig(name, "serve", **settings))
    settle(manager)


# -- jobs -----------------------------------------------------------------------------------------


def test_running_job_shows_its_processes_and_how_long_they_live(manager, gaffer_clock):
    load(manager, min_uptime=1.0)
    gaffer_clock.advance(5.0)
    manager.scale("web", "+1")
    settle(manager)
    gaffer_clock.advance(2.0)
    shown = manager.info("web")
    assert (shown["name"], shown["state"], shown["active"]) == ("default.web", "running", True)
    assert (shown["running"], shown["max_processes"], shown["processes"]) == (2, 2, [1, 2])
    assert (shown["uptime"], shown["uptimes"]) == (7.0, [7.0, 2.0])
    assert (shown["restarts"], shown["last_exit"], shown["retry_in"], shown["reason"]) == (0, None, None, None)
    assert shown["config"]["name"] == "web" and json.dumps(shown)


def test_job_that_waits_shows_why_and_how_long(manager, gaffer_spawner, gaffer_clock):
    load(manager, redirect_output=["out", "err"])
    gaffer_spawner.last.say(b"no database\n", "stderr")
    gaffer_spawner.last.exit(3)
    settle(manager)
    shown = manager.info("web")
    assert (shown["state"], shown["running"], shown["uptime"]) == ("backoff", 0, 0.0)
    assert shown["reason"] == "exited with code 3" and shown["stderr"] == ["no database"]
    assert (shown["last_exit"]["exit_status"], shown["last_exit"]["term_signal"]) == (3, 0)
    waits = shown["retry_in"]
    gaffer_clock.advance(waits / 2)
    assert manager.info("web")["retry_in"] == pytest.approx(waits / 2)


def test_stopping_job_shows_since_when_and_when_kill_comes(manager, gaffer_spawner, gaffer_clock, monkeypatch):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    load(manager, graceful_timeout=20.0)
    assert manager.info("web")["stopping"] is None
    monkeypatch.setattr("gaffer.manager.reports.time.time", lambda: 1000.0 + gaffer_clock())
    manager.stop_job("web")
    settle(manager)
    began = 1000.0 + gaffer_clock()
    gaffer_clock.advance(5.0)
    shown = manager.info("web")
    assert (shown["state"], shown["stopping"]) == ("stopping", {"since": began, "until": began + 20.0})
    gaffer_clock.advance(16.0)
    settle(manager)
    assert (manager.info("web")["state"], manager.info("web")["stopping"]) == ("stopped", None)


def test_committed_process_is_not_counted_among_the_wanted(manager):
    load(manager)
    manager.commit("web")
    shown = manager.info("web")
    assert (shown["running"], shown["running_out"], shown["max_processes"]) == (2, 1, 1)


# -- statistics -----------------------------------------------------------------------------------


def test_statistics_of_a_job_have_sums_and_extremes(manager):
    load(manager, numprocesses=3)
    shown = manager.stats("web")
    assert shown["name"] == "default.web" and [one["cpu"] for one in shown["stats"]] == [10, 20, 30]
    assert (shown["cpu"], shown["max_cpu"], shown["min_cpu"]) == (60, 30, 10)
    assert (shown["mem"], shown["max_mem"], shown["min_mem"]) == (6, 3, 1)


def test_statistics_of_a_job_count_descendants(manager, sampler):
    below = {"cpu": 1, "mem": 2, "children": [{"cpu": 100, "mem": 200, "children": []}]}
    sampler.children = {2: [below, {"cpu": 3, "mem": 5}]}
    load(manager, numprocesses=2)
    shown = manager.stats("web")
    assert [one["cpu"] for one in shown["stats"]] == [10, 20]
    assert (shown["cpu"], shown["max_cpu"], shown["min_cpu"]) == (134, 124, 10)
    assert (shown["mem"], shown["max_mem"], shown["min_mem"]) == (210, 209, 1)
    (job,) = manager.all_stats()
    assert (job["cpu"], job["mem"]) == (134, 210)


def test_statistics_of_all_jobs_are_one_question(manager, sampler):
    load(manager, "web", numprocesses=2)
    load(manager, "shop.db")
    load(manager, "idle", start=False)
    shown = {one["name"]: one["cpu"] for one in manager.all_stats()}
    assert shown == {"default.idle": 0, "default.web": 30, "shop.db": 30}
    assert [sorted(pids) for pids in sampler.asked] == [[1, 2, 3]]


def test_process_that_ended_while_it_was_measured_is_left_out(manager, sampler):
    load(manager, numprocesses=2)
    sampler.gone = {1}
    assert [one["cpu"] for one in manager.stats("web")["stats"]] == [20]
    assert manager.process_stats(2)["cpu"] == 20
    with pytest.raises(NotFound, match="process 1 has exited meanwhile"):
        manager.process_stats(1)


def test_statistics_without_a_plugin_that_measures_are_an_error(gaffer_manager):
    manager = gaffer_manager()
    manager.start()
    load(manager)
    for call in (lambda: manager.stats("web"), manager.all_stats, lambda: manager.process_stats(1)):
        with pytest.raises(Unavailable, match="load the plugin 'stats'"):
            call()


# -- health ---------------------------------------------------------------------------------------


def test_health_counts_jobs_and_names_those_in_trouble(manager, gaffer_spawner):
    load(manager, "web", numprocesses=2)
    load(manager, "bad")
    gaffer_spawner.last.exit(1)
    settle(manager)
    shown = manager.health()
    assert (shown["ok"], shown["state"], shown["jobs"], shown["processes"]) == (True, "running", 2, 2)
    assert shown["troubled"] == ["default.bad"] and shown["uptime"] >= 0 and json.dumps(shown)


def test_health_is_not_ok_unless_the_manager_runs(gaffer_manager):
    manager = gaffer_manager()
    assert not manager.health()["ok"]
    manager.start()
    assert manager.health()["ok"]
    manager.stop()
    assert not manager.health()["ok"]


@pytest.mark.parametrize(
    ("answer", "ok", "part"),
    [
        ({"ok": True, "queued": 3}, True, {"ok": True, "queued": 3}),
        ({"queued": 3}, True, {"ok": True, "queued": 3}),
        ({"ok": False, "reason": "disk full"}, False, {"ok": False, "reason": "disk full"}),
        (RuntimeError("broken"), False, {"ok": False, "reason": "RuntimeError: broken"}),
        (None, True, {}),
    ],
    ids=str,
)
def test_gaffer_health_of_a_plugin_decides(gaffer_manager, answer, ok, part):
    recorder = HookRecorder("gaffer_health")
    recorder.answers["gaffer_health"] = answer
    manager = gaffer_manager(recorder)
    manager.start()
    shown = manager.health()
    (report,) = [one for name, one in shown["plugins"].items() if "ecorder" in name] or [{}]
    assert shown["ok"] is ok and part.items() <= report.items()


def test_muted_plugin_is_not_ok(manager, monkeypatch):
    counters = {"mailer": {"dropped": 7, "muted": True}, "other": {"dropped": 0, "muted": False}}
    monkeypatch.setattr(manager.hooks, "counters", lambda: counters)
    shown = manager.health()
    assert not shown["ok"] and shown["plugins"]["mailer"] == {"dropped": 7, "muted": True, "ok": False}
    assert shown["plugins"]["other"]["ok"]
