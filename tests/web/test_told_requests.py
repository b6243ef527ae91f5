"""Every request for a command or a handler is told to plugins once (``gaffer_command_run``), however it ends."""

from __future__ import annotations

import json

import bottle
import pytest

import gaffer
from gaffer.commands.identity import Identity, Permissions
from gaffer.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    GafferError,
    InvalidConfig,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
)
from gaffer.testing import HookRecorder, settle
from gaffer.web.application import App
from gaffer.web.live.channel_session import ChannelSession
from gaffer.web.requests.routes import Route
from gaffer_plugins.auth import AuthPlugin
from gaffer_plugins.http import HttpPlugin, collect_routes
from tests.kit.accounts import Locked
from tests.kit.web import call, wait_until


class Keys:
    """Two keys: ``boss`` may do everything, ``guest`` may read."""

    known = {
        "boss": Identity("boss", permissions=Permissions(admin=True)),
        "guest": Identity("guest", permissions=Permissions(read=frozenset("*"))),
    }

    @gaffer.hookimpl
    def gaffer_identify(self, credentials):
        return self.known.get(credentials.key)

    @gaffer.hookimpl
    def gaffer_permit(self, identity, permission, resource):
        return identity.permissions.allows(permission, resource) or None


class OwnRoutes:
    """Handlers of a plugin's own, which fail in every way there is."""

    @gaffer.hookimpl
    def gaffer_routes(self):
        def fail(request, kind):
            if kind == "config":
                request.fields(["password"])
            raise {
                "missing": NotFound("no such thing"),
                "method": MethodNotAllowed("not so", ["GET"]),
                "often": TooManyRequests("too often", 8),
                "config": InvalidConfig(["cmd: needed", "password sesame-4711"]),
                "bottle": bottle.HTTPError(409, "it is there"),
                "fatal": SystemExit(),
            }[kind]

        def answer(request, status):
            if status:
                return bottle.HTTPResponse("not so", status)
            request.fields(["number"])

        return [
            Route("POST", "/fail/<kind>", handler=fail, permission="manage"),
            Route("GET", "/look/<kind>", handler=fail, permission="read"),
            Route("POST", "/answer/<status:int>", handler=answer, permission="manage"),
        ]


@pytest.fixture
def told():
    return HookRecorder("gaffer_command_run")


@pytest.fixture
def manager(gaffer_manager, told, tmp_path):
    made = gaffer_manager(HttpPlugin(), AuthPlugin(str(tmp_path / "auth.db")), Keys(), OwnRoutes(), told)
    made.access.strict = True
    made.load({"name": "web", "cmd": "serve"}, start=False)
    return made


@pytest.fixture
def ask(manager, told):
    """A function that makes a request; returns the status and all that plugins were told."""
    app = App(collect_routes(manager), manager.commands.perform, access=manager.access)

    def ask(method, path, body=None, key="boss", **environ):
        told.clear()
        status = call(app, method, path, body, HTTP_X_API_KEY=key, **environ).status
        settle(manager)
        return status, told.of("gaffer_command_run")

    return ask


JOB = "/jobs/default/web"
WEB = {"name": "default.web"}


