"""The key file ``~/.gaffer/keys.json``: one key for each gafferd, readable by its owner only."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ...errors import BadRequest, GafferError
from ...security.root_socket import ROOT_SOCKET
from ...security.trusted_files import open_file, place

#: Where it is, below the home folder.
KEY_FILE = "~/.gaffer/keys.json"
#: Root's own socket is the same gafferd's as the default port, whose key root may have kept before.
_ALIASES = {f"unix:{ROOT_SOCKET}": "http://127.0.0.1:5000"}
_MAX_BYTES = 1 << 20


class KeyFile:
    """The file.

    :param path: by default :data:`KEY_FILE`.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = os.path.expanduser(path or KEY_FILE)

    def find(self, address: str) -> dict[str, Any] | None:
        """Return the entry of the gafferd at *address*, with at least ``api_key``; None without one.

        :raises GafferError: others can read the file, or it is broken.
        """
        found = self.all()
        return found.get(address) or found.get(_ALIASES.get(address, ""))

    def all(self) -> dict[str, dict[str, Any]]:
        """Return everything, by address."""
        try:
            descriptor = open_file(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise GafferError(f"{self.path} cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as file:
            info = os.fstat(file.fileno())
            if info.st_mode & 0o077 or info.st_uid not in (0, os.geteuid()):
                raise GafferError(f"the keys in {self.path} can be read by others; see that only you can: chmod 600")
            content = file.read(_MAX_BYTES)
        try:
            found = json.loads(content)
            if all(isinstance(one["api_key"], str) for one in found.values()):
                return dict(found)
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            pass
        raise GafferError(f"{self.path} is broken; delete it, and log in again with 'gaffer login'")

    def put(self, address: str, entry: dict[str, Any] | None) -> None:
        """Store *entry* for the gafferd at *address*; None deletes it.

        :raises GafferError: it cannot be written.
        """
        found = self.all()
        if entry is None:
            for one in (address, _ALIASES.get(address, "")):
                found.pop(one, None)
        else:
            found[address] = entry
        import tempfile

        folder = os.path.dirname(self.path)
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            with place(self.path) as at:
                # Whole or not at all, and private from its first byte on (mkstemp makes it so).
                descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(at), prefix=".keys")
                try:
                    with os.fdopen(descriptor, "w") as file:
                        json.dump(found, file, indent=1)
                    os.replace(temporary, at)
                except BaseException:
                    os.unlink(temporary)
                    raise
        except OSError as error:
            raise GafferError(f"{self.path} cannot be written: {error.strerror}") from error


def access_to(uri: str, given: str | None, secret: bool = False) -> dict[str, Any]:
    """Return the credentials for *uri*, as arguments of a :class:`~gaffer.httpclient.Server`.

    A key that is kept is shown to programs of our own, root's or of the account that it was made at, but not to
    whatever else listens at the port while gafferd does not. One that was *given* goes where it was said.

    :param secret: a password will be sent.
    """
    key = key_for(uri, given)
    return {"api_key": key, "served_by": trusted_at(uri) if not given and (key or secret) else None}


def trusted_at(uri: str) -> frozenset[int]:
    """Return the accounts whose programs are gafferd at *uri*: root's, ours, and the one that a login found there."""
    found = (KeyFile().find(address_of(uri)) or {}).get("server_uid")
    return frozenset((0, os.geteuid(), *((found,) if isinstance(found, int) else ())))


def key_for(uri: str, given: str | None) -> str | None:
    """Return the key to show to the gafferd at *uri*: the one that was *given*, else the one that is kept for it.

    One that has expired is not shown: a gafferd that needs none would refuse it.
    """
    if given:
        return given
    entry = KeyFile().find(address_of(uri))
    if entry is None or (entry.get("expires") or float("inf")) < time.time():
        return None
    return str(entry["api_key"])


def address_of(uri: str) -> str:
    """Return the one spelling of a gafferd's address under which its key is kept: scheme, host, port, path.

    :raises BadRequest: it is no address.
    """
    from ...httpclient.transport import parse_uri

    scheme, host, port, prefix = parse_uri(uri)
    if scheme == "unix":
        return f"unix:{os.path.abspath(host)}"
    if not host:
        raise BadRequest(f"'{uri}' is no address")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{prefix}"


#: How gafferd begins to tell programs that they need a key; its remedy is that of HTTP.
_NEEDED = "a key is needed"


def with_remedy(sentence: str, address: str, program: str) -> str:
    """Return a refusal for want of a key with what a user of *program* can do about it; others stay as they are.

    A key that is kept for the same port under another name of the host, or another scheme, is mentioned.
    """
    if not sentence.startswith(_NEEDED):
        return sentence
    remedy = f"{_NEEDED}: get one with 'gaffer -g {address} login', or set {program.upper()}_API_KEY"
    port = address_of(address).rpartition(":")[2]
    similar = [one for one in KeyFile().all() if one.rpartition(":")[2] == port and one != address_of(address)]
    option = "--connect" if program == "gafferctl" else "--endpoint"
    return remedy + (
        f"; one is kept for {similar[0]}: if that is the same gafferd, say {option} {similar[0]}" if similar else ""
    )
