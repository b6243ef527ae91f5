"""Probes that connect: http, https, tcp and unix.

A connection is kept for the next check only where the answer says ``Connection: keep-alive``: a server with one thread,
which does not, would serve nothing else meanwhile. It is made anew now and then, because a process that accepts no new
ones is not ready, whatever it does for old ones.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, Callable, Iterable, NamedTuple

from gevent import socket

from gaffer.api import Resolver

from .syntax import ProbeAddress

#: Bytes of an answer's head, and of its body, that are read.
MAX_HEAD, MAX_BODY = 16 * 1024, 64 * 1024
#: Checks that one connection is used for, and the longest pause between two of them, in seconds.
MAX_USES, MAX_IDLE = 20, 3.0
#: Characters of an answer's first line that a message shows.
_MAX_LINE = 200
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r?\n", re.IGNORECASE)
_KEPT = re.compile(rb"\nconnection:[ \t]*keep-alive[ \t]*\r?\n", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")

#: Makes a connection; it is closed by the one who asked.
Connect = Callable[[], Any]

_resolver: Resolver | None = None


class ProbeFailed(Exception):
    """A check that did not succeed; one sentence without a full stop."""


def to_address(address: ProbeAddress, seconds: float) -> Connect:
    """Return what connects to a host and a port.

    :param seconds: how long all addresses of a name may take together.
    """
    if re.fullmatch(r"[0-9.]+", address.host):  # as most are, and these need no look-up each time
        return partial(_connect, socket.AF_INET, (address.host, address.port))
    if ":" in address.host and "%" not in address.host:
        return partial(_connect, socket.AF_INET6, (address.host, address.port))
    return lambda: _names().connect(address.host, address.port, seconds)


def to_path(path: str, cwd: str | None) -> Connect:
    """Return what connects to a unix socket; a relative path begins in the process' working folder."""
    return partial(_connect, socket.AF_UNIX, os.path.join(cwd or "", path))


def _connect(family: int, address: Any) -> Any:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _names() -> Resolver:
    global _resolver
    if _resolver is None:
        _resolver = Resolver()
    return _resolver


def accepts(connect: Connect) -> str:
    """Check that a connection can be made.

    :raises OSError: it cannot.
    """
    connect().close()
    return "accepts connections"


def http_request(address: ProbeAddress, headers: Iterable[str], tls: bool, keep: bool = False) -> bytes:
    """Return the request of a check.

    :param keep: ask for a connection that is kept.
    """
    lines = [header.partition(":") for header in headers]
    given = {name.lower() for name, _, _ in lines}
    host = f"[{address.host}]" if ":" in address.host else address.host
    own = {
        "Host": host if address.port == (443 if tls else 80) else f"{host}:{address.port}",
        "User-Agent": "gaffer",
        "Accept": "*/*",
    }
    sent = [f"{name}: {value}" for name, value in own.items() if name.lower() not in given]
    sent += [f"{name}: {value.strip()}" for name, _, value in lines]
    return "\r\n".join(
        [f"GET {address.path} HTTP/1.1", *sent, "Connection: keep-alive" if keep else "Connection: close", "", ""]
    ).encode("latin-1", "replace")


class HttpCheck:
    """Makes a request and checks the status of the answer; redirects are not followed.

    :param good: ranges of statuses that are a success.
    :param host: the name that a TLS server is told; None without TLS.
    """

    def __init__(self, connect: Connect, request: bytes, good: list[tuple[int, int]], host: str | None = None) -> None:
        self._connect, self._request, self._good, self._host = connect, request, good, host
        #: The connection that is kept, and how often it was used.
        self._kept: Any = None
        self._uses = 0

    def __call__(self) -> str:
        """Return the status.

        :raises ProbeFailed: it is none of the good ones, or the answer is not HTTP. :raises OSError: no connection.
        """
        answer = self._on_kept() or self._on(self._connected())
        if any(low <= answer.status <= high for low, high in self._good):
            return f"status {answer.status}"
        line = _first_line(answer.body)
        raise ProbeFailed(f"status {answer.status}: {line}" if line else f"status {answer.status}")

    def close(self) -> None:
        """Close the connection that is kept."""
        sock, self._kept = self._kept, None
        if sock is not None:
            sock.close()

    def _on_kept(self) -> _Answer | None:
        """Ask on the connection that was kept; return None if there is none, or the server has closed it meanwhile."""
        sock, self._kept = self._kept, None
        if sock is None:
            return None
        try:
            return self._on(sock)
        except (ProbeFailed, OSError):
            return None

    def _connected(self) -> Any:
        self._uses = 0
        sock = self._connect()
        if self._host is None:
            return sock
        try:
            return _secured(sock, self._host)
        except BaseException:
            sock.close()
            raise

    def _on(self, sock: Any) -> _Answer:
        """Ask on a connection, and keep or close it."""
        try:
            sock.sendall(self._request)
            answer = _read(sock)
            self._uses += 1
            if answer.kept and self._uses < MAX_USES:
                self._kept, sock = sock, None
            return answer
        finally:
            if sock is not None:
                sock.close()


def _secured(sock: Any, host: str) -> Any:
    """Return *sock* with TLS; the certificate is not checked: the question is whether the process answers."""
    from gevent import ssl

    global _context
    if _context is None:
        _context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _context.check_hostname = False
        _context.verify_mode = ssl.CERT_NONE
    return _context.wrap_socket(sock, server_hostname=host)


_context: Any = None


class _Answer(NamedTuple):
    """An answer as far as it was read, and whether its connection may be used again."""

    status: int
    body: bytes
    kept: bool


def _read(sock: Any) -> _Answer:
    """Read an answer, and no more of it than is allowed."""
    data, end, status = _read_head(sock)
    length = _LENGTH.search(data, 0, end)
    if status in (204, 304):
        wanted = 0
    else:
        wanted = min(int(length.group(1)) if length else MAX_BODY, MAX_BODY)
    parts = [data[end:]]
    missing = wanted - len(parts[0])
    while missing > 0:
        more = sock.recv(missing)
        if not more:
            break
        parts.append(more)
        missing -= len(more)
    whole = missing == 0 and (wanted == 0 or length is not None and int(length.group(1)) == wanted)
    return _Answer(status, b"".join(parts), whole and _KEPT.search(data, 0, end) is not None)


def _read_head(sock: Any) -> tuple[bytes, int, int]:
    """Return what was read, where the head ends, and the status.

    :raises ProbeFailed: there is no answer, or it is too long, or not HTTP.
    """
    data = sock.recv(MAX_HEAD)
    while True:
        end = _HEAD_END.search(data)
        if end is None:
            if len(data) >= MAX_HEAD:
                raise ProbeFailed(f"the head of the answer has more than {MAX_HEAD} bytes")
            more = sock.recv(MAX_HEAD - len(data)) if data else b""
            if not more:
                where = "in the middle of the answer" if data else "without an answer"
                raise ProbeFailed(f"the connection was closed {where}")
            data += more
            continue
        found = _STATUS.match(data)
        if found is None:
            raise ProbeFailed(f"the answer is not HTTP: {_first_line(data)}")
        status = int(found.group(1))
        if status >= 200:
            return data, end.end(), status
        data = data[end.end() :] or sock.recv(MAX_HEAD)  # an early hint: the answer follows


def _first_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return "".join(char for char in lines[0] if char.isprintable())[:_MAX_LINE] if lines else ""
