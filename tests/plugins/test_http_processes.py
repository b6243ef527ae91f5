"""The jobs API of docs/http-api.rst: numbers, states, signals and processes."""

from __future__ import annotations

import signal

import pytest

from tests.kit.jobs_api import OK, alive, info, load, wait_running
from tests.kit.web import parse, talk, wait_until

# -- numbers ------------------------------------------------------------------------------------


def test_scale(api):
    load(api)
    assert api.get("/jobs/default/web/numprocesses") == {"numprocesses": 1}
    for wish, becomes in ((2, 3), ("+1", 4), ("-2", 2), (-1, 1), ("=3", 3), ("-99", 0), ("=1", 1), (0, 1)):
        answer = api("POST", "/jobs/default/web/numprocesses", {"scale": wish})
        assert (answer.status, answer.json) == (200, {"numprocesses": becomes}), wish
    wait_running(api, 1)


@pytest.mark.parametrize("body", [{"scale": "two"}, {"scale": 1.5}, {"scale": None}, {"scale": True}, {"scale": "=-1"}])
def test_numbers_that_are_none(api, body):
    load(api)
    api("POST", "/jobs/default/web/numprocesses", body).assert_problem(400, "bad_request")
    assert api.get("/jobs/default/web/numprocesses") == {"numprocesses": 1}


@pytest.mark.parametrize("path", ["/jobs/default", "/jobs/default/web/numprocesses", "/jobs/default/web/signal"])
@pytest.mark.parametrize("body", [None, b"", b"{", b"\xff", b"null", b"[]", b"{}", b'{"unknown": 1}'])
def test_bodies_that_are_not_what_is_due(api, path, body):
    load(api)
    before = info(api)["config"]
    answer = api("POST", path, body=body)
    assert answer.status in (400, 422)
    answer.assert_problem(answer.status, "bad_request" if answer.status == 400 else "invalid_config")
    assert info(api)["config"] == before and api.get("/jobs") == {"jobs": ["default.web"]}


# -- states -------------------------------------------------------------------------------------


def test_state(api):
    load(api)
    (first,) = wait_running(api, 1)["processes"]
    state = api("GET", "/jobs/default/web/state")
    assert (state.text, state.headers["content-type"]) == ("1", "text/plain; charset=utf-8")
    assert api("POST", "/jobs/default/web/state", body=b"0").status == 202
    assert api("GET", "/jobs/default/web/state").text == "0"
    wait_running(api, 0)
    assert api("POST", "/jobs/default/web/state", body=b" 1\n").status == 202
    (second,) = wait_running(api, 1)["processes"]
    assert api("POST", "/jobs/default/web/state", body=b"2").status == 202
    wait_until(lambda: info(api)["processes"] not in ([], [first], [second]))


def test_curl_may_send_the_state_as_it_is(api):
    load(api, start=False)
    raw = b"POST /jobs/default/web/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n"
    raw += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n1"
    assert parse(talk(api.address, raw)).status == 202
    wait_running(api, 1)


@pytest.mark.parametrize("body", [None, b"", b"3", b"-1", b"true", b"1 1", b"\xff\0"])
def test_states_that_are_none(api, body):
    load(api, start=False)
    api("POST", "/jobs/default/web/state", body=body).assert_problem(400, "bad_request")
    assert info(api)["active"] is False


def test_restart(api):
    load(api)
    (before,) = wait_running(api, 1)["processes"]
    answer = api("POST", "/jobs/default/web/restart")
    assert (answer.status, answer.json) == (202, OK)
    wait_until(lambda: info(api)["processes"] not in ([], [before]))


# -- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [9, "9", "KILL", "kill", "SIGKILL", "sigkill"])
def test_signal(api, name):
    load(api, numprocesses=2)
    before = wait_running(api, 2)["processes"]
    assert api("POST", "/jobs/default/web/signal", {"signal": name}).status == 202
    wait_until(lambda: len(set(info(api)["processes"]) - set(before)) == 2)


def test_a_signal_to_a_job_without_processes_reaches_none(api):
    load(api, start=False)
    assert api("POST", "/jobs/default/web/signal", {"signal": 15}).status == 202


@pytest.mark.parametrize("wrong", ["NOSUCH", 999, 0, -9, 1.5, True, [15], ""])
def test_signals_that_do_not_exist(api, wrong):
    load(api)
    pids = wait_running(api, 1)["processes"]
    api("POST", "/jobs/default/web/signal", {"signal": wrong}).assert_problem(400, "bad_request")
    api("POST", f"/{pids[0]}/signal", {"signal": wrong}).assert_problem(400, "bad_request")
    assert info(api)["processes"] == pids


