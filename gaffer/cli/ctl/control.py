"""Commands that start and stop jobs and wait for the result."""

from __future__ import annotations

from typing import Callable

import click

from ...config.names import JobName
from ...errors import GafferError
from ...httpclient import Job, Server
from ..core.output import print_lines
from ..core.program import FAILED, command, complain, exit_code, no_wait_option, timeout_option
from .targets import find_jobs
from .waiting import Info, Judge, has_started, has_stopped, is_ready, is_running, patience, watch

NAMES_HELP = "NAME is a job in any spelling, SESSION.* for all jobs of a session, or all."


def wait_for(ctx: click.Context, judges: dict[JobName, Judge], timeout: float | None, quiet: bool = False) -> bool:
    """Wait for all jobs and return whether all ended well.

    Each is printed as soon as it has ended, failures on stderr.

    :param timeout: seconds; None waits for ever.
    :param quiet: print failures only.
    """
    good = True
    for name, outcome in watch(ctx.obj, judges, timeout):
        sentence = f"{name.short}: {outcome.text}"
        if not outcome.good:
            complain(ctx.find_root().info_name, sentence)
            good = False
        elif not quiet:
            print_lines([sentence])
    return good


def _request(ctx: click.Context, name: JobName, act: Callable[[Job], None]) -> Info | None:
    """Ask for an operation; return the info from before, or None if gafferd refused.

    Errors that would meet every other job too are raised.
    """
    server: Server = ctx.obj
    try:
        info = server.info(name)
        act(Job(server, name))
        return info
    except GafferError as error:
        if exit_code(error) != FAILED:
            raise
        complain(ctx.find_root().info_name, str(error))
        return None


def _control(name: str, help: str, act: Callable[[Job], None], judge: Callable[[Info], Judge]) -> click.Command:
    """Make a command.

    :param act: what is asked for each job.
    :param judge: makes the judge of the result from the info before.
    """

    @command(name, help=f"{help}\n\n{NAMES_HELP}")
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @no_wait_option
    @timeout_option("How long to wait; by default 30 plus the longest graceful_timeout and min_uptime of the jobs.")
    @click.pass_context
    def control(ctx: click.Context, names: tuple[str, ...], no_wait: bool, timeout: float | None) -> None:
        jobs = find_jobs(ctx.obj, names)
        accepted = {job: info for job in jobs if (info := _request(ctx, job, act)) is not None}
        good = len(accepted) == len(jobs)
        if no_wait:
            print_lines(f"{job.short}: {name} requested" for job in accepted)
        else:
            longest = max(map(patience, accepted.values()), default=0.0)
            judges = {job: judge(info) for job, info in accepted.items()}
            good = wait_for(ctx, judges, longest if timeout is None else timeout) and good
        ctx.exit(0 if good else FAILED)

    return control


start = _control(
    "start",
    "Start jobs; wait until their processes run well.",
    Job.start,
    lambda info: has_started(),
)
stop = _control(
    "stop",
    "Stop jobs; wait until no process is left.",
    Job.stop,
    lambda info: has_stopped,
)
restart = _control(
    "restart",
    "Replace the processes of jobs; wait for the new ones.",
    Job.restart,
    lambda info: has_started(info["processes"]),
)
reload = _control(
    "reload",
    "Like restart, with the configured number of processes.",
    Job.reload,
    lambda info: has_started(info["processes"]),
)

_GOALS: dict[str, Judge] = {"running": is_running, "stopped": has_stopped, "ready": is_ready}


@command("wait")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--for",
    type=click.Choice(list(_GOALS)),
    required=True,
    help="running: every wanted process lives; ready: each has lived min_uptime; stopped: none is left.",
)
@timeout_option("How long to wait; by default for ever.")
@click.pass_context
def wait(ctx: click.Context, /, names: tuple[str, ...], timeout: float | None, **goal: str) -> None:
    """Wait until a job is running, ready or stopped.

    A job that failed for good ends the wait for running and ready at once.
    """
    judge = _GOALS[goal["for"]]
    if not wait_for(ctx, dict.fromkeys(find_jobs(ctx.obj, names), judge), timeout, quiet=True):
        ctx.exit(FAILED)
