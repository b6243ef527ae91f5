"""Who may come: the values that :mod:`gaffer.web.requests.access_guard` works by, cheap to import and to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .forwarded import Proxies


class AccessRules(NamedTuple):
    """Who may come.

    :param hosts: names that requests may call this server by, besides ``localhost``, the machine's name,
        loopback addresses and the address that they came to.
    :param origins: web origins (``https://example.org``) whose pages may use it.
    :param local_users: let every local account in, not only our own and root's.
    :param anonymous: let other machines in.
    :param keys: let everybody in who shows a key, whatever account, machine or name they come from.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    local_users: bool = False
    anonymous: bool = False
    keys: bool = False


class EndpointPolicy(NamedTuple):
    """What is special about one endpoint; a connection carries that of where it came in.

    :param name: the endpoint's.
    :param require_key: whether nobody may do anything without a key; None is what the rules say.
    :param anonymous: whether other machines may come in without one; likewise.
    :param local_users: whether every local account may come in; likewise.
    :param hsts: seconds for which browsers shall use nothing but TLS for this host; 0 says nothing of it.
    :param proxies: those whose word is taken for where requests come from; None is no proxy.
    """

    name: str = "default"
    require_key: bool | None = None
    anonymous: bool | None = None
    local_users: bool | None = None
    hsts: int = 0
    proxies: Proxies | None = None


DEFAULT_POLICY = EndpointPolicy()
