"""``/openapi.json`` and ``/docs``: all routes of all plugins are there, and every operation answers as it says."""

from __future__ import annotations

import jsonschema
import pytest

import gaffer
from gaffer.commands.identity import Identity
from gaffer.config.fields import Text
from gaffer.errors import Veto
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.requests.routes import Route
from gaffer_plugins import sites, stats
from gaffer_plugins.http import HttpPlugin
from tests.kit.api_schema import Described, described
from tests.kit.jobs_api import SLEEP, load, wait_running
from tests.kit.web import request, wait_until

JOB = "/jobs/{session}/{job}"
NEW = {"name": "new", "cmd": SLEEP, "start": False}
SCALE = {"scale": "+1"}
#: Every operation with a body and the status of success; where two things can be named, both are tried.
REQUESTS = [
    ("GET", "/", None, 200),
    ("GET", "/ping", None, 200),
    ("GET", "/version", None, 200),
    ("GET", "/openapi.json", None, 200),
    ("GET", "/docs", None, 200),
    ("GET", "/plugins", None, 200),
    ("GET", "/health", None, 200),
    ("POST", "/reload", None, 200),
    ("GET", "/sessions", None, 200),
    ("GET", "/jobs", None, 200),
    ("GET", "/pids", None, 200),
    ("GET", "/jobs/{session}", None, 200),
    ("GET", "/info", None, 200),
    ("GET", "/info?sessionid=default", None, 200),
    ("POST", "/jobs/{session}", NEW, 200),
    ("GET", JOB, None, 200),
    ("PUT", JOB, {"cmd": SLEEP}, 201),
    ("GET", f"{JOB}/stats", None, 200),
    ("GET", f"{JOB}/numprocesses", None, 200),
    ("POST", f"{JOB}/numprocesses", SCALE, 200),
    ("POST", f"{JOB}/signal", {"signal": "CONT"}, 202),
    ("GET", f"{JOB}/state", None, 200),
    ("POST", f"{JOB}/state", 1, 202),
    ("GET", f"{JOB}/pids", None, 200),
    ("GET", f"{JOB}/why", None, 200),
    ("POST", f"{JOB}/commit", {"env": {"A": "1"}, "graceful_timeout": 0.5}, 200),
    ("POST", f"{JOB}/commit", {}, 200),
    ("GET", "/{pid}", None, 200),
    ("GET", "/{pid}/stats", None, 200),
    ("POST", "/{pid}/signal", {"signal": 18}, 202),
    ("GET", "/processes", None, 200),
    ("GET", "/processes?running=true", None, 200),
    ("POST", "/processes", {**NEW, "name": "shop.other"}, 200),
    ("GET", "/processes/{name}", None, 200),
    ("GET", "/processes/{pid}", None, 200),
    ("PUT", "/processes/{name}", {"cmd": SLEEP}, 200),
    ("PUT", "/processes/{pid}", {"cmd": SLEEP}, 200),
    ("GET", "/processes/{name}/_pids", None, 200),
    ("POST", "/processes/{name}/_add", None, 200),
    ("POST", "/processes/{name}/_add/{count}", None, 200),
    ("POST", "/processes/{name}/_sub", None, 200),
    ("POST", "/processes/{name}/_sub/{count}", None, 200),
    ("POST", "/processes/{name}/_signal/{signal}", None, 200),
    ("POST", "/processes/{pid}/_signal/{signal}", None, 200),
    ("GET", "/status/{name}", None, 200),
    ("GET", "/groups", None, 200),
    ("GET", "/groups/{session}", None, 200),
    ("GET", "/stats", None, 200),
    ("GET", "/strays", None, 200),
    ("GET", "/stop_order", None, 200),
    ("GET", "/stats/{name}", None, 200),
    ("GET", "/stats/{name}/{pid}", None, 200),
    ("GET", "/_plugin/{site}", None, 302),
    ("GET", "/_plugin/{site}/", None, 200),
    ("GET", "/_plugin/{site}/{path}", None, 200),
    ("DELETE", "/{pid}", None, 202),
    ("DELETE", "/processes/{pid}", None, 200),
    ("POST", "/processes/{pid}/_stop", None, 200),
    ("POST", "/processes/{name}/_start", None, 200),
    ("POST", "/processes/{name}/_restart", None, 200),
    ("POST", f"{JOB}/restart", None, 202),
    ("POST", "/processes/{name}/_stop", None, 200),
    ("POST", "/groups/{session}/_start", None, 200),
    ("POST", "/groups/{session}/_restart", None, 200),
    ("POST", "/groups/{session}/_stop", None, 200),
    ("DELETE", "/processes/{name}", None, 200),
    ("DELETE", JOB, None, 200),
    ("DELETE", "/groups/{session}", None, 200),
    ("DELETE", "/strays", None, 200),
    ("POST", "/shutdown", None, 202),
]


def shown(api) -> Described:
    return described(api("GET", "/openapi.json").body)


