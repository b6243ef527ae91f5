"""``/channel`` over SockJS with a real manager: conversations, keys, options, and clients that do everything wrong."""

from __future__ import annotations

import json
import os

import gevent
import pytest

import gaffer
from gaffer.commands.identity import Identity, Permissions
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.events.event_log import WAITING
from gaffer.web.requests.access_rules import AccessRules
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.sockjs import SockjsPlugin, limits
from gaffer_plugins.stats import StatsPlugin
from gaffer_plugins.streams import StreamsPlugin
from gaffer_plugins.websocket import WebsocketPlugin
from tests.commands.test_authorization import Keys
from tests.kit.feed_client import Reader
from tests.kit.web import connect, everything, parse, request, talk, wait_until
from tests.kit.websocket_client import BINARY, TEXT, Client, Frame, frame
from tests.web.sockjs.services import session


class Live:
    """A manager whose ``/channel`` is spoken to."""

    def __init__(self, manager, address, plugin):
        self.manager, self.address, self.plugin = manager, address, plugin

    @property
    def sessions(self):
        service = self.plugin._service.made
        return service.sessions if service is not None else ()

    def post(self, path, body=b"", **headers):
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", *lines]
        sock = connect(self.address)
        try:
            sock.sendall("\r\n".join([*head, "", ""]).encode() + body)
            return parse(everything(sock))
        finally:
            sock.close()

    def empty(self):
        """Whether nothing is left of any client."""
        return not self.manager.events._followers


@pytest.fixture
def start():
    """Return a function that starts a manager with these plugins and ``/channel``."""
    started = []

    def make(*plugins, settings=None, **rules):
        http, plugin = HttpPlugin(["127.0.0.1:0"], rules=AccessRules(**rules) if rules else None), SockjsPlugin()
        own = (http, StreamsPlugin(), StatsPlugin(), WebsocketPlugin(), plugin)
        manager = gaffer.Manager(plugins=[*own, *plugins], settings=settings)
        started.append(manager)
        manager.start()
        wait_until(lambda: http.serving)
        host, _, port = http.urls[0].removeprefix("http://").rpartition(":")
        return Live(manager, (host, int(port)), plugin)

    yield make
    for manager in started:
        manager.stop()


@pytest.fixture
def live(start):
    return start()


class Polling:
    """A client that polls."""

    def __init__(self, live, **headers):
        self.live, self.path, self.headers, self.seen = live, session("/channel"), headers, []
        self.frames = [self.poll()]

    def poll(self):
        answer = self.live.post(f"{self.path}/xhr", **self.headers)
        assert answer.status == 200, answer
        if "set-cookie" in answer.headers:
            self.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        return answer.text.rstrip("\n")

    def tell(self, event, **data):
        return self.send(json.dumps({"event": event, "data": data}))

    def send(self, *texts):
        return self.live.post(f"{self.path}/xhr_send", json.dumps(texts).encode(), **self.headers).status

    def until(self, wanted):
        """Return the first message for which *wanted* holds."""
        while True:
            for message in self.seen:
                if wanted(message):
                    self.seen.remove(message)
                    return message
            found = self.poll()
            assert found.startswith("a"), found
            self.seen += map(json.loads, json.loads(found[1:]))

    def command(self, name, *args):
        self.tell("CMD", identity=name, name=name, args=list(args))
        return self.until(lambda message: message["data"].get("id") == name)

    def subscribe(self, topic, **options):
        self.tell("SUB", topic=topic, **options)
        return self.until(lambda message: message.get("topic") == topic)

    def event(self, name):
        return self.until(lambda message: message["data"].get("event") == name)["data"]


def test_a_whole_conversation(live):
    client = Polling(live)
    assert client.frames == ["o"]
    assert client.subscribe("EVENTS:spawn")["event"] == "gaffer:subscription_success"
    config = {"name": "web", "cmd": "cat", "redirect_output": ["out"], "redirect_input": True, "restart": "never"}
    assert client.command("load", config)["event"] == "gaffer:command_success"
    pid = client.event("spawn")["pid"]
    client.subscribe(f"STREAM:{pid}.out")
    client.subscribe(f"STATS:{pid}", interval=0.1)
    assert client.command("send", pid, "né\u2028\n")["data"]["result"] == {"ok": True}
    assert client.event("stream")["data"] == "né\u2028\n"
    assert client.event("stats")["stats"]["pid"] == pid
    client.command("stop_job", "web")
    client.until(lambda message: message["data"] == {"event": "end", "topic": f"STATS:{pid}"})
    assert client.command("nothing")["event"] == "gaffer:command_error"
    assert client.send("garbage") == 204
    assert client.until(lambda message: message["event"] == "gaffer:error")["data"]["errno"] == 400


