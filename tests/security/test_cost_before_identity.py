"""What a client may cost that has not shown who it is: bytes, parsing, places."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from gaffer.errors import BadRequest, nearest
from gaffer.web.application import App
from gaffer.web.requests.request import MAX_UNAUTHENTICATED_BYTES, MAX_VALUES, has_too_many_values, parse_json
from gaffer.web.requests.routes import Route
from tests.kit.gafferd import PATIENCE, Gafferd, eventually, gafferd_with_key
from tests.kit.under_attack import connect, gafferd, masked, upgrade
from tests.kit.web import connect as green_connect
from tests.kit.web import everything, in_thread, request, served, wait_until
from tests.security import attack
from tests.web.test_tls import certificates, fetch, tls  # noqa: F401


def ask(node: Gafferd, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
    try:
        shown = {"Content-Type": "application/json", **{name.replace("_", "-"): one for name, one in headers.items()}}
        connection.request(method, path, body, shown)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@attack(
    "a network client without a key",
    "a large body at a URL that needs no key, such as `POST /auth`",
    "413 beyond 8 KiB, before anything of it is read",
)
def test_large_login_is_refused_unread(tmp_path: Path) -> None:
    with gafferd(tmp_path, "require_key = true\n") as node:
        node.start().ready()
        status, said = ask(node, "POST", "/auth", b'{"' + b"x" * MAX_UNAUTHENTICATED_BYTES + b'": 1}')
        assert (status, said["error"]) == (413, "too_large")
        status, said = ask(node, "POST", "/auth", b'{"' + b"x" * 8000 + b'": 1}')
        assert status == 400 and len(said["reason"]) < 300


@attack(
    "a network client without a key",
    "all websockets at once, each without a key",
    "the oldest of them is closed with 1013 for each that comes; holders of keys get theirs",
)
def test_websockets_without_an_identity_are_given_up_first(tmp_path: Path) -> None:
    with gafferd_with_key(tmp_path, "http_max_websockets = 8\n") as (node, key):
        held = [_socket(node.port, "/channel/websocket") for _ in range(8)]
        mine = [_socket(node.port, "/channel/websocket", f"X-Api-Key: {key}\r\n") for _ in range(4)]
        more = [_socket(node.port, path) for path in ("/channel/websocket", "/channel/a/b/websocket")]
        eventually(lambda: [_code(sock) for sock in held[:6]] == [1013] * 6)
        # One that shows its key late keeps its place from then on.
        held[7].sendall(masked(1, f"AUTH:{key}".encode()))
        held[7].sendall(masked(1, b'{"event": "CMD", "data": {"identity": 1, "name": "jobs"}}'))
        assert b"command_success" in held[7].recv(65_536)
        more += [_socket(node.port, "/channel/websocket") for _ in range(8)]
        for sock in [*mine, held[7]]:
            sock.sendall(masked(1, b'{"event": "CMD", "data": {"identity": 2, "name": "jobs"}}'))
            assert b"command_success" in sock.recv(65_536)
        status, health = ask(node, "GET", "/health", X_Api_Key=key)
        assert health["plugins"]["http"]["given_up_websockets"] >= 14
        assert health["plugins"]["http"]["refused_websockets"] == 0
        for sock in [*held, *mine, *more]:
            sock.close()


@attack(
    "a network client without a key",
    "a first message of a websocket longer than any key",
    "the websocket is closed with 1009 beyond 8 KiB",
)
def test_long_first_message_without_an_identity_is_refused(tmp_path: Path) -> None:
    with gafferd(tmp_path, "require_key = true\n") as node:
        node.start().ready()
        with _socket(node.port, "/channel/websocket") as sock:
            sock.sendall(masked(1, b"AUTH:" + b"x" * MAX_UNAUTHENTICATED_BYTES))
            assert _code(sock) == 1009


def _socket(port: int, path: str, headers: str = "") -> socket.socket:
    sock = connect(port)
    sock.settimeout(PATIENCE)
    sock.sendall(upgrade(path, headers))
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    assert b" 101 " in head, head
    return sock


def _code(sock: socket.socket) -> int:
    """Return the code with which the server closes; SockJS frames may come before."""
    while (frame := sock.recv(2))[0] & 0xF != 8:
        sock.recv(frame[1])
    return int.from_bytes(sock.recv(frame[1])[:2], "big")


@attack(
    "a network client without a key",
    "connections in a TLS handshake, or with a body, that never get on, until no place is free",
    "the oldest of them is closed for each that comes: first idle ones, then handshakes, then bodies",
)
@pytest.mark.parametrize("kind", ["body", "handshake"])
def test_slow_connections_are_evicted_when_places_run_out(certificates: Path, kind: str) -> None:  # noqa: F811
    hello = Route("GET", "/hello", handler=lambda request: {"hello": "world"}, permission=None)
    take = Route("POST", "/take", handler=lambda request: {"size": len(request.read())}, permission=None, raw=True)
    secure = tls(certificates) if kind == "handshake" else None
    with served(App([hello, take]), tls=secure, connections=8) as (address, server):
        slow = []
        for number in range(8):
            slow.append(green_connect(address))
            if kind == "body":
                slow[-1].sendall(b"POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1")
                wait_until(lambda: _slow(server) == number + 1 or server.evicted)  # noqa: B023
        for _ in range(3):
            if kind == "body":
                assert request(address, "GET", "/hello").status == 200
            else:
                assert in_thread(fetch, address, certificates)
        wait_until(lambda: server.evicted >= 1)
        assert everything(slow[0]) == b""
        for sock in slow:
            sock.close()


def _slow(server: Any) -> int:
    return sum(len(listener.bodies) for listener in server._listeners)


@attack(
    "a holder of a key",
    "a megabyte of JSON in tiny values, or a very long word where a name belongs",
    "400 within milliseconds: the values are counted before they are parsed, and no long word is compared with others",
)
@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 340_000 + b"[]]",
        b"[" + b",".join([b"[" * 30 + b"]" * 30] * 17_000) + b"]",
        b"{" + b",".join(b'"%x":1' % number for number in range(110_000)) + b"}",
        b"[" + b'"",' * 340_000 + b'""]',
    ],
    ids=["arrays", "nested", "object", "texts"],
)
def test_json_of_many_values_is_refused_unparsed(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadRequest, match=f"more than {MAX_VALUES} values"):
        parse_json(body)
    assert time.process_time() - began < 0.5  # parsing takes as long


def test_commas_in_texts_are_no_values() -> None:
    text = json.dumps({"data": 'a,b,[,\\,{,",' * 80_000, "more": ["\\", '"', ","]})
    assert not has_too_many_values(text) and parse_json(text.encode())["more"] == ["\\", '"', ","]


def test_long_words_have_no_neighbour() -> None:
    assert nearest("nmae", ["name"]) == "; did you mean 'name'?" and nearest("x" * 65, ["x" * 64]) == ""
