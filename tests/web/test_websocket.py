"""Websockets on real connections: what is right goes through exactly, what is wrong costs only who did it."""

from __future__ import annotations

import gc
import logging
import socket
import time
import tracemalloc
import weakref

import gevent
import pytest
import websocket as client
from gevent.event import Event

from gaffer.errors import Forbidden
from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.websocket import websocket
from gaffer.web.websocket.handshake import accept_websocket
from gaffer.web.websocket.websocket import Closed
from tests.kit.web import connect, parse, request, served, talk, wait_until
from tests.kit.web_app import HELLO, app
from tests.kit.websocket_client import BINARY, CLOSE, CONTINUATION, HANDSHAKE, PING, PONG, TEXT, Client, Frame, frame

LIMIT = 1000


class Echo:
    """An application with a websocket that answers what it is told, and keeps what happened."""

    def __init__(self):
        self.sockets, self.ended = [], 0
        route = {"method": "GET", "path": "/ws", "handler": self.handler}
        self.app = app(route, max_body=LIMIT)
        self.serve = self.echo

    def handler(self, request):
        if request.query.get("no"):
            raise Forbidden("not you")
        return accept_websocket(request, self._serve)

    def _serve(self, ws):
        self.sockets.append(ws)
        try:
            self.serve(ws)
        finally:
            self.ended += 1

    @staticmethod
    def echo(ws):
        while (message := ws.receive()) is not None:
            ws.send(message)


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture(params=["tcp"])
def address(echo, request, tmp_path):
    bind = f"unix:{tmp_path}/s" if request.param == "unix" else "127.0.0.1:0"
    with served(AccessGuard(echo.app, AccessRules(local_users=True)), bind) as (address, server):
        echo.server = server
        yield address
        wait_until(lambda: not server.connections)
    assert echo.ended == len(echo.sockets)


# -- the handshake ------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp", "unix"], indirect=True)
def test_the_handshake_is_that_of_the_standard(echo, address):
    with Client(address) as ws:
        assert ws.answer.status == 101
        assert ws.answer.headers == {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        }
        ws.say("é")
        assert ws.receive() == Frame(TEXT, "é".encode())
        assert ws.leave().code == 1000


def test_a_client_may_speak_before_it_has_the_answer(echo, address):
    with Client(address, more=frame(b"early")) as ws:
        assert ws.receive() == Frame(BINARY, b"early")
        ws.leave()


def changed(header, value):
    lines = [line for line in HANDSHAKE.split("\r\n") if line and not line.startswith(header + ":")]
    return "\r\n".join([*lines, *([f"{header}: {value}"] if value else []), ""])


@pytest.mark.parametrize(
    ("headers", "status", "code", "word"),
    [
        ("", 426, "upgrade_required", "ws://"),
        (changed("Upgrade", "h2c"), 426, "upgrade_required", "ws://"),
        (changed("Connection", "keep-alive"), 426, "upgrade_required", "ws://"),
        (changed("Sec-WebSocket-Version", "8"), 426, "upgrade_required", "13"),
        (changed("Sec-WebSocket-Version", ""), 426, "upgrade_required", "13"),
        (changed("Sec-WebSocket-Key", ""), 400, "bad_request", "Key"),
        (changed("Sec-WebSocket-Key", "short"), 400, "bad_request", "Key"),
        (changed("Sec-WebSocket-Key", "!" * 24), 400, "bad_request", "Key"),
    ],
)
def test_invalid_handshake_gets_http_error(echo, address, headers, status, code, word):
    data = talk(address, f"GET /ws HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    answer = parse(data)
    assert word in answer.assert_problem(status, code)
    if status == 426:
        assert answer.headers["upgrade"] == "websocket" and answer.headers["sec-websocket-version"] == "13"
    assert echo.sockets == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/nothing", HANDSHAKE, 404),
        ("/ws?no=1", HANDSHAKE, 403),
        ("/ws", HANDSHAKE + "Origin: http://evil.example\r\n", 403),
        ("/ws", HANDSHAKE.replace("Upgrade\r\n", "Upgrade\r\n") + "Origin: null\r\n", 403),
    ],
)
def test_rejected_client_gets_no_101(echo, address, path, headers, status):
    with Client(address, path, headers) as ws:
        assert ws.answer.status == status and ws.answer.json["errno"] == status
    assert echo.sockets == []


def test_another_host_is_refused(echo, address):
    head = f"GET /ws HTTP/1.1\r\nHost: evil.example\r\n{HANDSHAKE}\r\n"
    assert parse(talk(address, head.encode())).status == 421


