"""Logins, keys and users of a gafferd, as methods."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Mapping
from urllib.parse import quote

from .errors import NotGafferd

if TYPE_CHECKING:
    from .server import Server

#: The id that stands for the key that asks.
SELF = "self"


class Accounts:
    """Users, keys and logins of a gafferd: ``Server(…).accounts``.

    Every method raises the class of :mod:`gaffer.errors` that gafferd answered with.
    """

    def __init__(self, server: Server) -> None:
        self._transport = server.transport

    def _send(self, method: str, path: str, body: Any = None, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
        import json

        answer = self._transport.request(method, path, body, extra)
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NotGafferd(f"{self._transport.uri} does not answer {path} as gafferd does")
        return found

    def login(
        self, username: str, password: str, label: str | None = None, expires_in: float | None = None
    ) -> dict[str, Any]:
        """Return a fresh key: ``id``, ``api_key`` and ``expires``, in seconds since 1970.

        :param expires_in: seconds; gafferd may give less.
        :raises Unauthorized: the name or the password is wrong. :raises TooManyRequests: too often.
        """
        encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
        body = {name: value for name, value in (("label", label), ("expires_in", expires_in)) if value is not None}
        return self._send("POST", "/auth", body, {"Authorization": f"Basic {encoded}"})

    def ticket(self) -> str:
        """Return a ticket: ``?ticket=`` lets one request in that cannot send a header, within a minute."""
        return str(self._send("POST", "/auth/ticket")["ticket"])

    # keys

    def keys(self) -> list[dict[str, Any]]:
        """Return the keys that one may see: an admin all, others their own and those made with it."""
        return list(self._send("GET", "/keys")["keys"])

    def key(self, id: str = SELF) -> dict[str, Any]:
        """Return one key; by default the one that asks."""
        return self._send("GET", f"/keys/{quote(id, safe='')}")

    def create_key(
        self, permissions: Mapping[str, Any], label: str = "", expires_in: float | None = None
    ) -> dict[str, Any]:
        """Make a key; its ``api_key`` is shown this once.

        :param permissions: ``{"read": ["*"], "manage": ["shop", "default.web"]}``, and ``admin``, ``create_key``,
            ``create_user``.
        :raises Forbidden: it would be stronger than the key that asks.
        """
        body = {"permissions": dict(permissions), "label": label, "expires_in": expires_in}
        return self._send("POST", "/keys", body)

    def delete_key(self, id: str = SELF) -> list[str]:
        """Delete a key and all that were made with it; returns their ids."""
        return list(self._send("DELETE", f"/keys/{quote(id, safe='')}")["deleted"])

    # users

    def users(self) -> list[dict[str, Any]]:
        """Return all users."""
        return list(self._send("GET", "/users")["users"])

    def user(self, name: str) -> dict[str, Any]:
        """Return one user."""
        return self._send("GET", _user(name))

    def create_user(
        self, name: str, password: str, admin: bool = False, permissions: Mapping[str, Any] | None = None
    ) -> None:
        """Make a user.

        :param permissions: what the keys of their logins allow; an admin's allow everything.
        """
        body = {"username": name, "password": password, "user_type": 0 if admin else 1}
        self._send("POST", "/users", {**body, "permissions": dict(permissions or {})})

    def delete_user(self, name: str) -> None:
        """Delete a user, and all keys of theirs."""
        self._send("DELETE", _user(name))

    def set_password(self, name: str, password: str, old: str | None = None) -> None:
        """Change a password; other logins of the user end.

        :param old: the present one; needed by who changes their own and is no admin.
        """
        self._send("PUT", f"{_user(name)}/password", {"password": password, "old_password": old})

    def set_permissions(self, name: str, permissions: Mapping[str, Any]) -> None:
        """Change what the keys of a user allow; the logins that there are end."""
        self._send("PUT", f"{_user(name)}/key", {"permissions": dict(permissions)})


def _user(name: str) -> str:
    return f"/users/{quote(name, safe='@')}"
