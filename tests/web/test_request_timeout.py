"""How long answers may take to begin: what is too slow ends, whatever it does then, and no other request notices."""

from __future__ import annotations

import logging

import gevent
import pytest
from gevent.event import Event

from gaffer.errors import Unavailable
from gaffer.plugins.calling import Killed
from gaffer.web.websocket.handshake import accept_websocket
from tests.kit.web import connect, everything, parse, request, served, wait_until
from tests.kit.web_app import HELLO, answers, app, post
from tests.kit.websocket_client import Client

SLOW = HELLO.replace(b"/hello", b"/slow")
SAID = "it took longer than 0.1 s, and may still be going on"


def slow(handler):
    return app({"method": "GET", "path": "/slow", "handler": handler})


def test_a_handler_that_is_too_slow_is_ended_and_its_connection_goes_on():
    ended = []

    def handler(request):
        try:
            gevent.sleep(60)
        finally:
            ended.append(True)

    with served(slow(handler), request=0.1) as (address, server):
        sock = connect(address)
        sock.sendall(SLOW + HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        late, hello = answers(everything(sock))
        assert late.assert_problem(503, "unavailable") == SAID
        assert hello.json == {"hello": "world"}
        sock.close()
        assert ended == [True] and (server.late, server.stuck) == (1, 0)


def test_handler_that_retries_after_timeout_is_ended(caplog):
    ends = []

    def handler(request):
        while True:
            try:
                gevent.sleep(60)
            except Exception as error:
                ends.append(type(error))
            except BaseException as error:
                ends.append(type(error))
                raise

    with served(slow(handler), request=0.1) as (address, server):
        sock = connect(address)
        sock.sendall(SLOW)
        (answer,) = answers(everything(sock))
        assert answer.assert_problem(503, "unavailable") == SAID and answer.headers["connection"] == "close"
        sock.close()
        wait_until(lambda: server.connections == 0)
        assert (server.late, server.stuck) == (1, 0)
    assert ends == [Unavailable, Killed]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
def test_stuck_handler_gets_503_and_connection_is_closed(method, caplog):
    go_on = Event()

    def handler(request):
        while not go_on.is_set():
            try:
                go_on.wait()
            except BaseException:
                pass
        return {"late": True}

    routes = [{"method": name, "path": "/slow", "handler": handler, "raw": True} for name in ("GET", "POST")]
    with served(app(*routes), request=0.1) as (address, server):
        sock = connect(address)
        # A body that is not read must not destroy the answer on its way.
        sock.sendall(post(b"/slow", b"x" * 100_000) if method == b"POST" else SLOW.replace(b"GET", method))
        wait_until(lambda: server.stuck == 1)
        assert request(address, "GET", "/hello").json == {"hello": "world"}
        data = everything(sock)
        assert data.startswith(b"HTTP/1.1 503 ") and data.count(b"HTTP/1.1") == 1
        assert (SAID in data.decode()) == (method != b"HEAD")
        sock.close()
        go_on.set()
        wait_until(lambda: server.stuck == 0 and server.connections == 0)
        assert server.late == 1
    assert "Traceback" not in caplog.text


def test_a_middleware_that_is_too_slow_is_ended():
    def middleware(environ, start_response):
        gevent.sleep(60)

    with served(middleware, request=0.1) as (address, _):
        assert request(address, "GET", "/").assert_problem(503, "unavailable") == SAID


def test_an_answer_that_has_begun_is_broken_off(caplog):
    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"some")
        gevent.sleep(60)

    with served(application, request=0.1) as (address, server):
        sock = connect(address)
        sock.sendall(HELLO)
        data = everything(sock)
        assert b"some" in data and not data.endswith(b"0\r\n\r\n") and data.count(b"HTTP/1.1") == 1
        sock.close()
        wait_until(lambda: server.connections == 0)


def test_feeds_and_websockets_have_no_time_limit():
    def patient(request):
        request.take_time()
        gevent.sleep(0.3)
        return {"ok": True}

    def file(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        yield b"o"
        gevent.sleep(0.3)
        yield b"k"

    with served(slow(patient), request=0.1) as (address, server):
        assert request(address, "GET", "/slow").json == {"ok": True}
        assert server.late == 0
    with served(file, request=0.1) as (address, server):
        assert request(address, "GET", "/").text == "ok"
        assert server.late == 0


def test_a_websocket_has_no_end():
    def echo(websocket):
        gevent.sleep(0.3)
        websocket.send(websocket.receive())

    with served(slow(lambda request: accept_websocket(request, echo)), request=0.1) as (address, server):
        client = Client(address, "/slow")
        client.say("hello")
        assert client.receive().data == b"hello"
        client.close()
        assert server.late == 0


def test_time_between_requests_does_not_count():
    with served(app(), request=0.1) as (address, server):
        sock = connect(address)
        for _ in range(2):
            sock.sendall(HELLO)
            assert parse(sock.recv(4096)).status == 200
            gevent.sleep(0.3)
        sock.close()
        assert server.late == 0


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.WARNING, "gaffer.web")