def test_our_own_pages_may(echo, address):
    with Client(address, "/ws", HANDSHAKE + "Origin: http://localhost\r\n") as ws:
        assert ws.answer.status == 101
        ws.leave()


def test_the_old_http_has_no_websockets(echo, address):
    head = f"GET /ws HTTP/1.0\r\nHost: localhost\r\n{HANDSHAKE}\r\n"
    assert parse(talk(address, head.encode())).status == 400


def test_a_wish_for_another_protocol_does_not_disturb_others(echo, address):
    head = HELLO.replace(b"\r\n\r\n", b"\r\n" + HANDSHAKE.encode() + b"\r\n")
    sock = connect(address)
    sock.sendall(head)
    assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    sock.close()


def test_a_real_client(echo, address):
    ws = client.WebSocket()
    ws.connect(f"ws://{address[0]}:{address[1]}/ws", timeout=10, socket=connect(address), suppress_origin=True)
    ws.send("text")
    assert ws.recv() == "text"
    ws.send_binary(bytes(range(256)))
    assert ws.recv() == bytes(range(256))
    ws.ping("are you there")
    assert ws.recv_data(control_frame=True) == (PONG, b"are you there")
    ws.close()


# -- messages -----------------------------------------------------------------------------------


def test_bytes_of_every_value_and_size_come_back(echo, address):
    with Client(address) as ws:
        for size in (0, 1, 3, 4, 5, 125, 126, 127, 255, 256, 257, LIMIT):
            data = (bytes(range(256)) * 4)[:size]
            ws.say(data)
            assert ws.receive() == Frame(BINARY, data)
        ws.leave()


def test_a_message_may_come_in_fragments_with_control_frames_between(echo, address):
    with Client(address) as ws:
        half, rest = "né!".encode()[:2], "né!".encode()[2:]
        ws.send(frame(half, TEXT, fin=False), frame(b"hello", PING), frame(b"", CONTINUATION, fin=False))
        assert ws.receive() == Frame(PONG, b"hello")
        ws.send(frame(b"late", PONG), frame(rest, CONTINUATION))
        assert ws.receive() == Frame(TEXT, "né!".encode())
        ws.leave()


def test_frames_may_come_byte_by_byte_or_all_at_once(echo, address):
    with Client(address) as ws:
        for byte in frame(b"slow"):
            ws.send(bytes([byte]))
            gevent.sleep(0)
        ws.send(frame(b"one") + frame(b"two") + frame(b"three"))
        assert [ws.receive().data for _ in range(4)] == [b"slow", b"one", b"two", b"three"]
        ws.leave()


# -- what no client may do ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (frame(b"x", mask=None), 1002, "masked"),
        (frame(b"x" * (LIMIT + 1)), 1009, str(LIMIT)),
        (frame(b"x" * LIMIT, fin=False) + frame(b"x", CONTINUATION), 1009, str(LIMIT)),
        (bytes([0x82, 0xFF]) + (1 << 32).to_bytes(8, "big") + b"abcd", 1009, str(LIMIT)),
        (bytes([0x82, 0xFF]) + b"\xff" * 8 + b"abcd", 1009, str(LIMIT)),
        (frame(b"\xff", TEXT), 1007, "UTF-8"),
        (frame("é".encode()[:1], TEXT), 1007, "UTF-8"),
        (frame(b"\xed\xa0\x80", TEXT), 1007, "UTF-8"),
        (frame(b"x", flags=0x40), 1002, "extension"),
        (frame(b"x", 3), 1002, "opcode"),
        (frame(b"x", 11), 1002, "opcode"),
        (frame(b"x", CONTINUATION), 1002, "fragments"),
        (frame(b"x", fin=False) + frame(b"y"), 1002, "fragments"),
        (frame(b"x", PING, fin=False), 1002, ""),
        (frame(b"x" * 126, PING), 1002, ""),
        (frame(b"x", CLOSE), 1002, "close code"),
        (frame((999).to_bytes(2, "big"), CLOSE), 1002, "close code"),
        (frame((1005).to_bytes(2, "big"), CLOSE), 1002, "close code"),
        (frame((5000).to_bytes(2, "big"), CLOSE), 1002, "close code"),
        (frame(b"\x03\xe8\xff", CLOSE), 1007, "UTF-8"),
    ],
)
def test_protocol_error_gets_its_close_code(echo, address, data, code, word, caplog):
    with Client(address) as bad, Client(address) as other:
        bad.send(data)
        last = bad.receive()
        assert (last.opcode, last.code) == (CLOSE, code) and word in last.reason
        assert bad.receive() is None
        other.say(b"still here")
        assert other.receive().data == b"still here"
        other.leave()
    assert caplog.messages == []


