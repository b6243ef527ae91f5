"""``gaffer key``: the keys of a gafferd."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ...errors import BadRequest
from ..core.output import View, details_lines, print_lines, view_option
from ..core.program import ProgramGroup
from .keyfile import KeyFile, address_of
from .login import ask, served_by, server_user_option
from .permissions import permission_options, permissions_of, text_of

if TYPE_CHECKING:
    from ..app.context import GafferContext

KEY_COLUMNS = ("ID", "LABEL", "USER", "ALLOWS", "EXPIRES", "LAST USED")
_DAY = 86_400.0


@click.group("key", cls=ProgramGroup)
def key() -> None:
    """Create, list and delete keys.

    Example: gaffer key list
    """


def day(when: float | None, never: str = "never") -> str:
    """Return a time as a table shows it."""
    return never if when is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


@key.command("list")
@view_option
@click.pass_obj
def list_keys(context: GafferContext) -> View:
    """List the keys that one may see: an admin all, others their own and those made with it.

    Example: gaffer key list
    """
    found = context.server.accounts.keys()
    rows = [
        (
            one["id"],
            one["label"],
            one["user"],
            text_of(one["permissions"]),
            day(one["expires"]),
            day(one["last_used"], "never"),
        )
        for one in found
    ]
    return View(found, [one["id"] for one in found], KEY_COLUMNS, rows)


@key.command("create")
@click.argument("label", default="")
@permission_options
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="How long it is valid; by default for ever.")
@view_option
@click.pass_obj
def create(context: GafferContext, /, label: str, days: float | None, **given: Any) -> View:
    """Create a key, which is shown this once.

    It allows what the options say, and no more than the key that makes it.

    Example: gaffer key create deploy --manage shop --days 90
    """
    made = context.server.accounts.create_key(permissions_of(given), label, None if days is None else days * _DAY)
    return View(made, [made["id"]], text=[made["api_key"]])


@key.command("show")
@click.argument("id", default="self")
@view_option
@click.pass_obj
def show_key(context: GafferContext, id: str) -> View:
    """Show one key; by default the one that asks.

    Example: gaffer key show
    """
    found = context.server.accounts.key(id)
    times = {name: day(found[name]) for name in ("created", "expires", "last_used")}
    pairs = {**found, **times, "permissions": text_of(found["permissions"])}.items()
    return View(found, [found["id"]], text=[*details_lines(pairs)])


@key.command("delete")
@click.argument("id")
@click.pass_obj
def delete(context: GafferContext, id: str) -> None:
    """Delete a key, and all that were made with it.

    Example: gaffer key delete 3f2a
    """
    print_lines(f"{one}: deleted" for one in context.server.accounts.delete_key(id))


@key.command("save")
@server_user_option
@click.pass_obj
def save(context: GafferContext, server_user: str | None) -> None:
    """Keep an existing key, as 'login' keeps the one it gets; it is asked for, or read from standard input.

    Example: gaffer -g https://gaffer.example.com:5000 key save
    """
    word = ask("Key").strip()
    if not word.isascii() or not word.isprintable():
        raise BadRequest("that is no key")
    address = address_of(context.endpoint)
    with context.connect(word, server_user) as server:
        found = server.accounts.key()
        entry = {"api_key": word, "id": found["id"], "user": found["user"], "expires": found["expires"]}
        KeyFile().put(address, {**entry, **served_by(server)})
    print_lines([f"the key {found['id']} is used at {address}; it allows: {text_of(found['permissions'])}"])
