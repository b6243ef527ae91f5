from __future__ import annotations

import json
import logging
import sys

import bottle
import gevent
import pytest
from gevent import monkey
from gevent.event import Event

from gaffer.errors import BadRequest, Conflict, InvalidConfig, MethodNotAllowed
from gaffer.web.application import App
from gaffer.web.requests.routes import Route
from tests.kit.web import call


def app(*routes, **options):
    return App([Route(permission=None, **route) for route in routes], **options)


def answering(result, **more):
    return app({"method": "GET", "path": "/x", "handler": lambda request: result, **more})


def echo(request):
    return {"got": request.json}


ECHO = {"method": "POST", "path": "/echo", "handler": echo}


@pytest.mark.parametrize("value", [{"a": [1, "ü", None]}, [], [1], True, 5, 1.5])
def test_data_is_json(value):
    answer = call(answering(value), "GET", "/x")
    assert answer.status == 200 and answer.json == value
    assert answer.headers["content-length"] == str(len(answer.body))


def test_json_is_utf8():
    assert "ü".encode() in call(answering({"name": "ü"}), "GET", "/x").body


def test_half_characters_of_file_names_can_be_shown():
    assert call(answering({"name": "\udcff"}), "GET", "/x").json == {"name": "\udcff"}


def test_text_bytes_and_nothing():
    assert call(answering("1"), "GET", "/x").headers["content-type"] == "text/plain; charset=utf-8"
    assert call(answering(b"\xff"), "GET", "/x").headers["content-type"] == "application/octet-stream"
    nothing = call(answering(None), "GET", "/x")
    assert (nothing.status, nothing.body) == (204, b"")


def test_declared_status():
    assert call(answering({"ok": True}, status=202), "GET", "/x").status == 202
    accepted = call(answering(None, status=202), "GET", "/x")
    assert (accepted.status, accepted.headers["content-length"]) == (202, "0")


def test_answers_are_neither_cached_nor_guessed():
    headers = call(answering({}), "GET", "/x").headers
    assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"


def test_bottle_responses():
    answer = call(answering(bottle.HTTPResponse("hé", 203, {"X-Mine": "1"})), "GET", "/x")
    assert (answer.status, answer.text, answer.headers["x-mine"]) == (203, "hé", "1")
    stream = call(answering(bottle.HTTPResponse(iter([b"a", b"b"]))), "GET", "/x")
    assert stream.body == b"ab" and "content-length" not in stream.headers


def test_bottle_errors_become_json():
    def handler(request):
        bottle.abort(409, "not now")

    answer = call(app({"method": "GET", "path": "/x", "handler": handler}), "GET", "/x")
    assert answer.assert_problem(409, "conflict") == "not now"


def test_parameters_reach_the_handler():
    calls = []

    def handler(request, **parameters):
        calls.append(parameters)
        return {}

    served = app(
        {"method": "GET", "path": "/jobs/<session>/<job>", "handler": handler},
        {"method": "GET", "path": "/<pid:int>", "handler": handler},
        {"method": "GET", "path": "/files/<path:path>", "handler": handler},
    )
    for path in ("/jobs/a/b", "/12", "/files/a/b/c", "/jobs/%C3%BC/%2B"):
        assert call(served, "GET", path).status == 200
    assert calls == [{"session": "a", "job": "b"}, {"pid": 12}, {"path": "a/b/c"}, {"session": "ü", "job": "+"}]


def test_commands_get_the_arguments_of_the_path():
    calls = []

    def run(name, arguments, identity):
        calls.append((name, arguments))
        return {"ok": True}

    routes = [
        Route("GET", "/jobs/<session>/<job>", command="info"),
        Route("GET", "/jobs/<session>", command="session_jobs"),
        Route("POST", "/<pid:int>/stop", command="stop_process", reply=lambda result: "done"),
        Route("POST", "/x", command="scale", arguments=lambda request, parameters: {"n": request.json}),
    ]
    served = App(routes, run)
    call(served, "GET", "/jobs/a/b")
    call(served, "GET", "/jobs/a")
    assert call(served, "POST", "/7/stop").text == "done"
    call(served, "POST", "/x", b"3")
    assert calls == [
        ("info", {"name": "a.b"}),
        ("session_jobs", {"sessionid": "a"}),
        ("stop_process", {"pid": 7}),
        ("scale", {"n": 3}),
    ]


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadRequest("bad"), 400, "bad_request"),
        (Conflict("there"), 409, "conflict"),
        (InvalidConfig(["one", "two"]), 422, "invalid_config"),
    ],
)
def test_errors_of_gaffer_keep_their_sentence(error, status, code):
    def handler(request):
        raise error

    answer = call(app({"method": "GET", "path": "/x", "handler": handler}), "GET", "/x")
    assert answer.assert_problem(status, code) == str(error)


