"""Lets accounts of this machine in by what the kernel says of them, without any key.

For a node with ``require_key``: a client on this machine, over a unix socket or loopback TCP, is the account
that owns the other end. Which accounts, and what they may do, stands in the configuration; the others need a key::

    [gaffer]
    require_key = true
    bind = unix:/run/gaffer.sock

    [plugin:unix_peers]
    root = admin
    deploy = manage:shop, read:*
    1000 = read:*

Install it as ``unix_peers.py`` in a folder that ``gafferd -p`` names. A unix socket also has a mode and an owner: the
accounts must be able to open it.

A browser is its account, too: over TCP, requests without a key must call gafferd by ``localhost``, an address or one of
``allowed_hosts``, or get 421. A client behind a proxy or a forwarded port is the account that runs that one.
"""

import pwd

import gaffer
from gaffer.api import Problem


class UnixPeers(gaffer.Plugin):
    name = "unix_peers"
    description = "knows accounts of this machine without keys"

    def __init__(self):
        self.known = {}

    @gaffer.hookimpl
    def gaffer_check_config(self, settings):
        for section in settings.sections("plugin"):
            for account, value in section.items.items() if section.name == self.name else ():
                try:
                    uid_of(account), permissions_of(value.text)
                except (LookupError, ValueError, gaffer.errors.GafferError) as error:
                    yield Problem(value.file, value.line, f"{account}: {error}")

    @gaffer.hookimpl
    def gaffer_manager_start(self, manager):
        self.learn(manager.settings)

    @gaffer.hookimpl
    def gaffer_config_reloaded(self, new):
        self.learn(new)

    def learn(self, settings):
        """Take over the new accounts. Earlier identities are no longer valid: what is open for them ends."""
        gone = list(self.known.values())
        accounts = settings.plugin(self.name) if settings is not None else {}
        self.known = {
            uid_of(account): gaffer.Identity(account, "account", permissions=permissions_of(text))
            for account, text in accounts.items()
        }
        for identity in gone:
            identity.end()

    @gaffer.hookimpl
    def gaffer_identify(self, credentials):
        # A key that is shown counts, whatever the account.
        if self.known and not credentials.shown:
            return self.known.get(credentials.uid)

    @gaffer.hookimpl
    def gaffer_permit(self, identity, permission, resource):
        if identity.kind == "account":
            return identity.permissions.allows(permission, resource)


def uid_of(account):
    """Return the id of an account, which may be written as its name."""
    try:
        return int(account) if account.isdigit() else pwd.getpwnam(account).pw_uid
    except KeyError:
        raise LookupError("there is no such account") from None


def permissions_of(text):
    """Return what ``admin`` or ``manage:shop, read:*`` means."""
    wanted = {}
    for word in text.split(","):
        level, colon, target = word.strip().partition(":")
        if colon:
            wanted.setdefault(level, []).append(target)
        else:
            wanted[level] = True
    return gaffer.Permissions.parse(wanted)


__all__ = ["UnixPeers"]