@pytest.mark.parametrize(
    ("method", "path", "body", "command", "args", "error"),
    [
        ("POST", "/jobs/default", b"{", "load", {"sessionid": "default"}, BadRequest),
        ("POST", "/jobs/default", b"[]", "load", {"sessionid": "default", "body": []}, BadRequest),
        ("PUT", JOB, b'{"name": "db", "cmd": "x"}', "update", {**WEB, "body": {"name": "db", "cmd": "x"}}, BadRequest),
        ("POST", f"{JOB}/numprocesses", b'{"scal": 2}', "scale", {**WEB, "body": {"scal": 2}}, BadRequest),
        ("POST", f"{JOB}/state", b"7", "set_state", WEB, BadRequest),
        ("POST", f"{JOB}/commit", b'{"env": 5}', "commit", {**WEB, "env": 5}, BadRequest),
        ("POST", "/processes", b"", "load", {}, BadRequest),
        ("GET", "/processes?running=maybe", None, "processes", {}, BadRequest),
        ("GET", f"{JOB}/stats?feed=sometimes", None, "stats", WEB, BadRequest),
        ("GET", f"{JOB}/stats?feed=eventsource&interval=x", None, "stats", WEB, BadRequest),
        ("DELETE", "/jobs/default/none", None, "unload", {"name": "default.none"}, NotFound),
        ("DELETE", "/jobs/default/a.b", None, "unload", {"name": "default.a.b"}, BadRequest),
        ("POST", "/jobs/default", b'{"name": "web", "cmd": "x"}', "load", None, Conflict),
        ("POST", "/jobs/default", b'{"name": "x", "cmd": "x", "colour": 1}', "load", None, InvalidConfig),
        ("POST", "/keys", b"{", "POST /keys", {}, BadRequest),
        ("POST", "/keys", b'{"permission": {}}', "POST /keys", {"body": {"permission": {}}}, BadRequest),
        ("DELETE", "/keys/000000000000", None, "DELETE /keys/<id>", {"id": "000000000000"}, NotFound),
        ("POST", "/users", b'{"username": "x"}', "POST /users", {"body": {"username": "x"}}, BadRequest),
        ("POST", "/fail/missing", None, "POST /fail/<kind>", {"kind": "missing"}, NotFound),
        ("POST", "/fail/method", None, "POST /fail/<kind>", {"kind": "method"}, MethodNotAllowed),
        ("POST", "/fail/often", None, "POST /fail/<kind>", {"kind": "often"}, TooManyRequests),
        ("POST", "/fail/bottle", None, "POST /fail/<kind>", {"kind": "bottle"}, Conflict),
        ("POST", "/fail/fatal", None, "POST /fail/<kind>", {"kind": "fatal"}, GafferError),
        ("POST", "/answer/403", None, "POST /answer/<status:int>", {"status": 403}, Forbidden),
        ("POST", "/answer/418", None, "POST /answer/<status:int>", {"status": 418}, GafferError),
        ("POST", "/answer/0", b'"x"', "POST /answer/<status:int>", {"status": 0, "body": "1 characters"}, BadRequest),
    ],
)
def test_request_that_fails_is_told_once_with_an_error_of_its_class(ask, method, path, body, command, args, error):
    status, heard = ask(method, path, body)
    (one,) = heard
    assert one["command"] == command and type(one["error"]) is error
    assert args is None or one["args"] == args
    assert status == one["error"].status and one["identity"].name == "boss"


@pytest.mark.parametrize("key", ["guest", "stranger"])
@pytest.mark.parametrize(
    ("method", "path", "body", "command", "args"),
    [
        ("POST", "/jobs/default", b"{", "load", {"sessionid": "default"}),
        ("PUT", JOB, b"{", "update", WEB),
        ("POST", f"{JOB}/numprocesses", b"{", "scale", WEB),
        ("POST", f"{JOB}/state", b"7", "set_state", WEB),
        ("DELETE", JOB, None, "unload", WEB),
        ("POST", "/7/signal", b"{", "kill", {"pid": 7}),
        ("PUT", "/processes/web", b"{", "update", {"name": "web"}),
        ("POST", "/fail/missing", b"{", "POST /fail/<kind>", {"kind": "missing"}),
    ],
)
def test_permission_is_asked_before_the_body_is_parsed(ask, method, path, body, command, args, key):
    status, (one,) = ask(method, path, body, key)
    refused = Forbidden if key == "guest" else Unauthorized
    assert (status, type(one["error"])) == (refused.status, refused)
    assert (one["command"], one["args"]) == (command, args)


def test_refused_body_is_told(ask):
    status, (one,) = ask("POST", "/jobs/default", b"{}", CONTENT_TYPE="text/plain")
    assert (status, one["command"], type(one["error"])) == (415, "load", UnsupportedMediaType)
    status, (one,) = ask("POST", "/jobs/default", b"x" * (1 << 21))
    assert (status, one["command"], type(one["error"])) == (413, "load", TooLarge)


def test_what_went_well_is_told_once(ask):
    status, (one,) = ask("POST", f"{JOB}/numprocesses", b'{"scale": "=2"}')
    assert (status, one["command"], one["permission"]) == (200, "scale", "manage")
    assert (one["args"], one["error"]) == ({**WEB, "scale": "=2"}, None)
    status, (one,) = ask("POST", "/answer/204")
    assert (status, one["command"], one["error"]) == (204, "POST /answer/<status:int>", None)
    status, (one,) = ask("POST", "/answer/0", b'{"number": 1}')
    assert (one["args"], one["error"]) == ({"status": 0, "body": {"number": 1}}, None)


