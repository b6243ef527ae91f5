"""gaffer.config.addresses: what an address means, and listening on it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gaffer.config.addresses import (
    BindError,
    SocketAccess,
    _bind_error,
    bind_sockets,
    format_address,
    is_ipv6,
    is_local,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        (" example.org ", ("example.org", 8000)),
        ("example.org:", ("example.org", 8000)),
        ("tcp://127.0.0.1:1", ("127.0.0.1", 1)),
        ("*:80", ("0.0.0.0", 80)),
        (":80", ("0.0.0.0", 80)),
        ("[::1]:5000", ("::1", 5000)),
        ("[::1]", ("::1", 8000)),
        ("::1", ("::1", 8000)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("localhost:0", ("localhost", 0)),
        ("unix:/run/gaffer.sock", "/run/gaffer.sock"),
        ("unix:///run/gaffer.sock", "/run/gaffer.sock"),
        ("unix:relative.sock", "relative.sock"),
    ],
)
def test_parse_address(text: str, address: Any) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is no address: give host:port, [ipv6]:port or unix:/path"),
        ("/run/x.sock", "'/run/x.sock' is no address: give host:port, [ipv6]:port or unix:/path"),
        ("http://a:1", "'http://a:1' is no address: give host:port, [ipv6]:port or unix:/path"),
        ("a b:1", "'a b:1' is no address: give host:port, [ipv6]:port or unix:/path"),
        ("5000", "'5000' names no host: give 127.0.0.1:5000 or *:5000"),
        ("a:b", "'a:b' has no usable port: 'b' is no number from 0 to 65535"),
        ("a:65536", "'a:65536' has no usable port: '65536' is no number from 0 to 65535"),
        ("a:-1", "'a:-1' has no usable port: '-1' is no number from 0 to 65535"),
        ("[::1", "'[::1' is no address: an IPv6 one is written [::1]:5000"),
        ("[::1]5", "'[::1]5' is no address: an IPv6 one is written [::1]:5000"),
        ("[host]:5", "'[host]:5' is no address: an IPv6 one is written [::1]:5000"),
        ("a:b:c", "'a:b:c' is no address: an IPv6 one is written [::1]:5000"),
        ("unix:", "'unix:' has no path: give unix:/path/to/socket"),
        (
            "unix:" + "x" * 108,
            "'unix:" + "x" * 108 + "' is too long: the path of a socket has room for 107 bytes",
        ),
    ],
)
def test_parse_address_says_what_is_wrong(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_address(text)
    assert str(caught.value) == sentence


def test_format_address_is_its_inverse() -> None:
    for text in ("127.0.0.1:5000", "[::1]:5000", "unix:/run/x"):
        assert format_address(parse_address(text)) == text
    assert format_address(("::1", 5000, 0, 0)) == "[::1]:5000"


def test_is_ipv6() -> None:
    assert is_ipv6("::1") and is_ipv6("fe80::1%eth0")
    assert not is_ipv6("127.0.0.1") and not is_ipv6("localhost") and not is_ipv6("")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "a.localhost", "::ffff:127.0.0.1"])
def test_what_only_this_machine_can_reach(host: str) -> None:
    assert is_local((host, 1))
    assert is_local("/run/x.sock")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.example.org", "::ffff:0.0.0.0"]
)
def test_what_others_can_reach(host: str) -> None:
    assert not is_local((host, 1))


class TestTcp:
    def test_listens_without_delays(self) -> None:
        (sock,) = bind_sockets("127.0.0.1:0", backlog=5)
        with closing(sock):
            assert sock.getblocking() is False
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            assert sock.get_inheritable() is False
            with socket.create_connection(sock.getsockname(), timeout=5):
                sock.setblocking(True)
                accepted, _ = sock.accept()
                with closing(accepted):
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_port_in_use_names_the_address(self) -> None:
        (sock,) = bind_sockets(("127.0.0.1", 0))
        with closing(sock):
            port = sock.getsockname()[1]
            with pytest.raises(BindError) as caught:
                bind_sockets(f"127.0.0.1:{port}")
        assert caught.value.errno == errno.EADDRINUSE
        assert str(caught.value) == (
            f"cannot listen on 127.0.0.1:{port}: the address is in use; is it running already?"
        )

    def test_a_foreign_address(self) -> None:
        with pytest.raises(BindError, match=r"^cannot listen on 192\.0\.2\.1:0: Cannot assign requested address$"):
            bind_sockets("192.0.2.1:0")

    def test_a_name_with_several_addresses_gets_one_port(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = (socket.SOCK_STREAM, 6, "")
        found = [(socket.AF_INET, *stream, ("127.0.0.1", 0)), (socket.AF_INET, *stream, ("127.0.0.2", 0))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found + found[:1])
        first, second = bind_sockets("somewhere:0")
        with closing(first), closing(second):
            assert first.getsockname()[1] == second.getsockname()[1]
            assert second.getsockname()[0] == "127.0.0.2"

    def test_families_that_the_machine_lacks_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = (socket.SOCK_STREAM, 6, "")
        found = [(socket.AF_INET, *stream, ("192.0.2.1", 0)), (socket.AF_INET, *stream, ("127.0.0.1", 0))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        (sock,) = bind_sockets("localhost:0")
        with closing(sock):
            assert sock.getsockname()[0] == "127.0.0.1"

    def test_a_name_that_does_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*args: Any, **kwargs: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(BindError, match="^cannot listen on nowhere.invalid:1: Name or service not known$"):
            bind_sockets("nowhere.invalid:1")

    def test_ipv6(self) -> None:
        try:
            socket.socket(socket.AF_INET6).close()
            (sock,) = bind_sockets("[::1]:0")
        except (OSError, BindError):
            pytest.skip("this machine has no IPv6 loopback")
        with closing(sock):
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


class TestUnix:
    def test_only_where_it_is_allowed(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="is a unix socket, which is not possible here"):
            bind_sockets(f"unix:{tmp_path}/x.sock")

    def test_is_ours_alone_and_goes_with_us(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sock"
        old = os.umask(0)
        try:
            (sock,) = bind_sockets(f"unix:{path}", allows_unix_socket=True)
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        sock.close()
        sock.close()
        assert not path.exists()

    def test_may_be_shared_with_a_group(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sock"
        gid = 65534 if os.geteuid() == 0 else os.getgroups()[0] if os.getgroups() else os.getegid()
        (sock,) = bind_sockets(f"unix:{path}", allows_unix_socket=True, access=SocketAccess(0o660, gid=gid))
        with closing(sock):
            found = path.stat()
            assert (stat.S_IMODE(found.st_mode), found.st_gid, found.st_uid) == (0o660, gid, os.geteuid())

    def test_cannot_be_given_away_by_every_account(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: str, uid: int, gid: int) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "chown", refuse)
        with pytest.raises(BindError, match="x.sock: Operation not permitted$"):
            bind_sockets(f"unix:{tmp_path}/x.sock", allows_unix_socket=True, access=SocketAccess(uid=12))
        assert not (tmp_path / "x.sock").exists()

    def test_never_steals_a_live_one(self, tmp_path: Path) -> None:
        address = f"unix:{tmp_path}/x.sock"
        (sock,) = bind_sockets(address, backlog=0, allows_unix_socket=True)
        with closing(sock), socket.socket(socket.AF_UNIX) as filler:
            filler.setblocking(False)
            for _ in range(2):
                with pytest.raises(BindError) as caught:
                    bind_sockets(address, allows_unix_socket=True)
                assert str(caught.value) == (
                    f"cannot listen on {address}: another program listens there; is it running already?"
                )
                filler.connect_ex(f"{tmp_path}/x.sock")

    def test_replaces_a_dead_one(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        (sock,) = bind_sockets(f"unix:{path}", allows_unix_socket=True)
        with closing(sock), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_leaves_files_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sock"
        path.write_text("precious")
        with pytest.raises(BindError, match="something that is no socket has that name"):
            bind_sockets(f"unix:{path}", allows_unix_socket=True)
        assert path.read_text() == "precious"

    def test_does_not_remove_a_successor(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sock"
        (sock,) = bind_sockets(f"unix:{path}", allows_unix_socket=True)
        path.unlink()
        (successor,) = bind_sockets(f"unix:{path}", allows_unix_socket=True)
        sock.close()
        assert path.exists()
        successor.close()

    def test_folder_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(BindError, match="no/x.sock: No such file or directory$"):
            bind_sockets(f"unix:{tmp_path}/no/x.sock", allows_unix_socket=True)


def test_gevent_is_not_needed() -> None:
    code = "import sys, gaffer.util; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_port_of_root_is_named():
    error = _bind_error("0.0.0.0:80", PermissionError(errno.EACCES, "Permission denied"))
    assert str(error).endswith("Permission denied; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE")
    assert "1024" not in str(_bind_error("unix:/run/x", PermissionError(errno.EACCES, "Permission denied")))
