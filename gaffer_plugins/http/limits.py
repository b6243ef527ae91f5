"""Options that bound what clients can cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gaffer.api import Int, option
from gaffer.api.web import Proxies, ProxyList

if TYPE_CHECKING:
    from gaffer.api import Options, Settings
    from gaffer.api.web import ConnectionLimits

_ANY = Int(1, 100_000)
_SECONDS = Int(1, 86_400)


class LimitOption(NamedTuple):
    """Option that sets the field *limit* of :class:`gaffer.web.server.connection.ConnectionLimits`."""

    option: str
    limit: str
    kind: Int
    default: int
    help: str


MAX_BODY = LimitOption("http_max_body", "", Int(1024, 1 << 30), 1 << 20, "bytes that the body of a request may have")
ROWS = (
    LimitOption(
        "http_max_head", "head", Int(8192, 1 << 20), 32 * 1024, "bytes that a request may have before its body"
    ),
    LimitOption(
        "http_max_connections",
        "connections",
        Int(8, 100_000),
        1024,
        "connections that may be open at each address; beyond, the one idle for longest is closed",
    ),
    LimitOption(
        "http_max_peer_connections",
        "per_peer",
        _ANY,
        512,
        "connections of one client address (IPv6: /64 network; unix socket: user) at each address",
    ),
    LimitOption("http_max_websockets", "websockets", _ANY, 512, "websockets that may be open"),
    LimitOption("http_head_timeout", "header", _SECONDS, 10, "seconds that the head of a request may take to arrive"),
    LimitOption("http_body_timeout", "body", _SECONDS, 30, "seconds that its body may take"),
    LimitOption(
        "http_idle_timeout",
        "idle",
        _SECONDS,
        75,
        "seconds of nothing between two requests, and of not reading the answer, after which a connection is closed",
    ),
    LimitOption("http_tls_timeout", "handshake", _SECONDS, 10, "seconds that a TLS handshake may take"),
    LimitOption(
        "http_request_timeout",
        "request",
        _SECONDS,
        300,
        "seconds that a command, or a plugin's handler, may take until its answer begins; feeds and websockets: no end",
    ),
)
HSTS = LimitOption(
    "http_hsts",
    "",
    Int(0, 63_072_000),
    0,
    "seconds for which browsers shall come to this host, whatever the port, by TLS only (Strict-Transport-Security); "
    "sent at addresses with TLS; 0 sends none",
)


PROXIES = "http_trusted_proxies"


def declare(options: Options) -> None:
    """Add the options of the limits."""
    for row in (MAX_BODY, *ROWS, HSTS):
        options.add(row.option, row.kind, row.default, row.help)
    options.add(
        PROXIES,
        ProxyList(),
        (),
        "addresses and networks of proxies, and unix for those at unix sockets, whose X-Forwarded-For header says "
        "where a request comes from: for the audit log and the limits on failed logins",
    )


def read(settings: Settings | None, row: LimitOption) -> int:
    """Return one limit."""
    return int(option(settings, row.option, row.default))


def read_proxies(settings: Settings | None) -> Proxies | None:
    """Return the proxies that are believed, None if there are none."""
    texts = option(settings, PROXIES)
    return Proxies(texts) if texts else None


def make_limits(settings: Settings | None) -> ConnectionLimits:
    """Return the limits of the server."""
    from gaffer.api.web import ConnectionLimits

    return ConnectionLimits(**{row.limit: read(settings, row) for row in ROWS})
