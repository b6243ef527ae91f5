"""Addresses to listen on: reading them, judging how far they reach, binding them.

Sockets are those of the :mod:`socket` module: native in a program of your own,
cooperative in gafferd, which patches it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import GafferError
from ..security.trusted_files import close_lock, lock_path, open_lock, place
from .paths import expand_home

#: The prefix of the address of a unix socket.
UNIX = "unix:"
#: Seconds to wait for another gafferd that binds the same unix socket at this moment.
_BIND_LOCK_TIMEOUT = 2.0
#: Where a socket's path has to fit, its final NUL included.
_MAX_PATH = 108

#: ``(host, port)``, or the path of a unix socket.
Address = tuple[str, int] | str


class BindError(GafferError):
    """An address cannot be listened on; the sentence says which and why.

    :param errno: the system's number of the reason.
    """

    code = "bind_failed"

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


def parse_address(netloc: str, default_port: int = 8000) -> Address:
    """Read ``host:port``, ``host``, ``[v6]:port`` or ``unix:/path``.

    :param default_port: the port of an address that has none.
    :returns: ``(host, port)``, or the path of a unix socket. No host and ``*``
        mean every IPv4 interface.
    :raises ValueError: says what is wrong with it.
    """
    text = netloc.strip()
    if text.startswith(UNIX):
        return _unix_path(text)
    text = text.partition("://")[2] if text.startswith("tcp://") else text
    if not text or any(char.isspace() or char in "/,@" for char in text):
        raise ValueError(f"'{netloc}' is no address: give host:port, [ipv6]:port or unix:/path")
    if text.isdigit():
        raise ValueError(f"'{netloc}' names no host: give 127.0.0.1:{text} or *:{text}")
    host, port = _host_and_port(text, netloc)
    return ("0.0.0.0" if host in ("", "*") else host), _port(port, netloc, default_port)


def _unix_path(text: str) -> str:
    path = text[len(UNIX) :]
    path = expand_home(path[2:] if path.startswith("//") else path)
    if not path or "\0" in path:
        raise ValueError(f"'{text}' has no path: give unix:/path/to/socket")
    if len(os.fsencode(path)) >= _MAX_PATH:
        raise ValueError(f"'{text}' is too long: the path of a socket has room for {_MAX_PATH - 1} bytes")
    return path


def _host_and_port(text: str, netloc: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":") or not is_ipv6(host):
            raise ValueError(f"'{netloc}' is no address: an IPv6 one is written [::1]:5000")
        return host, rest[1:]
    if is_ipv6(text):
        return text, ""
    if text.count(":") > 1:
        raise ValueError(f"'{netloc}' is no address: an IPv6 one is written [::1]:5000")
    host, _, port = text.partition(":")
    return host, port


def _port(text: str, netloc: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise ValueError(f"'{netloc}' has no usable port: '{text}' is no number from 0 to 65535")
    return int(text)


def format_address(address: Any) -> str:
    """Return the text of an address, as :func:`parse_address` or ``getsockname()`` gives it."""
    if isinstance(address, (str, bytes)):
        return UNIX + os.fsdecode(address)
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_ipv6(addr: str) -> bool:
    """Tell whether *addr* is an IPv6 address, a zone (``fe80::1%eth0``) included."""
    try:
        return ipaddress.ip_address(addr).version == 6
    except ValueError:
        return False


def is_local(address: Address) -> bool:
    """Tell whether only this machine can reach *address*: loopback or a unix socket.

    A name other than ``localhost`` counts as open: what it resolves to may change.
    """
    if isinstance(address, str):
        return True
    host = address[0].lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


class SocketAccess(NamedTuple):
    """Mode and owner of a unix socket; -1 keeps what it has."""

    mode: int = 0o600
    uid: int = -1
    gid: int = -1


OURS_ALONE = SocketAccess()


def bind_sockets(
    addr: str | Address, backlog: int = 128, allows_unix_socket: bool = False, access: SocketAccess = OURS_ALONE
) -> list[socket.socket]:
    """Listen on *addr*; a host name may stand for several sockets.

    :param addr: as :func:`parse_address` takes or returns it; port 0 takes a free one.
    :param backlog: connections that may wait to be accepted.
    :param allows_unix_socket: whether ``unix:/path`` may be given. Such a socket has
        mode 0600 and is removed when it is closed; a dead one is replaced, a live one never.
    :param access: of a unix socket, if it is to be another one.
    :returns: listening, non-blocking sockets.
    :raises ValueError: *addr* cannot be read.
    :raises BindError: it cannot be bound; the sentence names it.
    """
    address = parse_address(addr) if isinstance(addr, str) else addr
    if isinstance(address, str):
        if not allows_unix_socket:
            raise ValueError(f"'{addr}' is a unix socket, which is not possible here")
        return [_bind_unix(address, backlog, access)]
    return _bind_tcp(address[0], address[1], backlog)


def _bind_tcp(host: str, port: int, backlog: int) -> list[socket.socket]:
    shown = format_address((host, port))
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BindError(f"cannot listen on {shown}: {error.strerror or error}", error.errno or 0) from error
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, _, _, _, sockaddr in dict.fromkeys(found):
        try:
            # With port 0 the first address picks the number and the others follow.
            number = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen(family, (sockaddr[0], number, *sockaddr[2:]), backlog))
        except OSError as error:
            # "localhost" is often ::1 too, on machines without IPv6.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                for sock in sockets:
                    sock.close()
                raise _bind_error(shown, error) from error
            failed = error
    if failed is not None and not sockets:
        raise _bind_error(shown, failed) from failed
    return sockets


def _listen(family: int, sockaddr: tuple[Any, ...], backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it. Without, small answers wait 40 ms for the client's acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_error(shown: str, error: OSError) -> BindError:
    if error.errno == errno.EADDRINUSE:
        return BindError(f"cannot listen on {shown}: the address is in use; is it running already?", error.errno)
    hint = ""
    if error.errno == errno.EACCES and not shown.startswith(UNIX):
        hint = "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
    return BindError(f"cannot listen on {shown}: {error.strerror or error}{hint}", error.errno or 0)


class UnixListener(socket.socket):
    """A listening unix socket that removes its path when it is closed, if it is still its own."""

    _path = ""
    _identity = (0, 0)

    def claim(self, path: str, found: os.stat_result) -> None:
        """Remember that *path* is this socket's."""
        self._path, self._identity = path, (found.st_dev, found.st_ino)

    def close(self) -> None:
        """Close the socket and remove its path."""
        path, self._path = self._path, ""
        if path:
            with suppress(OSError), place(path) as at:  # gone already, or its folder is
                found = os.lstat(at)
                if (found.st_dev, found.st_ino) == self._identity:
                    os.unlink(at)
        super().close()


