"""Every limit of the HTTP server is an option, and does what it says."""

from __future__ import annotations

import dataclasses

import gevent
import pytest

import gaffer
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.web.requests.routes import Route
from gaffer.web.server.connection import ConnectionLimits
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.http.limits import MAX_BODY, ROWS, declare, make_limits, read
from tests.kit.web import connect, everything, parse, request, wait_until
from tests.kit.web_app import post


def settings(tmp_path, text):
    options = Options()
    declare(options)
    (tmp_path / "g.ini").write_text("[gaffer]\nbind = 127.0.0.1:0\n" + text)
    found = read_settings(str(tmp_path / "g.ini"), options, environ={})
    assert found.problems == []
    return found


def test_every_limit_has_an_option_with_the_same_default():
    assert {row.limit for row in ROWS} == {field.name for field in dataclasses.fields(ConnectionLimits)}
    assert make_limits(None) == ConnectionLimits()
    assert read(None, MAX_BODY) == 1 << 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.option)
def test_an_option_sets_its_limit(row, tmp_path):
    wanted = row.default + 1
    found = make_limits(settings(tmp_path, f"{row.option} = {wanted}\n"))
    assert found == dataclasses.replace(ConnectionLimits(), **{row.limit: wanted})


def test_a_command_that_does_not_end_is_waited_for_so_long(start_api, tmp_path):
    class Slow:
        @gaffer.hookimpl
        def gaffer_before_load(self, draft):
            gevent.sleep(30)

    found = settings(tmp_path, "http_request_timeout = 1\n")
    api = start_api(Slow(), http=HttpPlugin(), settings=found)
    reason = api("POST", "/jobs/default", {"name": "web", "cmd": "sleep 1"}).assert_problem(503, "unavailable")
    assert reason == "plugin Slow: it took longer than 1 s, and may still be going on"
    assert api.get("/jobs") == {"jobs": []}


def test_a_handler_of_a_plugin_is_waited_for_so_long(start_api, tmp_path):
    said = []

    class Slow:
        @gaffer.hookimpl
        def gaffer_routes(self, manager):
            return [Route("GET", "/slow", handler=self.answer, permission="read")]

        @gaffer.hookimpl
        def gaffer_command_run(self, command, error):
            if command == "GET /slow":
                said.append((error.status, str(error)))

        def answer(self, request):
            gevent.sleep(60)

    api = start_api(Slow(), http=HttpPlugin(), settings=settings(tmp_path, "http_request_timeout = 1\n"))
    reason = api("GET", "/slow").assert_problem(503, "unavailable")
    assert reason == "it took longer than 1 s, and may still be going on"
    assert "503" in api.described.document["paths"]["/slow"]["get"]["responses"]
    found = api.get("/health")["plugins"]["http"]
    assert (found["late_requests"], found["stuck_requests"]) == (1, 0)
    wait_until(lambda: said == [(503, reason)])


def test_they_hold_for_the_api(start_api, tmp_path):
    text = "http_max_peer_connections = 2\nhttp_body_timeout = 1\n"
    api = start_api(http=HttpPlugin(), settings=settings(tmp_path, text))
    slow = [connect(api.address) for _ in range(2)]
    for sock in slow:
        sock.sendall(post(b"/jobs/default", b"{}", b"Content-Type: application/json\r\nConnection: close\r\n")[:-1])
    # Until their heads are read they are idle ones, which a newcomer may replace.
    wait_until(lambda: sum(len(listener.bodies) for listener in api.http._server._listeners) == 2)
    request(api.address, "GET", "/health").assert_problem(503, "unavailable")
    for sock in slow:
        assert "longer than 1 s" in parse(everything(sock)).assert_problem(400, "bad_request")
        sock.close()
    wait_until(lambda: api.http._server.connections == 0)
    found = api.get("/health")["plugins"]["http"]
    assert found["refused_connections"] == 1 and found["websockets"] == found["refused_websockets"] == 0
