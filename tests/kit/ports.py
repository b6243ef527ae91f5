"""Ports that no other program gets meanwhile, for programs that are told where to listen."""

from __future__ import annotations

import itertools
import os
import socket

#: Below those that the system gives away by itself; tests of other processes begin elsewhere.
_FIRST, _MANY = 10_000, 22_000
_numbers = itertools.count(os.getpid() * 701)


def free_port() -> int:
    """Return a port of loopback at which nothing listens; no two calls of a process return the same."""
    for number in _numbers:
        port = _FIRST + number % _MANY
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("unreachable")
