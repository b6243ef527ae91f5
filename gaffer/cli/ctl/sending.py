"""The command that writes to a process; shared by gafferctl and gaffer."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Iterable, Iterator, Sequence

import click

from ...httpclient import Process, Server
from ..core.program import command, complain
from .jobs import DASHES
from .targets import find_processes

#: Bytes that are sent at a time.
PIECE = 65_536


def send_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of :func:`send_to`."""
    options = [
        click.option("--stream", default="stdin", metavar="LABEL", help="A custom stream instead of stdin."),
        click.option("--eof", is_flag=True, help="Close the stream after that: the process reads its end."),
        click.option("--no-newline", is_flag=True, help="Do not end DATA with a newline."),
        click.option("--all", "every", is_flag=True, help="Send to every process of a job that has several."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@command("send", context_settings=DASHES)
@click.argument("target", metavar="NAME|PID")
@click.argument("data", nargs=-1, metavar="[DATA...|-]")
@send_options
@click.pass_context
def send(ctx: click.Context, /, target: str, data: tuple[str, ...], **wish: Any) -> None:
    """Write to the stdin of a process.

    DATA is sent as a line, its words with spaces between them. With -, or without
    DATA, what comes on stdin is sent byte by byte, to its end: on a terminal line by
    line, until ctrl-D.
    """
    send_to(ctx, ctx.obj, target, data, **wish)


def send_to(
    ctx: click.Context,
    server: Server,
    target: str,
    data: Sequence[str],
    stream: str = "stdin",
    eof: bool = False,
    no_newline: bool = False,
    every: bool = False,
) -> None:
    """Write to a process, or to all of a job.

    :param data: words; none, or ``-``, sends what comes on our stdin.
    :raises GafferError: it cannot be written; what was sent before stays sent.
    """
    processes = find_processes(server, target, every)
    words = list(data)
    if words and words != ["-"]:
        text = " ".join(words) + ("" if no_newline else "\n")
        pieces: Iterable[bytes] = [text.encode("utf-8", "surrogateescape")]
    else:
        pieces = _typed(ctx, target)
    for piece in pieces:
        _write(processes, piece, stream)
    if eof:
        _write(processes, b"", stream, eof)


def _write(processes: Sequence[Process], data: bytes, stream: str, eof: bool = False) -> None:
    for process in processes:
        process.write(data, stream, eof)


def _typed(ctx: click.Context, target: str) -> Iterator[bytes]:
    """Yield what comes on stdin, as it comes."""
    if sys.stdin is None:
        return
    descriptor = sys.stdin.fileno()
    if os.isatty(descriptor):
        complain(ctx.find_root().info_name, f"each line goes to {target}; ctrl-D ends")
    while piece := os.read(descriptor, PIECE):
        yield piece
