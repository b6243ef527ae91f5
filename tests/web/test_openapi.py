"""The description of an API, made from tables; whether answers keep to it is tested where they are given."""

from __future__ import annotations

import re

import pytest

from gaffer.commands.command import Arg
from gaffer.commands.schemas import definitions
from gaffer.commands.table import COMMANDS
from gaffer.config.jobconfig import CORE
from gaffer.web.openapi.openapi import DescriptionContext, describe
from gaffer.web.requests.routes import Route

SOURCE = DescriptionContext({command.name: command for command in COMMANDS}.__getitem__, definitions(CORE))


def handler(request):
    return None


def operation(*routes, source=SOURCE, **more):
    """Return the only operation of these routes and its path."""
    routes = routes or (Route("GET", "/x", handler=handler, permission="read", **more),)
    ((path, item),) = describe(routes, source)["paths"].items()
    (found,) = item.values()
    return path, found


def test_a_command_describes_its_route():
    path, found = operation(Route("GET", "/jobs/<session>/<job>/stats", command="stats", tag="Jobs"))
    assert path == "/jobs/{session}/{job}/stats"
    assert found["summary"] == "statistics of a job's processes, with their sums"
    assert (found["operationId"], found["tags"]) == ("get_jobs_session_job_stats", ["Jobs"])
    assert [(one["name"], one["in"], one["required"]) for one in found["parameters"]] == [
        ("session", "path", True),
        ("job", "path", True),
    ]
    assert list(found["responses"]) == ["200", "400", "403", "404", "414", "421", "431", "503"]
    content = found["responses"]["200"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/JobStats"}
    assert content["example"]["stats"][0]["os_pid"] == 4711
    assert found["x-permission"] == "read" and "security" not in found and "requestBody" not in found


def test_a_handler_describes_itself():
    deep = Arg("deep", {"type": "boolean"}, "all of it", required=False)
    path, found = operation(
        Route(
            "POST",
            "/files/<pid:int>/<path:path>",
            handler=handler,
            permission="manage",
            status=201,
            summary="write",
            parameters=(deep,),
            body={"type": "object", "examples": [{"a": 1}]},
            result={"type": "string", "examples": ["fine"]},
            media="text/plain",
            also=(409, 302),
        )
    )
    assert path == "/files/{pid}/{path}"
    assert [(one["name"], one["in"], one["schema"]["type"]) for one in found["parameters"]] == [
        ("pid", "path", "integer"),
        ("path", "path", "string"),
        ("deep", "query", "boolean"),
    ]
    assert found["requestBody"] == {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", "examples": [{"a": 1}]}, "example": {"a": 1}},
        },
    }
    assert sorted(found["responses"]) == [
        "201",
        "302",
        "400",
        "403",
        "404",
        "409",
        "413",
        "414",
        "415",
        "421",
        "431",
        "503",
    ]
    assert found["responses"]["201"]["content"]["text/plain"]["example"] == "fine"
    assert found["responses"]["302"] == {"description": "Found"}
    assert found["responses"]["409"] == {"$ref": "#/components/responses/conflict"}


@pytest.mark.parametrize("own", [{"maxLength": 9}, {"pattern": "^a$"}, {"enum": ["a"]}])
def test_description_excludes_invisible_characters_in_paths(own):
    place = Arg("id", {"type": "string", **own}, "its id")
    _, found = operation(Route("GET", "/x/<id>", handler=handler, permission="read", parameters=(place,)))
    (schema,) = [one["schema"] for one in found["parameters"]]
    pattern = re.compile(schema.get("pattern", "^a$"))
    assert (
        all(schema[name] == value for name, value in own.items())
        and pattern.search("a")
        and not pattern.search("a\u200b")
    )


def test_a_handler_that_says_nothing_may_answer_anything():
    _, found = operation()
    assert found["summary"] == "GET /x" and found["tags"] == ["other"]
    assert found["responses"]["200"]["content"] == {"application/json": {"schema": {}}}
    assert list(found["responses"]) == ["200", "400", "403", "414", "421", "431", "503"]


@pytest.mark.parametrize("status", [204, 302])
def test_answers_without_a_body(status):
    _, found = operation(status=status)
    assert "content" not in found["responses"][str(status)]


