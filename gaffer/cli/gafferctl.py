"""gafferctl: control a gafferd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NoReturn

import click

from ..httpclient import Server
from .fanout import lookups_option
from .keyfile import access_to
from .place import DEFAULT_SHOWN, default_endpoint
from .program import Program, run, version_option

if TYPE_CHECKING:
    from ..httpclient import Cluster, Node

SECTIONS = {
    "Jobs": {
        "processes": "jobs:processes",
        "add_process": "jobs:add_process",
        "load_process": "jobs:load_process",
        "update_process": "jobs:update_process",
        "get_process": "jobs:get_process",
        "del_process": "jobs:del_process",
    },
    "Up and down": {
        "start": "control:start",
        "stop": "control:stop",
        "restart": "control:restart",
        "reload": "control:reload",
        "wait": "control:wait",
        "kill": "signals:kill",
    },
    "How many": {
        "add": "scaling:add",
        "sub": "scaling:sub",
        "scale": "scaling:scale",
        "numprocesses": "scaling:numprocesses",
        "running": "scaling:running",
    },
    "What is going on": {
        "status": "looking:status",
        "info": "looking:info",
        "pids": "looking:pids",
        "sessions": "looking:sessions",
        "stats": "usage:stats",
        "watch": "watching:watch",
        "logs": "logs:logs",
    },
    "Talking to processes": {
        "send": "sending:send",
        "attach": "attaching:attach",
    },
    "gafferd": {
        "ping": "node:ping",
        "version": "node:version",
        "health": "node:health",
        "plugins": "node:plugins",
        "reload-config": "node:reload_config",
        "shutdown": "node:shutdown",
    },
}

ALIASES = {"load": "load_process"}
EPILOG = "Every option can be set in the environment: --connect as GAFFERCTL_CONNECT, and so on."


def everywhere(ctx: click.Context) -> tuple[Cluster, Callable[[Node], Server]]:
    """Return the nodes that lookupds know, and what makes the client of one."""
    from ..httpclient import Cluster

    given = ctx.params
    files = {name: given[name] for name in ("certfile", "keyfile", "cacert")}

    def server(node: Node) -> Server:
        return Server(node.origin, **access_to(node.origin, given["api_key"]), **files)

    return Cluster(given["lookupd_address"], given["api_key"], **files), server


def make_program() -> Program:
    """Return gafferctl as a click group; plugins add their commands to it."""

    @click.command("gafferctl", cls=Program, sections=SECTIONS, aliases=ALIASES, epilog=EPILOG, everywhere=everywhere)
    @click.option(
        "--connect",
        metavar="URL",
        default=default_endpoint,
        show_default=DEFAULT_SHOWN,
        help="http:, https: or unix:/path.",
    )
    @click.option("--certfile", metavar="FILE", type=click.Path(), help="Certificate to show to gafferd.")
    @click.option("--keyfile", metavar="FILE", type=click.Path(), help="Key of the certificate.")
    @click.option("--cacert", metavar="FILE", type=click.Path(), help="Authority that signed gafferd's certificate.")
    @click.option(
        "--api-key",
        metavar="KEY",
        envvar=["GAFFERCTL_API_KEY", "GAFFER_API_KEY"],
        help="Better set as GAFFERCTL_API_KEY, since others can see command lines; without it, that of 'gaffer login'.",
    )
    @lookups_option
    @version_option("gafferctl")
    @click.pass_context
    def gafferctl(
        ctx: click.Context,
        /,
        connect: str,
        certfile: str | None,
        keyfile: str | None,
        cacert: str | None,
        api_key: str | None,
        **many: Any,
    ) -> None:
        """Control a gafferd."""
        server = Server(connect, **access_to(connect, api_key), certfile=certfile, keyfile=keyfile, cacert=cacert)
        ctx.obj = ctx.with_resource(server)

    return gafferctl


def main() -> NoReturn:
    """Run gafferctl and end the process."""
    run(make_program())
