"""The command that sends signals."""

from __future__ import annotations

import click

from ...config.names import parse_job_name
from ...httpclient import Job, Process, Server
from ..core.program import command
from .jobs import DASHES


@command("kill", context_settings=DASHES)
@click.argument("target", metavar="NAME|PID")
@click.argument("signal")
@click.pass_obj
def kill(server: Server, target: str, signal: str) -> None:
    """Send a signal to a process, or to all processes of a job.

    SIGNAL is a number or a name, with or without SIG, in any case.
    """
    found = Process(server, int(target)) if target.isdigit() else Job(server, parse_job_name(target))
    word = signal[1:] if signal.startswith("-") else signal
    found.signal(int(word) if word.isdigit() else word)
