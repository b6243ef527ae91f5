"""``gaffer login`` and ``logout``: a key for this machine, kept where only its owner can read it."""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING

import click

from ...errors import BadRequest, GafferError, Unauthorized
from ..core.output import complain, print_lines
from ..core.program import command
from .keyfile import KeyFile, address_of

if TYPE_CHECKING:
    from ...httpclient import Server
    from ..app.context import GafferContext

_DAY = 86_400.0


def ask(prompt: str, confirm: bool = False) -> str:
    """Return a password: typed on a terminal without being shown, else the first line of standard input.

    :raises BadRequest: there is none.
    """
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))
    word = sys.stdin.readline().rstrip("\n")
    if not word:
        raise BadRequest(f"no {prompt.lower()} came: write it to standard input")
    return word


def served_by(server: Server) -> dict[str, int]:
    """Return what is kept with a key of the account that *server* runs as, if that is neither root nor ours."""
    uid = server.transport.server_uid
    return {} if uid in (None, 0, os.geteuid()) else {"server_uid": uid}


server_user_option = click.option(
    "--server-user",
    metavar="ACCOUNT",
    help="The account that this machine's gafferd runs as, if it is neither root nor you.",
)


@command("login")
@click.argument("user", required=False)
@click.option("--label", help="What lists call the key. [default: the name of this machine]")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="How long the key is valid, if gafferd agrees."
)
@server_user_option
@click.pass_context
def login(ctx: click.Context, user: str | None, label: str | None, days: float | None, server_user: str | None) -> None:
    """Get a key from a gafferd and keep it for the commands after this one.

    The password is asked for, or read from standard input. The key is in ~/.gaffer/keys.json, for this gafferd only;
    gafferctl finds it, too. On this machine, without TLS, both go only to a program of root's, of yours or of
    --server-user; what else listens at gafferd's port gets nothing (exit code 3).

    Example: gaffer -g https://gaffer.example.com:5000 login alice --days 30
    """
    context: GafferContext = ctx.obj
    address = address_of(context.endpoint)
    if not _is_private(address):
        complain(ctx.find_root().info_name, f"{address} is not encrypted: others may read the password on its way")
    name = user if user is not None else str(click.prompt("User name", err=True))
    # Without the key that is kept: it may have expired.
    with context.connect(None, server_user) as server:
        seconds = None if days is None else days * _DAY
        made = server.accounts.login(name, ask("Password"), label or platform.node()[:200], seconds)
        entry = {"api_key": made["api_key"], "id": made["id"], "user": name, "expires": made["expires"]}
        KeyFile().put(address, {**entry, **served_by(server)})
    print_lines([f"logged in at {address} as {name}; the key {made['id']} is valid until {_until(made['expires'])}"])


def _is_private(address: str) -> bool:
    from ...config.addresses import is_local, parse_address

    scheme, _, rest = address.partition("://")
    return scheme != "http" or is_local(parse_address(rest.partition("/")[0]))


def _until(expires: float | None) -> str:
    return "it is deleted" if expires is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(expires))


@command("logout")
@click.option("--all-keys", is_flag=True, help="Delete the keys that were made with it, too.")
@click.pass_context
def logout(ctx: click.Context, all_keys: bool) -> None:
    """Forget the key of a gafferd, and delete it there.

    While there are keys that were made with it, it is only forgotten here: they would be deleted with it.

    Example: gaffer logout
    """
    context: GafferContext = ctx.obj
    address = address_of(context.endpoint)
    entry = KeyFile().find(address)
    if entry is None:
        raise BadRequest(f"no key for {address} is stored; see 'gaffer login'")
    said = _delete(context, entry["api_key"], all_keys)
    KeyFile().put(address, None)
    print_lines([f"logged out of {address}{said}"])


def _delete(context: GafferContext, key: str, all_keys: bool) -> str:
    """Delete a key on its gafferd; return a sentence about it."""
    try:
        with context.connect(key) as server:
            own = server.accounts.key()["id"]
            below = [one["id"] for one in server.accounts.keys() if one["parent"] == own]
            if below and not all_keys:
                return f"; its key {own} stays, since {len(below)} others were made with it"
            server.accounts.delete_key()
    except Unauthorized:
        return ""
    except GafferError as error:
        return f"; its key was not deleted there: {error}"
    return ""
