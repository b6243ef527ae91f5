"""Layout: members of a cluster in a URL, and records in etcd's keys."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gaffer.api import BadRequest, ConfigError, Problem, SharedFile, check_read
from gaffer.api.lookup import NodeKey

ETCD_PORT = 2379
PREFIX = "/gaffer/lookupd"
_FILES = ("cacert", "certfile", "keyfile")
_USE = (
    "write etcd://host:port[,host:port][/prefix]; user:password@ may precede the hosts, and "
    "?tls=1&cacert=…&certfile=…&keyfile=…&passwordfile=…, or some of it, follow"
)


class ClusterAddress(NamedTuple):
    """A cluster.

    :param members: host and port of each.
    :param prefix: what our keys begin with.
    :param cacert: who signed the members' certificates; by default one of those that the system trusts.
    :param certfile: the certificate to show, with *keyfile* its key.
    :param user: who we are, for clusters that check users. :param password: his; or it is in *passwordfile*.
    """

    members: tuple[tuple[str, int], ...]
    prefix: str = PREFIX
    tls: bool = False
    cacert: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    user: str | None = None
    password: str | None = None
    passwordfile: str | None = None


def read_url(url: str) -> ClusterAddress:
    """Return what ``--registry`` says.

    :raises ConfigError: it cannot be meant.
    """
    try:
        return _read(url)
    except (BadRequest, ValueError) as error:
        raise ConfigError([Problem("--registry", 0, f"'{_hidden(url)}': {error}; {_USE}")]) from None


def _hidden(url: str) -> str:
    """Return a URL without its password."""
    start, at, rest = url.rpartition("@")
    scheme, slashes, user = start.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}@{rest}" if at else url


def check_files(place: ClusterAddress) -> None:
    """Find out whether the files that a place names can be used.

    :raises ConfigError: one cannot be.
    """
    import ssl

    def refuse() -> str:
        raise ValueError("it is encrypted, and a server cannot ask for its passphrase; store the key without one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for path in filter(None, (place.cacert, place.certfile, place.keyfile, place.passwordfile)):
            check_read(path)
        file = place.cacert
        if place.cacert:
            context.load_verify_locations(place.cacert)
        file = place.certfile
        if place.certfile:
            context.load_cert_chain(place.certfile, place.keyfile, refuse)
        file = place.passwordfile
        read_password(place)
    except SharedFile as error:
        raise ConfigError([Problem("--registry", 0, str(error))]) from None
    except (OSError, ValueError) as error:
        which = f"{file} with {place.keyfile}" if file == place.certfile else file
        sentence = f"{which} cannot be used: {getattr(error, 'strerror', None) or error}"
        raise ConfigError([Problem("--registry", 0, sentence)]) from None


def read_password(place: ClusterAddress) -> str:
    """Return the password of a place's user.

    :raises OSError, ValueError: the file with it cannot be read.
    """
    if place.passwordfile is None:
        return place.password or ""
    with open(place.passwordfile, encoding="utf-8") as file:
        return file.readline(4096).rstrip("\r\n")


def _read(url: str) -> ClusterAddress:
    parts = urlsplit(url)
    who, _, hosts = parts.netloc.rpartition("@")
    members = tuple(_member(text) for text in hosts.split(","))
    query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    passwordfile = query.pop("passwordfile", None)
    files = {name: query.pop(name, None) for name in _FILES}
    tls = query.pop("tls", "") in ("1", "true") or any(files.values())
    if query or parts.fragment:
        raise BadRequest(f"there is no {', '.join(query) or 'fragment'}")
    if bool(files["certfile"]) != bool(files["keyfile"]):
        raise BadRequest("certfile and keyfile belong together")
    return ClusterAddress(members, parts.path.rstrip("/") or PREFIX, tls, **files, **_user(who, passwordfile))


def _user(who: str, passwordfile: str | None) -> dict[str, str | None]:
    name, colon, password = who.partition(":")
    if bool(name) != (bool(colon) or passwordfile is not None) or (colon and passwordfile is not None):
        raise BadRequest("a user needs a password, user:password@ or passwordfile=FILE, and a password needs a user")
    word = unquote(password) if colon else None
    return {"user": unquote(name) or None, "password": word, "passwordfile": passwordfile}


def _member(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise BadRequest("a member has no host")
    return parts.hostname, parts.port or ETCD_PORT


class Spot(NamedTuple):
    """Place of a holder's copy of a node.

    :param node: what precedes all copies of that node. :param life: what precedes those of the same life.
    :param key: the copy's own key.
    """

    node: str
    life: str
    key: str


def make_spot(prefix: str, key: NodeKey, life: str, holder: str) -> Spot:
    """Return where a holder's copy of one life of a node is."""
    node = f"{prefix}/nodes/{quote(key.name, safe='')}/{quote(key.origin, safe='')}"
    # A part cannot be empty, and quoting leaves no single percent sign.
    one = f"{node}/{quote(life, safe='') or '%'}"
    return Spot(node, one, f"{one}/{holder}")


def parse_key(prefix: str, text: str) -> tuple[NodeKey, str]:
    """Return which node's copy is at a key, and whose it is.

    :raises BadRequest: nothing of ours is there.
    """
    parts = text.removeprefix(f"{prefix}/nodes/").split("/")
    if not text.startswith(f"{prefix}/nodes/") or len(parts) != 4 or not all(parts):
        raise BadRequest(f"the key {text[:200]!r} is not ours")
    return NodeKey(unquote(parts[0]), unquote(parts[1])), parts[3]
