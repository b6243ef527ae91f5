"""Commands that reload, stop and signal an application on a gafferd."""

from __future__ import annotations

from typing import Callable, Mapping

import click

from ...config.names import JobName, parse_job_name
from ...httpclient import Job, Server
from ..core.completing import types
from ..core.output import print_lines
from ..core.program import FAILED, command, complain, no_wait_option, timeout_option
from ..ctl.jobs import DASHES
from ..ctl.waiting import Judge, has_started, has_stopped, patience, watch
from .apps import Remote
from .context import Place

TIMEOUT_HELP = "How long to wait; by default 30 plus the longest graceful_timeout and min_uptime of the jobs."


def _control(
    ctx: click.Context,
    jobs: list[JobName],
    act: Callable[[Job], None],
    judge: Callable[[Mapping[str, object]], Judge],
    no_wait: bool,
    timeout: float | None,
) -> None:
    """Ask for an operation on each job, wait for the results and print them."""
    server: Server = ctx.obj.server
    judges: dict[JobName, Judge] = {}
    longest = 0.0
    for name in jobs:
        info = server.info(name)
        longest = max(longest, patience(info))
        act(Job(server, name))
        judges[name] = judge(info)
    if no_wait:
        return print_lines(f"{name}: requested" for name in jobs)
    good = True
    for name, outcome in watch(server, judges, longest if timeout is None else timeout):
        good = good and outcome.good
        if outcome.good:
            print_lines([f"{name}: {outcome.text}"])
        else:
            complain(ctx.find_root().info_name, f"{name}: {outcome.text}")
    ctx.exit(0 if good else FAILED)


@command("reload")
@click.argument("name", required=False)
@no_wait_option
@timeout_option(TIMEOUT_HELP)
@click.pass_context
def reload(ctx: click.Context, name: str | None, no_wait: bool, timeout: float | None) -> None:
    """Replace all processes of the application.

    It gets the configured number of them and waits until they run well. Types that were stopped stay so. What
    the Procfile says now is taken over by load, not by reload.
    """
    jobs = []
    for info in Remote(ctx.obj).infos(name):
        job = parse_job_name(info["name"])
        if info["active"]:
            jobs.append(job)
        else:
            print_lines([f"{job}: {info['state']}, and stays so; 'gafferctl start {job}' starts it"])
    _control(ctx, jobs, Job.reload, lambda info: has_started(list(info["processes"])), no_wait, timeout)  # type: ignore[call-overload]


@command("start")
@click.argument("names", nargs=-1, metavar="[TYPE]...", shell_complete=types)
@no_wait_option
@timeout_option(TIMEOUT_HELP)
@click.pass_context
def start(ctx: click.Context, names: tuple[str, ...], no_wait: bool, timeout: float | None) -> None:
    """Start the application, which is loaded there, or some types of it; wait until it runs well.

    TYPE may be APP.TYPE too, and APP.* means all of another application.
    """
    _control(ctx, Remote(ctx.obj).find(names), Job.start, lambda info: has_started(), no_wait, timeout)


@command("stop")
@click.argument("names", nargs=-1, metavar="[TYPE]...", shell_complete=types)
@no_wait_option
@timeout_option(TIMEOUT_HELP)
@click.pass_context
def stop(ctx: click.Context, names: tuple[str, ...], no_wait: bool, timeout: float | None) -> None:
    """Stop the application, or some types of it.

    It waits until no process is left. TYPE may be APP.TYPE too, and APP.* means all of another application.
    'gafferctl start' starts them again.
    """
    jobs = Remote(ctx.obj).find(names)
    _control(ctx, jobs[::-1], Job.stop, lambda info: has_stopped, no_wait, timeout)


@command("kill", context_settings=DASHES)
@click.argument("target", metavar="TYPE|PID", shell_complete=types)
@click.argument("signal")
@click.pass_obj
def kill(place: Place, target: str, signal: str) -> None:
    """Send a signal to a process, or to all processes of a type.

    TYPE may be APP.TYPE too, and PID as ps shows it: web.3. SIGNAL is a number or a name, with or without SIG, in any
    case.
    """
    found = Remote(place).target(target)
    word = signal[1:] if signal.startswith("-") else signal
    found.signal(int(word) if word.isdigit() else word)
