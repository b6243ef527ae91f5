"""Commands that start, stop and signal jobs, and wait for them."""

from __future__ import annotations

from operator import attrgetter
from typing import Callable

import click

from ...config.names import parse_job_name
from ...httpclient import Job, Process, Server
from ...service.exit_codes import FAILED
from ..core.output import view_option
from ..core.program import DASHES, command, no_wait_option, timeout_option
from ..core.shell_completion import signals
from ..operations.control import (
    RELOAD,
    RESTART,
    ROLLING_RESTART,
    START,
    STOP,
    Operation,
    control,
    control_timeout_option,
    show_results,
    wait_for,
)
from ..operations.job_selection import find_jobs
from ..operations.kill import group_option, send_signal
from ..operations.wait import Judge, is_ready, is_running, was_stopped
from .completion import jobs, jobs_and_pids

NAMES_HELP = "NAME is a job in any spelling, SESSION.* for all jobs of a session, or all."
_short = attrgetter("short")


def _make_command(operation: Operation, help: str) -> click.Command:
    @command(operation.name, help=f"{help}\n\n{NAMES_HELP}\n\nExample: gafferctl {operation.name} web 'shop.*'")
    @click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=jobs)
    @view_option
    @no_wait_option
    @control_timeout_option
    @click.pass_context
    def run(ctx: click.Context, names: tuple[str, ...], no_wait: bool, timeout: float | None) -> None:
        control(ctx, ctx.obj, find_jobs(ctx.obj, names), operation, no_wait, timeout, _short)

    return run


start = _make_command(START, "Start jobs; wait until their processes run well.")
stop = _make_command(STOP, "Stop jobs; wait until no process is left.")
reload = _make_command(RELOAD, "Replace processes as the reload settings of jobs say.")


@command("restart")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=jobs)
@click.option("--rolling", is_flag=True, help="One process after another, each when the new one before it is ready.")
@view_option
@no_wait_option
@control_timeout_option
@click.pass_context
def restart(ctx: click.Context, names: tuple[str, ...], rolling: bool, no_wait: bool, timeout: float | None) -> None:
    """Replace the processes of jobs; wait for the new ones.

    NAME is a job in any spelling, SESSION.* for all jobs of a session, or all.

    Example: gafferctl restart web 'shop.*'
    """
    operation = ROLLING_RESTART if rolling else RESTART
    control(ctx, ctx.obj, find_jobs(ctx.obj, names), operation, no_wait, timeout, _short)


_GOALS: dict[str, Callable[[], Judge]] = {
    "running": lambda: is_running,
    "stopped": was_stopped,
    "ready": lambda: is_ready,
}


@command("wait")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=jobs)
@click.option(
    "--for",
    type=click.Choice(list(_GOALS)),
    required=True,
    help="running: every wanted process lives; ready: each can be used; stopped: none is left.",
)
@view_option
@timeout_option("How long to wait; by default for ever.")
@click.pass_context
def wait(ctx: click.Context, /, names: tuple[str, ...], timeout: float | None, **goal: str) -> None:
    """Wait until a job is running, ready or stopped.

    A job that failed for good ends the wait for running and ready at once. A name that gafferd does not know is a
    failure; a job that is removed meanwhile has stopped.

    Example: gafferctl wait web --for ready --timeout 60
    """
    judges = {name: _GOALS[goal["for"]]() for name in find_jobs(ctx.obj, names)}
    good = wait_for(ctx, ctx.obj, judges, timeout, _short, quiet=True, all_results=True)
    show_results(ctx)
    if not good:
        ctx.exit(FAILED)


@command("kill", context_settings=DASHES)
@click.argument("target", metavar="NAME|PID", shell_complete=jobs_and_pids)
@click.argument("signal", shell_complete=signals)
@group_option
@click.pass_obj
def kill(server: Server, target: str, signal: str, group: bool) -> None:
    """Send a signal to a process, or to all processes of a job.

    SIGNAL is a number or a name, with or without SIG, in any case.

    Example: gafferctl kill web HUP
    """
    one = Process(server, int(target)) if target.isdigit() else Job(server, parse_job_name(target))
    send_signal(one, signal, group)