# -- processes ----------------------------------------------------------------------------------


def test_a_process(api):
    load(api, cmd="sleep", args=["1000"], env={"COLOUR": "rot"})
    (pid,) = wait_running(api, 1)["processes"]
    process = api.get(f"/{pid}")
    assert set(process) >= {
        "pid", "os_pid", "name", "cmd", "args", "env", "uid", "gid", "create_time", "committed",
        "redirect_output", "redirect_input", "custom_streams", "active",
    }  # fmt: skip
    assert (process["pid"], process["name"]) == (pid, "default.web")
    assert (process["committed"], process["active"]) == (False, True)
    assert alive(process["os_pid"]) and process["env"]["COLOUR"] == "rot"
    assert api("HEAD", f"/{pid}").status == 200


def test_stopping_a_process_that_its_job_replaces(api):
    load(api)
    (pid,) = wait_running(api, 1)["processes"]
    answer = api("DELETE", f"/{pid}")
    assert (answer.status, answer.json) == (202, OK)
    wait_until(lambda: info(api)["processes"] not in ([], [pid]))
    api("GET", f"/{pid}").assert_problem(404, "not_found")


def test_a_signal_to_one_process(api):
    load(api, numprocesses=2)
    first, second = wait_running(api, 2)["processes"]
    assert api("POST", f"/{first}/signal", {"signal": int(signal.SIGKILL)}).status == 202
    wait_until(lambda: len(set(info(api)["processes"]) - {first, second}) == 1)
    assert second in info(api)["processes"]


@pytest.mark.parametrize("pid", ["0", "-1", "99", "9" * 30])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_processes_that_are_not_there(api, pid, method):
    assert api(method, f"/{pid}").status == 404
    api("GET", f"/{pid}/stats").assert_problem(404, "not_found")
    api("POST", f"/{pid}/signal", {"signal": 15}).assert_problem(404, "not_found")


def test_commit(api):
    load(api)
    wait_running(api, 1)
    answer = api("POST", "/jobs/default/web/commit")
    assert answer.status == 200 and set(answer.json) == {"pid"}
    wait_until(lambda: info(api)["running_out"] == 1)
    assert api.get(f"/{answer.json['pid']}")["committed"] is True
    assert api.get("/jobs/default/web/numprocesses") == {"numprocesses": 1}
    other = api("POST", "/jobs/default/web/commit", {"env": {"COLOUR": "blau"}, "graceful_timeout": 0.5}).json["pid"]
    assert api.get(f"/{other}")["env"]["COLOUR"] == "blau"


@pytest.mark.parametrize(
    "body",
    [
        {"env": []},
        {"env": {"A": None}},
        {"env": {"A=B": "1"}},
        {"env": {"A": "\0"}},
        {"graceful_timeout": "long"},
        {"graceful_timeout": -1},
        {"environment": {}},
        [1],
        "x",
    ],
)
def test_commits_that_cannot_be(api, body):
    load(api)
    wait_running(api, 1)
    api("POST", "/jobs/default/web/commit", body).assert_problem(400, "bad_request")
    assert info(api)["running_out"] == 0


def test_a_commit_that_cannot_be_says_what_is_wrong(api):
    load(api)
    wait_running(api, 1)
    for body in ({"graceful_timeout": -1}, {"env": {"A=B": "1"}}):
        answer = api("POST", "/jobs/default/web/commit", body)
        assert answer.json["reason"].startswith(f"{next(iter(body))}: "), answer.json


def test_statistics_need_a_plugin_that_collects_them(api):
    load(api)
    (pid,) = wait_running(api, 1)["processes"]
    api("GET", "/jobs/default/web/stats").assert_problem(503, "unavailable")
    api("GET", f"/{pid}/stats").assert_problem(503, "unavailable")


def test_statistics(start_api):
    from gaffer_plugins import stats

    api = start_api(stats)
    load(api)
    (pid,) = wait_running(api, 1)["processes"]
    found = api.get("/jobs/default/web/stats")
    assert set(found) == {"name", "stats", "cpu", "max_cpu", "min_cpu", "mem", "max_mem", "min_mem"}
    assert found["name"] == "default.web" and [one["pid"] for one in found["stats"]] == [pid]
    assert api.get(f"/{pid}/stats")["stats"]["pid"] == pid
