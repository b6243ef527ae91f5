"""Where to listen and who may come: what the settings or the embedding program say, checked and bound."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Iterable, NamedTuple

from ..addresses import bind_sockets, format_address, is_local, parse_address
from ..errors import BadRequest, ConfigError, Problem
from ..options import DEFAULT_BIND
from ..settings import Endpoint
from .rules import Rules, check_origin, clean_host

if TYPE_CHECKING:
    from ..settings import Settings

#: The port of an address that has none; gaffer_lookupd has another.
DEFAULT_PORT = 5000
_CHECKS = {"allowed_hosts": clean_host, "allowed_origins": check_origin}


class Bound(NamedTuple):
    """A listening socket and its TLS settings, None for plain HTTP."""

    sock: socket.socket
    tls: Any


def make_endpoints(settings: Settings | None, given: Iterable[Endpoint | str] | None) -> list[Endpoint]:
    """Return where to listen.

    :param given: what the embedding program said: endpoints or addresses. Without it the settings count, and
        without those it is 127.0.0.1:5000.
    """
    if given is None:
        if settings is not None:
            return settings.endpoints
        given = [DEFAULT_BIND]
    return [
        Endpoint("default", (one,), 128, None, None, None, "embedder") if isinstance(one, str) else one for one in given
    ]


def make_rules(settings: Settings | None, given: Rules | None) -> Rules:
    """Return who may come; the embedding program's word counts before the settings'."""
    if given is not None or settings is None:
        return given or Rules()
    return Rules(
        hosts=settings.get("allowed_hosts"),
        origins=settings.get("allowed_origins"),
        local_users=settings.get("allow_local_users"),
        anonymous=settings.get("allow_anonymous"),
        keys=settings.get("require_key"),
    )


def wrong_rules(settings: Settings) -> list[Problem]:
    """Return which of the allowed hosts and origins cannot be meant."""
    problems = []
    for option, check in _CHECKS.items():
        for text in settings.get(option):
            try:
                check(text)
            except (BadRequest, ValueError) as error:
                problems.append(settings.problem(option, f"{option}: {error}"))
    return problems


def check_reach(endpoints: Iterable[Endpoint], rules: Rules) -> None:
    """Refuse addresses that other machines reach, unless everybody was invited.

    The settings check their own; this is for endpoints that a program made.

    :raises ConfigError: naming the addresses.
    """
    far = [
        Problem("", 0, f"other machines can reach {address}, and whoever does can run commands; say keys=True")
        for endpoint in endpoints
        for address in endpoint.bind
        if not is_local(parse_address(address, DEFAULT_PORT)) and not (rules.anonymous or rules.keys)
    ]
    if far:
        raise ConfigError(far)


def bind_all(endpoints: Iterable[Endpoint], default_port: int = DEFAULT_PORT) -> list[Bound]:
    """Listen at every address; at all or at none.

    :param default_port: the port of an address that has none.
    :raises GafferError: naming the address, or the file of the certificate.
    """
    bound: list[Bound] = []
    try:
        for endpoint in endpoints:
            tls = _tls(endpoint)
            for address in endpoint.bind:
                full = format_address(parse_address(address, default_port))
                for sock in bind_sockets(full, endpoint.backlog, allows_unix_socket=True):
                    bound.append(Bound(sock, tls if sock.family != socket.AF_UNIX else None))
    except BaseException:
        for sock, _ in bound:
            sock.close()
        raise
    return bound


def _tls(endpoint: Endpoint) -> Any:
    if not endpoint.certfile:
        return None
    # Late: most have no TLS, and the first process need not wait for OpenSSL.
    from .tls import tls_context

    return tls_context(endpoint.certfile, endpoint.keyfile, endpoint.cacert)


def host_names(endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the hosts that are listened on by name or number."""
    parsed = [parse_address(address, DEFAULT_PORT) for endpoint in endpoints for address in endpoint.bind]
    return [address[0] for address in parsed if not isinstance(address, str) and ":" not in address[0]]
