"""Time, numbers and the end: deadlines, bounded connections, stopping."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import gevent
import pytest
from gevent.event import Event

from gaffer.config.addresses import bind_sockets
from gaffer.web.server.server import HttpServer
from tests.kit.web import connect, everything, in_thread, parse, request, served, wait_until
from tests.kit.web_app import HELLO, answers, app

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


def test_client_that_does_not_read_is_disconnected():
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


# -- stopping -----------------------------------------------------------------------------------


def test_stop_lets_requests_finish_and_closes_the_idle():
    started, go_on = Event(), Event()

    def slow(request):
        started.set()
        go_on.wait(10)
        return {"done": True}

    server = HttpServer(app({"method": "GET", "path": "/slow", "handler": slow}))
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
    server = HttpServer(app())
    (sock,) = bind_sockets("127.0.0.1:0")
    address = sock.getsockname()
    early = connect(address)
    early.sendall(HELLO)
    server.add(sock)
    server.start()
    assert early.recv(4096).startswith(b"HTTP/1.1 200")
    early.close()
    server.stop(timeout=1)


def test_server_works_in_a_monkey_patched_process(tmp_path):
    """gafferd patches before it imports anything; the same sockets are then gevent's."""
    code = f"""
from gevent import monkey
monkey.patch_all(subprocess=False, os=False, signal=False)
import http.client, os, socket
from gaffer.config.addresses import bind_sockets
from gaffer.web.application import App
from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.routes import Route
from gaffer.web.server.server import HttpServer
server = HttpServer(AccessGuard(App([Route("GET", "/", handler=lambda request: {{"a": 1}}, permission=None)])))
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
