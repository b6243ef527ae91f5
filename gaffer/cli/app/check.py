"""The command that checks a Procfile, and lists what it runs."""

from __future__ import annotations

from typing import Any

import click

from ...procfile.application import ProcessType, ProcfileApplication
from ..core.output import View, view_option
from ..core.program import command, port_options
from ..core.shell_completion import types
from .context import GafferContext

CHECK_COLUMNS = ("NAME", "PROCESSES", "PORT", "RUN BY", "COMMAND")


@command("check")
@port_options
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=types)
@view_option
@click.pass_obj
def check(
    context: GafferContext, concurrency: tuple[str, ...], port: int | None, no_port: bool, names: tuple[str, ...]
) -> View:
    """Show what the Procfile runs, with ports; or every problem of it and of its environment files.

    Example: gaffer check -c web=2,worker=1
    """
    application = context.application(concurrency=concurrency, port=port, ports=not no_port, only=names)
    rows = [_row(application, one) for one in application.chosen]
    data = {"name": application.name, "jobs": application.jobs()}
    return View(data, [one.name for one in application.chosen], CHECK_COLUMNS, rows)


def _row(application: ProcfileApplication, one: ProcessType) -> tuple[Any, ...]:
    by = "shell" if application.settings(one).get("shell") else "gaffer"
    return one.name, one.number, one.ports() or None, by, one.command
