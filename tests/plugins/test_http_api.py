"""The jobs API of docs/http-api.rst: jobs, lists and the node, with real processes behind them."""

from __future__ import annotations

import pytest

from gaffer.version import __version__
from tests.kit.jobs_api import OK, SLEEP, alive, info, load, wait_running
from tests.kit.web import request, wait_until

# -- lists --------------------------------------------------------------------------------------


def test_the_open_ones(api):
    assert api.get("/") == {"welcome": "gaffer", "version": __version__}
    assert api.get("/version") == {"name": "gaffer", "version": __version__}
    ping = api("GET", "/ping")
    assert (ping.status, ping.text, ping.headers["content-type"]) == (200, "OK", "text/plain; charset=utf-8")


def test_lists(api):
    assert api.get("/sessions") == {"sessions": []}
    assert api.get("/jobs") == {"jobs": []}
    assert api.get("/pids") == {"pids": []}
    load(api)
    load(api, session="shop", numprocesses=2)
    wait_running(api, 2, "shop/web")
    assert api.get("/sessions") == {"sessions": ["default", "shop"]}
    assert api.get("/jobs") == {"jobs": ["default.web", "shop.web"]}
    assert len(api.get("/pids")["pids"]) == 3
    assert api.get("/jobs/shop") == {"sessionid": "shop", "jobs": ["shop.web"]}
    api("GET", "/jobs/missing").assert_problem(404, "not_found")


# -- jobs ---------------------------------------------------------------------------------------


def test_a_job(api):
    load(api, numprocesses=2, env={"COLOUR": "rot"})
    job = wait_running(api, 2)
    assert job["name"] == "default.web" and job["active"] is True
    assert (job["running_out"], job["max_processes"], len(job["processes"])) == (0, 2, 2)
    assert job["state"] in ("starting", "running")
    assert job["config"]["cmd"] == SLEEP and job["config"]["env"] == {"COLOUR": "rot"}
    assert job["restarts"] == 0 and job["uptime"] >= 0 and {"last_exit", "retry_in"} <= set(job)
    head = api("HEAD", "/jobs/default/web")
    assert (head.status, head.body) == (200, b"")
    assert api.get("/jobs/default/web/pids") == {"pids": job["processes"]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("HEAD", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/stats"),
        ("GET", "/numprocesses"),
        ("POST", "/numprocesses"),
        ("POST", "/signal"),
        ("GET", "/state"),
        ("POST", "/state"),
        ("GET", "/pids"),
        ("POST", "/commit"),
        ("POST", "/restart"),
    ],
)
def test_a_job_that_is_not_there(api, method, path):
    bodies = {
        "/numprocesses": b'{"scale": 1}',
        "/signal": b'{"signal": 15}',
        "/state": b"1",
        "/commit": b"{}",
        "": b'{"cmd": "true"}',
    }
    body = bodies.get(path) if method in ("POST", "PUT") else None
    answer = api(method, f"/jobs/default/ghost{path}", body=body)
    assert answer.status == 404
    if method != "HEAD":
        answer.assert_problem(404, "not_found")
    assert api.get("/jobs") == {"jobs": []}


def test_loading_twice(api):
    load(api)
    api("POST", "/jobs/default", {"name": "web", "cmd": "true"}).assert_problem(409, "conflict")
    assert info(api)["config"]["cmd"] == SLEEP


def test_loading_without_start(api):
    load(api, start=False)
    job = info(api)
    assert (job["active"], job["state"], job["running"]) == (False, "stopped", 0)


@pytest.mark.parametrize("name", ["web", "shop.web", "shop:web", "shop/web"])
def test_every_spelling_of_the_name(api, name):
    load(api, name=name, session="shop", start=False)
    assert api.get("/jobs") == {"jobs": ["shop.web"]}


@pytest.mark.parametrize(
    ("session", "job", "status", "code", "says"),
    [
        ("default", {"name": "a"}, 422, "invalid_config", "cmd"),
        ("default", {"cmd": "true"}, 422, "invalid_config", "name"),
        ("default", {"name": "a", "cmd": "true", "numproceses": 2}, 422, "invalid_config", "numprocesses"),
        ("default", {"name": "a", "cmd": "true", "numprocesses": "two"}, 422, "invalid_config", "numprocesses"),
        ("default", {"name": "a", "cmd": "true", "numprocesses": -1}, 422, "invalid_config", "numprocesses"),
        ("default", {"name": "a", "cmd": 'echo "'}, 422, "invalid_config", "cmd"),
        ("default", {"name": "a", "cmd": "echo $NO_SUCH_VARIABLE"}, 422, "invalid_config", "NO_SUCH_VARIABLE"),
        ("default", {"name": "a", "cmd": "true", "uid": "no-such-user"}, 422, "invalid_config", "no-such-user"),
        ("default", {"name": 5, "cmd": "true"}, 422, "invalid_config", "name"),
        ("default", {"name": "a b", "cmd": "true"}, 422, "invalid_config", "a b"),
        ("default", {"name": "12", "cmd": "true"}, 422, "invalid_config", "12"),
        ("default", {"name": "shop.web", "cmd": "true"}, 400, "bad_request", "shop"),
        ("a b", {"name": "web", "cmd": "true"}, 400, "bad_request", "a b"),
        ("default", [], 400, "bad_request", "object"),
        ("default", "web", 400, "bad_request", "object"),
    ],
)
def test_jobs_that_cannot_be(api, session, job, status, code, says):
    answer = api("POST", f"/jobs/{session.replace(' ', '%20')}", job)
    assert says in answer.assert_problem(status, code)
    assert api.get("/jobs") == {"jobs": []}


