"""Where things are: the members of a cluster in a URL, and records in etcd's keys."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gaffer.errors import BadRequest, ConfigError, Problem
from gaffer.lookupd.records import Key

DEFAULT_PORT = 2379
PREFIX = "/gaffer/lookupd"
_FILES = ("cacert", "certfile", "keyfile")
_USE = "write etcd://host:port[,host:port][/prefix][?tls=1&cacert=…&certfile=…&keyfile=…]"


class Place(NamedTuple):
    """A cluster.

    :param members: host and port of each.
    :param prefix: what our keys begin with.
    """

    members: tuple[tuple[str, int], ...]
    prefix: str = PREFIX
    tls: bool = False
    cacert: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


def read_url(url: str) -> Place:
    """Return what ``--registry`` says.

    :raises ConfigError: it cannot be meant.
    """
    try:
        return _read(url)
    except (BadRequest, ValueError) as error:
        raise ConfigError([Problem("--registry", 0, f"'{url}': {error}; {_USE}")]) from None


def _read(url: str) -> Place:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise BadRequest("names and passwords are not supported, client certificates are")
    members = tuple(_member(text) for text in parts.netloc.split(","))
    query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    files = {name: query.pop(name, None) for name in _FILES}
    tls = query.pop("tls", "") in ("1", "true") or any(files.values())
    if query or parts.fragment:
        raise BadRequest(f"there is no {', '.join(query) or 'fragment'}")
    if bool(files["certfile"]) != bool(files["keyfile"]):
        raise BadRequest("certfile and keyfile belong together")
    return Place(members, parts.path.rstrip("/") or PREFIX, tls, **files)


def _member(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise BadRequest("a member has no host")
    return parts.hostname, parts.port or DEFAULT_PORT


class Spot(NamedTuple):
    """Where a holder's copy of a node is.

    :param node: what precedes all copies of that node. :param life: what precedes those of the same life.
    :param key: the copy's own key.
    """

    node: str
    life: str
    key: str


def make_spot(prefix: str, key: Key, life: str, holder: str) -> Spot:
    """Return where a holder's copy of one life of a node is."""
    node = f"{prefix}/nodes/{quote(key.name, safe='')}/{quote(key.origin, safe='')}"
    # A part cannot be empty, and quoting leaves no single percent sign.
    one = f"{node}/{quote(life, safe='') or '%'}"
    return Spot(node, one, f"{one}/{holder}")


def parse_key(prefix: str, text: str) -> tuple[Key, str]:
    """Return which node's copy is at a key, and whose it is.

    :raises BadRequest: nothing of ours is there.
    """
    parts = text.removeprefix(f"{prefix}/nodes/").split("/")
    if not text.startswith(f"{prefix}/nodes/") or len(parts) != 4 or not all(parts):
        raise BadRequest(f"the key {text[:200]!r} is not ours")
    return Key(unquote(parts[0]), unquote(parts[1])), parts[3]
