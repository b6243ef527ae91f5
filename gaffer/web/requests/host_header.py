"""The meaning of a Host header: the name in it, and which are accepted: ours, loopback, the address connected to."""

from __future__ import annotations

import re
import socket
from typing import Iterable

from ...errors import BadRequest

#: A host as headers and origins write it, with the port.
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\[\]:/?#@\s]+)(?::[0-9]*)?\Z")


def clean_host(header: str) -> str:
    """Return the name in a Host header: lower case, without port, brackets and final dot.

    :raises BadRequest: it is none.
    """
    found = HOST.match(header.strip())
    if found is None:
        raise BadRequest(f"{header[:100]!r} is no host name")
    return found.group(1).lower().strip("[]").rstrip(".")


def _packed(host: str) -> bytes:
    """Return the address that *host* is written as, nothing for a name. IPv4 in IPv6 is IPv4."""
    try:
        if ":" not in host:
            return socket.inet_pton(socket.AF_INET, host)
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return b""
    return packed[12:] if packed.startswith(b"\0" * 10 + b"\xff\xff") else packed


def is_loopback(host: str) -> bool:
    """Tell whether *host* is written as a loopback address."""
    packed = _packed(host)
    return packed[:1] == b"\x7f" if len(packed) == 4 else packed == b"\0" * 15 + b"\1"


def is_same_address(host: str, local: str) -> bool:
    """Tell whether *host* is written as the address *local*."""
    packed = _packed(host)
    return bool(packed) and packed == _packed(local)


class AcceptedHosts:
    """The names that requests may come for, addresses aside.

    :param hosts: further names, as ``allowed_hosts`` has them.
    :raises BadRequest: one is no name.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        machine = socket.gethostname().lower()
        self._names = {"localhost", machine, machine.partition(".")[0], *(clean_host(host) for host in hosts)}

    def accepts(self, host: str, local: str | None) -> bool:
        """Return whether *host* is one of the names, a loopback address, or *local*, the address connected to."""
        if host in self._names or is_loopback(host):
            return True
        return local is not None and is_same_address(host, local)
