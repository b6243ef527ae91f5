"""What is wrong gets its JSON on every route: URL, method, type, size, JSON, depth; and what pages of others may do."""

from __future__ import annotations

import json
import re

import pytest

import gaffer
from gaffer.web.requests.access_rules import AccessRules
from gaffer_plugins.http import HttpPlugin, gaffer04_routes, job_routes
from tests.kit.web import parse, talk
from tests.plugins.conftest import Api

ROUTES = [*job_routes.ROUTES, *gaffer04_routes.ROUTES]
PAGE = "https://ui.example"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"]


def url_of(route):
    """Return the URL of a route with a job that is there; no process is."""
    values = {"session": "default", "job": "web", "name": "web", "pid": "1", "count": "1", "signal": "15"}
    return re.sub(r"<([a-z_]+)(?::\w+)?>", lambda found: values[found[1]], route.path)


URLS = sorted({url_of(route) for route in ROUTES})
each_url = pytest.mark.parametrize("url", URLS)
#: Those that take JSON.
WRITES = [route for route in ROUTES if route.body is not None and not route.raw]
each_write = pytest.mark.parametrize("route", WRITES, ids=str)


@pytest.fixture(scope="module")
def node():
    """One manager for all of these, with a job that does not run."""
    http = HttpPlugin(["127.0.0.1:0"], AccessRules(origins=(PAGE,)))
    with gaffer.Manager(plugins=[http]) as manager:
        manager.load(gaffer.JobConfig("web", "sleep 1000", start=False))
        yield Api(manager, http)


@pytest.fixture(autouse=True)
def nothing_happens(node):
    before = node.manager.info("web")
    yield
    assert node.manager.jobs() == ["default.web"] and node.manager.state == "running"
    assert node.manager.info("web") == before


def send(node, head, body=b""):
    """Send a request as it is; the length is added if there is a body."""
    if body:
        head += f"\r\nContent-Length: {len(body)}"
    return parse(talk(node.address, f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode() + body))


def allowed(url):
    """Return what works at *url* according to the tables."""
    methods = {route.method for route in ROUTES if url_of(route) == url}
    return sorted({*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))


# -- URL and method -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "url", ["/nothing", "/jobs/a/b/c", "/processes/", "//", "/jobs//web", "/Jobs", "/status", "/%F0%9F%92%A9", "/-"]
)
def test_unknown_urls(node, url, method):
    answer = node(method, url)
    assert answer.status == 404
    if method != "HEAD":
        assert answer.assert_problem(404, "not_found").startswith("there is nothing at ")


@each_url
def test_wrong_methods(node, url):
    for method in METHODS:
        if method not in allowed(url):
            answer = node(method, url)
            assert answer.status == 405 and answer.headers["allow"] == ", ".join(allowed(url))
            if method != "HEAD":
                answer.assert_problem(405, "method_not_allowed")


@each_url
def test_options(node, url):
    answer = node("OPTIONS", url)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["allow"] == ", ".join(allowed(url))
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("url", ["/nothing", "/jobs/a/b/c"])
def test_options_of_nothing(node, url):
    node("OPTIONS", url).assert_problem(404, "not_found")


def test_options_of_the_server(node):
    assert send(node, "OPTIONS * HTTP/1.1").headers["allow"] == "GET, HEAD, OPTIONS, POST, PUT, DELETE"


@pytest.mark.parametrize(
    ("url", "says"),
    [("/jobs/%00", "control"), ("/jobs/%0a", "control"), ("/%ff", "UTF-8")],
)
def test_urls_that_are_no_text(node, url, says):
    assert says in node("GET", url).assert_problem(400, "bad_request")


def test_url_that_is_too_long(node):
    assert "longer" in node("GET", "/" + "x" * 5000).assert_problem(414, "uri_too_long")


def test_escaped_slash_is_a_character_of_a_name(node):
    node("GET", "/jobs%2fdefault").assert_problem(404, "not_found")
    assert "session name 'default/ghost'" in node("GET", "/jobs/default%2fghost").assert_problem(400, "bad_request")


# -- bodies -------------------------------------------------------------------------------------


@each_write
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b"nul",
        b"{'name': 1}",
        b"[1,]",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'"\xff"',
        b'{"a": "\\ud800"}',
        b"\0",
    ],
)
def test_broken_json(node, route, body):
    node(route.method, url_of(route), body=body).assert_problem(400, "bad_request")


@each_write
@pytest.mark.parametrize("body", [b"[]", b"5", b"1.5", b'"text"', b"null", b"true", b"[{}]"])
def test_json_of_another_kind(node, route, body):
    assert "object" in node(route.method, url_of(route), body=body).assert_problem(400, "bad_request")


