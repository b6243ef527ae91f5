"""The command that writes to a process; shared by gafferctl and gaffer."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Iterable, Iterator, Sequence

import click

from ...httpclient import Process, Server
from ..core.program import complain
from .control import for_each
from .job_selection import find_processes

#: Bytes that are sent at a time.
READ_SIZE = 65_536


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
    A process that cannot be written gets nothing more; the others do.

    :raises GafferError: there is no such process.
    """
    processes = find_processes(server, target, every)
    words = list(data)
    if words and words != ["-"]:
        text = " ".join(words) + ("" if no_newline else "\n")
        pieces: Iterable[bytes] = [text.encode("utf-8", "surrogateescape")]
    else:
        pieces = _typed(ctx, target)
    writable = list(processes)
    code = 0

    def write(data: bytes, eof: bool = False) -> None:
        nonlocal code, writable
        written: list[Process] = []

        def write_to(process: Process) -> None:
            process.write(data, stream, eof)
            written.append(process)

        code = for_each(ctx, write_to, writable) or code
        writable = written

    for piece in pieces:
        write(piece)
        if not writable:
            break
    if eof and writable:
        write(b"", eof=True)
    ctx.exit(code)


def _typed(ctx: click.Context, target: str) -> Iterator[bytes]:
    """Yield the bytes of stdin as they arrive."""
    if sys.stdin is None:
        return
    descriptor = sys.stdin.fileno()
    if os.isatty(descriptor):
        complain(ctx.find_root().info_name, f"each line goes to {target}; ctrl-D ends")
    while piece := os.read(descriptor, READ_SIZE):
        yield piece
