"""Plans of starts: command, environment, and what a burst of them shares."""

import os

import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import SpawnError
from gaffer.supervisor import spawn_plan
from gaffer.supervisor.job import Copy, Job
from gaffer.supervisor.messages import Commit
from gaffer.supervisor.spawn_plan import Planner


def job(cmd="serve --port $PORT", **settings):
    return Job(JobConfig("shop.web", cmd, **{"port": 5000, **settings}))


@pytest.fixture
def planner(monkeypatch):
    monkeypatch.delenv("GAFFER_ID", raising=False)
    return Planner("node")


def test_plan_has_command_folder_index_and_pid(planner, tmp_path):
    plan = planner.plan(job(cwd=str(tmp_path)), Copy(1), 7)
    assert (plan.argv, plan.cwd, plan.index, plan.pid) == (["serve", "--port", "5001"], str(tmp_path), 1, 7)
    assert plan.env["GAFFER_ID"] == "node.7" and plan.env["GAFFER_JOB"] == "shop.web"


def test_id_is_chained_to_the_inherited_one(monkeypatch):
    monkeypatch.setenv("GAFFER_ID", "outer.3")
    assert Planner("node").plan(job(), Copy(0), 7).env["GAFFER_ID"] == "outer.3/node.7"


def test_environment_of_a_committed_process_wins(planner):
    committed = Copy(-1, committed=Commit(7, {"A": "2"}))
    plan = planner.plan(job(env={"A": "1"}), committed, 7)
    assert (plan.env["A"], plan.index) == ("2", -1)


def test_unknown_variable_is_an_error_that_names_it(planner):
    with pytest.raises(SpawnError, match=r"\$GONE"):
        planner.plan(job("serve $GONE"), Copy(0), 7)


@pytest.fixture
def made(monkeypatch):
    """Return the configurations whose environment was made."""
    configs, make = [], spawn_plan.job_environment

    def counted(config):
        configs.append(config)
        return make(config)

    monkeypatch.setattr(spawn_plan, "job_environment", counted)
    return configs


def test_environment_is_made_once_in_a_burst(planner, made):
    burst = job()
    plans = [planner.plan(burst, Copy(index), index + 1) for index in range(10)]
    assert made == [burst.config]
    plans[0].env["X"] = "a plugin's"
    assert "X" not in plans[1].env and "X" not in planner.plan(burst, Copy(0), 99).env


def test_environment_is_made_anew_after_the_burst(planner, made, monkeypatch):
    burst = job(os_env=True)
    planner.plan(burst, Copy(0), 1)
    monkeypatch.setitem(os.environ, "CHANGED", "yes")
    planner.forget()
    assert planner.plan(burst, Copy(0), 2).env["CHANGED"] == "yes"
    assert len(made) == 2


def test_new_configuration_gets_a_new_environment(planner, made):
    changed = job(env={"A": "1"})
    planner.plan(changed, Copy(0), 1)
    changed.config = changed.config.replace(env={"A": "2"})
    assert planner.plan(changed, Copy(0), 2).env["A"] == "2"


def test_committed_processes_have_numbers_and_ports_of_their_own(planner):
    web = job(numprocesses=2)
    found = []
    for pid in (7, 8):
        copy = Copy(-1, committed=Commit(pid, None))
        web.extras[pid] = copy
        env = planner.plan(web, copy, pid).env
        found.append((env["GAFFER_INDEX"], env["PORT"], env["GAFFER_COMMIT"]))
    assert found == [("2", "5002", "1"), ("3", "5003", "1")]
    del web.extras[7]
    copy = web.extras[9] = Copy(-1, committed=Commit(9, None))
    assert planner.plan(web, copy, 9).env["GAFFER_INDEX"] == "2"
    assert "GAFFER_COMMIT" not in planner.plan(web, Copy(0), 10).env


def test_inherited_mark_of_a_committed_process_is_not_passed_on(planner, monkeypatch):
    monkeypatch.setenv("GAFFER_COMMIT", "1")
    assert "GAFFER_COMMIT" not in planner.plan(job(), Copy(0), 7).env
