"""The command that shows what processes use."""

from __future__ import annotations

from typing import Any

import click

from ...config.names import parse_job_name
from ...httpclient import CannotConnect, Job, Server
from ...util import bytes2human
from ..core.output import View, chosen_form, current, duration, show, view_option, write
from ..core.program import command
from ..core.streaming import end_with_reader
from ..operations.job_selection import ALL, find_jobs, is_pattern, session_of

#: The terminal's home position, and nothing below it.
_CLEAR = "\x1b[H\x1b[J"
JOB_COLUMNS = ("NAME", "PROCESSES", "CPU %", "MEM %", "RSS", "MAX CPU %", "MAX MEM %")
PROCESS_COLUMNS = ("PID", "OS PID", "CPU %", "MEM %", "RSS", "VMS", "CPU TIME", "USER")


@command("stats")
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Show them again and again, until ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 86_400),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two measurements.",
)
@view_option
@click.pass_context
def stats(ctx: click.Context, name: str | None, follow: bool, interval: float) -> View | None:
    """Show CPU and memory of all jobs, or of one's processes.

    With --follow a terminal shows the latest; elsewhere, and with -o json as one
    line each, they come one after the other.
    """
    server: Server = ctx.obj
    if follow:
        _follow(server, name, interval, chosen_form(ctx))
        return None
    if name is None or is_pattern(name):
        return _jobs_view(server.stats(session_of(name or ALL)))
    return _job_view(Job(server, parse_job_name(name)).stats())


def _job_view(found: dict[str, Any]) -> View:
    each, short = found["stats"], {**found, "name": parse_job_name(found["name"]).short}
    return View(short, [one["pid"] for one in each], PROCESS_COLUMNS, [_process_row(one) for one in each])


def _jobs_view(found: list[dict[str, Any]]) -> View:
    return View(found, [one["name"] for one in found], JOB_COLUMNS, [_job_row(one) for one in found])


def _follow(server: Server, name: str | None, interval: float, output: str) -> None:
    """Print statistics as they arrive, until the job is unloaded."""
    end_with_reader()
    if name is None or is_pattern(name):
        wanted = None if name in (None, ALL) else {job.short for job in find_jobs(server, [str(name)])}
        with server.follow_stats(interval) as all_jobs:
            for jobs in all_jobs:
                _show_again(_jobs_view([one for one in jobs if wanted is None or one["name"] in wanted]), output)
        return
    job = Job(server, parse_job_name(name))
    with job.follow_stats(interval) as feed:
        for found in feed:
            _show_again(_job_view(found), output)
    job.info()  # says why nothing comes any more
    raise CannotConnect(f"gafferd at {server.uri} has ended the feed: it stops")


def _show_again(view: View, output: str) -> None:
    if output == "json":
        import json

        return write(json.dumps(view.data, ensure_ascii=False) + "\n")
    is_terminal = current.get().is_terminal()
    if is_terminal:
        write(_CLEAR)
    show(view, output)
    if not is_terminal:
        write("\n")


def _job_row(one: dict[str, Any]) -> tuple[object, ...]:
    each = one["stats"]
    rss = sum(process.get("mem_info1") or 0 for process in each)
    percents = [_percent(one.get(key)) for key in ("cpu", "mem", "max_cpu", "max_mem")]
    return (one["name"], len(each), percents[0], percents[1], bytes2human(rss), percents[2], percents[3])


def _process_row(one: dict[str, Any]) -> tuple[object, ...]:
    return (
        one["pid"],
        one.get("os_pid"),
        _percent(one.get("cpu")),
        _percent(one.get("mem")),
        _bytes(one.get("mem_info1")),
        _bytes(one.get("mem_info2")),
        duration(one.get("ctime")),
        one.get("username"),
    )


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _bytes(value: int | None) -> str | None:
    return None if value is None else bytes2human(value)
