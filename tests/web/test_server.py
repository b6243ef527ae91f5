"""The real server on real sockets. Clients are greenlets of this process, or threads for TLS."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import ssl
import subprocess
import sys
import time

import bottle
import gevent
import pytest
from gevent.event import Event

from gaffer.addresses import bind_sockets
from gaffer.web.app import App
from gaffer.web.routes import Route
from gaffer.web.server import Server, TlsError, tls_context
from tests.webtools import connect, everything, in_thread, parse, request, served, talk

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


def app(*routes, **options):
    hello = {"method": "GET", "path": "/hello", "handler": lambda request: {"hello": "world"}}
    echo = {"method": "POST", "path": "/echo", "handler": lambda request: request.read(), "raw": True}
    deaf = {"method": "POST", "path": "/deaf", "handler": lambda request: {"ok": True}, "raw": True}
    return App([Route(permission=None, **route) for route in (hello, echo, deaf, *routes)], **options)


def post(path, body, extra=b""):
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n"
    return head % (path, len(body), extra) + body


def answers(data):
    """Cut several answers that came over one connection apart."""
    found = []
    while data:
        answer = parse(data)
        found.append(answer)
        data = data[data.index(b"\r\n\r\n") + 4 + len(answer.body) :]
    return found


def wait_until(condition):
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.001)


# -- plain requests -----------------------------------------------------------------------------


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_it_serves(bind, tmp_path):
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
        assert request(address, "GET", "/show").json == [None, "", ""]


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


def test_small_answers_do_not_wait_for_acknowledgements():
    """Without TCP_NODELAY each of these takes 40 ms."""
    with served(app()) as (address, _):
        sock = connect(address)
        started = time.monotonic()
        for _ in range(25):
            sock.sendall(HELLO)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - started < 0.5
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
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X: " + b"y" * 4000 + b"\r\n") * 20 + b"\r\n",
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


def test_bodies_that_nobody_reads_are_skipped():
    with served(app()) as (address, _):
        data = talk(address, post(b"/deaf", b"GET /evil HTTP/1.1\r\n\r\n") + HELLO)
        assert [answer.status for answer in answers(data)] == [200, 200]
        data = talk(address, post(b"/deaf", b"x" * 100_000) + HELLO)
        assert [(answer.status, answer.headers.get("connection")) for answer in answers(data)] == [(200, "close")]


# -- time ---------------------------------------------------------------------------------------


def test_slow_heads_are_cut_off():
    """Slowloris: a byte now and then keeps a connection busy for ever."""
    with served(app(), header=0.1) as (address, server):
        slow = [connect(address) for _ in range(20)]
        for sock in slow:
            sock.sendall(b"GET /hello HTTP/1.1\r\nHost: h\r\n")

        def drip(sock):
            try:
                while True:
                    sock.sendall(b"X")
                    gevent.sleep(0.02)
            except OSError:
                return

        drips = [gevent.spawn(drip, sock) for sock in slow]
        assert request(address, "GET", "/hello").status == 200
        wait_until(lambda: server.connections == 0)
        gevent.killall(drips)
        for sock in slow:
            sock.close()


def test_connections_that_never_say_anything_are_closed():
    with served(app(), header=0.05) as (address, _):
        sock = connect(address)
        assert everything(sock) == b""
        sock.close()


def test_idle_connections_are_closed():
    with served(app(), idle=0.05) as (address, _):
        sock = connect(address)
        sock.sendall(HELLO)
        data = everything(sock)
        assert [answer.status for answer in answers(data)] == [200]
        sock.close()


def test_slow_second_heads_are_cut_off():
    with served(app(), header=0.05, idle=5) as (address, server):
        sock = connect(address)
        sock.sendall(HELLO)
        assert sock.recv(4096)
        sock.sendall(b"GET")
        assert everything(sock) == b""
        sock.close()


def test_slow_bodies_are_cut_off():
    with served(app(), body=0.1) as (address, _):
        sock = connect(address)
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")

        def drip():
            try:
                while True:
                    sock.sendall(b"X")
                    gevent.sleep(0.02)
            except OSError:
                return

        dripping = gevent.spawn(drip)
        assert "longer than 0.1 s" in parse(sock.recv(4096)).assert_problem(400, "bad_request")
        dripping.kill()
        sock.close()


def test_who_does_not_read_is_left():
    route = {"method": "GET", "path": "/big", "handler": lambda request: b"x" * 50_000_000}
    with served(app(route), idle=0.1) as (address, server):
        sock = connect(address)
        sock.sendall(HELLO.replace(b"/hello", b"/big"))
        wait_until(lambda: server.connections == 1)
        wait_until(lambda: server.connections == 0)
        sock.close()


def test_connections_are_bounded_and_the_idle_ones_make_room():
    with served(app(), connections=3) as (address, server):
        crowd = []
        for _ in range(10):
            sock = connect(address)
            sock.sendall(HELLO)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
            crowd.append(sock)
            assert server.connections <= 3
        assert crowd[0].recv(100) == b""
        crowd[-1].sendall(HELLO)
        assert crowd[-1].recv(4096).startswith(b"HTTP/1.1 200")
        for sock in crowd:
            sock.close()


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


# -- stopping -----------------------------------------------------------------------------------


def test_stop_lets_requests_finish_and_closes_the_idle():
    started, go_on = Event(), Event()

    def slow(request):
        started.set()
        go_on.wait(10)
        return {"done": True}

    server = Server(app({"method": "GET", "path": "/slow", "handler": slow}))
    (sock,) = bind_sockets("127.0.0.1:0")
    address = sock.getsockname()
    server.add(sock)
    server.start()
    idle, busy = connect(address), connect(address)
    idle.sendall(HELLO)
    assert idle.recv(4096)
    busy.sendall(HELLO.replace(b"/hello", b"/slow"))
    assert started.wait(10)
    stopping = gevent.spawn(server.stop, 10)
    assert everything(idle) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(address)
    go_on.set()
    answer = parse(everything(busy))
    assert answer.json == {"done": True} and answer.headers["connection"] == "close"
    stopping.join(10)
    assert stopping.successful()
    idle.close()
    busy.close()


def test_stop_does_not_wait_for_ever():
    route = {"method": "GET", "path": "/slow", "handler": lambda request: Event().wait(60)}
    with served(app(route)) as (address, server):
        sock = connect(address)
        sock.sendall(HELLO.replace(b"/hello", b"/slow"))
        wait_until(lambda: server.connections == 1)
        started = time.monotonic()
        server.stop(timeout=0.05)
        assert time.monotonic() - started < 5 and server.connections == 0
        sock.close()


def test_unix_sockets_are_removed(tmp_path):
    with served(app(), f"unix:{tmp_path}/s"):
        assert os.path.exists(tmp_path / "s")
    assert not os.path.exists(tmp_path / "s")


def test_connections_wait_until_the_server_starts():
    server = Server(app())
    (sock,) = bind_sockets("127.0.0.1:0")
    address = sock.getsockname()
    early = connect(address)
    early.sendall(HELLO)
    server.add(sock)
    server.start()
    assert early.recv(4096).startswith(b"HTTP/1.1 200")
    early.close()
    server.stop(timeout=1)


def test_it_serves_in_a_patched_process(tmp_path):
    """gafferd patches before it imports anything; the same sockets are then gevent's."""
    code = f"""
from gevent import monkey
monkey.patch_all(subprocess=False, os=False, signal=False)
import http.client, os, socket
from gaffer.addresses import bind_sockets
from gaffer.web.app import App
from gaffer.web.guard import Guard
from gaffer.web.routes import Route
from gaffer.web.server import Server
server = Server(Guard(App([Route("GET", "/", handler=lambda request: {{"a": 1}}, permission=None)])))
for bind in ("127.0.0.1:0", "unix:{tmp_path}/s"):
    (sock,) = bind_sockets(bind, allows_unix_socket=True)
    address = sock.getsockname() if bind.startswith("1") else address
    server.add(sock)
server.start()
client = http.client.HTTPConnection(*address, timeout=10)
client.request("GET", "/")
assert client.getresponse().read() == b'{{"a": 1}}'
client.close()
client.sock = socket.socket(socket.AF_UNIX)
client.sock.connect("{tmp_path}/s")
client.request("GET", "/")
assert client.getresponse().read() == b'{{"a": 1}}'
client.close()
server.stop()
assert not os.path.exists("{tmp_path}/s")
"""
    done = in_thread(subprocess.run, [sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


# -- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for localhost that is its own authority, and another one that it did not sign."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "stranger"):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-addext", "subjectAltName=DNS:localhost"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is needed to make certificates")
    return folder


def fetch(address, certificates, client=None, **versions):
    context = ssl.create_default_context(cafile=certificates / "server.pem")
    if client:
        context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}.key")
    for name, value in versions.items():
        setattr(context, name, value)
    connection = http.client.HTTPSConnection("localhost", address[1], context=context, timeout=10)
    try:
        connection.request("GET", "/hello")
        first = connection.getresponse().read()
        connection.request("GET", "/hello")
        return first + connection.getresponse().read()
    finally:
        connection.close()


def tls(certificates, cacert=None):
    return tls_context(str(certificates / "server.pem"), str(certificates / "server.key"), cacert and str(cacert))


def test_tls(certificates):
    with served(app(), tls=tls(certificates)) as (address, _):
        assert in_thread(fetch, address, certificates) == b'{"hello": "world"}' * 2


def test_old_tls_is_refused(certificates, caplog):
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with served(app(), tls=tls(certificates)) as (address, _):
        with pytest.warns(DeprecationWarning), pytest.raises(OSError):
            in_thread(fetch, address, certificates, **old)
    assert not caplog.records


def test_client_certificates(certificates):
    with served(app(), tls=tls(certificates, certificates / "server.pem")) as (address, _):
        assert in_thread(fetch, address, certificates, "server") == b'{"hello": "world"}' * 2
        for client in (None, "stranger"):
            with pytest.raises(OSError):
                in_thread(fetch, address, certificates, client)


def test_tls_handshakes_have_a_deadline_and_plain_http_is_no_handshake(certificates, capfd):
    with served(app(), tls=tls(certificates), handshake=0.05) as (address, server):
        silent = connect(address)
        assert everything(silent) == b""
        silent.close()
        talk(address, HELLO)
        wait_until(lambda: server.connections == 0)
        assert in_thread(fetch, address, certificates)
    assert capfd.readouterr().err == ""


def test_tls_files_that_cannot_be_used(certificates):
    with pytest.raises(TlsError, match="nowhere.pem"):
        tls_context("nowhere.pem")
    with pytest.raises(TlsError, match="stranger.key"):
        tls_context(str(certificates / "server.pem"), str(certificates / "stranger.key"))
    with pytest.raises(TlsError, match="server.key"):
        tls(certificates, certificates / "server.key")


def test_ssl_is_imported_only_for_tls():
    code = "import sys, gaffer.web.server, gaffer.web.app, gaffer.web.guard; sys.exit('gevent.ssl' in sys.modules)"
    assert in_thread(subprocess.run, [sys.executable, "-c", code]).returncode == 0