def test_what_a_handler_looked_for_in_vain_is_not_told(ask):
    assert ask("GET", "/look/missing") == (404, [])


def test_errors_keep_what_programs_read_of_them(ask):
    _, (one,) = ask("POST", "/fail/method")
    assert one["error"].allow == ("GET",)
    _, (one,) = ask("POST", "/fail/often")
    assert one["error"].headers == (("Retry-After", "8"),)


def test_no_part_of_an_error_holds_a_secret(ask):
    body = json.dumps({"password": "sesame-4711"}).encode()
    _, (one,) = ask("POST", "/fail/config", body)
    error = one["error"]
    assert type(error) is InvalidConfig and len(error.problems) == 2
    assert "sesame" not in repr((str(error), vars(error), error.args, one["args"]))


@pytest.mark.parametrize(
    "data",
    [
        {"name": "scale", "args": ["web", "+1", "more"]},
        {"name": "scale", "args": ["web"], "kwargs": {"name": "web"}},
        {"name": "scale", "args": {"name": "web"}},
        {"name": "scale", "kwargs": {"name": "web", "number": 1}},
        {"name": "scale", "kwargs": {"name": "web", "scale": []}},
    ],
)
def test_arguments_of_a_channel_that_cannot_be_are_told(manager, told, data):
    session = ChannelSession(manager, Keys.known["boss"])
    session.receive(json.dumps({"event": "CMD", "data": data}))
    session.close()
    settle(manager)
    (one,) = told.of("gaffer_command_run")
    assert (one["command"], type(one["error"])) == ("scale", BadRequest)


@pytest.mark.parametrize(
    ("path", "message", "route", "error"),
    [
        ("/channel/websocket", "AUTH:wrong", "GET /channel/websocket", Unauthorized),
        ("/channel/websocket", "hello", "GET /channel/websocket", Unauthorized),
        ("/{}/channel", "AUTH:wrong", "GET /<pid:int>/channel", Unauthorized),
        ("/{}/channel", "hello", "GET /<pid:int>/channel", Unauthorized),
        ("/{}/channel?mode=2", "AUTH:{}", "GET /<pid:int>/channel", Forbidden),
    ],
)
def test_socket_that_is_refused_by_its_first_message_is_told(node, path, message, route, error):
    told, pid, key = node
    told.clear()
    path = path.format(pid)
    with told.node.socket(path) as socket:
        socket.say(message.format(key))
        wait_until(lambda: [one for one in told.of("gaffer_command_run") if one["error"] is not None])
    (one,) = [one for one in told.of("gaffer_command_run") if one["error"] is not None]
    assert (one["command"], type(one["error"])) == (route, error)
    assert one["args"] == {"path": path.partition("?")[0]} and one["origin"].startswith("127.0.0.1:")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A real server with a process, and a key that may only read it."""
    told = HookRecorder("gaffer_command_run")
    told.node = made = Locked(tmp_path_factory.mktemp("node"), told)
    yield told, made.load("web"), made.key(read=["*"])
    made.stop()


def test_feed_is_told_once_however_often_it_measures(manager, told, monkeypatch):
    measured = []
    monkeypatch.setattr(
        "gaffer.manager.reports.Reports.stats", lambda self, jobs: [measured.append(1) or {"name": "x"}]
    )
    monkeypatch.setattr("gaffer.web.live.samples.SampleSource", lambda sampler, key, name, measure, interval: measure)
    monkeypatch.setattr("gaffer.web.live.feeds.follow", lambda request, measure, wish, media: measure() and measure())
    app = App(collect_routes(manager), manager.commands.perform, access=manager.access, sampler=object())
    told.clear()
    assert call(app, "GET", f"{JOB}/stats?feed=continuous", HTTP_X_API_KEY="boss").status == 200
    settle(manager)
    (one,) = told.of("gaffer_command_run")
    assert (one["command"], one["args"], one["error"], len(measured)) == ("stats", WEB, None, 3)
