"""The command that shows what processes use."""

from __future__ import annotations

import shutil
from typing import Any, Mapping

import click

from ...config.names import parse_job_name
from ...httpclient import CannotConnect, Job, Server
from ...util import bytes2human, process_tree
from ..core.output import View, chosen_form, current, duration, show, view_option, write
from ..core.program import command
from ..core.streaming import end_with_reader
from ..operations.job_selection import ALL, find_jobs, is_pattern, session_of
from .completion import jobs

#: The terminal's home position, and nothing below it.
_CLEAR = "\x1b[H\x1b[J"
JOB_COLUMNS = ("NAME", "PROCESSES", "CPU %", "MEM %", "RSS", "MAX CPU %", "MAX MEM %")
USED = ("CPU %", "MEM %", "RSS", "VMS", "CPU TIME", "USER")
PROCESS_COLUMNS = ("PID", "OS PID", "TREE", *USED)
TREE_COLUMNS = ("NAME", "PID", "OS PID", *USED, "COMMAND")


@command("stats")
@click.argument("name", required=False, shell_complete=jobs)
@click.option("-f", "--follow", is_flag=True, help="Show them again and again, until ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 86_400),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two measurements.",
)
@click.option("-v", "--verbose", is_flag=True, help="A line for each process of the system, descendants too.")
@view_option
@click.pass_context
def stats(ctx: click.Context, name: str | None, follow: bool, interval: float, verbose: bool) -> View | None:
    """Show CPU and memory of all jobs, or of one's processes.

    Figures are those of a process and all its descendants, TREE is their number. Memory that they
    share counts for each of them.

    With --follow a terminal shows the latest, busiest first, as many as fit; elsewhere, and with -o json as one
    line each, they come one after the other.

    Example: gafferctl stats --follow --interval 5 web
    """
    server: Server = ctx.obj
    if follow:
        _follow(server, name, interval, chosen_form(ctx), verbose)
        return None
    if name is None or is_pattern(name):
        return _jobs_view(server.stats(session_of(name or ALL)), verbose)
    return _job_view(Job(server, parse_job_name(name)).stats(), verbose)


def _job_view(found: dict[str, Any], verbose: bool) -> View:
    each, short = found["stats"], {**found, "name": parse_job_name(found["name"]).short}
    if verbose:
        return View(short, [one["pid"] for one in each], TREE_COLUMNS, _tree_rows(short))
    return View(short, [one["pid"] for one in each], PROCESS_COLUMNS, [_process_row(one) for one in each])


def _jobs_view(found: list[dict[str, Any]], verbose: bool) -> View:
    names = [one["name"] for one in found]
    if verbose:
        return View(found, names, TREE_COLUMNS, [row for one in found for row in _tree_rows(one)])
    return View(found, names, JOB_COLUMNS, [_job_row(one) for one in found])


def _follow(server: Server, name: str | None, interval: float, output: str, verbose: bool) -> None:
    """Print statistics as they arrive, until the job is unloaded."""
    end_with_reader()
    if name is None or is_pattern(name):
        wanted = None if name in (None, ALL) else {job.short for job in find_jobs(server, [str(name)])}
        with server.follow_stats(interval) as all_jobs:
            for jobs in all_jobs:
                shown = [one for one in jobs if wanted is None or one["name"] in wanted]
                busiest = sorted(shown, key=lambda one: one.get("cpu") or 0.0, reverse=True)
                _show_again(_jobs_view(busiest if output == "table" else shown, verbose), output)
        return
    job = Job(server, parse_job_name(name))
    with job.follow_stats(interval) as feed:
        for found in feed:
            _show_again(_job_view(found, verbose), output)
    job.info()  # says why nothing comes any more
    raise CannotConnect(f"gafferd at {server.uri} has ended the feed: it stops")


def _show_again(view: View, output: str) -> None:
    if output == "json":
        import json

        return write(json.dumps(view.data, ensure_ascii=False) + "\n")
    is_terminal = current.get().is_terminal()
    if is_terminal:
        write(_CLEAR)
        view = fitted(view, shutil.get_terminal_size().lines)
    show(view, output)
    if not is_terminal:
        write("\n")


def fitted(view: View, lines: int) -> View:
    """Return *view* with the rows that fit into a window of so many lines, and how many are missing."""
    room = max(1, lines - 2)  # the header, and the line with the cursor
    if len(view.rows) <= room:
        return view
    room = max(1, room - 1)
    return view._replace(rows=view.rows[:room], text=[f"... and {len(view.rows) - room} more", *view.text])


def _job_row(one: dict[str, Any]) -> tuple[object, ...]:
    each = one["stats"]
    rss = sum(_total(process, "mem_info1") or 0 for process in each)
    percents = [_percent(one.get(key)) for key in ("cpu", "mem", "max_cpu", "max_mem")]
    return (one["name"], len(each), percents[0], percents[1], bytes2human(rss), percents[2], percents[3])


def _process_row(one: dict[str, Any]) -> tuple[object, ...]:
    totals = {key: _total(one, key) for key in ("cpu", "mem", "mem_info1", "mem_info2", "ctime")}
    return (one["pid"], one.get("os_pid"), sum(1 for _ in process_tree(one)), *_used({**one, **totals}))


def _tree_rows(job: dict[str, Any]) -> list[tuple[object, ...]]:
    return [
        (job["name"], each.get("pid"), each.get("os_pid"), *_used(each), each.get("cmdline"))
        for one in job["stats"]
        for each in process_tree(one)
    ]


def _used(one: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        _percent(one.get("cpu")),
        _percent(one.get("mem")),
        _bytes(one.get("mem_info1")),
        _bytes(one.get("mem_info2")),
        duration(one.get("ctime")),
        one.get("username"),
    )


def _total(one: Mapping[str, Any], key: str) -> Any:
    """Return the sum over a process and its descendants, None if none of them has the figure."""
    values = [each[key] for each in process_tree(one) if each.get(key) is not None]
    return sum(values) if values else None


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _bytes(value: int | None) -> str | None:
    return None if value is None else bytes2human(value)
