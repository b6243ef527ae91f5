"""The options of gaffer_lookupd: those of gafferd that a second program over the same kit has, and its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config.fields import Seconds, Text
from ..config.options import CORE_OPTIONS, Option, Options
from .lease import PING

PROGRAM = "GAFFER_LOOKUPD_"
DEFAULT_BIND = "127.0.0.1:5010"
#: The port of a lookupd whose address names none.
LOOKUPD_PORT = 5010
MEMORY = "memory:"

#: What is said differently of those that gafferd has, too.
_CHANGES: dict[str, dict[str, Any]] = {
    "verbose": {"help": "print what changes; -vv nothing more"},
    "daemonize": {"help": "go into the background; returns when gaffer_lookupd is ready or has failed"},
    "pidfile": {"help": "file that holds gaffer_lookupd's process id, locked while it runs"},
    "bind": {
        "default": (DEFAULT_BIND,),
        "help": f"where HTTP is served: host:port, [ipv6]:port or unix:/path, separated by commas "
        f"(default: {DEFAULT_BIND})",
    },
    "allow_anonymous": {"help": "serve other machines without keys: any client there can register nodes"},
    "allow_local_users": {"flags": ("--allow-local-users",)},
    "allowed_hosts": {"flags": ("--allowed-hosts",), "metavar": "NAMES"},
    "allowed_origins": {"flags": ("--allowed-origins",), "metavar": "URLS"},
}
_SAME = (
    "plugin_dir no_plugin backlog certfile keyfile cacert http_endpoints require_key error_log log_level umask "
    "allow_shared_files plugins"
)

OWN_OPTIONS = (
    Option(
        "registry",
        Text(empty=False),
        MEMORY,
        "where nodes are kept: memory:, or etcd://host:port[,host:port] for several lookupds that know the same "
        f"(default: {MEMORY})",
        flags=("--registry",),
        metavar="URL",
    ),
    Option(
        "ping_interval",
        Seconds(),
        PING,
        f"seconds between two signs of life of a node; after three missed ones it is forgotten (default: {PING:g})",
        flags=("--ping-interval",),
        metavar="S",
    ),
)


def make_options() -> Options:
    """Return gaffer_lookupd's table of options."""
    names = [*_CHANGES, *_SAME.split()]
    shared = [replace(option, **_CHANGES.get(option.name, {})) for option in CORE_OPTIONS if option.name in names]
    core = [replace(option, program=PROGRAM, variables=()) for option in (*shared, *OWN_OPTIONS)]
    return Options(core, PROGRAM, "register nodes and see what runs where")
