"""The context of a ``gaffer`` command: a Procfile with its folder and environment, and a gafferd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ...errors import BadRequest
from ...procfile.naming import application_name, find_procfile

if TYPE_CHECKING:
    from ...httpclient import Server
    from ...procfile.application import ProcfileApplication


class GafferContext:
    """The options before the command: a Procfile, and a gafferd.

    :param procfile: the Procfile's path, or None.
    :param directory: the application's folder, or None.
    :param envs: dotenv files besides the folder's own ``.env``.
    :param endpoint: a gafferd's URL.
    :param dotenv: whether the folder's own ``.env`` is read.
    :param keys: credentials: ``api_key``, ``certfile``, ``keyfile``, ``cacert``; ``timeout`` and ``connect_timeout``.
    """

    def __init__(
        self,
        procfile: str | None,
        directory: str | None,
        envs: Sequence[str],
        endpoint: str,
        keys: Mapping[str, Any],
        dotenv: bool = True,
    ) -> None:
        self.procfile, self.directory, self.envs, self.dotenv = procfile, directory, envs, dotenv
        self.endpoint = endpoint
        self._keys = keys
        self._server: Server | None = None

    def application(self, **options: Any) -> ProcfileApplication:
        """Read the application; *options* are those of :func:`~gaffer.procfile.application.read_application`.

        :raises ConfigError: every problem, with file and line.
        """
        from ...procfile.application import read_application

        return read_application(self.procfile, self.directory, self.envs, dotenv=self.dotenv, **options)

    def session(self, name: str | None = None) -> str:
        """Return the name of an application: *name*, or that of the folder, which needs no Procfile.

        :raises BadRequest: it is no name.
        """
        return application_name(name, find_procfile(self.procfile, self.directory)[1])

    @property
    def server(self) -> Server:
        """The gafferd, connected to on first use."""
        if self._server is None:
            from ...httpclient import Server
            from ..accounts.keyfile import access_to

            self._server = Server(
                self.endpoint, **{**self._keys, **access_to(self.endpoint, self._keys.get("api_key"))}
            )
        return self._server

    def for_passwords(self) -> Server:
        """Return another connection, over which a password may be sent; close it."""
        from ...httpclient import Server
        from ..accounts.keyfile import access_to

        return Server(self.endpoint, **{**self._keys, **access_to(self.endpoint, self._keys.get("api_key"), True)})

    def connect(self, key: str | None, server_user: str | None = None) -> Server:
        """Return another connection, which shows *key* and not the one that is kept; close it.

        :param server_user: the account that gafferd runs as, if that is neither ours nor root.
        :raises BadRequest: there is no such account.
        """
        from ...httpclient import Server
        from ...util import check_uid
        from ..accounts.keyfile import trusted_at

        trusted = trusted_at(self.endpoint)
        try:
            trusted |= {check_uid(server_user)} if server_user is not None else set()
        except ValueError as error:
            raise BadRequest(f"--server-user: {error}") from None
        return Server(self.endpoint, **{**self._keys, "api_key": key, "served_by": trusted})

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._server is not None:
            self._server.close()
