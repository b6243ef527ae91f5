"""Endpoints and access rules from the settings or the embedding program: checked, and bound to sockets."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Any, Iterable, NamedTuple

from ...config.addresses import UNIX, SocketAccess, bind_sockets, format_address, is_local, parse_address
from ...config.options import DEFAULT_BIND
from ...config.settings import Endpoint
from ...errors import BadRequest, ConfigError, GafferError, Problem
from ...security.root_socket import ROOT_SOCKET, make_folder
from ...util import check_gid, check_uid
from ..requests.access_rules import AccessRules, EndpointPolicy
from ..requests.host_header import clean_host
from ..requests.web_origin import check_origin

if TYPE_CHECKING:
    from ...config.settings import Settings

log = logging.getLogger("gaffer.http")

#: The port of an address that has none; gaffer_lookupd has another.
GAFFERD_PORT = 5000
_CHECKS = {"allowed_hosts": clean_host, "allowed_origins": check_origin}


class Bound(NamedTuple):
    """A listening socket of an endpoint, its TLS settings, None for plain HTTP, and who may come there."""

    sock: socket.socket
    tls: Any
    policy: EndpointPolicy
    endpoint: Endpoint


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


def make_rules(settings: Settings | None, given: AccessRules | None) -> AccessRules:
    """Return who may come; the embedding program's word counts before the settings'."""
    if given is not None or settings is None:
        return given or AccessRules()
    return AccessRules(
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


def check_reach(endpoints: Iterable[Endpoint], rules: AccessRules) -> None:
    """Refuse addresses that other machines reach, unless everybody was invited.

    The settings check their own; this is for endpoints that a program made.

    :raises ConfigError: naming the addresses.
    """
    far = [
        Problem("", 0, f"other machines can reach {address}, and any client there can run commands; set keys=True")
        for endpoint in endpoints
        for address in endpoint.bind
        if not is_local(parse_address(address, GAFFERD_PORT))
        and not (rules.anonymous or rules.keys or endpoint.allow_anonymous or endpoint.require_key)
    ]
    if far:
        raise ConfigError(far)


def bind_all(endpoints: Iterable[Endpoint], default_port: int = GAFFERD_PORT, settled: bool = True) -> list[Bound]:
    """Listen at every address; at all or at none.

    :param default_port: the port of an address that has none.
    :param settled: whether endpoints know whether they need a key; those of a program leave that to the rules.
    :raises GafferError: naming the address, or the file of the certificate.
    """
    bound: list[Bound] = []
    try:
        for endpoint in endpoints:
            tls, policy = _tls(endpoint), make_policy(endpoint, settled)
            for address in endpoint.bind:
                full = format_address(parse_address(address, default_port))
                for sock in bind_sockets(full, endpoint.backlog, True, _access(endpoint)):
                    bound.append(Bound(sock, tls if sock.family != socket.AF_UNIX else None, policy, endpoint))
    except BaseException:
        for one in bound:
            one.sock.close()
        raise
    return bound


def bind_for_root(settings: Settings | None) -> list[Bound]:
    """Listen at root's own socket where root has configured no address; why that is not possible is logged."""
    if settings is None or os.geteuid() or not settings.is_default_endpoint:
        return []
    (default,) = settings.endpoints
    own = default._replace(bind=(UNIX + ROOT_SOCKET,), certfile=None, keyfile=None, cacert=None, mode=0o600)
    try:
        make_folder()
        return bind_all([own])
    except GafferError as error:
        log.info("not listening at root's own socket %s: %s", ROOT_SOCKET, error)
        return []


def make_policy(endpoint: Endpoint, settled: bool) -> EndpointPolicy:
    """Return who may come to *endpoint*."""
    otherwise = False if settled else None
    require_key, anonymous = endpoint.require_key or otherwise, endpoint.allow_anonymous or otherwise
    return EndpointPolicy(endpoint.name, require_key, anonymous, endpoint.allow_local_users)


def _access(endpoint: Endpoint) -> SocketAccess:
    """Return who may connect to the endpoint's unix sockets."""
    uid = -1 if endpoint.owner is None else check_uid(endpoint.owner)
    gid = -1 if endpoint.group is None else check_gid(endpoint.group)
    return SocketAccess(0o600 if endpoint.mode is None else endpoint.mode, uid, gid)


def _tls(endpoint: Endpoint) -> Any:
    if not endpoint.certfile:
        return None
    # Late: most have no TLS, and the first process need not wait for OpenSSL.
    from .tls import tls_context

    return tls_context(endpoint.certfile, endpoint.keyfile, endpoint.cacert)


def wrong_certificates(settings: Settings) -> list[Problem]:
    """Return the certificates that cannot be used. Files that cannot be read are the settings' own problem."""
    problems = []
    for endpoint in settings.endpoints:
        files = (endpoint.certfile, endpoint.keyfile, endpoint.cacert)
        if not endpoint.certfile or not all(os.access(name, os.R_OK) for name in files if name):
            continue
        try:
            _tls(endpoint)
        except GafferError as error:
            sections = [one for one in settings.sections("endpoint") if one.name == endpoint.name]
            at = sections[0].items.get("certfile", sections[0]) if sections else "certfile"
            problems.append(settings.problem(at, str(error)))
    return problems


def renewed(bound: Iterable[Bound]) -> list[tuple[socket.socket, Any]]:
    """Read certificates again; returns those for each socket. What cannot be used is logged, and the old one stays."""
    contexts: dict[tuple[Any, ...], Any] = {}
    found = []
    for one in bound:
        files = (one.endpoint.certfile, one.endpoint.keyfile, one.endpoint.cacert)
        if one.tls is None:
            continue
        try:
            if files not in contexts:
                contexts[files] = _tls(one.endpoint)
            found.append((one.sock, contexts[files]))
        except GafferError as error:
            log.error("the certificate at %s stays the old one: %s", format_address(one.sock.getsockname()), error)
    return found


def host_names(endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the hosts that are listened on by name or number."""
    parsed = [parse_address(address, GAFFERD_PORT) for endpoint in endpoints for address in endpoint.bind]
    return [address[0] for address in parsed if not isinstance(address, str) and ":" not in address[0]]