def test_several_problems_at_once(api):
    answer = api("POST", "/jobs/default", {"name": "a", "cmd": "true", "numprocesses": -1, "umask": "999"})
    reason = answer.assert_problem(422, "invalid_config")
    assert "numprocesses" in reason and "umask" in reason


def test_update(api):
    load(api, numprocesses=2)
    before = wait_running(api, 2)["processes"]
    answer = api("PUT", "/jobs/default/web", {"name": "web", "cmd": "sleep 999"})
    assert (answer.status, answer.json) == (201, OK)
    wait_until(lambda: info(api)["running"] == 1 and not set(info(api)["processes"]) & set(before))
    assert info(api)["config"]["cmd"] == "sleep 999"


def test_update_keeps_the_job_up_or_down_unless_start_says_otherwise(api):
    load(api, start=False)
    assert api("PUT", "/jobs/default/web", {"cmd": "sleep 999"}).status == 201
    assert info(api)["active"] is False and info(api)["config"]["start"] is False
    assert api("PUT", "/jobs/default/web", {"cmd": "sleep 999", "start": True}).status == 201
    wait_running(api, 1)
    assert api("PUT", "/jobs/default/web", {"cmd": "sleep 998"}).status == 201
    assert info(api)["active"] is True
    assert api("PUT", "/jobs/default/web", {"cmd": "sleep 998", "start": False}).status == 201
    assert info(api)["active"] is False


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        ({"name": "other", "cmd": "true"}, 400, "bad_request"),
        ({"name": "shop.web", "cmd": "true"}, 400, "bad_request"),
        ({"name": "web"}, 422, "invalid_config"),
        ({"cmd": "true", "start": "yes"}, 422, "invalid_config"),
        ({"cmd": "true", "nonsense": 1}, 422, "invalid_config"),
    ],
)
def test_updates_that_cannot_be(api, job, status, code):
    load(api)
    before = info(api)["config"]
    api("PUT", "/jobs/default/web", job).assert_problem(status, code)
    assert info(api)["config"] == before and info(api)["active"]


def test_delete(api):
    load(api)
    (pid,) = wait_running(api, 1)["processes"]
    os_pid = api.get(f"/{pid}")["os_pid"]
    answer = api("DELETE", "/jobs/default/web")
    assert (answer.status, answer.json) == (200, OK)
    api("GET", "/jobs/default/web").assert_problem(404, "not_found")
    wait_until(lambda: not alive(os_pid))


# -- the node -----------------------------------------------------------------------------------


def test_plugins_and_health(api):
    (http,) = [plugin for plugin in api.get("/plugins")["plugins"] if plugin["name"] == "http"]
    assert http["state"] == "loaded" and "gaffer_routes" in http["hooks"]
    health = api.get("/health")
    assert health["ok"] is True and health["plugins"]["http"]["urls"] == api.http.urls


def test_reload_without_a_configuration(api):
    assert api("POST", "/reload").status == 200


def test_shutdown(api):
    load(api)
    (pid,) = wait_running(api, 1)["processes"]
    os_pid = api.get(f"/{pid}")["os_pid"]
    answer = api("POST", "/shutdown")
    assert (answer.status, answer.json) == (202, OK)
    assert api.manager.wait_stopped(10)
    assert not alive(os_pid)
    with pytest.raises(ConnectionRefusedError):
        request(api.address, "GET", "/ping")


@pytest.mark.parametrize("path", ["/jobs/default/web", "/jobs/default", "/1", "/shutdown", "/jobs/default/web/state"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_changes_nothing(api, path, method):
    load(api)
    moving = ("uptime", "uptimes", "state", "ready", "readiness")
    before = {key: value for key, value in wait_running(api, 1).items() if key not in moving}
    assert api(method, path).status in (200, 204, 404, 405)
    assert {key: value for key, value in info(api).items() if key not in moving} == before
    assert api.manager.state == "running"


def test_wrong_methods_say_which_are_right(api):
    load(api, start=False)
    for method, path, allow in [
        ("POST", "/jobs/default/web", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("DELETE", "/jobs/default", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/shutdown", "OPTIONS, POST"),
        ("PUT", "/12", "DELETE, GET, HEAD, OPTIONS"),
    ]:
        answer = api(method, path)
        answer.assert_problem(405, "method_not_allowed")
        assert answer.headers["allow"] == allow
        assert api("OPTIONS", path).headers["allow"] == allow


def test_name_of_a_job_in_its_path_may_have_its_session(api):
    load(api)
    assert api.get("/jobs/default/default.web")["config"]["name"] == "web"