DEEP = [
    b"[" * 40 + b"]" * 40,
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b"[" * 100_000,
    b'{"name":' + b"[" * 500 + b"1" + b"]" * 500 + b"}",
]


@each_write
@pytest.mark.parametrize("body", DEEP, ids=["list", "object", "open", "inside"])
def test_json_inside_json(node, route, body):
    assert "nested more than 32" in node(route.method, url_of(route), body=body).assert_problem(400, "bad_request")


def test_json_as_deep_as_it_may_be(node):
    deepest = b"[" * 30 + b"1" + b"]" * 30
    body = b'{"name": "new", "cmd": "true", "args": [' + deepest + b"]}"
    node("POST", "/jobs/default", body=body).assert_problem(422, "invalid_config")


@each_write
def test_a_body_without_a_type(node, route):
    answer = send(node, f"{route.method} {url_of(route)} HTTP/1.1", b"{}")
    assert "-H 'Content-Type: application/json'" in answer.assert_problem(415, "unsupported_media_type")


FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize("route", [one for one in ROUTES if one.method != "GET" and not one.raw], ids=str)
def test_form_content_types_get_415(node, route):
    answer = send(node, f"{route.method} {url_of(route)} HTTP/1.1\r\n{FORM}", b'{"a": 1}')
    answer.assert_problem(415, "unsupported_media_type")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body is not None], ids=str)
def test_bodies_that_are_too_long(node, route):
    body = b'{"name": "new", "cmd": "' + b"x" * (1 << 20) + b'"}'
    reason = node(route.method, url_of(route), body=body).assert_problem(413, "too_large")
    assert "1048576 bytes" in reason


def test_a_megabyte_is_not_repeated(node):
    answer = node("POST", "/jobs/default", {"name": "new", "cmd": ["x" * 1_000_000]})
    assert len(answer.assert_problem(422, "invalid_config")) < 5000


@each_write
def test_bodies_that_end_early(node, route):
    head = f"{route.method} {url_of(route)} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100"
    answer = parse(talk(node.address, f"{head}\r\nHost: localhost\r\n\r\n".encode() + b'{"a"'))
    answer.assert_problem(400, "bad_request")


@pytest.mark.parametrize("setting", sorted(set(gaffer.JobConfig("a", "b").to_dict()) - {"name", "start"}))
@pytest.mark.parametrize("value", [{"a": []}, [[]], [None], 1e300, -1.5, "\0", True], ids=json.dumps)
def test_settings_of_another_type(node, setting, value):
    """One that happens to be of the right type is a setting like any other: the job is never made."""
    job = {"name": "1", "cmd": "true", setting: value}
    for method, url in [("POST", "/jobs/default"), ("POST", "/processes")]:
        node(method, url, job).assert_problem(422, "invalid_config")


# -- pages of others ----------------------------------------------------------------------------


@each_url
def test_pages_of_an_allowed_origin(node, url):
    for method in ("OPTIONS", "PATCH", "GET"):
        answer = send(node, f"{method} {url} HTTP/1.1\r\nOrigin: {PAGE}")
        assert answer.status != 403
        assert answer.headers["access-control-allow-origin"] == PAGE and answer.headers["vary"] == "Origin"


@each_url
def test_a_browser_asks_first(node, url):
    wishes = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type"
    answer = send(node, f"OPTIONS {url} HTTP/1.1\r\nOrigin: {PAGE}\r\n{wishes}")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert set(answer.headers["access-control-allow-methods"].split(", ")) >= {"GET", "HEAD", "POST", "PUT", "DELETE"}
    assert "Content-Type" in answer.headers["access-control-allow-headers"]
    for origin in ("https://evil.example", "null", f"{PAGE}.evil.example", f"{PAGE}:444"):
        refused = send(node, f"OPTIONS {url} HTTP/1.1\r\nOrigin: {origin}\r\n{wishes}")
        refused.assert_problem(403, "forbidden")
        assert not any(name.startswith("access-control") for name in refused.headers)


@each_url
def test_pages_of_others(node, url):
    for method in (*METHODS, "OPTIONS"):
        answer = send(node, f"{method} {url} HTTP/1.1\r\nOrigin: https://evil.example")
        assert answer.status == 403 and not any(name.startswith("access-control") for name in answer.headers)


@each_url
def test_names_of_other_machines(node, url):
    answer = parse(talk(node.address, f"GET {url} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode()))
    answer.assert_problem(421, "misdirected")
