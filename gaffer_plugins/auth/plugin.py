"""The plugin: says who has a key and what it allows."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from gaffer import Credentials, Identity, Permissions, Plugin, __version__, hookimpl
from gaffer.api import Bool, FilePath, OptionalText, Resource, Seconds, expand_home, option

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Options, Settings
    from gaffer.api.web import Route

    from .service import AuthService

log = logging.getLogger("gaffer.auth")

DATABASE = "~/.gaffer/auth.db"
_THIRTY_DAYS = 30 * 86_400.0


class AuthPlugin(Plugin):
    """Keys and users (docs/security.rst).

    :param database: its file; by default what the settings say.
    """

    name = "auth"
    version = __version__
    description = "keys and users: who may use the API"

    def __init__(self, database: str | None = None) -> None:
        self._given = database
        self._settings: Any = None
        self._made: AuthService | None = None
        self._keyring: Any = None

    # -- settings -------------------------------------------------------------------------------

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare where keys are stored, and what can be done instead of a start."""
        where = f"file of keys and users (default: {DATABASE})"
        options.add("auth_database", FilePath(), None, where, metavar="FILE")
        options.add("auth_key_lifetime", Seconds(), _THIRTY_DAYS, "how long the key of a login is valid")
        make = "make a user who may do everything, and exit"
        options.add("create_admin_user", Bool(), False, make, flags=("--create-admin-user",), section="")
        name = "name of that user; asked for without it"
        options.add("username", OptionalText(), None, name, flags=("--username",), metavar="U", section="")
        word = "its password; better typed, or written to standard input: others can see command lines"
        options.add("password", OptionalText(), None, word, flags=("--password",), metavar="P", section="")
        admins = "list the users who may do everything, and exit"
        options.add("list_admins", Bool(), False, admins, flags=("--list-admins",), section="")

    @hookimpl
    def gaffer_run_instead(self, settings: Settings) -> int | None:
        """Make an admin, or list them."""
        from .admins import create_admin, list_admins

        path = self._path(settings)
        if settings.get("create_admin_user"):
            return create_admin(path, settings.get("username"), settings.get("password"))
        return list_admins(path) if settings.get("list_admins") else None

    def _path(self, settings: Any) -> str:
        return expand_home(self._given or option(settings, "auth_database") or DATABASE)

    # -- life -----------------------------------------------------------------------------------

    @property
    def service(self) -> AuthService:
        """Service of keys and users, made when first used: most gafferds have no keys."""
        if self._made is None:
            from .keyring import Keyring
            from .service import AuthService

            self._keyring = Keyring(self._path(self._settings))
            self._made = AuthService(self._keyring, option(self._settings, "auth_key_lifetime", _THIRTY_DAYS))
        return self._made

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """See whether there is an identity at all, where keys are needed."""
        self._settings = manager.settings
        if not _needs_keys(manager.settings):
            return
        path = self._path(manager.settings)
        if not os.path.exists(path):
            if len(manager.hooks.implementations("gaffer_identify")) == 1:
                log.warning("keys are required, and there is none yet: make a user with gafferd --create-admin-user")
            return
        self.service.open()

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Store when keys were used last."""
        keyring, self._keyring, self._made = self._keyring, None, None
        if keyring is not None:
            keyring.close()

    # -- what others ask ------------------------------------------------------------------------

    @hookimpl
    def gaffer_identify(self, credentials: Credentials) -> Identity | None:
        """Say who has the key, or the ticket."""
        if credentials.key is not None:
            return self.service.find(credentials.key)
        # What a ticket may do is what a browser does without a script's headers: look.
        if credentials.ticket is not None and credentials.method in ("GET", "HEAD"):
            return self.service.use_ticket(credentials.ticket)
        return None

    @hookimpl
    def gaffer_permit(self, identity: Identity, permission: str, resource: Resource) -> bool | None:
        """Allow what the permissions of an identity say, whichever plugin found out who it is."""
        allowed = identity.permissions
        return (isinstance(allowed, Permissions) and allowed.allows(permission, resource)) or None

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the routes."""
        from .routes import make_routes

        self._settings = manager.settings
        return make_routes(lambda: self.service)


def _needs_keys(settings: Any) -> bool:
    if settings is None:
        return False
    return bool(settings.get("require_key") or any(endpoint.require_key for endpoint in settings.endpoints))
