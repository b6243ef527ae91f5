"""The routes of gaffer 0.4 (docs/http-api.rst), with real processes behind them. Every answer is as described."""

from __future__ import annotations

import pytest

from gaffer_plugins import stats
from tests.kit.jobs_api import OK, SLEEP, alive, info, load, wait_running
from tests.kit.web import parse, talk, wait_until


def add(api, name="web", **settings):
    answer = api("POST", "/processes", {"name": name, "cmd": SLEEP, **settings})
    assert (answer.status, answer.json) == (200, OK)


def pids(api, name="web"):
    return api.get(f"/processes/{name}/_pids")["pids"]


def wait_pids(api, count, name="web"):
    wait_until(lambda: len(pids(api, name)) == count)
    return pids(api, name)


# -- templates ----------------------------------------------------------------------------------


def test_names_are_short_and_pids_on_request(api):
    assert api.get("/processes") == []
    add(api)
    add(api, "shop.web", numprocesses=2)
    wait_pids(api, 1), wait_pids(api, 2, "shop.web")
    assert api.get("/processes") == ["web", "shop.web"]
    for query in ("running=true", "running=1", "other=x&running=yes"):
        assert api.get(f"/processes?{query}") == api.get("/pids")["pids"]
    for query in ("running=false", "running=0", "other=x"):
        assert api.get(f"/processes?{query}") == ["web", "shop.web"]


@pytest.mark.parametrize("query", ["running=", "running=maybe", "running=%ff", "running=2"])
def test_a_query_that_says_nothing(api, query):
    assert "true or false" in api("GET", f"/processes?{query}").assert_problem(400, "bad_request")


def test_a_template(api):
    add(api, env={"COLOUR": "rot"}, numprocesses=0)
    template = api.get("/processes/web")
    assert template["name"] == "web"
    assert (template["cmd"], template["env"], template["numprocesses"]) == (SLEEP, {"COLOUR": "rot"}, 0)
    assert {"args", "uid", "gid", "cwd", "detach", "shell", "os_env"} <= set(template)
    assert api("HEAD", "/processes/web").status == 200
    assert {**info(api)["config"], "name": "web"} == template


@pytest.mark.parametrize("name", ["web", "default.web", "default:web", "default%2Eweb"])
def test_spellings_of_a_name_in_a_url(api, name):
    add(api, start=False)
    assert api.get(f"/processes/{name}")["name"] == "web"


@pytest.mark.parametrize("name", ["shop.web", "shop:web", "shop/web"])
def test_the_name_says_which_session(api, name):
    add(api, name, start=False)
    assert api.get("/jobs") == {"jobs": ["shop.web"]}
    assert api.get("/processes/shop.web")["name"] == "shop.web"
    assert info(api, "shop/web")["config"]["name"] == "web", "as gaffer 0.5 shows it: the session is in the path"


def test_adding_twice(api):
    add(api)
    api("POST", "/processes", {"name": "web", "cmd": "true"}).assert_problem(409, "conflict")
    assert api.get("/processes/web")["cmd"] == SLEEP


@pytest.mark.parametrize(
    ("job", "status", "code", "says"),
    [
        ({"cmd": "true"}, 422, "invalid_config", "name"),
        ({"name": "a"}, 422, "invalid_config", "cmd"),
        ({"name": "a", "cmd": "true", "numproceses": 1}, 422, "invalid_config", "numprocesses"),
        ({"name": "a", "cmd": "true", "custom_channels": [3]}, 422, "invalid_config", "Python only"),
        ({"name": "1", "cmd": "true"}, 422, "invalid_config", "digits"),
        ([], 400, "bad_request", "object"),
        (None, 400, "bad_request", "object"),
    ],
)
def test_templates_that_cannot_be(api, job, status, code, says):
    assert says in api("POST", "/processes", job).assert_problem(status, code)
    assert api.get("/processes") == []


