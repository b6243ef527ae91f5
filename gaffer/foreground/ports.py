"""Whether the ports of an application are free here."""

from __future__ import annotations

import errno
import sys
from typing import Iterator, Mapping

#: The kernel's tables of connections, and what they call a listener (proc(5)).
_TABLES, _LISTENS = ("/proc/net/tcp", "/proc/net/tcp6"), "0A"


def first_taken(ports: Mapping[str, int]) -> tuple[str, int] | None:
    """Return the first ``(name, port)`` that somebody listens on, or None."""
    if not ports:
        return None
    taken = set(_listened()) if sys.platform == "linux" else {port for port in ports.values() if _is_taken(port)}
    return next(((name, port) for name, port in ports.items() if port in taken), None)


def _listened() -> Iterator[int]:
    """Yield the ports that somebody listens on, of any address."""
    for table in _TABLES:
        try:
            with open(table, encoding="ascii") as file:
                next(file)
                for line in file:
                    _, local, _, state = line.split(None, 4)[:4]
                    if state == _LISTENS:
                        yield int(local.rpartition(":")[2], 16)
        except OSError:
            continue  # a kernel without that family


def _is_taken(port: int) -> bool:
    import socket

    with socket.socket() as sock:
        # As servers do: connections of one that has ended are no obstacle.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
