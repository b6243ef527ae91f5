"""Shell completion of the names and pids that gafferd knows."""

from __future__ import annotations

import click

from ...config.names import parse_job_name
from ...errors import GafferError
from ...httpclient import Server
from ..accounts.keyfile import access_to

#: Seconds after which a shell gets no names: a key press does not wait for a gafferd that is away.
PATIENCE = 0.5


def jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the jobs that begin with *incomplete*; none if gafferd does not tell."""
    return _begin_so(ctx, incomplete, pids=False)


def jobs_and_pids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the jobs and pids that begin with *incomplete*; none if gafferd does not tell."""
    return _begin_so(ctx, incomplete, pids=True)


def _begin_so(ctx: click.Context, incomplete: str, pids: bool) -> list[str]:
    given = ctx.find_root().params
    address = given["connect"]
    files = {name: given.get(name) for name in ("certfile", "keyfile", "cacert")}
    try:
        access = access_to(address, given.get("api_key"))
        with Server(address, **access, **files, timeout=PATIENCE, connect_timeout=PATIENCE) as server:
            found = [parse_job_name(str(job)).short for job in server.jobs()]
            if pids and (not incomplete or incomplete.isdigit()):
                found += map(str, server.pids())
    except (GafferError, OSError):
        return []
    return [name for name in found if name.startswith(incomplete)]
