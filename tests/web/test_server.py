"""The real server on real sockets. Clients are greenlets of this process, or threads for TLS."""

from __future__ import annotations

import logging
import socket
import time
from statistics import median

import bottle
import gevent
import pytest
from gevent.event import Event

from tests.kit.web import connect, everything, parse, request, served, talk, wait_until
from tests.kit.web_app import HELLO, answers, app, post

# -- plain requests -----------------------------------------------------------------------------


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_server_answers_requests(bind, tmp_path):
    bind = f"unix:{tmp_path}/s" if bind == "unix" else bind
    with served(app(), bind) as (address, _):
        answer = request(address, "GET", "/hello")
        assert answer.json == {"hello": "world"} and answer.headers["connection"] == "close"
        request(address, "GET", "/nothing").assert_problem(404, "not_found")


def test_addresses_reach_the_application(tmp_path):
    show = {
        "method": "GET",
        "path": "/show",
        "handler": lambda request: [request.environ.get(key) for key in ("REMOTE_ADDR", "SERVER_PORT", "SERVER_NAME")],
    }
    with served(app(show)) as (address, _):
        assert request(address, "GET", "/show").json == ["127.0.0.1", str(address[1]), "127.0.0.1"]
    with served(app(show), f"unix:{tmp_path}/s") as (address, _):
        assert request(address, "GET", "/show").json == ["", "", ""]


def test_keep_alive_and_pipelining():
    with served(app()) as (address, server):
        data = talk(address, HELLO + post(b"/echo", b"abc") + HELLO)
        assert [answer.body for answer in answers(data)] == [b'{"hello": "world"}', b"abc", b'{"hello": "world"}']


def test_a_head_that_comes_in_pieces():
    with served(app()) as (address, _):
        sock = connect(address)
        for byte in HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"):
            sock.sendall(bytes([byte]))
            gevent.sleep(0)
        assert parse(everything(sock)).status == 200
        sock.close()