def test_changing_a_template(api):
    add(api, numprocesses=2)
    before = wait_pids(api, 2)
    answer = api("PUT", "/processes/web", {"cmd": "sleep 999"})
    assert (answer.status, answer.json) == (200, OK)
    wait_until(lambda: len(pids(api)) == 1 and not set(pids(api)) & set(before))
    assert api("PUT", "/processes/web", {"name": "default.web", "cmd": "sleep 998", "start": False}).status == 200
    assert api.get("/status/web")["active"] is False
    assert api("PUT", "/processes/web", {"cmd": "sleep 997"}).status == 200
    assert api.get("/status/web")["active"] is False, "it stays down"


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        ({"name": "other", "cmd": "true"}, 400, "bad_request"),
        ({"name": "shop.web", "cmd": "true"}, 400, "bad_request"),
        ({"name": 5, "cmd": "true"}, 400, "bad_request"),
        ({}, 422, "invalid_config"),
        ({"cmd": "true", "start": "yes"}, 422, "invalid_config"),
        ({"cmd": "true", "custom_channels": [3]}, 422, "invalid_config"),
        ("web", 400, "bad_request"),
    ],
)
@pytest.mark.parametrize("by_pid", [False, True])
def test_changes_that_cannot_be(api, job, status, code, by_pid):
    add(api)
    (pid,) = wait_pids(api, 1)
    before = api.get("/processes/web")
    api("PUT", f"/processes/{pid if by_pid else 'web'}", job).assert_problem(status, code)
    assert api.get("/processes/web") == before and pids(api) == [pid]


def test_removing(api):
    add(api)
    (pid,) = wait_pids(api, 1)
    os_pid = api.get(f"/{pid}")["os_pid"]
    answer = api("DELETE", "/processes/web")
    assert (answer.status, answer.json) == (200, OK)
    assert api.get("/processes") == []
    wait_until(lambda: not alive(os_pid))


# -- operations ---------------------------------------------------------------------------------


def test_start_stop_and_restart(api):
    add(api, start=False)
    assert api.get("/status/web") == {"active": False, "running": 0, "max_processes": 1, "numprocesses": 1}
    assert api("POST", "/processes/web/_start").json == OK
    (first,) = wait_pids(api, 1)
    assert api("POST", "/processes/web/_restart").json == OK
    wait_until(lambda: pids(api) not in ([], [first]))
    assert api("POST", "/processes/web/_stop").json == OK
    wait_pids(api, 0)
    assert api.get("/status/web") == {"active": False, "running": 0, "max_processes": 1, "numprocesses": 1}


def test_add_and_sub(api):
    add(api)
    for path, becomes in (("_add", 2), ("_add/3", 5), ("_sub", 4), ("_sub/2", 2), ("_add/0", 2), ("_sub/99", 0)):
        answer = api("POST", f"/processes/web/{path}")
        assert (answer.status, answer.json) == (200, {"ok": True, "numprocesses": becomes}), path
    assert api.get("/status/web")["numprocesses"] == 0


@pytest.mark.parametrize("count", ["-1", "1000000000", "9" * 30])
def test_numbers_that_are_none(api, count):
    add(api, start=False)
    api("POST", f"/processes/web/_add/{count}").assert_problem(400, "bad_request")
    api("POST", f"/processes/web/_sub/{count}").assert_problem(400, "bad_request")
    assert api.get("/status/web")["numprocesses"] == 1


@pytest.mark.parametrize("count", ["x", "1.5", "1/2", "%20"])
def test_a_number_that_is_no_number_is_no_url(api, count):
    add(api, start=False)
    api("POST", f"/processes/web/_add/{count}").assert_problem(404, "not_found")


