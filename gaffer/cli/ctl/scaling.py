"""Commands that change or tell how many processes a job has."""

from __future__ import annotations

import re

import click

from ...config.names import parse_job_name
from ...httpclient import Job, Server
from ..core.output import print_lines
from ..core.program import DASHES, command
from .completion import jobs


def _job(server: Server, name: str) -> Job:
    return Job(server, parse_job_name(name))


@command("add")
@click.argument("name", shell_complete=jobs)
@click.argument("number", type=click.IntRange(min=1), default=1, metavar="[N]")
@click.pass_obj
def add(server: Server, name: str, number: int) -> None:
    """Want N processes more; print the new number.

    Example: gafferctl add web 2
    """
    print_lines([_job(server, name).add(number)])


@command("sub")
@click.argument("name", shell_complete=jobs)
@click.argument("number", type=click.IntRange(min=1), default=1, metavar="[N]")
@click.pass_obj
def sub(server: Server, name: str, number: int) -> None:
    """Want N processes less; print the new number.

    Example: gafferctl sub web
    """
    print_lines([_job(server, name).sub(number)])


@command("scale", context_settings=DASHES)
@click.argument("name", shell_complete=jobs)
@click.argument("operation", metavar="N|+N|-N|=N")
@click.pass_obj
def scale(server: Server, name: str, operation: str) -> None:
    """Add, remove or set processes; print the new number.

    N and +N add, -N removes, =N sets.

    Example: gafferctl scale web +2
    """
    if not re.fullmatch(r"[=+-]?[0-9]{1,9}", operation):
        raise click.BadParameter(f"'{operation}' is none of N, +N, -N and =N.", param_hint="'N|+N|-N|=N'")
    print_lines([_job(server, name).scale(int(operation) if operation.isdigit() else operation)])


@command("numprocesses")
@click.argument("name", shell_complete=jobs)
@click.pass_obj
def numprocesses(server: Server, name: str) -> None:
    """Print how many processes are wanted.

    Example: gafferctl numprocesses web
    """
    print_lines([_job(server, name).numprocesses])


@command("running")
@click.argument("name", shell_complete=jobs)
@click.pass_obj
def running(server: Server, name: str) -> None:
    """Print how many processes live.

    Example: gafferctl running web
    """
    print_lines([_job(server, name).running])
