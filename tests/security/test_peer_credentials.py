"""The kernel is asked for real: whose process is at the other end of a connection?"""

from __future__ import annotations

import errno
import os
import pwd
import socket
import subprocess
import sys
import tempfile

import pytest

from gaffer.security import peer_credentials as peer
from gaffer.web.application import App
from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.requests.routes import Route
from tests.kit.web import in_thread, parse, served

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sock_diag is Linux's")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a second user")
try:
    NOBODY = pwd.getpwnam("nobody").pw_uid
except KeyError:
    NOBODY = 65534

#: A client that becomes another user before it connects. It starts as root because others may not read our Python.
CLIENT = """
import os, socket, sys
uid, family, address, data = int(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3]), sys.argv[4].encode()
sock = socket.socket(family)
sock.close()
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
sock = socket.socket(family)
sock.settimeout(10)
sock.connect(address)
sock.sendall(data)
while chunk := sock.recv(65536):
    sys.stdout.buffer.write(chunk)
"""


def as_user(uid, family, address, data):
    command = [sys.executable, "-c", CLIENT, str(uid), str(int(family)), repr(address), data]
    return in_thread(subprocess.run, command, capture_output=True, timeout=30)


def pair(family, bind, connect_to=None, client_family=None):
    """Return a client's socket and the server's end of it."""
    with socket.socket(family) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(bind)
        listener.listen()
        client = socket.socket(family if client_family is None else client_family)
        port = listener.getsockname()[1]
        client.connect((connect_to or bind[0], port))
        server, address = listener.accept()
        return client, server, address


@pytest.mark.parametrize(
    ("family", "bind", "connect_to", "client_family"),
    [
        (socket.AF_INET, ("127.0.0.1", 0), None, None),
        (socket.AF_INET6, ("::1", 0), None, None),
        (socket.AF_INET6, ("::", 0), "127.0.0.1", socket.AF_INET),
        (socket.AF_INET6, ("::", 0), "::ffff:127.0.0.1", socket.AF_INET6),
    ],
    ids=["v4", "v6", "v4 to v6", "mapped v4"],
)
def test_the_uid_behind_a_tcp_connection(family, bind, connect_to, client_family):
    client, server, address = pair(family, bind, connect_to, client_family)
    with client, server:
        assert peer.peer_uid(server, address, server.getsockname()) == os.geteuid()


def test_the_uid_behind_a_unix_socket(tmp_path):
    first, second = socket.socketpair()
    with first, second:
        assert peer.peer_uid(first, "", "") == os.geteuid()


def test_a_closed_socket_belongs_to_no_account():
    """The kernel calls its owner uid 0: a client that sends and closes at once would be root."""
    client, server, address = pair(socket.AF_INET, ("127.0.0.1", 0))
    with server:
        client.close()
        assert peer.peer_uid(server, address, server.getsockname()) is None


def test_a_half_closed_socket_still_has_an_owner():
    client, server, address = pair(socket.AF_INET, ("127.0.0.1", 0))
    with client, server:
        client.shutdown(socket.SHUT_WR)
        assert peer.peer_uid(server, address, server.getsockname()) == os.geteuid()


def test_who_listens_at_the_peers_port_is_not_the_peer():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert peer.tcp_uid(listener.getsockname(), ("127.0.0.1", 9)) is None


def test_who_only_wants_to_connect_is_not_the_peer():
    """Its predecessor may have sent what is asked about, from the same port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # What does not fit into the backlog waits for an answer to its first packet.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        states = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for one in waiting]
        known = [peer.tcp_uid(one.getsockname(), listener.getsockname()) for one in waiting]
        assert set(states) == {1, 2}
        assert known == [os.geteuid() if state == 1 else None for state in states]
        for one in waiting:
            one.close()


def test_no_such_connection():
    assert peer.tcp_uid(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
    assert peer.tcp_uid(("::1", 1, 0, 0), ("127.0.0.1", 2)) is None


@pytest.mark.parametrize("answer", [b"", b"\0" * 20, b"\0" * 200])
def test_answers_that_are_none(answer):
    assert peer._owner(answer) is None


def test_kernel_is_asked_without_a_free_descriptor(monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    client, server, address = pair(socket.AF_INET, ("127.0.0.1", 0))
    with client, server:
        local = server.getsockname()
        assert peer.peer_uid(server, address, local) == os.getuid()
        monkeypatch.setattr(peer.socket, "socket", refuse)
        assert peer.peer_uid(server, address, local) == os.getuid()


def test_systems_that_do_not_tell(monkeypatch):
    def refuse(*args):
        raise PermissionError("no netlink here")

    client, server, address = pair(socket.AF_INET, ("127.0.0.1", 0))
    with client, server:
        local = server.getsockname()
        monkeypatch.setattr(peer, "_kernel", refuse)
        assert peer.peer_uid(server, address, local) is None
        monkeypatch.delattr(peer.socket, "AF_NETLINK")
        assert peer.peer_uid(server, address, local) is None


# -- with a second user, through the real server ------------------------------------------------


def guarded(**options):
    route = Route("GET", "/", handler=lambda request: {"welcome": "in"}, permission=None)
    return AccessGuard(App([route]), AccessRules(**options))


REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@as_root
@pytest.mark.parametrize(("bind", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6)])
def test_a_second_user_is_refused_over_tcp(bind, family):
    with served(guarded(), bind) as (address, _):
        answer = parse(as_user(NOBODY, family, address[:2], REQUEST).stdout)
        assert f"uid {NOBODY}" in answer.assert_problem(403, "forbidden")
        assert parse(as_user(0, family, address[:2], REQUEST).stdout).json == {"welcome": "in"}


@as_root
def test_a_second_user_can_be_let_in():
    with served(guarded(local_users=True)) as (address, _):
        assert parse(as_user(NOBODY, socket.AF_INET, address, REQUEST).stdout).json == {"welcome": "in"}


@as_root
def test_a_second_user_and_a_unix_socket():
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as folder, served(guarded(), f"unix:{folder}/socket") as (address, _):
        os.chmod(folder, 0o755)
        closed = as_user(NOBODY, socket.AF_UNIX, address, REQUEST)
        assert b"PermissionError" in closed.stderr
        os.chmod(address, 0o666)
        parse(as_user(NOBODY, socket.AF_UNIX, address, REQUEST).stdout).assert_problem(403, "forbidden")
        assert parse(as_user(0, socket.AF_UNIX, address, REQUEST).stdout).json == {"welcome": "in"}


# -- who serves ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "bind", "to"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
        (socket.AF_INET6, "::", "::ffff:127.0.0.1"),
    ],
)
def test_server_is_known_before_and_after_it_accepts(family, bind, to):
    with socket.socket(family) as listener:
        listener.bind((bind, 0))
        listener.listen()
        with socket.create_connection((to, listener.getsockname()[1])) as client:
            assert peer.is_same_machine(client)
            assert peer.server_uid(client) == os.geteuid()
            accepted, _ = listener.accept()
            assert peer.server_uid(client) == os.geteuid()
            listener.close()
            assert peer.server_uid(client) == os.geteuid()
            accepted.close()
            assert peer.server_uid(client) is None


def test_server_that_has_reset_us_has_no_account_whichever_listens_now():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        place = listener.getsockname()
    with client, socket.create_server(place):
        assert peer.server_uid(client) is None


def test_server_of_a_unix_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client.connect(str(tmp_path / "s"))
        assert peer.is_same_machine(client) and peer.server_uid(client) == os.geteuid()