@pytest.mark.parametrize("name", ["9", "KILL", "sigkill"])
def test_signals(api, name):
    add(api)
    (first,) = wait_pids(api, 1)
    assert api("POST", f"/processes/web/_signal/{name}").status == 200
    wait_until(lambda: pids(api) not in ([], [first]))
    (second,) = pids(api)
    assert api("POST", f"/processes/{second}/_signal/{name}").json == OK
    wait_until(lambda: pids(api) not in ([], [second]))


@pytest.mark.parametrize("name", ["0", "99", "NOSUCH", "-9", "1.5"])
def test_signals_that_do_not_exist(api, name):
    add(api)
    (pid,) = wait_pids(api, 1)
    for target in ("web", pid):
        assert "no signal" in api("POST", f"/processes/{target}/_signal/{name}").assert_problem(400, "bad_request")
    assert pids(api) == [pid]


def test_curl_needs_no_header_without_a_body(api):
    add(api, start=False)
    raw = b"POST /processes/web/_start HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert parse(talk(api.address, raw)).json == OK
    wait_pids(api, 1)


# -- processes ----------------------------------------------------------------------------------


def test_a_process_shows_what_it_runs_with(api):
    add(api, env={"COLOUR": "rot"})
    (pid,) = wait_pids(api, 1)
    process = api.get(f"/processes/{pid}")
    assert (process["pid"], process["name"], process["cmd"]) == (pid, "web", SLEEP)
    assert process["numprocesses"] == 1 and process["env"] == {"COLOUR": "rot"} and alive(process["os_pid"])
    assert api("HEAD", f"/processes/{pid}").status == 200


def test_changing_the_job_of_a_process(api):
    add(api, "shop.web")
    (pid,) = wait_pids(api, 1, "shop.web")
    assert api("PUT", f"/processes/{pid}", {"name": "shop:web", "cmd": "sleep 999"}).json == OK
    wait_until(lambda: pids(api, "shop.web") not in ([], [pid]))
    assert api.get("/processes") == ["shop.web"] and api.get("/processes/shop.web")["cmd"] == "sleep 999"


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/_stop")])
def test_stopping_a_process_that_its_job_replaces(api, method, path):
    add(api)
    (pid,) = wait_pids(api, 1)
    answer = api(method, f"/processes/{pid}{path}")
    assert (answer.status, answer.json) == (200, OK)
    wait_until(lambda: pids(api) not in ([], [pid]))
    api("GET", f"/processes/{pid}").assert_problem(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/processes/{}"),
        ("HEAD", "/processes/{}"),
        ("PUT", "/processes/{}"),
        ("DELETE", "/processes/{}"),
        ("POST", "/processes/{}/_stop"),
        ("POST", "/processes/{}/_signal/15"),
        ("GET", "/stats/web/{}"),
    ],
)
@pytest.mark.parametrize("target", ["99", "0", "-1", "9" * 30])
def test_processes_that_are_not_there(api, method, path, target):
    add(api, start=False)
    answer = api(method, path.format(target), body=b'{"cmd": "true"}' if method == "PUT" else None)
    assert answer.status == 404
    if method != "HEAD":
        answer.assert_problem(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("HEAD", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/_pids"),
        ("POST", "/_start"),
        ("POST", "/_stop"),
        ("POST", "/_restart"),
        ("POST", "/_add"),
        ("POST", "/_sub/2"),
        ("POST", "/_signal/TERM"),
    ],
)
@pytest.mark.parametrize(("name", "status"), [("ghost", 404), ("nowhere.web", 404), ("a%20b", 400), ("a.b.c", 400)])
def test_jobs_that_are_not_there(api, method, path, name, status):
    add(api, start=False)
    answer = api(method, f"/processes/{name}{path}", body=b'{"cmd": "true"}' if method == "PUT" else None)
    assert answer.status == status
    assert api.get("/processes") == ["web"] and api.get("/status/web")["active"] is False


@pytest.mark.parametrize("path", ["/processes/web/_reload", "/processes/web/start", "/groups/default/_add", "/status"])
def test_operations_on_unknown_names_get_404(api, path):
    add(api, start=False)
    api("POST", path).assert_problem(404, "not_found")