def test_a_session_that_is_given_up_leaves_nothing(start, tmp_path):
    live = start(settings=read(tmp_path, "sockjs_timeout = 0.1\n"))
    client = Polling(live)
    client.subscribe("EVENTS")
    assert not live.empty()
    wait_until(lambda: live.empty() and not len(live.sessions))
    assert client.tell("NOP") == 404 and client.poll() == "o"


def test_health_counts_sessions(start, tmp_path):
    live = start(settings=read(tmp_path, "sockjs_sessions = 2\n"))

    def health():
        return request(live.address, "GET", "/health").json["plugins"]["sockjs"]

    assert health() == {"ok": True, "sessions": 0, "refused": 0}
    clients = [Polling(live), Polling(live)]
    assert live.post(f"{session('/channel')}/xhr").status == 503
    assert health() == {"ok": True, "sessions": 2, "refused": 1} and clients[0].command("jobs")


def test_lost_events_are_counted(live):
    client = Polling(live)
    client.subscribe("EVENTS:spam")
    for _ in range(WAITING + 100):
        live.manager.events.record(["spam"], {})
    gap = client.until(lambda message: message["event"] == "gaffer:gap")
    assert gap["data"]["lost"] == 100


def test_a_client_that_does_not_read_answers_is_not_heard(start, tmp_path):
    live = start(settings=read(tmp_path, "sockjs_waiting = 4096\nsockjs_timeout = 0.3\n"))
    client = Polling(live)
    ask = json.dumps({"event": "CMD", "data": {"name": "info", "args": ["nothing"]}})
    # It waits until the session is given up.
    assert client.send(*[ask] * 100) == 204 and not len(live.sessions)


def test_the_stop_is_told(start):
    live = start()
    path = session("/channel")
    stream = Reader(live.address, f"{path}/xhr_streaming", "Content-Length: 0\r\n", "POST")
    ws = Client(live.address, f"{session('/channel')}/websocket")
    stream.until(b"o\n")
    assert ws.receive().data == b"o"
    waiting = Polling(live)
    stopping = gevent.spawn(live.manager.stop)
    assert stream.until(b'c[1001,"gaffer stops"]\n') and stream.rest() and stream.complete
    assert ws.leave().code == 1001
    stopping.get(timeout=10)
    assert not len(live.sessions) and live.empty() and waiting
    stream.close()
    ws.close()


# -- options ------------------------------------------------------------------------------------


def read(tmp_path, text):
    options = Options()
    SockjsPlugin().gaffer_add_options(options)
    path = tmp_path / "g.ini"
    path.write_text(f"[gaffer]\n{text}")
    return read_settings(str(path), options, {}, {})


def test_options(tmp_path):
    text = (
        "sockjs_heartbeat = 3\nsockjs_timeout = 4\nsockjs_response_limit = 5000\nsockjs_sessions = 6\n"
        "sockjs_cookies = true\nsockjs_websocket = false\nsockjs_client = /s.js\n"
    )
    settings = read(tmp_path, text)
    assert not settings.problems
    assert limits(settings) == (3.0, 4.0, 5000, 6, True, False, "/s.js")
    assert limits(None) == (25.0, 5.0, 131072, 1000, False, True, "")


@pytest.mark.parametrize("text", ["sockjs_heartbeat = 0", "sockjs_timeout = -1", "sockjs_response_limit = 0"])
def test_options_that_cannot_be_meant(tmp_path, text):
    (problem,) = read(tmp_path, f"{text}\n").problems
    assert problem.line == 2 and text.split()[0] in problem.message