def test_method_not_allowed_says_what_is():
    def handler(request):
        raise MethodNotAllowed("read only", ["GET", "HEAD"])

    answer = call(app({"method": "POST", "path": "/x", "handler": handler}), "POST", "/x")
    answer.assert_problem(405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "raised", [ZeroDivisionError("secret 42"), SystemExit(3), gevent.Timeout(1), KeyError("x"), AssertionError()]
)
def test_the_unexpected_is_logged_once_and_told_to_no_client(raised, caplog):
    def handler(request):
        raise raised

    with caplog.at_level(logging.DEBUG):
        answer = call(app({"method": "GET", "path": "/x", "handler": handler}), "GET", "/x")
    reason = answer.assert_problem(500, "error")
    assert "secret" not in answer.text and "Traceback" not in answer.text and "log" in reason
    assert len(caplog.records) == 1 and "GET /x failed" in caplog.text


def test_result_that_is_not_json_gets_500(caplog):
    call(answering({"x": float("nan")}), "GET", "/x").assert_problem(500, "error")
    call(answering({"x": object()}), "GET", "/x").assert_problem(500, "error")
    assert len(caplog.records) == 2


@pytest.mark.parametrize("path", ["/nothing", "/x/", "//x", "/X", "/jobs/../x"])
def test_unknown_urls_are_json(path):
    call(answering({}), "GET", path).assert_problem(404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "TRACE", "get", "BREW"])
def test_wrong_method(method):
    answer = call(answering({}), method, "/x")
    answer.assert_problem(405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_head_of_something_that_cannot_be_got():
    answer = call(app(ECHO), "HEAD", "/echo")
    assert (answer.status, answer.body, answer.headers["allow"]) == (405, b"", "OPTIONS, POST")


@pytest.mark.parametrize("path", ["/%00", "/x%00", "/%ff", "/a%0ab", "/%E2%80%AE"])
def test_paths_that_are_no_names(path):
    call(answering({}), "GET", path).assert_problem(400, "bad_request")


def test_path_that_is_too_long():
    call(answering({}), "GET", "/" + "a" * 5000).assert_problem(414, "uri_too_long")


def test_numbers_longer_than_python_reads():
    served = app({"method": "GET", "path": "/<pid:int>", "handler": lambda request, pid: {}})
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        call(served, "GET", "/" + "9" * 4000).assert_problem(400, "bad_request")
    finally:
        sys.set_int_max_str_digits(before)


# -- HEAD and OPTIONS ---------------------------------------------------------------------------


def test_head_is_get_without_the_body():
    answer = call(answering({"a": 1}), "HEAD", "/x")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "8")


def test_head_ends_a_stream():
    closed = []

    class Stream:
        def __iter__(self):
            raise AssertionError("it is not wanted")

        def close(self):
            closed.append(True)

    assert call(answering(bottle.HTTPResponse(Stream())), "HEAD", "/x").body == b""
    assert closed


def test_options_calls_nothing():
    def handler(request):
        raise AssertionError("called")

    served = app(
        {"method": "GET", "path": "/x", "handler": handler}, {"method": "DELETE", "path": "/x", "handler": handler}
    )
    answer = call(served, "OPTIONS", "/x")
    assert (answer.status, answer.body, answer.headers["allow"]) == (204, b"", "DELETE, GET, HEAD, OPTIONS")
    call(served, "OPTIONS", "/y").assert_problem(404, "not_found")
    assert call(served, "OPTIONS", "*").status == 204


# -- bodies -------------------------------------------------------------------------------------


def test_json_in():
    assert call(app(ECHO), "POST", "/echo", json.dumps({"a": "ü"}).encode()).json == {"got": {"a": "ü"}}


@pytest.mark.parametrize(
    "body", [b"{", b"nope", b'{"a":}', b"\xff", b"NaN", b"[Infinity]", b"[" * 100_000, b'"\\ud800"', b"1" * 5000]
)
def test_broken_json(body):
    call(app(ECHO), "POST", "/echo", body).assert_problem(400, "bad_request")


