"""Commands that show what processes write, and write to them."""

from __future__ import annotations

from typing import Any

import click

from ..core.program import DASHES, command
from ..operations.attach import attach_options, attach_to
from ..operations.logs import LogQuery, find_targets, logs_options, show_logs
from ..operations.send import send_options, send_to
from .completion import jobs_and_pids


@command("logs")
@click.argument("targets", nargs=-1, required=True, metavar="NAME|PID...", shell_complete=jobs_and_pids)
@logs_options
@click.pass_context
def logs(ctx: click.Context, /, targets: tuple[str, ...], **wish: Any) -> None:
    """Show what processes wrote.

    With -f it goes on with what they write. gafferd keeps the latest output of each
    process, also of processes that ended a while ago. NAME is a job in any spelling,
    SESSION.* or all: those of its jobs whose output is redirected.

    Example: gafferctl logs -f -n 100 web worker
    """
    found, among = find_targets(ctx.obj, targets)
    show_logs(ctx, ctx.obj, found, LogQuery(**wish, among=among))


@command("send", context_settings=DASHES)
@click.argument("target", metavar="NAME|PID", shell_complete=jobs_and_pids)
@click.argument("data", nargs=-1, metavar="[DATA...|-]")
@send_options
@click.pass_context
def send(ctx: click.Context, /, target: str, data: tuple[str, ...], **wish: Any) -> None:
    """Write to the stdin of a process.

    DATA is sent as a line, its words with spaces between them. With -, or without
    DATA, what comes on stdin is sent byte by byte, to its end: on a terminal line by
    line, until ctrl-D.

    Example: gafferctl send console 'reload now'
    """
    send_to(ctx, ctx.obj, target, data, **wish)


@command("attach")
@click.argument("target", metavar="NAME|PID", shell_complete=jobs_and_pids)
@attach_options
@click.pass_context
def attach(ctx: click.Context, /, target: str, **wish: Any) -> None:
    """Connect the terminal to a process.

    Its stdin and output are yours together. It ends with the process, and at the
    detach key, ctrl-C or ctrl-D, which the process does not notice. What it writes
    to stderr goes to stderr.

    Example: gafferctl attach console
    """
    attach_to(ctx, ctx.obj, target, **wish)
