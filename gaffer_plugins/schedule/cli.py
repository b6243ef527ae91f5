"""``gafferctl runs`` and ``gafferctl run-now``. Imports nothing of the server's half."""

from __future__ import annotations

import time
from typing import Any

import click

from gaffer.api.cli import Program, View, command, output_option, print_lines, show

COLUMNS = ("STARTED", "SECONDS", "ENDED WITH", "PID", "LAST LINE")


def gaffer_cli(cli: Program) -> None:
    """Add the commands; called through the entry point group ``gaffer.cli``."""
    cli.add_command(runs)
    cli.add_command(run_now)


@command("runs")
@click.argument("name")
@output_option
@click.pass_obj
def runs(server: Any, name: str, output: str) -> None:
    """Show the latest runs of a scheduled job.

    The first line says when the next one is due.

    Example: gafferctl runs backup
    """
    found = server.transport.object("GET", f"{_path(name)}/runs")
    rows = [_row(run) for run in found["runs"]]
    missed = f"; {found['missed']} left out" if found["missed"] else ""
    text = [f"next run: {_clock(found['next'])}{missed}"]
    show(View(found, [str(run["pid"]) for run in found["runs"]], COLUMNS, rows, text=text), output)


@command("run-now")
@click.argument("name")
@click.pass_obj
def run_now(server: Any, name: str) -> None:
    """Begin a run of a scheduled job now.

    It prints the pid of the run.

    Example: gafferctl run-now backup
    """
    print_lines([str(server.transport.object("POST", f"{_path(name)}/run")["pid"])])


def _path(name: str) -> str:
    from gaffer.api import parse_job_name

    parsed = parse_job_name(name)
    return f"/jobs/{parsed.session}/{parsed.job}"


def _row(run: dict[str, Any]) -> tuple[object, ...]:
    ended = run["error"] or run["status"] or "still runs"
    seconds = None if run["seconds"] is None else f"{run['seconds']:.1f}"
    return (_clock(run["started"]), seconds, ended, run["pid"], run["lines"][-1] if run["lines"] else None)


def _clock(seconds: float | None) -> str:
    return "none" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
