"""Keys from a file that you write yourself, or that a tool puts there: one a line, with what it allows.

::

    # key                                  name     permissions
    3b0f8a…                                deploy   manage:shop,read:*
    9c41d2…                                grafana  read:*

In the configuration::

    [gaffer]
    require_key = true

    [plugin:token_file]
    path = /etc/gaffer/keys

The file must be readable by gafferd's user only. When it has changed it is read again at the next request with a key:
one that is not in it any more is refused, and what is open for it ends. ``openssl rand -hex 32`` makes a good key.
"""

import hashlib
import hmac
import os

import gaffer
from gaffer.api import GafferError, Problem


class TokenFile(gaffer.Plugin):
    name = "token_file"
    description = "keys from a file"

    def __init__(self):
        self.path = None
        self.seen = None
        self.known = {}

    @gaffer.hookimpl
    def gaffer_check_config(self, settings):
        for section in settings.sections("plugin"):
            if section.name == self.name:
                try:
                    read(section.items["path"].text if "path" in section.items else "")
                except (OSError, GafferError) as error:
                    yield Problem(section.file, section.line, f"path: {error}")

    @gaffer.hookimpl
    def gaffer_manager_start(self, manager):
        if manager.settings is not None:
            self.path = manager.settings.plugin(self.name).get("path")
            self.refresh()

    def refresh(self):
        """Read the file again if it is another one than before; one that cannot be used leaves no key known."""
        if not self.path:
            return
        try:
            info = os.stat(self.path)
            state = info.st_mtime_ns, info.st_ino, info.st_size
            if state == self.seen:
                return
            found = read(self.path)
        except (OSError, GafferError):
            state, found = None, {}
        before, self.seen = self.known, state
        # Who is as before stays who they are, so that nothing of theirs is cut off.
        self.known = {key: before[key] if is_same(before.get(key), one) else one for key, one in found.items()}
        for key, one in before.items():
            if self.known.get(key) is not one:
                one.end()

    @gaffer.hookimpl
    def gaffer_identify(self, credentials):
        if credentials.key is not None:
            self.refresh()
            digest = digest_of(credentials.key)
            # All are compared, and each in a time that says nothing: there are few of them.
            found = [one for known, one in self.known.items() if hmac.compare_digest(known, digest)]
            return found[0] if found else None

    @gaffer.hookimpl
    def gaffer_permit(self, identity, permission, resource):
        if identity.kind == "token":
            return identity.permissions.allows(permission, resource)


def is_same(one, other):
    return one is not None and (one.name, one.permissions) == (other.name, other.permissions)


def digest_of(key):
    return hashlib.sha256(key.encode()).digest()


def read(path):
    """Return the identities in a file by the hash of their key.

    :raises GafferError: naming the line that cannot be used. :raises OSError: it cannot be read.
    """
    with open(path, encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise GafferError(f"{path} can be read by others; chmod 600")
        lines = file.read(1 << 20).splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        words = line.split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 3 or len(words[0]) < 32:
            raise GafferError(f"{path}:{number}: a line is a key of 32 characters or more, a name and permissions")
        try:
            permissions = permissions_of(words[2])
        except GafferError as error:
            raise GafferError(f"{path}:{number}: {error}") from None
        found[digest_of(words[0])] = gaffer.Identity(words[1], "token", permissions=permissions)
    return found


def permissions_of(text):
    """Return what ``admin`` or ``manage:shop,read:*`` means."""
    wanted = {}
    for word in text.split(","):
        level, colon, target = word.strip().partition(":")
        if colon:
            wanted.setdefault(level, []).append(target)
        else:
            wanted[level] = True
    return gaffer.Permissions.parse(wanted)


__all__ = ["TokenFile"]
