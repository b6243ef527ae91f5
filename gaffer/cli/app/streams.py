"""Commands that show what an application on a gafferd writes, and talk to its processes."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from ...config.names import JobName
from ...httpclient import Missing
from ..core.output import write_bytes
from ..core.program import DASHES, command, complain
from ..core.streaming import end_with_reader
from ..operations.attach import attach_options, attach_to
from ..operations.job_selection import find_processes
from ..operations.logs import LogQuery, logs_options, show_logs
from ..operations.send import send_options, send_to
from .apps import RemoteApplication
from .completion import types_and_pids


@command("logs")
@click.argument("targets", nargs=-1, metavar="[TYPE|PID]...", shell_complete=types_and_pids)
@logs_options
@click.pass_context
def logs(ctx: click.Context, /, targets: tuple[str, ...], **wish: Any) -> None:
    """Show what the application wrote.

    TYPE or PID shows some of it only. With -f it goes on with what is written. TYPE may be APP.TYPE or APP.*
    too, and PID as ps shows it: web.3.

    Example: gaffer logs -f --since 10m web
    """
    remote = RemoteApplication(ctx.obj)
    found: dict[JobName | int, None] = {}
    named: set[JobName | int] = set()
    for target in targets or ["*"]:
        pid = remote.pid(target)
        meant: list[JobName | int] = [*remote.find([target])] if pid is None else [pid]
        found.update(dict.fromkeys(meant))
        named.update(() if target.endswith("*") else meant)
    among = frozenset(found.keys() - named)
    show_logs(ctx, remote.server, list(found), LogQuery(**wish, session=remote.context.session(), among=among))


@command("send", context_settings=DASHES)
@click.argument("target", metavar="TYPE|PID", shell_complete=types_and_pids)
@click.argument("data", nargs=-1, metavar="[DATA...|-]")
@send_options
@click.pass_context
def send(ctx: click.Context, /, target: str, data: tuple[str, ...], **wish: Any) -> None:
    """Write to the stdin of a process.

    A type has one if GAFFER_REDIRECT_INPUT names it in .env. DATA is sent as a line, its words with spaces
    between them. With -, or without DATA, what comes on stdin is sent byte by byte, to its end: on a terminal
    line by line, until ctrl-D. TYPE may be APP.TYPE too, and PID as ps shows it: web.3.

    Example: gaffer send console 'reload now'
    """
    remote = RemoteApplication(ctx.obj)
    send_to(ctx, remote.server, remote.word(target), data, **wish)


@command("recv")
@click.argument("target", metavar="TYPE|PID", shell_complete=types_and_pids)
@click.option("--stream", metavar="LABEL", help="A stream; by default the first redirected output.")
@click.option("-n", "--lines", type=click.IntRange(0), default=0, metavar="N", help="Begin with N old lines.")
@click.pass_context
def recv(ctx: click.Context, target: str, stream: str | None, lines: int) -> None:
    """Print what a process writes from now on.

    It comes byte for byte, until the process exits. TYPE may be APP.TYPE too, and PID as ps shows it: web.3.

    Example: gaffer recv -n 10 web
    """
    remote = RemoteApplication(ctx.obj)
    (process,) = find_processes(remote.server, remote.word(target))
    end_with_reader()
    with closing(process.channel(stream, 1, tail=lines or None)) as channel:
        while True:
            try:
                data = channel.read()
            except Missing as error:
                if not error.lost:  # gafferd has hung up
                    raise
                complain(ctx.find_root().info_name, str(error))
                continue
            if not data:
                return
            write_bytes(data)


@command("attach")
@click.argument("target", metavar="TYPE|PID", shell_complete=types_and_pids)
@attach_options
@click.pass_context
def attach(ctx: click.Context, /, target: str, **wish: Any) -> None:
    """Connect the terminal to a process.

    Its stdin and output are yours together. It ends with the process, and at the detach key, ctrl-C or ctrl-D, which
    the process does not notice. TYPE may be APP.TYPE too, and PID as ps shows it: web.3.

    Example: gaffer attach console
    """
    remote = RemoteApplication(ctx.obj)
    attach_to(ctx, remote.server, remote.word(target), **wish)
