"""Probes that connect: http, https, tcp and unix.

Each check makes a connection of its own and closes it: a process that accepts no new ones is not ready, whatever it
does for old ones, and a connection kept between two checks would occupy one of its workers.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, Callable, Iterable

from gevent import socket

from gaffer.api import Resolver

from .kinds import Address

#: Bytes of an answer's head, and of its body, that are read.
MAX_HEAD, MAX_BODY = 16 * 1024, 64 * 1024
#: Characters of an answer's first line that a message shows.
_MAX_LINE = 200
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r?\n", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")

#: Makes a connection; it is closed by the one who asked.
Connect = Callable[[], Any]

_resolver: Resolver | None = None


class ProbeFailed(Exception):
    """A check that did not succeed; one sentence without a full stop."""


def to_address(address: Address, seconds: float) -> Connect:
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


def http_request(address: Address, headers: Iterable[str], tls: bool) -> bytes:
    """Return the request of a check."""
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
    return "\r\n".join([f"GET {address.path} HTTP/1.1", *sent, "Connection: close", "", ""]).encode(
        "latin-1", "replace"
    )


def http_status(connect: Connect, request: bytes, good: list[tuple[int, int]], host: str | None = None) -> str:
    """Make a request and check the status of the answer; redirects are not followed.

    :param host: the name that a TLS server is told; None without TLS.
    :raises ProbeFailed: another status, or an answer that is not HTTP. :raises OSError: there is no connection.
    """
    sock = connect()
    try:
        if host is not None:
            sock = _secured(sock, host)
        sock.sendall(request)
        status, body = _answer(sock)
    finally:
        sock.close()
    if any(low <= status <= high for low, high in good):
        return f"status {status}"
    line = _first_line(body)
    raise ProbeFailed(f"status {status}: {line}" if line else f"status {status}")


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


def _answer(sock: Any) -> tuple[int, bytes]:
    """Return the status and the beginning of the body; reads no more than is allowed."""
    data = sock.recv(MAX_HEAD)
    while True:
        end = _HEAD_END.search(data)
        if end is None:
            if len(data) >= MAX_HEAD:
                raise ProbeFailed(f"the head of the answer has more than {MAX_HEAD} bytes")
            more = sock.recv(MAX_HEAD - len(data)) if data else b""
            if not more:
                raise ProbeFailed(
                    "the connection was closed in the middle of the answer"
                    if data
                    else "the connection was closed without an answer"
                )
            data += more
            continue
        found = _STATUS.match(data)
        if found is None:
            raise ProbeFailed(f"the answer is not HTTP: {_first_line(data)}")
        status = int(found.group(1))
        if status >= 200:
            break
        data = data[end.end() :] or sock.recv(MAX_HEAD)
    length = _LENGTH.search(data, 0, end.end())
    wanted = min(int(length.group(1)) if length else MAX_BODY, MAX_BODY)
    if status in (204, 304):
        wanted = 0
    parts = [data[end.end() :]]
    missing = wanted - len(parts[0])
    while missing > 0:
        more = sock.recv(min(missing, MAX_BODY))
        if not more:
            break
        parts.append(more)
        missing -= len(more)
    return status, b"".join(parts)


def _first_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return "".join(char for char in lines[0] if char.isprintable())[:_MAX_LINE] if lines else ""
