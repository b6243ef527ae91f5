"""Shell completion of an application's types and of its processes on a gafferd."""

from __future__ import annotations

import click

from ...config.names import parse_job_name
from ...errors import GafferError
from ...httpclient import Server
from ...procfile.naming import application_name, find_procfile
from ..accounts.completion import ask
from ..core.shell_completion import types


def types_and_pids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the types and processes, ``TYPE.PID`` as ``ps`` shows them or a pid, that begin with *incomplete*."""
    found = types(ctx, param, incomplete)
    given = ctx.find_root().params
    try:
        session = application_name(None, find_procfile(given.get("procfile"), given.get("directory"))[1])
    except GafferError:
        return found

    def pids(server: Server) -> list[str]:
        known = [(parse_job_name(info["name"]).job, pid) for info in server.infos(session) for pid in info["processes"]]
        return [str(pid) if incomplete.isdigit() else f"{name}.{pid}" for name, pid in known]

    return [*found, *ask(ctx, pids, incomplete)]
