"""Pages that make a browser send requests: their Origin, and Fetch Metadata where there is none."""

from __future__ import annotations

from typing import Any

from ...errors import Forbidden
from .host_header import HOST

#: What an origin leaves out.
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origin(origin: str) -> str:
    """Return *origin* in the form that browsers send.

    :raises ValueError: it is not ``http://…`` or ``https://…`` without a path. ``*`` would be every page of the web.
    """
    text = origin.strip().lower().rstrip("/")
    scheme, _, host = text.partition("://")
    if scheme not in DEFAULT_PORTS or not HOST.match(host) or "*" in host:
        raise ValueError(f"'{origin}' is no web origin; write https://example.org, with its port if it has one")
    return scheme + "://" + host.removesuffix(DEFAULT_PORTS[scheme])


def is_own_origin(origin: str, host: str, encrypted: bool = False) -> bool:
    """Tell whether a page from *origin* was served by whom the Host header *host* names.

    :param encrypted: the request came by TLS. Pages without TLS are then foreign: an attacker on their way may have
        written them. A page with TLS may use what seems to have none, since there may be a proxy that took it off.
    """
    scheme, separator, own = origin.lower().partition("://")
    if not separator or not own or encrypted and scheme != "https":
        return False
    default = DEFAULT_PORTS.get(scheme, "")
    return own.removesuffix(default) == host.lower().removesuffix(default)


def is_encrypted(environ: dict[str, Any]) -> bool:
    """Tell whether the client used TLS, to us or to a proxy that says so; who lies about that is refused more."""
    connection = environ.get("gaffer.connection")
    if connection is not None and connection.secure:
        return True
    return str(environ.get("HTTP_X_FORWARDED_PROTO", "")).strip().lower() == "https"


def check_fetch(environ: dict[str, Any]) -> None:
    """Refuse what a foreign page loads as an image, a script or a frame: browsers say so (Fetch Metadata).

    It could not read the answer, but it would keep a feed open. Links that lead here are fine.

    :raises Forbidden: it is not our own page, and not a person who follows a link.
    """
    if environ["HTTP_SEC_FETCH_SITE"] not in ("cross-site", "same-site"):
        return
    link = environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    # A form is sent in the same way as a link is followed; its Origin, which browsers send, is not relied on.
    if not link or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        raise Forbidden("pages of other sites must not load anything from this server")
