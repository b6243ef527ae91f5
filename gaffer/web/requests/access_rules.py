"""Settings of :mod:`gaffer.web.requests.access_guard`, for all endpoints and for each; cheap to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .forwarded import Proxies


class AccessRules(NamedTuple):
    """Rules of access for all endpoints.

    :param hosts: names that requests may call this server by, besides ``localhost``, the machine's name,
        loopback addresses and the address that they came to.
    :param origins: web origins (``https://example.org``) whose pages may use it.
    :param local_users: let every local account in, not only our own and root's.
    :param anonymous: let other machines in.
    :param keys: require a key, and accept one from any account, machine and name.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    local_users: bool = False
    anonymous: bool = False
    keys: bool = False


class EndpointPolicy(NamedTuple):
    """Exceptions of one endpoint from the rules; None is as :class:`AccessRules` has it.

    :param name: the endpoint's.
    :param require_key: require a key of every request.
    :param anonymous: accept other machines without a key.
    :param local_users: accept every local account.
    :param hsts: seconds of Strict-Transport-Security; 0 sends no such header.
    :param proxies: proxies whose word on the origin of requests is believed; None is no proxy.
    """

    name: str = "default"
    require_key: bool | None = None
    anonymous: bool | None = None
    local_users: bool | None = None
    hsts: int = 0
    proxies: Proxies | None = None


DEFAULT_POLICY = EndpointPolicy()
