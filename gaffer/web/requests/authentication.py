"""Extract credentials from a request and resolve them to an identity."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Mapping
from urllib.parse import parse_qs

from ...commands.identity import Credentials, Identity
from ...config.addresses import format_address
from ...errors import BadRequest, Forbidden, GafferError, Misdirected, Unauthorized
from ...security.peer_credentials import unix_uid

if TYPE_CHECKING:
    from ...commands.authorization import Authorization
    from .routes import Route

#: Keys of the WSGI environment: the identity, whether one is required, and who decides.
IDENTITY, REQUIRED, ACCESS = "gaffer.identity", "gaffer.key_required", "gaffer.access"
#: Where the guard leaves what refuses requests of strangers' pages, if it lets them through because a key is needed.
PAGE_CHECK = "gaffer.page_check"
#: Where a command's arguments are once they were parsed, where handlers leave what is to be known of a request
#: afterwards, and where its JSON is once it was read.
ARGUMENTS, NOTED, JSON = "gaffer.arguments", "gaffer.said", "gaffer.json"
#: Where a session that outlives its first request keeps where that came from.
ORIGIN = "gaffer.origin"
#: Longer ones are no keys.
MAX_KEY_CHARACTERS = 1024
#: Seconds for which a request may be waited for before it is asked again who makes it.
ASK_AGAIN = 1.0
ENDED = "the key is no longer valid, so nothing was done; 'gaffer login' gets a new key"
_BEARER = "bearer "


def credentials_of(environ: Mapping[str, Any]) -> Credentials:
    """Return the credentials in the headers and the query of a request.

    :raises BadRequest: it shows two different keys.
    """
    connection = environ.get("gaffer.connection")

    key = _key(environ)
    return Credentials(
        key,
        _ticket(environ) if key is None else None,
        environ.get("REQUEST_METHOD", "GET"),
        environ.get("PATH_INFO", "/"),
        environ.get("REMOTE_ADDR", ""),
        None if connection is None else connection.find_uid,
    )


def _key(environ: Mapping[str, Any]) -> str | None:
    key = environ.get("HTTP_X_API_KEY")
    said = environ.get("HTTP_AUTHORIZATION", "")
    if said[: len(_BEARER)].lower() == _BEARER:
        bearer = said[len(_BEARER) :].strip()
        if key is not None and key != bearer:
            raise BadRequest("X-Api-Key and Authorization hold different keys; send one")
        key = bearer
    if key is not None and len(key) > MAX_KEY_CHARACTERS:
        raise Unauthorized("that is no key")
    return key


def _ticket(environ: Mapping[str, Any]) -> str | None:
    query = environ.get("QUERY_STRING", "")
    if "ticket=" not in query:
        return None
    try:
        found = parse_qs(query, max_num_fields=100).get("ticket")
    except ValueError:
        raise BadRequest("the query has too many parts") from None
    return found[-1][:MAX_KEY_CHARACTERS] if found else None


def client_of(environ: Mapping[str, Any]) -> str:
    """Return the address of who makes a request, ``""`` at a unix socket; a trusted proxy says for whom it asks."""
    peer = str(environ.get("REMOTE_ADDR", ""))
    connection = environ.get("gaffer.connection")
    proxies = None if connection is None else connection.policy.proxies
    return peer if proxies is None else str(proxies.client(peer, environ.get("HTTP_X_FORWARDED_FOR", "")))


def origin_of(environ: Mapping[str, Any] | None) -> str:
    """Return where a request comes from: ``127.0.0.1:40000``, ``[::1]:40000`` or ``unix:uid=1000``.

    Whose process of this machine it is, is added where it was asked: ``127.0.0.1:40000 uid=1000``. Where a trusted
    proxy forwards it, it is ``203.0.113.5 via`` and the proxy.
    """
    environ = environ or {}
    connection = environ.get("gaffer.connection")
    if connection is None:
        return str(environ.get(ORIGIN, ""))
    found = _peer_of(connection)
    if connection.policy.proxies is None or "HTTP_X_FORWARDED_FOR" not in environ:
        return found
    client = client_of(environ)
    return found if client == environ.get("REMOTE_ADDR", "") else f"{client} via {found}"


def _peer_of(connection: Any) -> str:
    if connection.family == socket.AF_UNIX:
        uid = unix_uid(connection.sock)
        return "unix" if uid is None else f"unix:uid={uid}"
    address = format_address(connection.peer[:2])
    return address if connection.uid is None else f"{address} uid={connection.uid}"


def identify(environ: dict[str, Any]) -> Identity | None:
    """Return the identity of a request, resolved once; None where no access control is configured.

    :raises Unauthorized: it has no credentials but needs them, or they are wrong.
    :raises Misdirected, Forbidden: it has no credentials, and a foreign page may have made the browser send it.
    """
    access: Authorization | None = environ.get(ACCESS)
    if access is None:
        return None
    if IDENTITY not in environ:
        credentials = credentials_of(environ)
        identity = access.identify(credentials, environ.get(REQUIRED))
        # An account or a certificate is the browser's, whatever page it shows.
        if not credentials.shown and PAGE_CHECK in environ:
            environ[PAGE_CHECK](environ)
        environ[IDENTITY] = identity
    found: Identity = environ[IDENTITY]
    return found


def check_still(environ: dict[str, Any], waited: float = 0.0) -> None:
    """Refuse to go on for an identity that is no longer valid.

    Their key may have been deleted, or may have expired, while they were waited for.

    :param waited: seconds. After a while not only what is known here counts: who they are is asked again.
    :raises Unauthorized: the credentials are no longer valid, or are those of another identity.
    """
    identity: Identity | None = environ.get(IDENTITY)
    if identity is None:
        return
    if identity.ended:
        raise Unauthorized(ENDED)
    access: Authorization | None = environ.get(ACCESS)
    if waited < ASK_AGAIN or access is None:
        return
    credentials = credentials_of(environ)
    if credentials.ticket is None:  # one is good for one question
        found = access.identify(credentials, environ.get(REQUIRED))
        if (found.kind, found.name) != (identity.kind, identity.name):
            raise Unauthorized(ENDED)


def admit(environ: dict[str, Any], route: Route) -> bool:
    """Authenticate a request unless *route* is open to everybody; returns whether it has an identity.

    It may have none where *route* accepts the key as the first message of a socket.

    :raises Unauthorized: it needs credentials.
    """
    if route.permission is None:
        return False
    if route.first_message and ACCESS in environ and IDENTITY not in environ:
        if not credentials_of(environ).shown:
            try:
                return identify(environ) is not None
            except (Unauthorized, Misdirected, Forbidden):
                return False  # its first message says who it is
    return identify(environ) is not None


def late_key(environ: dict[str, Any], key: str) -> Identity | None:
    """Return the identity of the key in the first message of a socket.

    :raises Unauthorized: the key is unknown or expired.
    """
    access: Authorization | None = environ.get(ACCESS)
    if access is None:
        return None
    if len(key) > MAX_KEY_CHARACTERS:
        raise Unauthorized("that is no key")
    environ[IDENTITY] = identity = access.identify(credentials_of(environ).with_key(key), environ.get(REQUIRED))
    return identity


def note_refusal(environ: dict[str, Any], error: GafferError) -> None:
    """Tell plugins that a socket is refused whose request was answered before its key came (``gaffer_command_run``)."""
    access: Authorization | None = environ.get(ACCESS)
    if access is not None:
        route: Route | None = environ.get("gaffer.route")
        args, identity = {"path": environ.get("PATH_INFO", "")}, environ.get(IDENTITY)
        command, permission = ("GET", None) if route is None else (str(route), route.permission)
        access.note(command, permission, args, identity, origin_of(environ), error)
