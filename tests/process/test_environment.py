"""The environment of a child: which of its sources win, and gaffer's own variables."""

import os

import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import SpawnError
from gaffer.process import environment
from gaffer.process.environment import OWN_VARIABLES, job_environment, process_environment


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    monkeypatch.setattr(environment, "inherited", lambda: {"A": "system", "B": "system", "GAFFER_ID": "outer.1"})


def job(**settings):
    return JobConfig("shop.web", "sleep 1", **{"os_env": False, **settings})


def test_later_sources_win(tmp_path):
    (tmp_path / "file").write_text("B=file\nC=file\n")
    config = job(os_env=True, env_file="file", cwd=str(tmp_path), env={"C": "env"})
    assert job_environment(config) == {"A": "system", "B": "file", "C": "env"}


def test_without_os_env_nothing_is_inherited():
    assert job_environment(job(env={"C": "env"})) == {"C": "env"}


def test_account_variables_come_with_a_user():
    env = job_environment(job(uid=os.getuid()))
    assert env.keys() == {"HOME", "USER", "LOGNAME"}


def test_missing_env_file_names_the_file(tmp_path):
    with pytest.raises(SpawnError, match="gone"):
        job_environment(job(env_file="gone", cwd=str(tmp_path)))


def test_own_variables_of_a_copy():
    env = process_environment(job(port=5000, env={"A": "1"}), 2, "node.7")
    assert env == {
        "GAFFER_ID": "node.7",
        "A": "1",
        "PS": "web.3",
        "PORT": "5002",
        "GAFFER_JOB": "shop.web",
        "GAFFER_INDEX": "2",
    }
    assert next(iter(env)) == "GAFFER_ID"


def test_committed_process_has_what_the_first_copy_has():
    env = process_environment(job(port=5000), -1, "node.7")
    assert (env["PORT"], env["PS"], env["GAFFER_INDEX"]) == ("5000", "web.1", "0")


def test_detached_process_is_marked():
    assert process_environment(job(detach=True), 0, "node.7")["GAFFER_DETACHED"] == "1"
    assert "GAFFER_DETACHED" not in process_environment(job(), 0, "node.7")


def test_env_wins_over_port_and_ps_and_extra_over_env():
    config = job(port=5000, env={"PORT": "1", "PS": "x", "A": "job"})
    env = process_environment(config, 1, "node.7", extra={"A": "extra"})
    assert (env["PORT"], env["PS"], env["A"]) == ("1", "x", "extra")


def test_no_job_can_set_the_id_by_which_a_process_is_found():
    env = process_environment(job(env={"GAFFER_ID": "x"}), 0, "node.7", extra={"GAFFER_ID": "y"})
    assert env["GAFFER_ID"] == "node.7"


def test_process_that_is_not_looked_for_has_no_id():
    assert "GAFFER_ID" not in process_environment(job(os_env=True), 0, None)


def test_shared_environment_of_a_job_is_not_changed():
    shared = {"A": "1"}
    assert process_environment(job(env={"A": "2"}), 0, "node.7", shared)["A"] == "1"
    assert shared == {"A": "1"}


def test_copy_beyond_the_last_port_is_an_error():
    with pytest.raises(SpawnError, match="copy 2 would get PORT 65536"):
        process_environment(job(port=65535), 1, "node.7")


def test_own_variables_are_those_that_every_process_may_get():
    env = process_environment(job(detach=True), 0, "node.7", committed=True)
    assert env.keys() == OWN_VARIABLES
