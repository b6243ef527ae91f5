"""Commands that show jobs and processes."""

from __future__ import annotations

import click

from ...config.names import JobName, parse_job_name
from ...httpclient import Process, Server
from ..core.output import (
    View,
    output_option,
    print_details,
    print_json,
    print_lines,
    show,
    state_color,
)
from ..core.program import FAILED, command
from ..operations.job_info import details, summary, with_short_name
from ..operations.job_selection import ALL, find_jobs, is_pattern
from ..operations.wait import Info, look

#: The columns of ``gafferctl status``, and the titles of what they show in :func:`~..operations.job_info.summary`.
STATUS_COLUMNS = {
    "NAME": "name",
    "STATE": "state",
    "PROCESSES": "processes",
    "UPTIME": "uptime",
    "RESTARTS": "restarts",
    "LAST EXIT": "last exit",
    "NEXT RETRY": "next retry",
}
TROUBLED = ("backoff", "flapping", "failed")


@command("status")
@click.argument("name", required=False)
@output_option
@click.pass_context
def status(ctx: click.Context, name: str | None, output: str) -> None:
    """Show how all jobs or one are doing.

    That is state, uptime, restarts, last exit and next retry, and for jobs in
    trouble why and the last lines of stderr. With NAME the exit code is 0 if the job is active and 1 if it is stopped.
    NAME may be SESSION.* too.
    """
    server: Server = ctx.obj
    if name is None or is_pattern(name):
        return _status_of_all(server, find_jobs(server, [name or ALL]), output)
    job = parse_job_name(name)
    info = with_short_name(server.info(job))
    if output == "json":
        print_json(info)
    elif output == "name":
        print_lines([job.short])
    else:
        print_details(details(info), {"state": state_color})
    if not info["active"]:
        ctx.exit(FAILED)


def _status_of_all(server: Server, jobs: list[JobName], output: str) -> None:
    if output == "name":
        return print_lines(job.short for job in jobs)
    infos = [with_short_name(info) for job in jobs if (info := look(server, job)) is not None]
    rows = [_row(info) for info in infos]
    show(View(infos, [], [*STATUS_COLUMNS], rows, {"STATE": state_color}), output)
    if output == "table":
        for info in infos:
            _print_trouble(info)


def _row(info: Info) -> list[object]:
    shown = summary(info)
    return [shown[title] for title in STATUS_COLUMNS.values()]


def _print_trouble(info: Info) -> None:
    """Print why a job is in trouble and what it wrote last."""
    if info["state"] in TROUBLED and (info.get("reason") or info.get("stderr")):
        print_lines(["", f"{info['name']}: {info.get('reason') or info['state']}"])
        print_lines(f"  {line}" for line in info.get("stderr") or ())


@command("pids")
@click.argument("name", required=False)
@output_option
@click.pass_obj
def pids(server: Server, name: str | None, output: str) -> None:
    """List the pids of all live processes, or of those of a job."""
    found = server.pids(name)
    show(View(found, found), output)


@command("sessions")
@output_option
@click.pass_obj
def sessions(server: Server, output: str) -> None:
    """List the sessions."""
    found = server.sessions()
    show(View(found, found), output)


@command("info")
@click.argument("target", metavar="NAME|PID")
@output_option
@click.pass_obj
def info(server: Server, target: str, output: str) -> None:
    """Show everything about a job or a process."""
    if target.isdigit():
        shown = with_short_name(Process(server, int(target)).info())
        pairs = list(shown.items())
    else:
        shown = with_short_name(server.info(target))
        pairs = details(shown, settings=True)
    if output == "json":
        print_json(shown)
    elif output == "name":
        print_lines([target if target.isdigit() else shown["name"]])
    else:
        print_details(pairs, {"state": state_color})
