"""gaffer: run Procfile applications, here or on a gafferd.

Only ``start`` and ``run`` import the engine and only commands that ask a gafferd the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NoReturn

import click

from ..core.endpoint import DEFAULT_ENDPOINT_HELP, default_endpoint
from ..core.fanout import lookups_option
from ..core.program import Program, patience_options, run, version_option
from .context import GafferContext

if TYPE_CHECKING:
    from ...httpclient import Cluster, Node

#: ``{title: {command: "module:attribute"}}``; one module for each group of commands.
SECTIONS = {
    "Here": {
        "start": "app.foreground:start",
        "run": "app.foreground:run",
        "check": "app.check:check",
        "export": "app.export:export",
        "convert": "app.convert:convert",
    },
    "On a gafferd": {
        "load": "app.load:load",
        "unload": "app.load:unload",
        "reload": "app.control:reload",
        "stop": "app.control:stop",
        "kill": "app.control:kill",
        "scale": "app.scaling:scale",
    },
    "What is going on there": {
        "ps": "app.status:ps",
        "info": "app.status:info",
        "why": "app.status:why",
        "apps": "app.apps:apps",
    },
    "Talking to processes there": {
        "logs": "app.streams:logs",
        "send": "app.streams:send",
        "recv": "app.streams:recv",
        "attach": "app.streams:attach",
    },
    "Who may do what there": {
        "login": "accounts.login:login",
        "logout": "accounts.login:logout",
        "user": "accounts.users:user",
        "key": "accounts.keys:key",
    },
    "Many machines": {
        "lookup": "cluster.lookup:lookup",
    },
    "This program": {
        "help": "core.help:gaffer_help",
    },
}

#: Commands that differ with ``-L``: on other machines ``start`` has no foreground.
REMOTE_COMMANDS = {"start": "app.control:start"}
ALIASES: dict[str, str] = {}
EPILOG = "Every option can be set in the environment: --procfile as GAFFER_PROCFILE, and so on."


def everywhere(ctx: click.Context) -> tuple[Cluster, Callable[[Node], GafferContext]]:
    """Return the cluster of the lookupds that ``-L`` names, and a function that makes a node's context."""
    from ...httpclient import Cluster

    given = ctx.params
    keys = {name: given[name] for name in ("api_key", "certfile", "keyfile", "cacert", "timeout", "connect_timeout")}

    def context(node: Node) -> GafferContext:
        files = given["procfile"], given["directory"], given["env"]
        return GafferContext(*files, node.origin, keys, dotenv=not given["no_dotenv"])

    return Cluster(given["lookupd_address"], **keys), context


def make_program() -> Program:
    """Return gaffer as a click group; ``ctx.obj`` is a :class:`~gaffer.cli.app.context.GafferContext`."""

    @click.command(
        "gaffer",
        cls=Program,
        sections=SECTIONS,
        aliases=ALIASES,
        epilog=EPILOG,
        plugins=False,
        everywhere=everywhere,
        elsewhere=REMOTE_COMMANDS,
        remedy="accounts.keyfile:with_remedy",
    )
    @click.option(
        "-f", "--procfile", metavar="FILE", type=click.Path(), help="The Procfile; by default the one in the folder."
    )
    @click.option(
        "-d",
        "--directory",
        metavar="DIR",
        type=click.Path(),
        help="The application's folder; by default the Procfile's.",
    )
    @click.option(
        "-e",
        "--env",
        metavar="FILE",
        type=click.Path(),
        multiple=True,
        help="A file of variables beside .env; a later one wins.",
    )
    @click.option("--no-dotenv", is_flag=True, help="Leave the folder's own .env out.")
    @click.option(
        "-g",
        "--endpoint",
        metavar="URL",
        default=default_endpoint,
        envvar=["GAFFER_ENDPOINT", "GAFFERCTL_CONNECT"],
        show_default=DEFAULT_ENDPOINT_HELP,
        help="http:, https: or unix:.",
    )
    @click.option(
        "--certfile",
        metavar="FILE",
        type=click.Path(),
        envvar=["GAFFER_CERTFILE", "GAFFERCTL_CERTFILE"],
        help="Certificate to show to gafferd.",
    )
    @click.option(
        "--keyfile",
        metavar="FILE",
        type=click.Path(),
        envvar=["GAFFER_KEYFILE", "GAFFERCTL_KEYFILE"],
        help="Key of the certificate.",
    )
    @click.option(
        "--cacert",
        metavar="FILE",
        type=click.Path(),
        envvar=["GAFFER_CACERT", "GAFFERCTL_CACERT"],
        help="Authority that signed gafferd's certificate.",
    )
    @click.option(
        "--api-key",
        metavar="KEY",
        envvar=["GAFFER_API_KEY", "GAFFERCTL_API_KEY"],
        help="Better set as GAFFER_API_KEY; by default that of 'login'.",
    )
    @patience_options
    @lookups_option
    @version_option("gaffer")
    @click.pass_context
    def gaffer(
        ctx: click.Context,
        /,
        procfile: str | None,
        directory: str | None,
        env: tuple[str, ...],
        no_dotenv: bool,
        endpoint: str,
        certfile: str | None,
        keyfile: str | None,
        cacert: str | None,
        api_key: str | None,
        timeout: float,
        connect_timeout: float,
        **many: Any,
    ) -> None:
        """Run Procfile applications, here or on a gafferd.

        Example: gaffer start -c web=2
        """
        keys: dict[str, Any] = {"api_key": api_key, "certfile": certfile, "keyfile": keyfile, "cacert": cacert}
        keys |= {"timeout": timeout, "connect_timeout": connect_timeout}
        ctx.obj = GafferContext(procfile, directory, env, endpoint, keys, dotenv=not no_dotenv)
        ctx.call_on_close(ctx.obj.close)

    return gaffer


def main() -> NoReturn:
    """Run gaffer and end the process."""
    run(make_program())
