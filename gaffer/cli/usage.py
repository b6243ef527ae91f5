"""The command that shows what processes use."""

from __future__ import annotations

from typing import Any

import click

from ..errors import NotFound
from ..httpclient import Job, Server
from ..names import parse_job_name
from ..util import bytes2human
from .output import View, duration, output_option, show
from .program import command
from .targets import ALL, find_jobs, is_pattern

JOB_COLUMNS = ("NAME", "PROCESSES", "CPU %", "MEM %", "RSS", "MAX CPU %", "MAX MEM %")
PROCESS_COLUMNS = ("PID", "OS PID", "CPU %", "MEM %", "RSS", "VMS", "CPU TIME", "USER")


@command("stats")
@click.argument("name", required=False)
@output_option
@click.pass_obj
def stats(server: Server, name: str | None, output: str) -> None:
    """Show CPU and memory of all jobs, or of one's processes."""
    if name is None or is_pattern(name):
        return _of_jobs(server, name or ALL, output)
    found = Job(server, parse_job_name(name)).stats()
    each = found["stats"]
    rows = [_process_row(one) for one in each]
    show(View(_shortened(found), [one["pid"] for one in each], PROCESS_COLUMNS, rows), output)


def _of_jobs(server: Server, pattern: str, output: str) -> None:
    found = []
    for job in find_jobs(server, [pattern]):
        try:
            found.append(_shortened(Job(server, job).stats()))
        except NotFound:
            continue  # removed meanwhile
    show(View(found, [one["name"] for one in found], JOB_COLUMNS, [_job_row(one) for one in found]), output)


def _shortened(stats: dict[str, Any]) -> dict[str, Any]:
    return {**stats, "name": parse_job_name(stats["name"]).short}


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
