"""Access control of an endpoint: accounts and machines without a key, Host headers, and pages of other origins.

It is the outermost WSGI layer, so that the middleware of plugins is behind it and every answer passes it.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Callable, Iterable

from ...errors import Forbidden, GafferError, Misdirected
from ...security.peer_credentials import peer_uid
from .access_rules import AccessRules
from .authentication import PAGE_CHECK, REQUIRED
from .host_header import AcceptedHosts, clean_host, is_loopback
from .replies import StartResponse, empty, error_reply
from .web_origin import check_fetch, check_origin, is_encrypted, is_own_origin

Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, X-Api-Key"),
    ("Access-Control-Max-Age", "600"),
)
#: Headers that scripts of such a page may read: the position of a longpoll, and the size of a gap.
_SHOWN = ("Access-Control-Expose-Headers", "Last-Event-ID, Gaffer-Lost, Retry-After")


class AccessGuard:
    """A WSGI application that lets requests through to *app* by the keyless rules of docs/security.rst.

    :param rules: the rules for all endpoints; :attr:`rules` may be changed at any time.
    :param ask: asks for the uid behind a connection; for tests.
    :param program: name of the guarded program, for error sentences.
    :param refused: called with the request's environment and the error when one is refused.
    :raises ValueError, BadRequest: *rules* hold something that is no origin or no host.
    """

    def __init__(
        self,
        app: Wsgi,
        rules: AccessRules | None = None,
        ask: Callable[[Any, Any, Any], int | None] = peer_uid,
        program: str = "gafferd",
        refused: Callable[[dict[str, Any], GafferError], Any] = lambda environ, error: None,
    ) -> None:
        self._app = app
        self._users = {0, os.geteuid()}
        self._ask = ask
        self._refused = refused
        self._program = program
        self._remedy = "in section [gaffer]" if program == "gafferd" else f"of {program}"
        self.rules = rules or AccessRules()

    @property
    def rules(self) -> AccessRules:
        """Rules for all endpoints. New ones apply to open connections, too."""
        return self._rules

    @rules.setter
    def rules(self, rules: AccessRules) -> None:
        self._hosts = AcceptedHosts(rules.hosts)
        self._origins = {check_origin(origin) for origin in rules.origins}
        self._rules = rules

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Check one request and pass it on (WSGI)."""
        try:
            connection = environ.get("gaffer.connection")
            host = environ.get("HTTP_HOST")
            # The result for a connection is kept as long as the rules and the Host are the same.
            if connection is None or connection.permitted != host or connection.permitted_by is not self._rules:
                self.check_peer(connection)
                self.check_host(connection, host)
                if connection is not None:
                    connection.permitted, connection.permitted_by = host, self._rules
            environ[REQUIRED] = self._needs_key(connection)
            if environ[REQUIRED]:
                # A key proves that it is no foreign page; other identities do not, see authentication.identify().
                environ[PAGE_CHECK] = self._check_page
            elif "HTTP_SEC_FETCH_SITE" in environ:
                self._check_fetch(environ)
            if "HTTP_ORIGIN" not in environ:
                return self._app(environ, start_response)
            return self._from_a_page(environ, start_response)
        except GafferError as error:
            self._refused(environ, error)
            return error_reply(error).send(start_response)

    # -- peers ----------------------------------------------------------------------------------

    def check_peer(self, connection: Any) -> None:
        """Reject other local accounts.

        :raises Forbidden: the peer's account is neither ours nor root's, or unknown.
        """
        if self._needs_key(connection) or connection is not None and self._is_far(connection):
            return
        # For the audit log, also where everybody may come.
        uid = connection.find_uid(self._ask) if connection is not None else None
        if self._lets_all_users_in(connection):
            return
        if uid is None:
            raise Forbidden(
                f"the system does not show which account's process this is; start {self._program} with --require-key, "
                "or accept every local user with allow_local_users = true"
            )
        if uid not in self._users:
            raise Forbidden(
                f"this {self._program} serves only its own user and root, not uid {uid}; start it with --require-key, "
                "or accept every local user with allow_local_users = true"
            )

    def _needs_key(self, connection: Any) -> bool:
        own = connection.policy.require_key if connection is not None else None
        return self._rules.keys if own is None else bool(own)

    def _lets_all_users_in(self, connection: Any) -> bool:
        own = connection.policy.local_users if connection is not None else None
        return self._rules.local_users if own is None else bool(own)

    def _is_far(self, connection: Any) -> bool:
        """Tell whether *connection* comes from another machine and other machines may come."""
        own = connection.policy.anonymous
        if not (self._rules.anonymous if own is None else own) or connection.family == socket.AF_UNIX:
            return False
        # A loopback address at either end means a process of this machine.
        return not (is_loopback(connection.peer[0]) or is_loopback(connection.local[0]))

    # -- Host header ---------------------------------------------------------------------------

    def check_host(self, connection: Any, header: str | None) -> None:
        """Reject foreign names: a page may have made its own name point to our address (DNS rebinding).

        :raises Misdirected: naming ``allowed_hosts``.
        :raises BadRequest: it is no name at all.
        """
        if header is None or connection is not None and connection.family == socket.AF_UNIX:
            return
        host = clean_host(header)
        # Where a key is needed, DNS rebinding gains nothing: the page has none, and browsers add none.
        if not self._needs_key(connection):
            self._check_name(connection, host)

    def _check_name(self, connection: Any, host: str) -> None:
        if self._hosts.accepts(host, None if connection is None else connection.local[0]):
            return
        raise Misdirected(
            f"this {self._program} does not answer to the name {host[:100]!r}; "
            f"if it is its name, add it to allowed_hosts {self._remedy}"
        )

    # -- Origin --------------------------------------------------------------------------------

    def _check_page(self, environ: dict[str, Any]) -> None:
        """Reject cross-site requests that are identified by something other than a key.

        :raises Misdirected, Forbidden: as for requests where no key is needed.
        """
        connection, header = environ.get("gaffer.connection"), environ.get("HTTP_HOST")
        if header is not None and not (connection is not None and connection.family == socket.AF_UNIX):
            self._check_name(connection, clean_host(header))
        self._check_fetch(environ)

    def _check_fetch(self, environ: dict[str, Any]) -> None:
        if "HTTP_SEC_FETCH_SITE" in environ and "HTTP_ORIGIN" not in environ and not self._origins:
            check_fetch(environ)

    def _from_a_page(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        origin = environ["HTTP_ORIGIN"]
        if origin.lower() in self._origins:
            return self._shared(environ, start_response, origin)
        if not is_own_origin(origin, environ.get("HTTP_HOST", ""), is_encrypted(environ)):
            raise Forbidden(
                f"pages of {origin[:200]!r} must not use this {self._program}; "
                f"to allow them, add it to allowed_origins {self._remedy}"
            )
        return self._app(environ, start_response)

    def _shared(self, environ: dict[str, Any], start_response: StartResponse, origin: str) -> Iterable[bytes]:
        """Answer a page of an allowed origin, with CORS headers."""
        shared = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return empty(extra=[*shared, *_PREFLIGHT]).send(start_response)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, *shared, _SHOWN], *([exc_info] if exc_info else []))

        return self._app(environ, start)
