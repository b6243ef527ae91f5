"""Shell completion of the names and pids that gafferd knows."""

from __future__ import annotations

import click

from ...config.names import parse_job_name
from ...httpclient import Server
from ..accounts.completion import ask


def jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the jobs that begin with *incomplete*; none if gafferd does not tell."""
    return ask(ctx, _jobs, incomplete)


def jobs_and_pids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the jobs and pids that begin with *incomplete*; none if gafferd does not tell."""
    if incomplete and not incomplete.isdigit():
        return jobs(ctx, param, incomplete)
    return ask(ctx, lambda server: [*_jobs(server), *map(str, server.pids())], incomplete)


def _jobs(server: Server) -> list[str]:
    return [parse_job_name(str(job)).short for job in server.jobs()]