@pytest.mark.parametrize("body", [None, b"", b"  \n"])
def test_empty_body_where_json_is_due(body):
    assert "empty" in call(app(ECHO), "POST", "/echo", body).assert_problem(400, "bad_request")


def test_body_too_large():
    served = app(ECHO, max_body=10)
    assert call(served, "POST", "/echo", b'"12345678"').status == 200
    assert "10 bytes" in call(served, "POST", "/echo", b'"123456789"').assert_problem(413, "too_large")


def test_chunked_bodies_are_bounded_too():
    more = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    served = app(ECHO, max_body=10)
    call(served, "POST", "/echo", b'"123456789"', **more).assert_problem(413, "too_large")
    assert call(served, "POST", "/echo", b'"12345678"', **more).status == 200


def test_a_body_that_ends_early():
    call(app(ECHO), "POST", "/echo", b"{}", CONTENT_LENGTH="3").assert_problem(400, "bad_request")
    call(app(ECHO), "POST", "/echo", b"{}", CONTENT_LENGTH="x").assert_problem(400, "bad_request")


def test_a_client_that_leaves_in_the_middle():
    class Gone:
        def read(self, size):
            raise ConnectionResetError("gone")

    environ = {"CONTENT_LENGTH": "5", "wsgi.input": Gone()}
    call(app(ECHO), "POST", "/echo", b"", **environ).assert_problem(400, "bad_request")


def test_the_body_is_read_once():
    def handler(request):
        return [request.json, request.json]

    assert call(app({"method": "POST", "path": "/x", "handler": handler}), "POST", "/x", b"1").json == [1, 1]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_other_content_types_say_what_curl_needs(kind):
    answer = call(app(ECHO), "POST", "/echo", b"{}", CONTENT_TYPE=kind)
    reason = answer.assert_problem(415, "unsupported_media_type")
    assert "-H 'Content-Type: application/json'" in reason


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_content_types(kind):
    assert call(app(ECHO), "POST", "/echo", b"{}", CONTENT_TYPE=kind).status == 200


def test_raw_routes_take_anything():
    served = app({"method": "POST", "path": "/x", "handler": lambda request: request.read(), "raw": True})
    assert call(served, "POST", "/x", b"\xff\0", CONTENT_TYPE="application/x-www-form-urlencoded").body == b"\xff\0"


def test_no_body_needs_no_type():
    served = app({"method": "POST", "path": "/x", "handler": lambda request: {"ok": True}})
    assert call(served, "POST", "/x").json == {"ok": True}
    assert call(served, "POST", "/x", CONTENT_LENGTH="0").json == {"ok": True}


def fields(body, required=(), optional=()):
    route = {"method": "POST", "path": "/x", "handler": lambda request: request.fields(required, optional)}
    return call(app(route), "POST", "/x", body)


def test_fields():
    assert fields(b'{"a": 1}', ["a"], ["b"]).json == {"a": 1}
    assert fields(None, (), ["b"]).json == {}
    assert "missing" in fields(b"{}", ["scale"]).assert_problem(400, "bad_request")
    assert "did you mean 'scale'" in fields(b'{"scael": 1}', ["scale"]).assert_problem(400, "bad_request")
    assert "not an array" in fields(b"[]", ["scale"]).assert_problem(400, "bad_request")
    fields(None, ["scale"]).assert_problem(400, "bad_request")


# -- greenlets ----------------------------------------------------------------------------------


def test_greenlets_never_see_each_others_requests():
    """The point of not using bottle's globals: this process is not patched, so all greenlets share one thread."""
    assert not monkey.is_module_patched("threading")
    both = Event()
    waiting = []

    def handler(request, name):
        before = (request.path, request.query.q, request.json)
        waiting.append(name)
        if len(waiting) == 2:
            both.set()
        both.wait(5)
        return {"before": before, "after": (request.path, request.query.q, request.json)}

    served = app({"method": "POST", "path": "/<name>", "handler": handler})
    first = gevent.spawn(call, served, "POST", "/one?q=1", b'"a"')
    second = gevent.spawn(call, served, "POST", "/two?q=2", b'"b"')
    gevent.joinall([first, second], timeout=5)
    assert len(waiting) == 2
    assert first.value.json["before"] == first.value.json["after"] == ["/one", "1", "a"]
    assert second.value.json["before"] == second.value.json["after"] == ["/two", "2", "b"]
