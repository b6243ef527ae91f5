"""The meaning of a Host header: the name in it, and which names are a loopback address or the address connected to."""

from __future__ import annotations

import re
import socket

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
