"""Commands that add, change, show and remove jobs."""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import Any

import click

from ...config.names import JobName, parse_job_name
from ...errors import BadRequest, GafferError
from ...httpclient import Server
from ...service.exit_codes import FAILED, USAGE
from ..core.output import View, details_lines, print_lines, view_option
from ..core.program import DASHES, ProgramCommand, command, complain, exit_code, no_wait_option
from ..operations.control import control_timeout_option, remove, report_starts
from ..operations.job_selection import find_info
from .completion import jobs

_short = attrgetter("short")


@command("processes")
@click.option("--running", is_flag=True, help="List the pids of live processes instead.")
@view_option
@click.pass_obj
def processes(server: Server, running: bool) -> View:
    """List the jobs by name, or the live processes by pid.

    Example: gafferctl processes --running
    """
    found: list[Any] = list(server.running()) if running else list(server.processes())
    return View(found, found)


#: Options of add_process that the command may have itself.
_COMMON = ("--env", "--cwd", "--redirect", "--no-wait")


class _AddProcess(ProgramCommand):
    """Leaves an ``--env`` and the like that stand behind CMD to the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] == ["-h"]:
            return super().parse_args(ctx, args)
        values = {opt: not one.is_flag for one in self.get_params(ctx) if isinstance(one, click.Option)
                  for opt in one.opts}  # fmt: skip
        words, ours, theirs, ahead = 0, [], [], list(args)
        while ahead and ahead[0] != "--":
            word = ahead.pop(0)
            option, equals, _ = word.partition("=")
            if option not in values or (words >= 2 and option in _COMMON):
                theirs.append(word)
                words += 1
                continue
            ours.append(word)
            if values[option] and not equals and ahead:
                ours.append(ahead.pop(0))
        return super().parse_args(ctx, [*ours, "--", *theirs, *ahead[1:]])


@click.command("add_process", cls=_AddProcess, context_settings=DASHES)
@click.argument("name")
@click.argument("cmd")
@click.argument("args", nargs=-1)
@click.option("--start", is_flag=True, help="Start it; by default it is added stopped.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A variable of its environment; may be repeated.")
@click.option("--cwd", metavar="DIR", help="Its working folder, on gafferd's machine.")
@click.option(
    "--redirect",
    metavar="LABELS",
    default="stdout,stderr",
    show_default=True,
    help="Labels of the outputs that can be read; '' for none.",
)
@no_wait_option
@click.pass_context
def add_process(
    ctx: click.Context,
    name: str,
    cmd: str,
    args: tuple[str, ...],
    start: bool,
    env: tuple[str, ...],
    cwd: str | None,
    redirect: str,
    no_wait: bool,
) -> None:
    """Add a job that runs CMD with ARGS.

    CMD is split with shell rules, ARGS are taken as they are. --env, --cwd,
    --redirect and --no-wait stand before CMD; behind it they belong to the
    command, as do all options that gafferctl does not know. After -- all of
    them do. With --start it waits until the job runs well, and fails if it
    does not.

    Example: gafferctl add_process --cwd /srv web python3 -m http.server --start
    """
    settings: dict[str, Any] = {"args": list(args)}
    settings["redirect_output"] = [label.strip() for label in redirect.split(",") if label.strip()]
    if env:
        settings["env"] = dict(map(_variable, env))
    if cwd is not None:
        settings["cwd"] = cwd
    job = ctx.obj.add_process(name, cmd, start=start, **settings)
    print_lines([f"{job.name}: added"])
    if start and not no_wait:
        ctx.exit(report_starts(ctx, ctx.obj, [parse_job_name(name)], _short))


def _variable(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"expected NAME=VALUE, not {pair!r}", param_hint="--env")
    return name, value


@command("update_process", context_settings=DASHES)
@click.argument("name", shell_complete=jobs)
@click.argument("cmd")
@click.argument("args", nargs=-1)
@click.option("--start", is_flag=True, help="Start it; by default it stays up or down as it is.")
@no_wait_option
@click.pass_context
def update_process(ctx: click.Context, name: str, cmd: str, args: tuple[str, ...], start: bool, no_wait: bool) -> None:
    """Change what a job runs.

    If the job is up it waits until the new command runs well, and fails if it
    does not.

    Its other settings stay. CMD is split with shell rules, ARGS are taken as
    they are. Options that gafferctl does not know belong to the command; after
    -- all of them do.

    Example: gafferctl update_process web 'gunicorn shop:app' --workers 4
    """
    server: Server = ctx.obj
    info = find_info(server, parse_job_name(name))
    settings = info["config"]
    settings.pop("start", None)  # given, it would start or stop the job
    job = server.update({**settings, "name": name, "cmd": cmd, "args": list(args)}, start=start or None)
    print_lines([f"{job.name}: updated"])
    if (start or info["active"]) and not no_wait:
        ctx.exit(report_starts(ctx, server, [parse_job_name(name)], _short))


@command("load_process")
@click.argument("file", metavar="FILE|-")
@click.option("--start", is_flag=True, help="Start the jobs, whatever the file says.")
@no_wait_option
@click.pass_context
def load_process(ctx: click.Context, file: str, start: bool, no_wait: bool) -> None:
    """Add the jobs of a JSON file, or of stdin.

    It waits until those that start run well, and fails if they do not.

    The file holds one job, a list of jobs, or {"jobs": [...]}; a job is an
    object with at least name and cmd.

    Example: gafferctl load_process jobs.json --start
    """
    status, started = 0, list[JobName]()
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
            if start or settings.get("start", True):
                started.append(parse_job_name(settings["name"]))
    if not no_wait:
        status = status or report_starts(ctx, ctx.obj, started, _short)
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

    Example: gafferctl get_process web -o json
    """
    short = parse_job_name(name).short
    settings = {**server.info(name)["config"], "name": short}
    first = ("name", "cmd", "args")
    pairs = sorted(settings.items(), key=lambda item: first.index(item[0]) if item[0] in first else len(first))
    return View(settings, [short], text=[*details_lines(pairs)])


@command("del_process")
@click.argument("name", shell_complete=jobs)
@view_option
@no_wait_option
@control_timeout_option
@click.pass_context
def del_process(ctx: click.Context, name: str, no_wait: bool, timeout: float | None) -> None:
    """Stop a job and remove it; wait for its end.

    Example: gafferctl del_process web
    """
    ctx.exit(remove(ctx, ctx.obj, [parse_job_name(name)], no_wait, timeout, "removed", _short))