def test_rejected_client_that_keeps_sending_reads_the_reason(echo, address):
    """Closing while it sends would reset the connection and destroy the reason on its way."""
    with Client(address) as ws:
        sender = gevent.spawn(ws.send, frame(b"x" * 3_000_000, mask=b"\0\0\0\0"))
        assert ws.receive().code == 1009
        sender.kill()


def test_a_claim_of_gigabytes_reserves_nothing(echo, address):
    with Client(address) as ws:
        tracemalloc.start()
        try:
            ws.send(bytes([0x82, 0xFF]) + (1 << 40).to_bytes(8, "big") + b"abcd")
            assert ws.receive().code == 1009
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


def test_a_flood_of_pings_leaves_others_their_turn(echo, address):
    with Client(address) as bad, Client(address) as other:
        flood = gevent.spawn(bad.send, frame(b"x", PING) * 50_000)
        reader = gevent.spawn(lambda: [bad.receive() for _ in range(50_000)])
        other.say(b"x")
        assert other.receive().data == b"x" and not reader.ready()
        gevent.joinall([flood, reader], timeout=30, raise_error=True)
        bad.leave()
        other.leave()


# -- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_client_closes_and_gets_its_code_back(echo, address, code):
    with Client(address) as ws:
        ws.send(frame(code.to_bytes(2, "big") + "é".encode(), CLOSE))
        assert ws.receive() == Frame(CLOSE, code.to_bytes(2, "big")) and ws.receive() is None


def test_peer_code_is_set_only_when_the_peer_closed(echo, address):
    with Client(address) as ws:
        ws.leave(1001)
    wait_until(lambda: echo.ended == 1)
    assert echo.sockets[0].peer_code == 1001
    with Client(address) as ws:
        wait_until(lambda: len(echo.sockets) == 2)
        gevent.spawn(echo.sockets[1].close, 1001, "we do")
        assert ws.receive().code == 1001
        ws.leave(1001)  # the answer to that
    wait_until(lambda: echo.ended == 2)
    assert echo.sockets[1].peer_code == 0


def test_a_close_without_a_code_is_fine(echo, address):
    with Client(address) as ws:
        ws.send(frame(b"", CLOSE))
        assert ws.receive().code == 1000


@pytest.mark.parametrize("how", ["close", "half", "reset", "inside"])
def test_the_client_just_leaves(echo, address, how, caplog):
    ws = Client(address)
    wait_until(lambda: echo.sockets)
    began = time.monotonic()
    if how == "half":
        ws.sock.shutdown(socket.SHUT_WR)
    elif how == "inside":
        ws.send(frame(b"half a frame")[:7])
    elif how == "reset":
        ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if how != "half":
        ws.close()
    wait_until(lambda: echo.ended)
    assert time.monotonic() - began < 5 and caplog.messages == []
    ws.close()


def test_the_server_closes_and_waits_for_the_answer(echo, address):
    echo.serve = lambda ws: ws.close(4000, "enough " + "é" * 100)
    with Client(address) as ws:
        last = ws.receive()
        assert last.code == 4000 and last.reason.startswith("enough é") and len(last.data) <= 125
        ws.send(frame(b"on its way", PING), frame(last.data[:2], CLOSE))
        assert ws.receive() is None


def test_unanswered_close_cuts_the_connection(echo, address, monkeypatch):
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT", 0.05)
    echo.serve = lambda ws: None
    with Client(address) as ws:
        assert ws.receive().code == 1000 and ws.receive() is None


def test_closing_from_another_greenlet_ends_the_receiver(echo, address):
    with Client(address) as ws:
        wait_until(lambda: echo.sockets)
        echo.sockets[0].close(1013, "gap")
        assert ws.receive().code == 1013
        ws.send(frame((1013).to_bytes(2, "big"), CLOSE))
        assert ws.receive() is None
    wait_until(lambda: echo.ended)
    echo.sockets[0].close()
    with pytest.raises(Closed):
        echo.sockets[0].send("too late")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_an_error_of_ours_is_told_as_such_and_logged(echo, address, error, caplog):
    def fail(ws):
        raise error

    echo.serve = fail
    with caplog.at_level(logging.ERROR), Client(address) as ws:
        assert ws.receive().code == 1011
    assert len(caplog.messages) == 1 and "/ws" in caplog.messages[0]
    assert request(address, "GET", "/hello").status == 200