def test_allowed_origins_may_frame_it(start, tmp_path):
    live = start(settings=read(tmp_path, "allowed_origins = https://Friend.example/\n"))
    policy = request(live.address, "GET", "/channel/iframe.html").headers["content-security-policy"]
    assert policy == "frame-ancestors 'self' https://friend.example"
    live.manager.settings = read(tmp_path, "")
    policy = request(live.address, "GET", "/channel/iframe.html").headers["content-security-policy"]
    assert policy == "frame-ancestors 'self'"


# -- keys ---------------------------------------------------------------------------------------


@pytest.fixture
def strict(start):
    keys = Keys(
        ada=Identity("ada", permissions=Permissions.parse({"admin": True})),
        bob=Identity("bob", permissions=Permissions.parse({"read": ["default"]})),
    )
    return start(keys, keys=True)


def test_the_key_may_come_first_of_all(strict):
    client = Polling(strict)
    assert client.send("AUTH:ada") == 204
    assert client.command("jobs")["data"]["result"] == {"jobs": []}


@pytest.mark.parametrize("first", ["AUTH:eve", '{"event": "CMD", "data": {"name": "jobs"}}'])
def test_nothing_is_done_for_who_has_none(strict, first):
    client = Polling(strict)
    client.send(first)
    assert client.until(lambda message: message["event"] == "gaffer:error")["data"]["errno"] == 401
    assert client.poll() == 'c[3000,"Go away!"]' == client.poll()
    assert client.send("AUTH:ada") == 404


def test_unauthenticated_sessions_do_not_block_others(start, tmp_path):
    keys = Keys(ada=Identity("ada", permissions=Permissions.parse({"admin": True})))
    live = start(keys, settings=read(tmp_path, "sockjs_sessions = 2\n"), keys=True)
    ada = Polling(live)
    ada.send("AUTH:ada")
    for _ in range(5):
        Polling(live)
    assert len(live.sessions) == 2 and ada.command("jobs")["event"] == "gaffer:command_success"


def test_a_key_in_the_header_counts_for_every_request(strict):
    client = Polling(strict, X_Api_Key="bob")
    assert client.command("start_job", "web")["data"]["error"]["errno"] in (403, 404)
    for headers in ({}, {"X_Api_Key": "ada"}, {"X_Api_Key": "eve"}):
        for name in ("xhr", "xhr_send"):
            assert strict.post(f"{client.path}/{name}", b'["x"]', **headers).status in (401, 403)
    assert client.command("jobs")["event"] == "gaffer:command_success"


def test_commands_say_where_they_come_from(start):
    told = []

    class Audit:
        @gaffer.hookimpl
        def gaffer_command_run(self, command, origin):
            told.append((command, origin))

    client = Polling(start(Audit()))
    client.command("jobs")
    wait_until(lambda: any(command == "jobs" for command, _ in told))
    (origin,) = [origin for command, origin in told if command == "jobs"]
    assert origin.startswith("127.0.0.1:") and origin.endswith(f" uid={os.geteuid()}")


def test_a_session_belongs_to_the_key_that_came_late(strict):
    client = Polling(strict)
    client.send("AUTH:ada")
    assert client.command("jobs")["event"] == "gaffer:command_success"
    for name in ("xhr", "xhr_send"):
        answer = strict.post(f"{client.path}/{name}", b'["x"]', X_Api_Key="bob")
        assert answer.status == 403 and b"another key" in answer.body
    # Its own client has no header to show a key in; one that has may.
    assert client.command("jobs")["event"] == "gaffer:command_success"
    assert strict.post(f"{client.path}/xhr_send", b"[]", X_Api_Key="ada").status == 204


def test_a_key_that_ends_ends_the_session(start):
    bob = Identity("bob", permissions=Permissions.parse({"read": ["*"]}))
    live = start(Keys(bob=bob), keys=True)
    client = Polling(live, X_Api_Key="bob")
    client.subscribe("EVENTS")
    other = Polling(live)
    other.send("AUTH:bob")
    other.subscribe("EVENTS")
    bob.end()
    assert other.until(lambda message: message["event"] == "gaffer:error")["data"]["errno"] == 401
    assert other.poll() == 'c[3000,"Go away!"]'
    assert live.post(f"{client.path}/xhr", X_Api_Key="bob").status == 401 and live.empty()


# -- everything wrong ---------------------------------------------------------------------------


