"""How many connections one peer may have, and how many websockets there may be."""

from __future__ import annotations

import socket

import pytest
from gevent.event import Event

from gaffer.errors import Unavailable
from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.server.server import MOST_WHEN_SCARCE
from gaffer.web.server.slots import Slots, peer_key
from gaffer.web.websocket.handshake import accept_websocket
from tests.kit.web import connect, everything, parse, request, served, wait_until
from tests.kit.web_app import HELLO, app
from tests.kit.websocket_client import Client


def test_places_are_given_back_once():
    slots = Slots(1, "only {}")
    slot = slots.acquire()
    with pytest.raises(Unavailable, match="only 1"):
        slots.acquire()
    slot.release()
    slot.release()
    assert (slots.taken, slots.refused) == (0, 1)
    slots.acquire()


def test_a_peer_is_an_address_a_network_or_a_user():
    assert peer_key(None, ("10.0.0.1", 4)) == peer_key(None, ("10.0.0.1", 5)) != peer_key(None, ("10.0.0.2", 4))
    one, other, neighbour = ("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:1", 2, 0, 0), ("2001:db8:0:1::1", 1, 0, 0)
    assert peer_key(None, one) == peer_key(None, other) != peer_key(None, neighbour)
    assert peer_key(None, ("fe80::1%eth0", 1, 0, 2)) == peer_key(None, ("fe80::2%eth0", 1, 0, 2))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        key = peer_key(ours, "")
        assert key == peer_key(theirs, b"") and key[1] is not None


def waiting(go_on):
    return {"method": "GET", "path": "/wait", "handler": lambda request: {"waited": go_on.wait(10)}}


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:{}/s"])
def test_connections_of_one_peer_are_bounded(bind, tmp_path):
    go_on = Event()
    with served(app(waiting(go_on)), bind.format(tmp_path), per_peer=2) as (address, server):
        busy = [connect(address) for _ in range(2)]
        for sock in busy:
            sock.sendall(HELLO.replace(b"/hello", b"/wait"))
        wait_until(lambda: server.connections == 2)
        reason = request(address, "GET", "/hello").assert_problem(503, "unavailable")
        assert reason.startswith("too many connections from your address (limit 2, http_max_peer_connections)")
        assert server.refused == 1
        go_on.set()
        for sock in busy:
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        # Now they are idle: one makes room for a newcomer.
        assert request(address, "GET", "/hello").status == 200
        wait_until(lambda: server.connections == 1)
        assert server.refused == 1
        for sock in busy:
            sock.close()
        wait_until(lambda: not server.connections)
        assert not server._listeners[0].peers


def test_few_open_files_leave_room_for_a_few_connections(monkeypatch):
    monkeypatch.setattr("gaffer.web.server.server.is_scarce", lambda descriptor, shares: True)
    go_on = Event()
    with served(app(waiting(go_on)), "127.0.0.1:0") as (address, server):
        busy = []
        for number in range(MOST_WHEN_SCARCE):
            busy.append(connect(address))
            busy[-1].sendall(HELLO.replace(b"/hello", b"/wait"))
            wait_until(lambda number=number: server.connections == number + 1 and not server._listeners[0].idle)
        reason = request(address, "GET", "/hello").assert_problem(503, "unavailable")
        assert reason.startswith("too many open files: gafferd may have")
        go_on.set()
        for sock in busy:
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        # Idle ones make room.
        assert request(address, "GET", "/hello").status == 200
        for sock in busy:
            sock.close()


def test_websockets_are_bounded():
    def serve(ws):
        while ws.receive() is not None:
            pass

    route = {"method": "GET", "path": "/ws", "handler": lambda request: accept_websocket(request, serve)}
    with served(AccessGuard(app(route), AccessRules(local_users=True)), websockets=2) as (address, server):
        first, second = Client(address), Client(address)
        assert server.websockets.taken == 2
        third = Client(address)
        assert "too many websockets (limit 2" in third.answer.assert_problem(503, "unavailable")
        third.sock.close()
        assert request(address, "GET", "/hello").status == 200
        first.sock.close()
        wait_until(lambda: server.websockets.taken == 1)
        fourth = Client(address)
        assert fourth.answer.status == 101
        for client in (second, fourth):
            client.sock.close()
        wait_until(lambda: server.websockets.taken == 0)


def test_a_websocket_that_never_begins_takes_no_place():
    route = {"method": "GET", "path": "/ws", "handler": lambda request: accept_websocket(request, lambda ws: None)}

    def broken(environ, start_response):
        body = app(route)(environ, lambda *answer: None)
        body.close()
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with served(broken) as (address, server):
        client = Client(address)
        assert client.answer.status == 200 and server.websockets.taken == 0
        client.sock.close()


def test_heads_are_bounded():
    line = b"X-%d: " + b"x" * 4000 + b"\r\n"
    head = HELLO[:-2] + b"".join(line % number for number in range(4)) + b"\r\n"
    with served(app(), head=9000) as (address, _):
        sock = connect(address)
        sock.sendall(head)
        assert "longer than 9000 bytes" in parse(everything(sock)).assert_problem(431, "headers_too_large")
        sock.close()
    with served(app(), head=20000) as (address, _):
        sock = connect(address)
        sock.sendall(head)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        sock.close()
