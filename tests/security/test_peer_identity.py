"""Attacks on the identity that the kernel tells of the other end of a local connection."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import struct
import sys
from pathlib import Path

import pytest

from gaffer.security import peer_credentials
from tests.kit.gafferd import PATIENCE, Gafferd, eventually
from tests.kit.stranger import as_root, as_stranger
from tests.security import attack

pytestmark = [
    as_root,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sock_diag is Linux's"),
]

PLUGINS = Path(__file__).parents[2] / "contrib" / "plugins"
JOB = json.dumps({"name": "evil", "cmd": "sleep 600"}).encode()
REQUEST = (
    b"POST /jobs/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(JOB), JOB)
)


def connect_from(port: int, to: int) -> socket.socket:
    client = socket.socket()
    client.settimeout(PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", port))
    client.connect(("127.0.0.1", to))
    return client


def send_and_reset(to: int, data: bytes) -> int:
    """Connect as another account, send *data* and reset the connection; returns its source port."""
    with as_stranger(), connect_from(0, to) as client:
        client.sendall(data)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return int(client.getsockname()[1])


def attacked(gafferd: Gafferd, then: bytes) -> None:
    """Let root's request follow one of another account, from the same port, before gafferd sees either."""
    gafferd.signal(signal.SIGSTOP)
    try:
        port = send_and_reset(gafferd.port, REQUEST)
        client = connect_from(port, gafferd.port)
        client.sendall(then)
    finally:
        gafferd.signal(signal.SIGCONT)
    with client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 200, answer.read()


PING = b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@attack(
    "another account of the machine",
    "a connection that is reset after its request, so that root's next connection from the same port vouches for it",
    "its account counts as unknown once the connection is gone: 403, the request is not carried out",
)
@pytest.mark.parametrize("plugin", ["", "unix_peers"])
def test_reset_connection_is_not_taken_for_roots(tmp_path: Path, plugin: str) -> None:
    options, args = "", []
    if plugin:
        options, args = "require_key = true\n[plugin:unix_peers]\nroot = admin\n", ["-p", str(tmp_path / "p")]
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "unix_peers.py").write_text((PLUGINS / "unix_peers.py").read_text())
    with Gafferd(tmp_path, options=options) as gafferd:
        gafferd.start(*args).ready()
        attacked(gafferd, PING)
        assert "default.evil" not in gafferd.get("/jobs")["jobs"]


@attack(
    "another account of the machine",
    "the same, where every local account may come in, to have root's uid in the audit log",
    "the line of the audit log names no uid",
)
def test_reset_connection_is_not_recorded_as_roots(tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    with Gafferd(tmp_path, options=f"allow_local_users = true\naudit_log = {audit}\n") as gafferd:
        gafferd.start().ready()
        attacked(gafferd, PING)
        eventually(lambda: "evil" in audit.read_text())
        (line,) = [json.loads(line) for line in audit.read_text().splitlines() if "evil" in line]
        assert "uid=" not in line["from"], line


def test_uid_is_known_only_while_our_end_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = send_and_reset(listener.getsockname()[1], b"x")
        with connect_from(port, listener.getsockname()[1]):
            first, peer = listener.accept()
            second, same = listener.accept()
            with first, second:
                assert peer == same == ("127.0.0.1", port)
                assert peer_credentials.peer_uid(first, peer, first.getsockname()) is None
                assert peer_credentials.peer_uid(second, same, second.getsockname()) == 0