def websocket(live):
    ws = Client(live.address, f"{session('/channel')}/websocket")
    assert ws.receive() == Frame(TEXT, b"o")
    return ws


def test_disconnect_of_one_client_does_not_affect_others(live):
    good, polling = websocket(live), Polling(live)
    good.say(json.dumps([json.dumps({"event": "SUB", "data": {"topic": "EVENTS:create"}})]))
    assert b"subscription_success" in good.receive().data
    polling.subscribe("EVENTS:create")
    bad = [websocket(live) for _ in range(7)]
    bad[0].close()
    bad[1].send(frame(b"x", mask=None))
    bad[2].send(frame(b'["\xff"]', TEXT))
    bad[3].send(frame(bytes(2_000_000), BINARY, mask=b"\0\0\0\0"))
    bad[4].sock.shutdown(1)
    bad[5].send(frame(b'["\xff"]', BINARY))
    bad[6].send(frame(b"\0", TEXT))
    assert [bad[number].receive().code for number in (1, 2, 3, 5, 6)] == [1002, 1007, 1009, 1008, 1008]
    polling.command("load", {"name": "web", "cmd": "sleep 1000"})
    assert polling.event("create")["name"] == "web"
    assert b"create" in good.receive().data
    good.leave()
    for ws in bad:
        ws.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 500),
        (b"\0", 500),
        (b'["\0"]', 500),
        (b'["\xff"]', 500),
        (b"[[", 500),
        (b"[" * 500_000, 500),
        (b'{"a": 1}', 500),
        (b'["x", 1]', 500),
        (b'"' + b"x" * 1_100_000, 413),
        (b'["\\u0000"]', 204),
    ],
)
def test_malformed_payload_does_not_end_the_session(live, body, status):
    client = Polling(live)
    answer = live.post(f"{client.path}/xhr_send", body)
    assert answer.status == status, answer
    assert client.command("jobs")["event"] == "gaffer:command_success"


@pytest.mark.parametrize(
    "name", ["", "xhr2", "XHR", "xhr/", "xhr_stream", "websockets", "%00", "..", "%ff", "xhr%00", "eventsource.html"]
)
def test_garbage_transports(live, name):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        answer = request(live.address, method, f"{session('/channel')}/{name}")
        assert answer.status in (400, 404) and answer.json["errno"] == answer.status
    assert not len(live.sessions)


def test_the_wrong_method(live):
    for method, name in (
        ("GET", "xhr"),
        ("GET", "xhr_send"),
        ("POST", "eventsource"),
        ("PUT", "xhr"),
        ("POST", "jsonp"),
    ):
        answer = request(live.address, method, f"{session('/channel')}/{name}")
        assert answer.assert_problem(405, "method_not_allowed") and answer.headers["allow"]


def test_half_a_request_and_half_a_connection(live):
    client = Polling(live)
    client.subscribe("EVENTS:create")
    # It says that it will send more than it does; nothing of it is heard.
    head = f"POST {client.path}/xhr_send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n".encode()
    assert parse(talk(live.address, head + b'["garbage"')).status == 400
    # It closes its own direction while it waits: it cannot be told from one that is gone.
    poll = f"POST {client.path}/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    talk(live.address, poll)
    assert client.poll() == 'c[1002,"Connection interrupted"]'
    wait_until(live.empty)


def test_a_session_that_many_use(live):
    """Requests for one session from everywhere: it stays one session, and each client that is too many is told so."""
    client = Polling(live)
    polls = [gevent.spawn(client.poll) for _ in range(10)]
    gevent.joinall(polls, count=9, timeout=10)
    told = [poll.value for poll in polls if poll.ready()]
    assert told == ['c[2010,"Another connection still open"]'] * 9
    sends = [gevent.spawn(client.tell, "CMD", name="jobs", identity=number) for number in range(20)]
    gevent.joinall(sends, timeout=10)
    assert {send.value for send in sends} == {204} and len(live.sessions) == 1
    gevent.joinall(polls, timeout=10)
    first = next(poll.value for poll in polls if poll.value not in told)
    client.seen += map(json.loads, json.loads(first[1:]))
    for number in range(20):
        client.until(lambda message, number=number: message["data"].get("id") == number)
