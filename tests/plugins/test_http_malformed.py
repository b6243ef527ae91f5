"""Whatever comes over the wire: never a 5xx, never a traceback, and the next client is served."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gaffer
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.http.job_routes import ROUTES
from tests.kit.web import parse, talk
from tests.plugins.conftest import Api

HEAD = b"Host: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def node():
    """One manager for all of these; a job that is not running, so that nothing is started."""
    http = HttpPlugin(["127.0.0.1:0"])
    with gaffer.Manager(plugins=[http]) as manager:
        manager.load(gaffer.JobConfig("web", "sleep 1000", start=False))
        yield Api(manager, http)


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog, capfd):
    with caplog.at_level(logging.WARNING):
        yield
    assert not caplog.records
    assert capfd.readouterr().err == ""


def check(node, data):
    """Send *data*; every answer must be one of the documented kinds, and the server must go on."""
    answer = talk(node.address, data)
    if answer:
        first = parse(answer)
        # 503: no plugin collects statistics here.
        assert 200 <= first.status < 500 or first.status == 503 and b"/stats" in data, first
        if first.status >= 400 and first.body:
            assert set(json.loads(first.body)) == {"error", "reason", "errno"}
        assert b"Traceback" not in answer
    assert parse(talk(node.address, b"GET /ping HTTP/1.1\r\n" + HEAD + b"\r\n")).text == "OK"
    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"GET /jobs/default/web\x00 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /jobs/default/%00 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /jobs/%2e%2e/%2e%2e HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /jobs/../../etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /jobs/default/" + b"x" * 8000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /" + b"9" * 8000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /" + b"9" * 4000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /jobs/default/web?%ff=%00&a&&=; HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"POST /jobs/default HTTP/1.1\r\n" + HEAD + b'Content-Length: 5\r\n\r\n{"a"',
        b"POST /jobs/default HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 3\r\n\r\n{{{",
        b"POST /jobs/default HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST /jobs/default/web/state HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n\xff\xfe",
        b"POST /jobs/default/web/signal HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"DELETE /0 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"BREW /ping HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"GET /ping HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
    ],
)
def test_raw_requests(node, data):
    check(node, data)


def test_a_name_as_long_as_a_name_may_be(node):
    name = "x" * 129
    raw = b"GET /jobs/default/%s HTTP/1.1\r\n" % name.encode() + HEAD + b"\r\n"
    parse(talk(node.address, raw)).assert_problem(400, "bad_request")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
keys = ("name", "cmd", "scale", "signal", "numprocesses", "env", "args", "flapping", "graceful_timeout", "cwd", "uid")
#: Objects that look like what is expected, with anything for values. Nothing is ever started.
likely = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, json_values)).map(
    lambda found: {**found, "start": False} if {"name", "cmd"} & set(found) else found
)
bodies = st.none() | st.binary(max_size=40) | (likely | json_values).map(lambda value: json.dumps(value).encode())
#: Not those that start something or end the test.
routes = st.sampled_from(
    [route for route in ROUTES if route.command not in ("shutdown", "restart_job", "commit", "set_state")]
)
names = st.sampled_from(["default", "web", "1", "0", "-1", "a.b", "ü", "..", "\0"]) | st.text(max_size=8)
places = st.just(["default", "web"]) | st.lists(names, min_size=2, max_size=2)


def path_of(route, values):
    """Return the route's path with *values* for its parameters; a process' pid is the second one."""
    path = route.path.replace("<pid:int>", quote(values[1], safe="", errors="surrogatepass"))
    for name, value in zip(("<session>", "<job>"), values, strict=True):
        path = path.replace(name, quote(value, safe="", errors="surrogatepass"))
    return path


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(routes, places, bodies, st.sampled_from(["", "", "", "PUT", "HEAD", "OPTIONS"]))
def test_any_request_to_any_route(node, route, values, body, method):
    if "default.web" not in node.manager.jobs():
        node.manager.load(gaffer.JobConfig("web", "sleep 1000", start=False))
    method = method or route.method
    body = None if method == "HEAD" else body
    head = f"{method} {path_of(route, values)} HTTP/1.1\r\n".encode() + HEAD
    if body is not None:
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    check(node, head + b"\r\n" + (body or b""))
    assert node.manager.running == {}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_any_bytes(node, data):
    check(node, data)
    check(node, b"GET " + data + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
    check(node, b"POST /jobs/default HTTP/1.1\r\n" + HEAD + data + b"\r\n\r\n")
