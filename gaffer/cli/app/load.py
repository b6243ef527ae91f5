"""Commands that put an application on a gafferd, bring it up to date there, and take it away."""

from __future__ import annotations

import os
from typing import Sequence

import click

from ...config.job_ports import claim_ports, conflict_with
from ...config.names import JobName, parse_job_name
from ...errors import BadRequest, Conflict
from ...procfile.diff import Change, compare
from ..core.output import print_lines, view_option
from ..core.program import command, no_wait_option, port_options
from ..operations.control import control_timeout_option, for_each, remove, report_starts
from .apps import RemoteApplication
from .context import GafferContext


@command("load")
@port_options
@click.option("--nostart", is_flag=True, help="Load new types stopped.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@no_wait_option
@click.argument("name", required=False, metavar="[NAME|FILE]", type=click.Path())
@click.pass_context
def load(
    ctx: click.Context,
    concurrency: tuple[str, ...],
    port: int | None,
    no_port: bool,
    nostart: bool,
    dry_run: bool,
    no_wait: bool,
    name: str | None,
) -> None:
    """Load the application, or bring it up to date there.

    It waits until what was loaded or updated runs well; what does not is told with the reason, and the exit code is 1.

    NAME is what it is called there, by default what its folder is called; FILE is another Procfile, or FOLDER/ another
    application.

    Of an application that is there already only what changed is touched: new types are loaded, changed ones updated,
    those that the Procfile no longer has unloaded. Types that -c does not name keep the number they were scaled to,
    and those that were stopped stay so.

    Example: gaffer load -c web=2,worker=1
    """
    context: GafferContext = ctx.obj
    if name is not None and os.path.isfile(name):
        context.procfile, name = name, None
    elif name is not None and os.sep in name:
        if not os.path.isdir(name):
            raise BadRequest(f"{name}: there is no such Procfile and no such folder; an application's name has no '/'")
        context.directory, name = name, None
    application = context.application(name=name, concurrency=concurrency, port=port, ports=not no_port)
    given = {part.partition("=")[0].strip() for text in concurrency for part in text.split(",")}
    remote = RemoteApplication(context)

    to_run: list[JobName] = []

    def carry_out(change: Change) -> None:
        if nostart and change.kind == "loaded":
            change = change._replace(down="stopped")
        if not dry_run:
            _carry_out(remote, change, nostart)
            if change.kind in ("loaded", "updated") and not change.down:
                to_run.append(change.name)
        print_lines(change.lines(dry_run))

    changes = compare(application, remote.present(application.name), given)
    _check_ports(remote, application.name, changes)
    code = for_each(ctx, carry_out, changes)
    ctx.exit(code or (0 if no_wait else report_starts(ctx, remote.server, to_run)))


def _check_ports(remote: RemoteApplication, session: str, changes: Sequence[Change]) -> None:
    """Look for ports of other applications before anything is touched.

    gafferd refuses them as well, but job by job.

    :raises Conflict: names the job that has the first one.
    """
    claims = [
        claim_ports(one.name, one.settings.get("port"), one.number, one.settings.get("env") or ()) for one in changes
    ]
    if not any(claims):
        return
    jobs = [(parse_job_name(info["name"]), info) for info in remote.server.infos()]
    others = [
        claim_ports(name, info["config"].get("port"), info["max_processes"], info["config"].get("env") or ())
        for name, info in jobs
        if name.session != session
    ]
    for claim in filter(None, claims):
        conflict = conflict_with(claim, others)
        if conflict is not None:
            raise Conflict(f"{conflict}; nothing was changed")


def _carry_out(remote: RemoteApplication, change: Change, nostart: bool) -> None:
    if change.kind == "loaded":
        remote.server.load(change.settings, start=not nostart)
    elif change.kind == "updated":
        remote.server.update(change.settings)
    elif change.kind == "unloaded":
        remote.server.unload(change.name)


@command("unload")
@click.argument("name", required=False)
@view_option
@no_wait_option
@control_timeout_option
@click.pass_context
def unload(ctx: click.Context, name: str | None, no_wait: bool, timeout: float | None) -> None:
    """Stop the application and remove it from gafferd.

    It waits until no process is left.

    NAME is what it is called there, by default what its folder is called. Its processes get their time to end.

    Example: gaffer unload shop
    """
    remote = RemoteApplication(ctx.obj)
    # Those that were started last are stopped first.
    ctx.exit(remove(ctx, remote.server, reversed(remote.jobs(name)), no_wait, timeout, "unloaded"))
