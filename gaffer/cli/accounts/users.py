"""``gaffer user``: the users of a gafferd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import BadRequest
from ..core.output import View, details_lines, print_lines, view_option
from ..core.program import ProgramGroup
from .keyfile import KeyFile, address_of
from .keys import day
from .login import ask
from .permissions import FLAGS, permission_options, permissions_of, text_of

if TYPE_CHECKING:
    from ..app.context import GafferContext

USER_COLUMNS = ("NAME", "KIND", "ALLOWS", "CREATED")
_KINDS = {0: "admin", 1: "application"}


@click.group("user", cls=ProgramGroup)
def user() -> None:
    """Create, list and delete users.

    Example: gaffer user list
    """


@user.command("list")
@view_option
@click.pass_obj
def list_users(context: GafferContext) -> View:
    """List the users.

    Example: gaffer user list
    """
    found = context.server.accounts.users()
    rows = [
        (one["username"], _KINDS[one["user_type"]], text_of(one["permissions"]), day(one["created"])) for one in found
    ]
    return View(found, [one["username"] for one in found], USER_COLUMNS, rows)


@user.command("create")
@click.argument("name")
@permission_options
@click.pass_obj
def create(context: GafferContext, /, name: str, **given: Any) -> None:
    """Create a user; the options set the permissions of its logins.

    The password is asked for, or read from standard input.

    Example: gaffer user create alice --manage shop --read '*'
    """
    admin = given["admin"]
    wanted = {} if admin else permissions_of(given)
    if admin and any(given[one] for one in given if one != "admin"):
        raise BadRequest(f"--admin is everything; leave the others out: {', '.join(FLAGS[1:])}, manage, write, read")
    with context.for_passwords() as server:
        server.accounts.create_user(name, ask("Password", confirm=True), admin, wanted)
    print_lines([f"{name}: created"])


@user.command("show")
@click.argument("name")
@view_option
@click.pass_obj
def show_user(context: GafferContext, name: str) -> View:
    """Show one user.

    Example: gaffer user show alice -o json
    """
    found = context.server.accounts.user(name)
    kind = _KINDS[found["user_type"]]
    shown = {**found, "kind": kind, "created": day(found["created"]), "permissions": text_of(found["permissions"])}
    del shown["user_type"]
    return View(found, [found["username"]], text=[*details_lines(shown.items())])


@user.command("delete")
@click.argument("name")
@click.pass_obj
def delete(context: GafferContext, name: str) -> None:
    """Delete a user, and all keys of theirs.

    Example: gaffer user delete alice
    """
    context.server.accounts.delete_user(name)
    print_lines([f"{name}: deleted"])


@user.command("password")
@click.argument("name")
@click.pass_obj
def password(context: GafferContext, name: str) -> None:
    """Change a password; other logins of the user end.

    Who changes their own is asked for the present one, too; from standard input it is read first.

    Example: gaffer user password alice
    """
    entry = KeyFile().find(address_of(context.endpoint)) or {}
    old = ask("Present password") if entry.get("user") == name else None
    with context.for_passwords() as server:
        server.accounts.set_password(name, ask("New password", confirm=True), old)
    print_lines([f"{name}: password changed"])


@user.command("permit")
@click.argument("name")
@permission_options
@click.pass_obj
def permit(context: GafferContext, /, name: str, **given: Any) -> None:
    """Change what a user's logins allow to what the options say; those that there are end.

    Example: gaffer user permit alice --read '*'
    """
    context.server.accounts.set_permissions(name, permissions_of(given))
    print_lines([f"{name}: changed"])