@pytest.fixture
def full(start_api, tmp_path):
    """The API with all plugins that have routes, and a job with a process and one that failed."""
    (tmp_path / "index.html").write_text("hello")

    class Manual:
        @gaffer.hookimpl
        def gaffer_sites(self):
            return [gaffer.Site("manual", str(tmp_path))]

    api = start_api(stats, sites, Manual())
    load(api, numprocesses=8, env={"COLOUR": "rot"}, redirect_output=["out"])
    load(api, "broken", cmd="sh -c 'echo no >&2; exit 3'", flapping=[1, 5, 100, 1])
    wait_running(api, 8)
    wait_until(lambda: api.get("/jobs/default/broken")["last_exit"])
    return api


def test_every_operation_answers_as_described(full):
    """The answers are checked where they are made; here, that none is left out, on a job that is there each time."""
    places = {"session": "default", "count": 1, "signal": "CONT", "site": "manual", "path": "index.html"}
    named = {"name": "web", "job": "web"}
    asked, used = set(), set()
    for method, path, body, status in REQUESTS:
        if "web" not in full.get("/processes"):
            load(full)
        if "{pid}" in path:
            # One that was asked for before may be about to exit.
            wait_until(lambda: [pid for pid in full.get("/jobs/default/web/pids")["pids"] if pid not in used])
            places["pid"] = min(set(full.get("/jobs/default/web/pids")["pids"]) - used)
        if path.endswith("_stop") or method == "DELETE" and "{pid}" in path:
            used.add(places.get("pid"))
        url = path.format(**places, **named)
        answer = full(method, url) if body is None else full(method, url, body)
        assert answer.status == status, (method, url, answer)
        asked.add((method, full.described.path_of(url)))
        if method == "GET":
            head = full("HEAD", url)
            assert (head.status, head.body) == (status, b"")
            assert head.headers["content-length"] and head.headers.get("content-type") == answer.headers.get(
                "content-type"
            )
    assert asked == full.described.operations
    assert full.manager.wait_stopped(10)


def test_failed_jobs_are_described_too(full):
    """``last_exit``, ``retry_in``, ``reason`` and ``stderr`` have values here."""
    wait_until(lambda: full.get("/jobs/default/broken")["state"] == "flapping")
    broken = full.get("/jobs/default/broken")
    assert broken["last_exit"]["exit_code"] == 3 and broken["stderr"] == ["no"] and broken["retry_in"] > 0
    assert full.get("/health")["troubled"] == ["default.broken"]


def test_a_job_with_every_setting_is_described(start_api):
    """What can be set is in the description both ways."""
    api = start_api()
    described = shown(api)
    job = {
        "name": "web", "cmd": SLEEP, "args": "-x", "env": {"A": 1}, "env_file": None, "os_env": False, "uid": 0,
        "gid": "0", "cwd": "/", "detach": False, "shell": True, "numprocesses": 3, "start": False, "priority": 5,
        "flapping": [2, 1, 7, 5], "redirect_output": ["a", "b"], "redirect_input": True, "custom_streams": ["c"],
        "graceful_timeout": 1.5, "stop_signal": "int", "restart": "never", "exit_codes": [0, 3], "min_uptime": 0,
        "umask": "022", "port": 5100, "tty": False, "stdin": "open", "reload": "rolling", "backoff": [1, 2, 3],
        "essential": False,
        "max_surge": 2, "max_unavailable": 1, "reload_rollback": False, "reload_signal": "HUP",
    }  # fmt: skip
    assert set(job) == set(described.document["components"]["schemas"]["Job"]["properties"])
    described.validate(job, {"$ref": "#/components/schemas/Job"})
    assert api("POST", "/jobs/default", job).status == 200
    config = api.get("/jobs/default/web")["config"]
    assert config["flapping"]["attempts"] == 2 and config["umask"] == "022" and config["env"] == {"A": "1"}
    described.validate(config, {"$ref": "#/components/schemas/Job"})


# -- the document -------------------------------------------------------------------------------


def test_description_is_valid_openapi_3_1(full):
    definitions = pytest.importorskip("schemathesis.specs.openapi.definitions", reason="needs Python 3.11 or later")
    answer = full("GET", "/openapi.json")
    assert answer.json["openapi"] == "3.1.0"
    definitions.OPENAPI_31_VALIDATOR.validate(answer.json)


