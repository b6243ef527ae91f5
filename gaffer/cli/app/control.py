"""Commands that reload, start, stop and signal an application on a gafferd."""

from __future__ import annotations

import click

from ...config.names import parse_job_name
from ..core.output import view_option
from ..core.program import DASHES, command, no_wait_option
from ..core.shell_completion import signals, types
from ..operations.control import RELOAD, START, STOP, control, control_timeout_option, report
from ..operations.kill import group_option, send_signal
from .apps import RemoteApplication
from .completion import types_and_pids
from .context import GafferContext


@command("reload")
@click.argument("name", required=False)
@view_option
@no_wait_option
@control_timeout_option
@click.pass_context
def reload(ctx: click.Context, name: str | None, no_wait: bool, timeout: float | None) -> None:
    """Replace all processes of the application.

    It gets the configured number of them and waits until they run well. Types that were stopped stay so. What
    the Procfile says now is taken over by load, not by reload.

    Example: gaffer reload
    """
    jobs = []
    for info in RemoteApplication(ctx.obj).infos(name):
        job = parse_job_name(info["name"])
        if info["active"]:
            jobs.append(job)
        else:
            report(ctx, str(job), f"{info['state']}, and stays so; 'gafferctl start {job}' starts it")
    control(ctx, ctx.obj.server, jobs, RELOAD, no_wait, timeout)


@command("start")
@click.argument("names", nargs=-1, metavar="[TYPE]...", shell_complete=types)
@view_option
@no_wait_option
@control_timeout_option
@click.pass_context
def start(ctx: click.Context, names: tuple[str, ...], no_wait: bool, timeout: float | None) -> None:
    """Start the application, which is loaded there, or some types of it; wait until it runs well.

    TYPE may be APP.TYPE too, and APP.* means all of another application.

    Example: gaffer -L http://lookup:5010 start --on all web
    """
    control(ctx, ctx.obj.server, RemoteApplication(ctx.obj).find(names), START, no_wait, timeout)


@command("stop")
@click.argument("names", nargs=-1, metavar="[TYPE]...", shell_complete=types)
@view_option
@no_wait_option
@control_timeout_option
@click.pass_context
def stop(ctx: click.Context, names: tuple[str, ...], no_wait: bool, timeout: float | None) -> None:
    """Stop the application, or some types of it.

    It waits until no process is left. TYPE may be APP.TYPE too, and APP.* means all of another application.
    'gafferctl start' starts them again.

    Example: gaffer stop web worker
    """
    control(ctx, ctx.obj.server, reversed(RemoteApplication(ctx.obj).find(names)), STOP, no_wait, timeout)


@command("kill", context_settings=DASHES)
@click.argument("target", metavar="TYPE|PID", shell_complete=types_and_pids)
@click.argument("signal", shell_complete=signals)
@group_option
@click.pass_obj
def kill(context: GafferContext, target: str, signal: str, group: bool) -> None:
    """Send a signal to a process, or to all processes of a type.

    TYPE may be APP.TYPE too, and PID as ps shows it: web.3. SIGNAL is a number or a name, with or without SIG, in any
    case.

    Example: gaffer kill web HUP
    """
    send_signal(RemoteApplication(context).target(target), signal, group)