def test_tls_to_an_endpoint_without_it_is_refused_at_once():
    with served(app(), header=60.0) as (address, _):
        answer = parse(talk(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
    assert answer.status == 400 and "plain HTTP, not TLS; write http://" in answer.json["reason"]


def test_small_answers_do_not_wait_for_acknowledgements():
    """Without TCP_NODELAY each of these takes 40 ms."""
    with served(app()) as (address, _):
        sock = connect(address)
        took = []
        for _ in range(25):
            started = time.monotonic()
            sock.sendall(HELLO)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
            took.append(time.monotonic() - started)
        assert median(took) < 0.035
        sock.close()


def test_http_1_0():
    with served(app()) as (address, _):
        assert parse(talk(address, b"GET /hello HTTP/1.0\r\n\r\n")).headers["connection"] == "close"
        twice = talk(address, b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
        assert [answer.status for answer in answers(twice)] == [200, 200]


def test_streams_of_http_1_0_end_with_the_connection():
    stream = {"method": "GET", "path": "/s", "handler": lambda request: bottle.HTTPResponse(iter([b"a", b"b"]))}
    with served(app(stream)) as (address, _):
        sock = connect(address)
        sock.sendall(b"GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert everything(sock).endswith(b"\r\n\r\nab")
        sock.close()


def test_head_and_options_over_the_wire():
    with served(app()) as (address, _):
        data = talk(address, HELLO.replace(b"GET", b"HEAD") + HELLO.replace(b"GET", b"OPTIONS") + HELLO)
        first, rest = data.split(b"\r\n\r\n", 1)
        assert b"Content-Length: 18" in first and rest.startswith(b"HTTP/1.1 204")
        assert b"Allow: GET, HEAD, OPTIONS" in rest and rest.endswith(b'{"hello": "world"}')


def test_nothing_is_logged_for_requests(caplog, capfd):
    with caplog.at_level(logging.DEBUG), served(app()) as (address, _):
        request(address, "GET", "/hello")
        request(address, "GET", "/nothing")
        talk(address, b"nonsense\r\n\r\n")
    assert not caplog.records and capfd.readouterr() == ("", "")


# -- malformed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /hello\r\n\r\n",
        b"GET /hello HTTP/9.9\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\0bad: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 9000 + b"\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_malformed_requests_are_answered_with_json_or_silence(data, caplog, capfd):
    with served(app()) as (address, _):
        answer = talk(address, data)
        if data.strip(b"\r\n"):
            parse(answer).assert_problem(400, "bad_request")
        assert request(address, "GET", "/hello").status == 200
    assert not caplog.records and capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("status", "code", "data"),
    [
        (414, "uri_too_long", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"),
        (414, "uri_too_long", b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"),
        (431, "headers_too_large", b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 9000 + b"\r\n\r\n"),
        (431, "headers_too_large", b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        (431, "headers_too_large", b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X: " + b"y" * 4000 + b"\r\n") * 20),
    ],
)
def test_what_is_too_long_in_a_head_is_named_by_its_status(status, code, data):
    with served(app()) as (address, _):
        parse(talk(address, data)).assert_problem(status, code)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"GET /hel",
        b"GET /hello HTTP/1.1\r\nHost: h\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;ext",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_clients_that_leave_in_the_middle(data, reset, caplog, capfd):
    with served(app()) as (address, server):
        sock = connect(address)
        sock.sendall(data)
        wait_until(lambda: server.connections == 1)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        wait_until(lambda: server.connections == 0)
        assert request(address, "GET", "/hello").status == 200
    assert not caplog.records and capfd.readouterr().err == ""


def test_a_client_that_leaves_before_its_answer(caplog, capfd):
    started, go_on = Event(), Event()

    def slow(request):
        started.set()
        go_on.wait(10)
        return bottle.HTTPResponse(iter([b"x" * 100_000] * 50))

    with served(app({"method": "GET", "path": "/slow", "handler": slow})) as (address, server):
        sock = connect(address)
        sock.sendall(HELLO.replace(b"/hello", b"/slow"))
        assert started.wait(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        go_on.set()
        wait_until(lambda: server.connections == 0)
    assert not caplog.records and capfd.readouterr().err == ""


# -- bodies -------------------------------------------------------------------------------------


def test_chunked_bodies():
    chunks = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nTrailer: x\r\n\r\n"
    data = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + HELLO
    with served(app()) as (address, _):
        assert [answer.body for answer in answers(talk(address, data))] == [b"hello!", b'{"hello": "world"}']


def test_bodies_that_are_too_large_are_refused_and_the_client_sees_it():
    """5 MB are on their way when the refusal comes; closing at once would destroy it."""
    with served(app(max_body=1000)) as (address, _):
        big = b"x" * 5_000_000
        parse(talk(address, post(b"/echo", big))).assert_problem(413, "too_large")
        chunked = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = parse(talk(address, chunked + b"%x\r\n%s" % (len(big), big)))
        answer.assert_problem(413, "too_large")
        assert answer.headers["connection"] == "close"


def test_a_body_that_is_only_announced_is_not_waited_for():
    with served(app(max_body=1000)) as (address, _):
        sock = connect(address)
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n")
        parse(sock.recv(4096)).assert_problem(413, "too_large")
        sock.close()


def test_http_1_0_gets_no_100_continue():
    with served(app()) as (address, _):
        head = b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        (answer,) = answers(talk(address, head + b"hi"))
        assert (answer.status, answer.body) == (200, b"hi")


def test_http_1_0_is_told_when_an_unread_body_ends_the_connection():
    with served(app()) as (address, _):
        head = b"POST /nothing HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 70000\r\n\r\n"
        found = talk(address, head + b"x" * 70_000)
        assert found.startswith(b"HTTP/1.1 404 ") and found.count(b"\r\nConnection: ") == 1
        assert parse(found).headers["connection"] == "close"


def test_expectations():
    with served(app(max_body=1000)) as (address, _):
        sock = connect(address)
        head = b"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        sock.sendall(head % 2)
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert parse(sock.recv(4096)).body == b"ok"
        sock.sendall(head % 2000)
        parse(sock.recv(4096)).assert_problem(413, "too_large")
        sock.close()


def test_bodies_that_are_not_read_are_skipped():
    with served(app()) as (address, _):
        data = talk(address, post(b"/deaf", b"GET /evil HTTP/1.1\r\n\r\n") + HELLO)
        assert [answer.status for answer in answers(data)] == [200, 200]
        data = talk(address, post(b"/deaf", b"x" * 100_000) + HELLO)
        assert [(answer.status, answer.headers.get("connection")) for answer in answers(data)] == [(200, "close")]


# -- errors behind the application --------------------------------------------------------------


def test_a_middleware_that_raises(caplog, capfd):
    def broken(environ, start_response):
        raise RuntimeError("secret")

    with served(broken) as (address, _):
        answer = request(address, "GET", "/hello")
        answer.assert_problem(500, "error")
        assert b"secret" not in answer.body
    assert len(caplog.records) == 1 and capfd.readouterr().err == ""


def test_a_stream_that_raises_ends_the_connection(caplog, capfd):
    def stream():
        yield b"first"
        raise RuntimeError("secret")

    route = {"method": "GET", "path": "/s", "handler": lambda request: bottle.HTTPResponse(stream())}
    with served(app(route)) as (address, _):
        data = talk(address, HELLO.replace(b"/hello", b"/s"))
        assert data.endswith(b"5\r\nfirst\r\n") and b"secret" not in data
    assert len(caplog.records) == 1 and capfd.readouterr().err == ""