def _bind_unix(path: str, backlog: int, access: SocketAccess) -> socket.socket:
    shown = UNIX + path
    try:
        # Two starting at once cannot both replace the same dead socket.
        lock = open_lock(lock_path(path), _BIND_LOCK_TIMEOUT)
        try:
            with place(path) as at:
                _make_way(at, shown)
                return _bind_at(at, path, backlog, access)
        finally:
            close_lock(lock, lock_path(path))
    except OSError as error:
        raise _bind_error(shown, error) from error


def _bind_at(at: str, path: str, backlog: int, access: SocketAccess) -> socket.socket:
    """Bind and listen at *at*, which is where *path* leads."""
    sock = UnixListener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # so it has no other mode for a moment, on Linux
        sock.bind(at)
        # By now there may be a link in its place, so what has the name is opened, looked at and changed as one thing.
        entry = os.open(at, getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(entry)
            if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
                raise OSError(errno.EPERM, "another program has replaced it")
            sock.claim(path, found)
            # Before listen() no client can connect, whatever the mode.
            os.chown(f"/proc/self/fd/{entry}", access.uid, access.gid)
            os.chmod(f"/proc/self/fd/{entry}", access.mode)
        finally:
            os.close(entry)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _make_way(path: str, shown: str) -> None:
    """Remove a dead socket at *path*; anything else that is there stays and is an error."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"cannot listen on {shown}: something that is no socket has that name", errno.EEXIST)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog makes a blocking connect wait; EAGAIN, too, means that a server listens.
        probe.setblocking(False)
        code = probe.connect_ex(path)
    if code == errno.ECONNREFUSED:
        os.unlink(path)
    elif code != errno.ENOENT:
        raise BindError(
            f"cannot listen on {shown}: another program listens there; is it running already?", errno.EADDRINUSE
        )