def test_a_body_made_of_arguments():
    _, found = operation(Route("POST", "/<pid:int>/signal", command="kill", body=("signal",)))
    schema = found["requestBody"]["content"]["application/json"]["schema"]
    assert list(schema["properties"]) == schema["required"] == ["signal"] and not schema["additionalProperties"]
    assert found["requestBody"]["required"]
    assert found["requestBody"]["content"]["application/json"]["example"] == {"signal": "TERM"}


def test_a_body_that_may_be_missing():
    _, found = operation(Route("POST", "/commit/<name>", command="commit", body=("graceful_timeout", "env")))
    assert not found["requestBody"]["required"]
    properties = found["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert properties["env"]["type"] == ["object", "null"] and properties["graceful_timeout"]["description"]


def test_a_body_that_is_one_argument_as_json_or_as_it_is():
    _, found = operation(Route("POST", "/state/<name>", command="set_state", body="state", raw=True))
    content = found["requestBody"]["content"]
    assert content["application/json"]["schema"]["enum"] == [0, 1, 2]
    assert content["text/plain"] == {"schema": {"type": "string", "enum": ["0", "1", "2"]}, "example": "0"}
    assert "415" not in found["responses"]


def test_a_name_and_a_pid_in_one_place_are_one_path():
    routes = [
        Route("GET", "/processes/<pid:int>", command="process_info", tag="a"),
        Route("GET", "/processes/<name>", command="info", tag="a"),
        Route("DELETE", "/processes/<name>", command="unload", tag="a"),
        Route("POST", "/processes/<pid:int>/_stop", command="stop_process", tag="a"),
    ]
    paths = describe(routes, SOURCE)["paths"]
    assert list(paths) == ["/processes/{name}", "/processes/{pid}/_stop"]
    both = paths["/processes/{name}"]["get"]
    assert both["summary"] == "a process; or a job with its state and its settings"
    (parameter,) = both["parameters"]
    assert parameter["name"] == "name"
    assert [one["type"] for one in parameter["schema"]["anyOf"]] == ["integer", "string"]
    assert both["responses"]["200"]["content"]["application/json"]["schema"] == {
        "anyOf": [{"$ref": "#/components/schemas/ProcessInfo"}, {"$ref": "#/components/schemas/JobInfo"}]
    }
    assert both["responses"]["404"] == {"$ref": "#/components/responses/not_found"}
    assert paths["/processes/{name}"]["delete"]["operationId"] == "delete_processes_name"


def test_two_of_one_path_keep_what_only_one_of_them_takes():
    long = Arg("long", {"type": "boolean"}, "more", required=False)
    routes = [
        Route("PUT", "/x/<pid:int>", command="update_of_process", body="config"),
        Route("PUT", "/x/<name>", handler=handler, permission="manage", parameters=(long,), media="text/plain"),
    ]
    both = describe(routes, SOURCE)["paths"]["/x/{name}"]["put"]
    assert [one["name"] for one in both["parameters"]] == ["name", "long"]
    assert "requestBody" in both and set(both["responses"]["200"]["content"]) == {"application/json", "text/plain"}


def test_keys_are_described_where_they_are_needed():
    locked = SOURCE._replace(keys=True)
    routes = [Route("GET", "/ping", command="ping"), Route("GET", "/jobs", command="jobs")]
    document = describe(routes, locked)
    ping, jobs = (document["paths"][path]["get"] for path in ("/ping", "/jobs"))
    assert ping["security"] == [{}] and "401" not in ping["responses"] and ping["x-permission"] == "everybody"
    assert jobs["security"] == [{"key": []}, {"bearer": []}] and "401" in jobs["responses"]
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-Api-Key"
    assert "securitySchemes" not in describe(routes, SOURCE)["components"]


def test_each_kind_of_error_is_described_once():
    responses = describe([], SOURCE)["components"]["responses"]
    for code, response in responses.items():
        example = response["content"]["application/json"]["example"]
        assert example["error"] == code and set(example) == {"error", "reason", "errno"}
    assert {one["content"]["application/json"]["example"]["errno"] for one in responses.values()} == {
        400, 401, 403, 404, 405, 409, 413, 414, 415, 421, 422, 429, 431, 503,
    }  # fmt: skip


def test_chapters_are_in_the_order_of_the_routes():
    routes = [
        Route("GET", "/b", command="ping", tag="Two"),
        Route("GET", "/a", command="ping", tag="One"),
        Route("GET", "/c", command="ping", tag="Two"),
    ]
    assert describe(routes, SOURCE)["tags"] == [{"name": "Two"}, {"name": "One"}]
