"""``/info`` and ``/stats``: everything about many jobs in one answer, made piece by piece."""

from __future__ import annotations

import pytest

from gaffer.testing import HookRecorder, settle
from gaffer.web.application import App
from gaffer_plugins.http import gaffer04_routes, job_routes
from tests.kit.web import call

JOBS = [f"shop.job{number}" for number in range(9)]


@pytest.fixture
def manager(gaffer_manager):
    recorder = HookRecorder("gaffer_sample")
    recorder.answers["gaffer_sample"] = lambda manager, processes: {
        one.pid: {"pid": one.pid, "cpu": 1, "mem": 1} for one in processes
    }
    made = gaffer_manager(recorder)
    made.start()
    for name in ("web", *JOBS):
        made.load({"name": name, "cmd": "serve"})
    settle(made)
    return made


@pytest.fixture
def turns(monkeypatch):
    """What is called, and the times it was, where an answer gives way."""
    found = []
    monkeypatch.setattr("gaffer.events.time_slice.TimeSlice.give_way", lambda self: found.append(None))
    return found


@pytest.fixture
def get(manager):
    app = App([*job_routes.ROUTES, *gaffer04_routes.ROUTES], manager.commands.perform)
    return lambda path: call(app, "GET", path).json


def names(found):
    return [one["name"] for one in found]


def test_all_jobs_and_those_of_a_session(get):
    assert names(get("/info")["jobs"]) == ["default.web", *JOBS]
    assert names(get("/info?sessionid=shop")["jobs"]) == JOBS
    assert names(get("/stats?sessionid=shop")) == JOBS
    assert names(get("/stats")) == ["web", *JOBS]
    assert get("/info?sessionid=none") == {"jobs": []} and get("/stats?sessionid=none") == []


def test_answer_gives_way_after_each_job(get, turns):
    for path in ("/info", "/stats"):
        del turns[:]
        get(path)
        assert len(turns) == 10


def test_job_that_goes_while_the_answer_is_made_is_left_out(manager, get, monkeypatch):
    def give_way(self):
        if JOBS[5] in manager.jobs():
            manager.unload(JOBS[5])
            settle(manager)

    monkeypatch.setattr("gaffer.events.time_slice.TimeSlice.give_way", give_way)
    assert names(get("/info")["jobs"]) == ["default.web", *JOBS[:5], *JOBS[6:]]
