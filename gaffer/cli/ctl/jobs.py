"""Commands that add, change, show and remove jobs."""

from __future__ import annotations

import sys
from typing import Any

import click

from ...config.names import parse_job_name
from ...errors import BadRequest, GafferError
from ...httpclient import Server
from ..core.output import View, details_lines, print_lines, view_option
from ..core.program import DASHES, FAILED, USAGE, command, complain, exit_code
from .completion import jobs


@command("processes")
@click.option("--running", is_flag=True, help="List the pids of live processes instead.")
@view_option
@click.pass_obj
def processes(server: Server, running: bool) -> View:
    """List the jobs by name, or the live processes by pid."""
    found: list[Any] = list(server.running()) if running else list(server.processes())
    return View(found, found)


@command("add_process", context_settings=DASHES)
@click.argument("name")
@click.argument("cmd")
@click.argument("args", nargs=-1)
@click.option("--start", is_flag=True, help="Start it; by default it is added stopped.")
@click.pass_obj
def add_process(server: Server, name: str, cmd: str, args: tuple[str, ...], start: bool) -> None:
    """Add a job that runs CMD with ARGS.

    CMD is split with shell rules, ARGS are taken as they are. Options that
    gafferctl does not know belong to the command; after -- all of them do.
    """
    job = server.add_process(name, cmd, start=start, args=list(args))
    print_lines([f"{job.name}: added"])


@command("update_process", context_settings=DASHES)
@click.argument("name", shell_complete=jobs)
@click.argument("cmd")
@click.argument("args", nargs=-1)
@click.option("--start", is_flag=True, help="Start it; by default it stays up or down as it is.")
@click.pass_obj
def update_process(server: Server, name: str, cmd: str, args: tuple[str, ...], start: bool) -> None:
    """Change what a job runs.

    Its other settings stay. CMD is split with shell rules, ARGS are taken as
    they are. Options that gafferctl does not know belong to the command; after
    -- all of them do.
    """
    settings = server.info(name)["config"]
    settings.pop("start", None)  # given, it would start or stop the job
    job = server.update({**settings, "name": name, "cmd": cmd, "args": list(args)}, start=start or None)
    print_lines([f"{job.name}: updated"])


@command("load_process")
@click.argument("file", metavar="FILE|-")
@click.option("--start", is_flag=True, help="Start the jobs, whatever the file says.")
@click.pass_context
def load_process(ctx: click.Context, file: str, start: bool) -> None:
    """Add the jobs of a JSON file, or of stdin.

    The file holds one job, a list of jobs, or {"jobs": [...]}; a job is an
    object with at least name and cmd.
    """
    status = 0
    for settings in read_jobs(file):
        try:
            job = ctx.obj.load(settings, start=start or None)
        except GafferError as error:
            if exit_code(error) not in (FAILED, USAGE):
                raise
            for sentence in str(error).splitlines():
                wrong = f"job '{settings['name']}': {sentence}" if exit_code(error) == USAGE else sentence
                complain(ctx.find_root().info_name, wrong)
            status = max(status, exit_code(error))
        else:
            print_lines([f"{job.name}: added"])
    ctx.exit(status)


def read_jobs(file: str) -> list[dict[str, Any]]:
    """Return the jobs of a JSON file.

    :param file: a path, or ``-`` for stdin.
    :raises BadRequest: it cannot be read or holds something else.
    """
    where = "stdin" if file == "-" else file
    document = _parse_json(_read(file, where), where)
    if isinstance(document, dict) and "jobs" in document:
        document = document["jobs"]
    jobs = document if isinstance(document, list) else [document]
    for place, job in enumerate(jobs, 1):
        if not isinstance(job, dict) or not isinstance(job.get("name"), str):
            raise BadRequest(f'{where}: job {place} of {len(jobs)} is no object with a "name": nothing was added')
        parse_job_name(job["name"])
    return jobs


def _read(file: str, where: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise BadRequest(f"cannot read {where}: {error.strerror}") from None


def _parse_json(data: bytes, where: str) -> Any:
    import json

    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise BadRequest(f"{where}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{where}: not valid JSON: it is not UTF-8") from None


@command("get_process")
@click.argument("name", shell_complete=jobs)
@view_option
@click.pass_obj
def get_process(server: Server, name: str) -> View:
    """Show the settings of a job.

    With -o json they can be given to load_process.
    """
    short = parse_job_name(name).short
    settings = {**server.info(name)["config"], "name": short}
    first = ("name", "cmd", "args")
    pairs = sorted(settings.items(), key=lambda item: first.index(item[0]) if item[0] in first else len(first))
    return View(settings, [short], text=[*details_lines(pairs)])


@command("del_process")
@click.argument("name", shell_complete=jobs)
@click.pass_obj
def del_process(server: Server, name: str) -> None:
    """Stop a job and remove it."""
    server.unload(name)
    print_lines([f"{parse_job_name(name).short}: removed"])