def test_a_server_that_stops_says_so(echo):
    with served(echo.app) as (address, server):
        ws = Client(address)
        stop = gevent.spawn(server.stop, 10)
        assert ws.receive().code == 1001
        ws.send(frame((1001).to_bytes(2, "big"), CLOSE))
        stop.join(10)
        assert stop.ready()
        ws.close()


# -- silence, and those who do not read -----------------------------------------------------------


def test_a_silent_client_is_asked_and_stays_if_it_answers(echo, address, monkeypatch):
    # So long it has to answer, also on a busy machine.
    monkeypatch.setattr(websocket, "PING_INTERVAL", 0.5)
    with Client(address) as ws:
        for _ in range(2):
            assert ws.receive() == Frame(PING, b"")
            ws.send(frame(b"", PONG))
        ws.leave()


def test_a_silent_client_that_does_not_answer_is_given_up(echo, address, monkeypatch):
    monkeypatch.setattr(websocket, "PING_INTERVAL", 0.05)
    with Client(address) as ws:
        assert ws.receive() == Frame(PING, b"")
        while ws.receive() is not None:
            pass
    wait_until(lambda: echo.ended)


def flood(ws, size=65_536, count=400):
    for _ in range(count):
        ws.send(b"x" * size)


def test_a_sign_of_life_is_an_answer_to_a_ping_within_the_time(echo, address):
    with Client(address) as peer:
        wait_until(lambda: echo.sockets)
        asked = gevent.spawn(echo.sockets[0].is_alive, 10)
        assert peer.receive() == Frame(PING, b"")
        peer.send(frame(b"", PONG))
        assert asked.get(timeout=10) is True
        assert echo.sockets[0].is_alive(0.01) is False


def test_a_peer_that_leaves_while_it_is_asked_gives_no_sign_of_life(echo, address):
    with Client(address) as peer:
        wait_until(lambda: echo.sockets)
        asked = gevent.spawn(echo.sockets[0].is_alive, 60)
        assert peer.receive() == Frame(PING, b"")
    assert asked.get(timeout=10) is False


def test_peer_that_does_not_read_is_not_pinged(echo, address, monkeypatch):
    """It cannot answer a ping that it has not read."""
    monkeypatch.setattr(websocket, "PING_INTERVAL", 0.4)
    done = Event()

    def serve(ws):
        sender = gevent.spawn(flood, ws)
        ws.receive()
        sender.join()
        done.set()

    echo.serve = serve
    with Client(address) as ws:
        gevent.sleep(1.0)
        assert not done.is_set() and not echo.ended
        size = 0
        while (got := ws.receive()) is not None and size < 400 * 65_536:
            size += len(got.data) if got.opcode == BINARY else 0
            if got.opcode == PING:
                ws.send(frame(b"", PONG))
        assert size == 400 * 65_536
        ws.leave()
    assert done.wait(10)


def test_peer_that_never_reads_is_cut_off(echo, address, monkeypatch, caplog):
    monkeypatch.setattr(websocket, "SEND_TIMEOUT", 0.1)
    with Client(address):
        wait_until(lambda: echo.sockets)
        with pytest.raises(Closed):
            flood(echo.sockets[0])
        wait_until(lambda: echo.ended)
    assert caplog.messages == []


def test_two_senders_take_turns(echo, address):
    def serve(ws):
        senders = [
            gevent.spawn(lambda sign=sign: [ws.send(sign * 200_000) for _ in range(20)]) for sign in (b"a", b"b")
        ]
        gevent.joinall(senders, raise_error=True)

    echo.serve = serve
    with Client(address) as ws:
        found = [ws.receive().data for _ in range(40)]
        assert sorted(found) == [b"a" * 200_000] * 20 + [b"b" * 200_000] * 20
        assert ws.receive().code == 1000


def test_many_come_and_go(echo, address):
    for _ in range(30):
        clients = [Client(address) for _ in range(5)]
        for number, ws in enumerate(clients):
            ws.say(b"x")
            assert ws.receive().data == b"x"
            if number % 2:
                ws.leave()
            ws.close()
    wait_until(lambda: echo.ended == 150)


def test_everything_is_collected(echo, address):
    ws = Client(address)
    wait_until(lambda: echo.sockets)
    gone = weakref.ref(echo.sockets.pop())
    ws.leave()
    wait_until(lambda: echo.ended)
    echo.ended = 0
    wait_until(lambda: not echo.server.connections)
    gc.collect()
    assert gone() is None
