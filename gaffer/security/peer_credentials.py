"""The account at the other end of a local connection, as the kernel tells it.

For TCP it is asked by NETLINK sock_diag (sock_diag(7)) with the connection's four addresses: one system call pair
of some 20 µs, no scan of a table. Linux only; elsewhere no peer is known.

The four addresses name a connection only while both ends exist: an account could send a request, reset its end, and
leave its port to root. So the other end must be connected, and our own end still open after the kernel has answered.
While ours is open the kernel connects no other socket with the same addresses, so its answer is about this one.
"""

from __future__ import annotations

import atexit
import itertools
import os
import socket
import struct
import sys
from functools import cache
from typing import Any, NamedTuple

#: Whether this system tells.
AVAILABLE = sys.platform.startswith("linux")

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
#: States of tcp(7), as the kernel numbers them. Data of the other end can be on its way in these:
_CONNECTED = (1, 4, 5, 8, 9, 11)  # ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING
#: The other end of our connection exists, though it may send nothing more: ESTABLISHED, CLOSE_WAIT.
_OPEN = (1, 8)
_LISTEN = 10
#: Of a connection that no program has accepted yet: ESTABLISHED, SYN_RECV, NEW_SYN_RECV.
_WAITING = (1, 3, 12)
_MAPPED = b"\0" * 10 + b"\xff\xff"

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_PORTS = struct.Struct("!HH")  # inet_diag_sockid: ports, 16 bytes each of source and destination, interface, cookie
_ANSWER = struct.Struct("=BBxx")  # inet_diag_msg: family, state, timer and retransmissions …
_ANSWER_ID = _HEADER.size + _ANSWER.size
_ANSWER_OWNER = _ANSWER_ID + 48 + 12  # … the sockid, expiry and queues; then uid and inode
_OWNER = struct.Struct("=II")


class SocketOwner(NamedTuple):
    """Owner of a TCP socket, as the kernel reports it; *inode* is 0 where no program has it."""

    state: int
    uid: int
    inode: int
    ports: bytes


def peer_uid(sock: Any, peer: Any, local: Any) -> int | None:
    """Return the uid of the process that opened the other end of a connection, None if it cannot be known.

    Once known it stays true for *sock*: no other process can send to it.

    :param sock: the accepted socket.
    :param peer: its peer's address, as ``accept()`` gave it.
    :param local: its own, as ``getsockname()`` gives it.
    """
    if sock.family == socket.AF_UNIX:
        return unix_uid(sock)
    try:
        uid = tcp_uid(peer, local)
        return uid if uid is None or is_open(sock) else None
    except OSError:
        return None


def is_open(sock: Any) -> bool:
    """Tell whether our end of a TCP connection still has another end.

    :raises OSError: *sock* is closed.
    """
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _OPEN


def unix_uid(sock: Any) -> int | None:
    """Return the uid behind a unix socket (SO_PEERCRED, unix(7)), None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    try:
        _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, 12))
    except OSError:
        return None
    return int(uid)


def tcp_uid(peer: Any, local: Any) -> int | None:
    """Return the uid that owns the local TCP socket bound to *peer* and connected to *local*.

    :raises OSError: the kernel cannot be asked.
    """
    found = _find(peer, local)
    # Without such a connection the kernel finds the listener at the peer's port; a client has none.
    if found is None or found.state not in _CONNECTED or found.ports != _PORTS.pack(peer[1], local[1]):
        return None
    # A closed socket has no owner, and the kernel then says uid 0: any account could pass for root.
    return found.uid if found.inode else None


def server_uid(sock: Any) -> int | None:
    """Return the uid of the program that serves a connection that we have made, None if it cannot be known.

    A connection that is not accepted yet is its listener's. No other program comes to listen there unseen: when a
    listener closes, what waits at it is reset.
    """
    if sock.family == socket.AF_UNIX:
        return unix_uid(sock)
    try:
        server, client = sock.getpeername(), sock.getsockname()
        listener = _find(server, ("0.0.0.0" if len(_pack(server[0])) == 4 else "::", 0))
        found = _find(server, client)
        if found is None or found.ports != _PORTS.pack(server[1], client[1]) or not is_open(sock):
            return None
    except OSError:
        return None
    if found.inode:
        return found.uid if found.state in _CONNECTED else None
    waits = found.state in _WAITING and listener is not None and listener.state == _LISTEN and listener.inode
    return listener.uid if waits and listener is not None else None


def is_same_machine(sock: Any) -> bool:
    """Tell whether both ends of a connection have addresses of this machine."""
    if sock.family == socket.AF_UNIX:
        return True
    server = _pack(sock.getpeername()[0])
    loopback = server[:1] == b"\x7f" if len(server) == 4 else server == b"\0" * 15 + b"\1"
    return loopback or server == _pack(sock.getsockname()[0])


def _find(peer: Any, local: Any) -> SocketOwner | None:
    """Return the socket bound to *peer* and connected to *local*, else one that listens at *peer*.

    :raises OSError: the kernel cannot be asked.
    """
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    source, target = _pack(peer[0]), _pack(local[0])
    if len(source) != len(target):
        return None
    ports = _PORTS.pack(peer[1], local[1])
    place = ports + source.ljust(16, b"\0") + target.ljust(16, b"\0")
    kind = socket.AF_INET if len(source) == 4 else socket.AF_INET6
    question = _QUESTION.pack(kind, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + place + b"\0" * 4 + b"\xff" * 8
    return _owner(_kernel(family, os.getpid()).ask(question))


class _Kernel:
    """A netlink socket, kept, so that a program that has no descriptor left can still tell who its clients are."""

    def __init__(self, family: int) -> None:
        self._family = family
        self._numbers = itertools.count(1)
        self._kept = self._connect()
        atexit.register(self._kept.close)

    def _connect(self) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        made.setblocking(False)
        return made

    def ask(self, question: bytes) -> bytes:
        """Return the kernel's answer, which is there at once.

        :raises OSError: it cannot be asked.
        """
        answer = self._exchange(self._kept, question)
        if answer is None:  # another thread has taken it
            with self._connect() as fresh:
                answer = self._exchange(fresh, question)
        return answer or b""

    def _exchange(self, kernel: socket.socket, question: bytes) -> bytes | None:
        number = next(self._numbers) & 0xFFFFFFFF
        header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, number, 0)
        try:
            kernel.send(header + question)
            answer = kernel.recv(4096)
        except BlockingIOError:
            return None
        ours = len(answer) >= _HEADER.size and _HEADER.unpack_from(answer)[3] == number
        return answer if ours else None


@cache
def _kernel(family: int, process: int) -> _Kernel:
    """Return the socket of *process*, this one: one from before a fork would get answers of both."""
    return _Kernel(family)


def _owner(answer: bytes) -> SocketOwner | None:
    """Return what the kernel's *answer* says, None if it knows no such socket."""
    if len(answer) < _ANSWER_OWNER + _OWNER.size or _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    _, state = _ANSWER.unpack_from(answer, _HEADER.size)
    uid, inode = _OWNER.unpack_from(answer, _ANSWER_OWNER)
    return SocketOwner(state, uid, inode, answer[_ANSWER_ID : _ANSWER_ID + 4])


def _pack(host: str) -> bytes:
    """Return an address as bytes; IPv4 written as IPv6 becomes IPv4, which its owner is found by."""
    if ":" not in host:
        return socket.inet_aton(host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return packed[12:] if packed.startswith(_MAPPED) else packed