# -- groups -------------------------------------------------------------------------------------


def test_groups_are_sessions(api):
    assert api.get("/groups") == []
    add(api, start=False)
    add(api, "shop.web", start=False)
    add(api, "shop.db", start=False)
    assert api.get("/groups") == ["default", "shop"]
    assert api.get("/groups/default") == ["web"] and api.get("/groups/shop") == ["shop.db", "shop.web"]


def test_operations_on_a_group(api):
    add(api)
    add(api, "shop.web", start=False)
    add(api, "shop.db", start=False)
    (other,) = wait_pids(api, 1)
    assert api("POST", "/groups/shop/_start").json == OK
    before = [*wait_pids(api, 1, "shop.web"), *wait_pids(api, 1, "shop.db")]
    assert api("POST", "/groups/shop/_restart").json == OK
    wait_until(lambda: pids(api, "shop.web") not in ([], before[:1]) and pids(api, "shop.db") not in ([], before[1:]))
    assert api("POST", "/groups/shop/_stop").json == OK
    wait_pids(api, 0, "shop.web"), wait_pids(api, 0, "shop.db")
    assert api("DELETE", "/groups/shop").json == OK
    assert api.get("/groups") == ["default"] and api.get("/processes") == ["web"] and pids(api) == [other]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("HEAD", ""), ("DELETE", ""), ("POST", "/_start"), ("POST", "/_stop"), ("POST", "/_restart")],
)
@pytest.mark.parametrize(("group", "status"), [("missing", 404), ("a%20b", 400), ("default.web", 400), ("7", 400)])
def test_groups_that_are_not_there(api, method, path, group, status):
    add(api, start=False)
    assert api(method, f"/groups/{group}{path}").status == status
    assert api.get("/processes") == ["web"] and api.get("/status/web")["active"] is False


# -- statistics ---------------------------------------------------------------------------------


def test_statistics(start_api):
    api = start_api(stats)
    add(api)
    add(api, "shop.web", numprocesses=2)
    (pid,), others = wait_pids(api, 1), wait_pids(api, 2, "shop.web")
    everything = api.get("/stats")
    assert [one["name"] for one in everything] == ["web", "shop.web"]
    assert [[process["pid"] for process in one["stats"]] for one in everything] == [[pid], others]
    one = api.get("/stats/web")
    assert one["name"] == "web" and [process["pid"] for process in one["stats"]] == [pid]
    assert api.get(f"/stats/web/{pid}")["pid"] == pid
    assert api.get("/stats/shop.web")["mem"] == sum(process["mem"] for process in api.get("/stats/shop.web")["stats"])


def test_statistics_of_nothing(start_api):
    api = start_api(stats)
    assert api.get("/stats") == []
    add(api, start=False)
    assert api.get("/stats/web")["stats"] == [] and api.get("/stats")[0]["max_cpu"] == 0


def test_statistics_of_a_process_of_another_job(start_api):
    api = start_api(stats)
    add(api)
    add(api, "other")
    (pid,) = wait_pids(api, 1)
    assert f"has no process {pid}" in api("GET", f"/stats/other/{pid}").assert_problem(404, "not_found")
    api("GET", f"/stats/ghost/{pid}").assert_problem(404, "not_found")


def test_statistics_need_a_plugin_that_collects_them(api):
    load(api)
    (pid,) = wait_running(api, 1)["processes"]
    for path in ("/stats", "/stats/web", f"/stats/web/{pid}"):
        api("GET", path).assert_problem(503, "unavailable")


def test_escaped_slash_in_a_name_separates_session_and_job(api):
    add(api, "shop/web", start=False)
    assert api.get("/processes/shop%2Fweb")["name"] == "shop.web"
    assert api.get("/processes/shop%2fweb/_pids")["pids"] == []