def parts(value):
    """Yield everything in a document."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def test_its_schemas_examples_and_references_hold(full):
    document = shown(full)
    examples = 0
    for part in parts(document.document):
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("schema"), dict):
            jsonschema.Draft202012Validator.check_schema(part["schema"])
        if isinstance(part.get("$ref"), str):
            assert document.resolved(part)
        if "example" in part and "schema" in part:
            document.validate(part["example"], part["schema"])
            examples += 1
    assert examples > 60


def test_operations_have_names_of_their_own(full):
    items = full.described.document["paths"].values()
    names = [operation["operationId"] for item in items for operation in item.values()]
    assert len(set(names)) == len(names)
    for item in items:
        for operation in item.values():
            assert operation["summary"] and not operation["summary"].endswith(".")
            assert all(one["description"] for one in operation["parameters"])
            assert operation["tags"][0] in ("Jobs", "Classic", "Node", "Sites")


def test_settings_and_routes_of_plugins_are_in_it(start_api):
    class Mailer:
        name = "mailer"

        @gaffer.hookimpl
        def gaffer_job_settings(self, fields):
            fields.add("mailer_to", Text(), help="who is told")

        @gaffer.hookimpl
        def gaffer_routes(self):
            return [Route("GET", "/mails/<box>", handler=lambda request, box: {"box": box}, permission="read")]

    api = start_api(Mailer())
    document = shown(api).document
    assert document["paths"]["/mails/{box}"]["get"]["tags"] == ["mailer"]
    for name in ("Job", "JobConfig"):
        assert "mailer_to" in document["components"]["schemas"][name]["properties"]
    load(api, start=False)
    assert api.get("/jobs/default/web")["config"]["mailer_to"] is None
    assert api("PUT", "/jobs/default/web", {"cmd": SLEEP, "mailer_to": "root"}).status == 201
    assert api.get("/processes/web")["mailer_to"] == "root" and api.get("/mails/in") == {"box": "in"}


def test_two_managers_describe_what_each_has(start_api):
    one, other = start_api(sites), start_api()
    assert (
        "/_plugin/{name}/" in shown(one).document["paths"] and "/_plugin/{name}/" not in shown(other).document["paths"]
    )


#: The identity of every caller, with or without a key.
CALLER = Identity("caller", trusted=True)


def test_keys_are_described_where_they_are_required(start_api):
    class Keys:
        @gaffer.hookimpl
        def gaffer_identify(self, credentials):
            return CALLER

    assert "securitySchemes" not in shown(start_api(Keys())).document["components"]
    http = HttpPlugin(["127.0.0.1:0"], AccessRules(keys=True))
    assert "securitySchemes" in shown(start_api(Keys(), http=http)).document["components"]


def test_refusals_of_plugins_are_described(start_api):
    class Strict:
        @gaffer.hookimpl
        def gaffer_before_scale(self):
            raise Veto("enough")

        @gaffer.hookimpl
        def gaffer_before_unload(self):
            raise Veto("stays")

        @gaffer.hookimpl
        def gaffer_before_load(self, previous):
            if previous is not None:
                raise Veto("as it is")

        @gaffer.hookimpl
        def gaffer_before_spawn(self):
            raise Veto("not now")

    api = start_api(Strict())
    load(api)
    for method, path, body in [
        ("PUT", "/jobs/default/web", {"cmd": "true"}),
        ("PUT", "/processes/web", {"cmd": "true"}),
        ("DELETE", "/jobs/default/web", None),
        ("DELETE", "/processes/web", None),
        ("DELETE", "/groups/default", None),
        ("POST", "/jobs/default/web/numprocesses", SCALE),
        ("POST", "/processes/web/_add", None),
        ("POST", "/processes/web/_sub/1", None),
        ("POST", "/jobs/default/web/commit", {}),
    ]:
        answer = api(method, path) if body is None else api(method, path, body)
        assert "plugin Strict" in answer.assert_problem(409, "conflict")


def test_errors_during_shutdown_are_described(start_api, tmp_path):
    api = start_api(stats)
    load(
        api,
        cmd=f"trap '' TERM; touch {tmp_path}/deaf; while true; do sleep 0.05; done",
        shell=True,
        graceful_timeout=0.5,
    )
    wait_until((tmp_path / "deaf").exists)
    api("POST", "/shutdown")
    wait_until(lambda: api.get("/health")["state"] == "stopping")
    for method, path, body in [
        ("POST", "/jobs/default", NEW),
        ("POST", "/processes", NEW),
        ("POST", "/jobs/default/web/state", 1),
        ("POST", "/processes/web/_start", None),
        ("POST", "/groups/default/_start", None),
        ("POST", "/jobs/default/web/commit", {}),
        ("POST", "/jobs/default/web/restart", None),
        ("POST", "/processes/web/_restart", None),
        ("POST", "/groups/default/_restart", None),
        ("PUT", "/jobs/default/web", {"cmd": SLEEP, "start": True}),
        ("PUT", "/processes/web", {"cmd": SLEEP, "start": True}),
    ]:
        answer = api(method, path) if body is None else api(method, path, body)
        answer.assert_problem(503, "unavailable")
    assert api.manager.wait_stopped(10)


# -- the page -----------------------------------------------------------------------------------


def test_the_page(full):
    page = full("GET", "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff" and page.headers["cache-control"] == "no-store"
    text = page.text
    for path in full.described.document["paths"]:
        assert f"<code>{path}</code>" in text


def test_both_are_made_once(full):
    one, other = (request(full.address, "GET", "/openapi.json") for _ in range(2))
    assert one.body == other.body
