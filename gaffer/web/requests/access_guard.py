"""The outermost layer of an endpoint: who may speak to it without a key, and what a browser may make it do.

It is WSGI around everything else, so that a plugin's middleware is behind it and no answer escapes it.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Callable, Iterable

from ...errors import Forbidden, GafferError, Misdirected
from ...security.peer_credentials import peer_uid
from .access_rules import AccessRules
from .authentication import PAGE_CHECK, REQUIRED
from .host_header import clean_host, is_loopback, is_same_address
from .replies import StartResponse, empty, error_reply
from .web_origin import check_fetch, check_origin, is_encrypted, is_own_origin

Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, X-Api-Key"),
    ("Access-Control-Max-Age", "600"),
)
#: What scripts of such a page may read besides the body: where a longpoll goes on, and what was missed.
_SHOWN = ("Access-Control-Expose-Headers", "Last-Event-ID, Gaffer-Lost, Retry-After")


class AccessGuard:
    """A WSGI application that lets requests through to *app* by the keyless rules of docs/security.rst.

    :param rules: who may come; :attr:`rules` may be changed at any time.
    :param ask: asks for the uid behind a connection; for tests.
    :param program: what is guarded, for sentences.
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
        """Who may come. New rules count for connections that are open, too."""
        return self._rules

    @rules.setter
    def rules(self, rules: AccessRules) -> None:
        machine = socket.gethostname().lower()
        self._hosts = {"localhost", machine, machine.partition(".")[0], *(clean_host(host) for host in rules.hosts)}
        self._origins = {check_origin(origin) for origin in rules.origins}
        self._rules = rules

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Check one request and pass it on (WSGI)."""
        try:
            connection = environ.get("gaffer.connection")
            host = environ.get("HTTP_HOST")
            # What was found out about a connection stays true for it, under the same rules.
            if connection is None or connection.permitted != host or connection.permitted_by is not self._rules:
                self.check_peer(connection)
                self.check_host(connection, host)
                if connection is not None:
                    connection.permitted, connection.permitted_by = host, self._rules
            environ[REQUIRED] = self._needs_key(connection)
            if environ[REQUIRED]:
                # Who shows a key is no page of a stranger; whoever is known without one may be, see gate.identify().
                environ[PAGE_CHECK] = self._check_page
            elif "HTTP_SEC_FETCH_SITE" in environ:
                self._check_fetch(environ)
            if "HTTP_ORIGIN" not in environ:
                return self._app(environ, start_response)
            return self._from_a_page(environ, start_response)
        except GafferError as error:
            self._refused(environ, error)
            return error_reply(error).send(start_response)

    # -- who ------------------------------------------------------------------------------------

    def check_peer(self, connection: Any) -> None:
        """Refuse other local accounts.

        :raises Forbidden: the process at the other end is neither our user's nor root's, or nobody can tell.
        """
        if self._needs_key(connection) or connection is not None and self._is_far(connection):
            return
        # For the audit log, also where everybody may come.
        uid = connection.find_uid(self._ask) if connection is not None else None
        if self._lets_all_users_in(connection):
            return
        if uid is None:
            raise Forbidden(
                f"the system does not tell whose process this is; start {self._program} with --require-key, "
                "or let every local user in with allow_local_users = true"
            )
        if uid not in self._users:
            raise Forbidden(
                f"this {self._program} serves only its own user and root, not uid {uid}; start it with --require-key, "
                "or let every local user in with allow_local_users = true"
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

    # -- by which name --------------------------------------------------------------------------

    def check_host(self, connection: Any, header: str | None) -> None:
        """Refuse names that are not ours: a page of somebody else's, whose name was made to point here.

        :raises Misdirected: naming ``allowed_hosts``.
        :raises BadRequest: it is no name at all.
        """
        if header is None or connection is not None and connection.family == socket.AF_UNIX:
            return
        host = clean_host(header)
        # A page that made its name point here has no key, and browsers add none.
        if not self._needs_key(connection):
            self._check_name(connection, host)

    def _check_name(self, connection: Any, host: str) -> None:
        if host in self._hosts or is_loopback(host):
            return
        if connection is not None and is_same_address(host, connection.local[0]):
            return
        raise Misdirected(
            f"this {self._program} does not answer to the name {host[:100]!r}; "
            f"if it is its name, add it to allowed_hosts {self._remedy}"
        )

    # -- from which page ------------------------------------------------------------------------

    def _check_page(self, environ: dict[str, Any]) -> None:
        """Refuse what pages of others make a browser send, for requests that are known without showing a key.

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
                f"pages of {origin[:200]!r} may not use this {self._program}; "
                f"if they shall, add it to allowed_origins {self._remedy}"
            )
        return self._app(environ, start_response)

    def _shared(self, environ: dict[str, Any], start_response: StartResponse, origin: str) -> Iterable[bytes]:
        """Answer a page of an allowed origin, with the headers that its browser needs to see."""
        shared = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return empty(extra=[*shared, *_PREFLIGHT]).send(start_response)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, *shared, _SHOWN], *([exc_info] if exc_info else []))

        return self._app(environ, start)
