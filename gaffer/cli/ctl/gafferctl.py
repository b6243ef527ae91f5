"""gafferctl: control a gafferd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NoReturn

import click

from ...httpclient import Server
from ..accounts.keyfile import access_to
from ..core.endpoint import DEFAULT_ENDPOINT_HELP, default_endpoint
from ..core.fanout import lookups_option
from ..core.program import Program, patience_options, run, version_option

if TYPE_CHECKING:
    from ...httpclient import Cluster, Node

SECTIONS = {
    "Jobs": {
        "processes": "ctl.jobs:processes",
        "add_process": "ctl.jobs:add_process",
        "load_process": "ctl.jobs:load_process",
        "update_process": "ctl.jobs:update_process",
        "get_process": "ctl.jobs:get_process",
        "del_process": "ctl.jobs:del_process",
    },
    "Up and down": {
        "start": "ctl.control:start",
        "stop": "ctl.control:stop",
        "restart": "ctl.control:restart",
        "reload": "ctl.control:reload",
        "wait": "ctl.control:wait",
        "kill": "ctl.control:kill",
    },
    "How many": {
        "add": "ctl.scaling:add",
        "sub": "ctl.scaling:sub",
        "scale": "ctl.scaling:scale",
        "numprocesses": "ctl.scaling:numprocesses",
        "running": "ctl.scaling:running",
    },
    "What is going on": {
        "status": "ctl.status:status",
        "info": "ctl.status:info",
        "why": "ctl.status:why",
        "pids": "ctl.status:pids",
        "sessions": "ctl.status:sessions",
        "stats": "ctl.stats:stats",
        "watch": "ctl.watch:watch",
        "logs": "ctl.streams:logs",
    },
    "Talking to processes": {
        "send": "ctl.streams:send",
        "attach": "ctl.streams:attach",
    },
    "gafferd": {
        "ping": "ctl.daemon:ping",
        "version": "ctl.daemon:version",
        "health": "ctl.daemon:health",
        "strays": "ctl.daemon:strays",
        "plugins": "ctl.daemon:plugins",
        "reload-config": "ctl.daemon:reload_config",
        "shutdown": "ctl.daemon:shutdown",
    },
    "This program": {
        "help": "core.help:gafferctl_help",
    },
}

ALIASES = {"load": "load_process"}
EPILOG = "Every option can be set in the environment: --connect as GAFFERCTL_CONNECT, and so on."


def everywhere(ctx: click.Context) -> tuple[Cluster, Callable[[Node], Server]]:
    """Return the cluster of the lookupds that ``-L`` names, and a function that makes a node's client."""
    from ...httpclient import Cluster

    given = ctx.params
    files = {name: given[name] for name in ("certfile", "keyfile", "cacert", "timeout", "connect_timeout")}

    def server(node: Node) -> Server:
        return Server(node.origin, **access_to(node.origin, given["api_key"]), **files)

    return Cluster(given["lookupd_address"], given["api_key"], **files), server


def make_program() -> Program:
    """Return gafferctl as a click group; plugins add their commands to it."""

    @click.command(
        "gafferctl",
        cls=Program,
        sections=SECTIONS,
        aliases=ALIASES,
        epilog=EPILOG,
        everywhere=everywhere,
        remedy="accounts.keyfile:with_remedy",
    )
    @click.option(
        "--connect",
        metavar="URL",
        default=default_endpoint,
        envvar=["GAFFERCTL_CONNECT", "GAFFER_ENDPOINT"],
        show_default=DEFAULT_ENDPOINT_HELP,
        help="http:, https: or unix:/path.",
    )
    @click.option(
        "--certfile",
        metavar="FILE",
        type=click.Path(),
        envvar=["GAFFERCTL_CERTFILE", "GAFFER_CERTFILE"],
        help="Certificate to show to gafferd.",
    )
    @click.option(
        "--keyfile",
        metavar="FILE",
        type=click.Path(),
        envvar=["GAFFERCTL_KEYFILE", "GAFFER_KEYFILE"],
        help="Key of the certificate.",
    )
    @click.option(
        "--cacert",
        metavar="FILE",
        type=click.Path(),
        envvar=["GAFFERCTL_CACERT", "GAFFER_CACERT"],
        help="Authority that signed gafferd's certificate.",
    )
    @click.option(
        "--api-key",
        metavar="KEY",
        envvar=["GAFFERCTL_API_KEY", "GAFFER_API_KEY"],
        help="Better set as GAFFERCTL_API_KEY, since others can see command lines; without it, that of 'gaffer login'.",
    )
    @patience_options
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
        timeout: float,
        connect_timeout: float,
        **many: Any,
    ) -> None:
        """Control a gafferd.

        Example: gafferctl status
        """
        given: dict[str, Any] = {"certfile": certfile, "keyfile": keyfile, "cacert": cacert}
        given |= {"timeout": timeout, "connect_timeout": connect_timeout}
        server = Server(connect, **access_to(connect, api_key), **given)
        ctx.obj = ctx.with_resource(server)

    return gafferctl


def main() -> NoReturn:
    """Run gafferctl and end the process."""
    run(make_program())
