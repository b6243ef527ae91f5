"""Questions to a gafferd when Tab is pressed."""

from __future__ import annotations

from typing import Callable

import click

from ...errors import GafferError
from ...httpclient import Server
from .keyfile import access_to

#: Seconds after which a shell gets no names: a key press does not wait for a gafferd that is away.
PATIENCE = 0.5


def ask(ctx: click.Context, question: Callable[[Server], list[str]], incomplete: str) -> list[str]:
    """Return those of the answers that begin with *incomplete*; none if the command line's gafferd does not tell."""
    given = ctx.find_root().params
    address = given.get("connect") or given["endpoint"]
    files = {name: given.get(name) for name in ("certfile", "keyfile", "cacert")}
    try:
        access = access_to(address, given.get("api_key"))
        with Server(address, **access, **files, timeout=PATIENCE, connect_timeout=PATIENCE) as server:
            found = question(server)
    except (GafferError, OSError):
        return []
    return [name for name in found if name.startswith(incomplete)]
