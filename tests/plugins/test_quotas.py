"""One session cannot take everything; the configuration can."""

from __future__ import annotations

import gevent
import pytest

import gaffer
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer_plugins import inijobs
from gaffer_plugins.quotas import OPTIONS, QuotasPlugin
from tests.kit.web import wait_until

SLEEP = {"cmd": "sleep 1000", "start": False}


@pytest.fixture
def start(tmp_path):
    started = []

    def settings(text):
        options = Options()
        QuotasPlugin().gaffer_add_options(options)
        (tmp_path / "g.ini").write_text(text)
        found = read_settings(str(tmp_path / "g.ini"), options, environ={})
        assert found.problems == []
        return found

    def start(text):
        manager = gaffer.Manager(plugins=[QuotasPlugin(), inijobs], settings=settings(text))
        manager.read = settings
        started.append(manager)
        manager.start()
        return manager

    yield start
    for manager in started:
        manager.stop()


def load(manager, name, **more):
    manager.load({"name": name, **SLEEP, **more})


def test_jobs_of_a_session_are_bounded(start):
    manager = start("[gaffer]\nmax_session_jobs = 2\n")
    load(manager, "a")
    load(manager, "b")
    with pytest.raises(gaffer.Veto, match="session default has 2 jobs, which is all that max_session_jobs allows"):
        load(manager, "c")
    load(manager, "other.c")
    manager.update({"name": "b", **SLEEP, "priority": 3})
    manager.unload("a")
    # What leaves counts until it has left.
    wait_until(lambda: len(manager.all_jobs()) == 2)
    load(manager, "c")


def test_processes_of_a_job_are_bounded(start):
    manager = start("[gaffer]\nmax_job_processes = 3\n")
    sentence = "job a may have at most 3 processes, not 4 .max_job_processes."
    with pytest.raises(gaffer.Veto, match=sentence):
        load(manager, "a", numprocesses=4)
    load(manager, "a", numprocesses=3)
    with pytest.raises(gaffer.Veto, match=sentence):
        manager.scale("a", "+1")
    with pytest.raises(gaffer.Veto, match=sentence):
        manager.update({"name": "a", **SLEEP, "numprocesses": 4})
    assert manager.scale("a", "-1") == 2 and manager.scale("a", "=3") == 3


def test_processes_of_a_session_are_bounded(start):
    manager = start("[gaffer]\nmax_session_processes = 5\n")
    load(manager, "a", numprocesses=3)
    load(manager, "x.a", numprocesses=5)
    sentence = "session default may have at most 5 processes, not 6 .max_session_processes."
    with pytest.raises(gaffer.Veto, match=sentence):
        load(manager, "b", numprocesses=3)
    load(manager, "b", numprocesses=2)
    with pytest.raises(gaffer.Veto, match=sentence):
        manager.scale("a", "+1")
    assert manager.scale("a", "=0") == 0 and manager.scale("b", "=5") == 5


def test_committed_processes_count(start):
    manager = start("[gaffer]\nmax_job_processes = 3\nmax_session_processes = 4\n")
    load(manager, "a", numprocesses=1)
    load(manager, "b", numprocesses=1)
    # All at once: none of them has a process yet when the next one is asked about.
    asked = [gevent.spawn(manager.commit, "a") for _ in range(9)]
    gevent.joinall(asked)
    pids = [one.value for one in asked if one.successful()]
    assert len(pids) == 2 and {str(one.exception) for one in asked if not one.successful()} == {
        "plugin quotas: job a may have at most 3 processes, not 4 (max_job_processes)"
    }
    with pytest.raises(gaffer.Veto, match="job a may have at most 3 processes, not 4"):
        manager.scale("a", "+1")
    for change in (lambda: manager.commit("b"), lambda: manager.scale("b", "+1"), lambda: load(manager, "c")):
        with pytest.raises(gaffer.Veto, match="session default may have at most 4 processes, not 5"):
            change()
    manager.stop_process(pids[0])
    wait_until(lambda: manager.info("a")["running_out"] == 1)
    assert manager.commit("b") in manager.running


def test_the_configuration_is_not_bounded_and_what_is_there_may_stay(start):
    jobs = "".join(f"[process:{name}]\ncmd = sleep 1000\nstart = false\nnumprocesses = 3\n" for name in "abc")
    manager = start(f"[gaffer]\nmax_session_jobs = 2\nmax_job_processes = 2\nmax_session_processes = 4\n{jobs}")
    assert len(manager.jobs()) == 3
    with pytest.raises(gaffer.Veto):
        load(manager, "d")
    with pytest.raises(gaffer.Veto):
        manager.scale("a", "+1")
    assert manager.scale("a", "-1") == 2
    manager.update({"name": "b", **SLEEP, "numprocesses": 3, "priority": 1})


def test_limits_are_reloaded(start):
    manager = start("[gaffer]\nmax_job_processes = 2\n")
    load(manager, "a", numprocesses=2)
    manager.reload_config(manager.read("[gaffer]\nmax_job_processes = 3\n"))
    manager.hooks.flush()
    assert manager.scale("a", "+1") == 3


def test_a_program_of_its_own_has_the_defaults():
    most = {name: default for name, default, _ in OPTIONS}["max_job_processes"]
    with gaffer.Manager(plugins=[QuotasPlugin()]) as manager:
        with pytest.raises(gaffer.Veto, match=f"may have at most {most} processes, not {most + 1}"):
            load(manager, "a", numprocesses=most + 1)
