"""Commands that show jobs and processes."""

from __future__ import annotations

from typing import Any

import click

from ...config.names import parse_job_name
from ...httpclient import Job, Process, Server
from ...service.exit_codes import FAILED
from ..core.output import View, chosen_form, details_lines, printable, state_color, view_option
from ..core.program import command
from ..operations.job_info import details, info_view, stopping_text, summary, why_view, with_short_name
from ..operations.job_selection import ALL, find_jobs, is_pattern, session_of
from ..operations.wait import TROUBLED, Info
from .completion import jobs, jobs_and_pids

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
#: What narrow terminals miss, first what tells least.
DROPPED_COLUMNS = ("NEXT RETRY", "RESTARTS", "LAST EXIT", "UPTIME", "PROCESSES")


@command("status")
@click.argument("name", required=False, shell_complete=jobs)
@view_option
@click.pass_context
def status(ctx: click.Context, name: str | None) -> View:
    """Show how all jobs or one are doing.

    That is state, uptime, restarts, last exit and next retry, for jobs that are being stopped since when and until
    when, and for jobs in trouble why and the last lines of stderr. With NAME the exit code is 0 if the job is active
    and 1 if it is stopped. NAME may be SESSION.* too.

    Example: gafferctl status 'shop.*'
    """
    server: Server = ctx.obj
    if name is None or is_pattern(name):
        if chosen_form(ctx) == "name":  # they need no state of each job
            return View(None, [job.short for job in find_jobs(server, [name or ALL])])
        return _table(server.infos(session_of(name or ALL)))
    info = with_short_name(server.info(parse_job_name(name)))
    text = [*details_lines(details(info), {"state": state_color})]
    return View(info, [info["name"]], text=text, exit_code=0 if info["active"] else FAILED)


def _table(found: list[dict[str, Any]]) -> View:
    infos = [with_short_name(info) for info in found]
    text = [line for info in infos for line in _lines_below(info)]
    rows = [_row(info) for info in infos]
    names = [info["name"] for info in infos]
    return View(infos, names, [*STATUS_COLUMNS], rows, {"STATE": state_color}, text, drops=DROPPED_COLUMNS)


def _row(info: Info) -> list[object]:
    shown = summary(info)
    return [shown[title] for title in STATUS_COLUMNS.values()]


def _lines_below(info: Info) -> list[str]:
    """Return until when a job is stopped, or why it is in trouble and what it wrote last."""
    stopping = stopping_text(info)
    lines = [f"{info['name']}: stopping {stopping}"] if stopping else []
    if info["state"] in TROUBLED and (info.get("reason") or info.get("stderr")):
        lines.append(f"{info['name']}: {info.get('reason') or info['state']}")
        lines += [f"  {line}" for line in info.get("stderr") or ()]
    return ["", *map(printable, lines)] if lines else []


@command("why")
@click.argument("name", shell_complete=jobs)
@view_option
@click.pass_obj
def why(server: Server, name: str) -> View:
    """Say why a job is in its state, and what helps.

    Causes follow each other to the one that something can be done about, which may be another job.

    Example: gafferctl why web
    """
    return why_view(Job(server, parse_job_name(name)))


@command("pids")
@click.argument("name", required=False, shell_complete=jobs)
@view_option
@click.pass_obj
def pids(server: Server, name: str | None) -> View:
    """List the pids of all live processes, or of those of a job.

    Example: gafferctl pids web
    """
    found = server.pids(name)
    return View(found, found)


@command("sessions")
@view_option
@click.pass_obj
def sessions(server: Server) -> View:
    """List the sessions.

    Example: gafferctl sessions
    """
    found = server.sessions()
    return View(found, found)


@command("info")
@click.argument("target", metavar="NAME|PID", shell_complete=jobs_and_pids)
@view_option
@click.pass_obj
def info(server: Server, target: str) -> View:
    """Show everything about a job or a process.

    Example: gafferctl info web
    """
    return info_view(Process(server, int(target)) if target.isdigit() else Job(server, parse_job_name(target)))
