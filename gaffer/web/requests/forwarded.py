"""The client address behind a trusted proxy: its X-Forwarded-For header, which others may send, too."""

from __future__ import annotations

from typing import Any, Iterable

from ...config.fields import TextList

#: In place of an address: any client of a unix socket.
UNIX = "unix"
#: Proxies in a row that are believed.
MOST_HOPS = 16


class ProxyList(TextList):
    """Addresses and networks of proxies, and ``unix``."""

    label = "list of addresses, networks and 'unix'"

    def check(self, value: Any) -> tuple[str, ...]:
        found = super().check(value)
        Proxies(found)
        return found


class Proxies:
    """The proxies that are believed.

    :param texts: addresses, networks such as ``10.0.0.0/8``, and ``unix`` for unix sockets.
    :raises ValueError: one is none of these.
    """

    __slots__ = ("_networks", "_unix")

    def __init__(self, texts: Iterable[str]) -> None:
        from ipaddress import ip_network

        texts = list(texts)
        self._unix = UNIX in texts
        try:
            self._networks = [ip_network(text) for text in texts if text != UNIX]
        except ValueError as error:
            raise ValueError(f"expected addresses, networks such as 10.0.0.0/8, or 'unix': {error}") from None

    def client(self, peer: str, header: str) -> str:
        """Return where a request comes from.

        The header is read from the right: each proxy adds at its end whom it serves, and what stands before the
        address that no trusted proxy has said may be invented.

        :param peer: the address at the other end, ``""`` for a unix socket.
        :param header: X-Forwarded-For.
        """
        found = peer
        hops = header.rsplit(",", MOST_HOPS)
        for hop in reversed(hops[-MOST_HOPS:]):
            said = _address(hop)
            if not said or not self._trusts(found):
                break
            found = str(said)
        return found

    def _trusts(self, host: str) -> bool:
        if not host:
            return self._unix
        address = _address(host)
        return bool(address) and any(address in network for network in self._networks)


def _address(text: str) -> Any:
    """Return the address that *text* is, None if it is none. IPv4 in IPv6 is IPv4."""
    from ipaddress import ip_address

    try:
        found = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
