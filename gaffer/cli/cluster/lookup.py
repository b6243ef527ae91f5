"""``gaffer lookup``: nodes and jobs of lookupds. Several are asked at once; duplicates count once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

import click

from ..core.fanout import tell_problems
from ..core.output import View, complain, print_lines, view_option
from ..core.program import ProgramGroup

if TYPE_CHECKING:
    from ...httpclient import Cluster

DEFAULT_LOOKUPD = "http://127.0.0.1:5010"
NODE_COLUMNS = ("NAME", "ORIGIN", "VERSION", "LABELS")
JOB_COLUMNS = ("JOB", "NODE_COLUMNS", "PROCESSES")
SOURCE_COLUMNS = ("JOB", "NODE", "ORIGIN", "PIDS")
SESSION_COLUMNS = ("SESSION", "JOB_COLUMNS")


@click.group("lookup", cls=ProgramGroup)
def lookup() -> None:
    """Ask lookupds which node runs what.

    Example: gaffer lookup nodes -L http://lookup:5010
    """


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return the decorator that makes a function a command with ``-L``."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        where = click.option(
            "-L",
            "--lookupd-address",
            metavar="URL",
            multiple=True,
            help=f"A gaffer_lookupd; may be repeated. [default: {DEFAULT_LOOKUPD}]",
        )
        return lookup.command(name)(where(click.pass_context(function)))

    return decorate


def make_cluster(ctx: click.Context, addresses: Sequence[str]) -> Cluster:
    """Return the cluster of the command's ``-L``, or else the program's."""
    from ...httpclient import Cluster

    given = ctx.find_root().params
    keys = {name: given.get(name) for name in ("certfile", "keyfile", "cacert", "timeout", "connect_timeout")}
    found = addresses or given.get("lookupd_address") or (DEFAULT_LOOKUPD,)
    return ctx.with_resource(Cluster(dict.fromkeys(found), given.get("api_key"), **keys))


@_command("nodes")
@view_option
def nodes(ctx: click.Context, lookupd_address: tuple[str, ...]) -> View:
    """List the nodes.

    Example: gaffer lookup nodes -L http://lookup:5010
    """
    cluster = make_cluster(ctx, lookupd_address)
    found = cluster.nodes()
    tell_problems(ctx.find_root().info_name, cluster)
    data = [{"name": one.name, "origin": one.origin, "version": one.version, "labels": one.labels} for one in found]
    rows = [(one.name, one.origin, one.version, labels_text(one.labels)) for one in found]
    return View(data, [one.name for one in found], NODE_COLUMNS, rows)


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as they are configured: ``role=web, zone=a``."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


@_command("jobs")
@view_option
def jobs(ctx: click.Context, lookupd_address: tuple[str, ...]) -> View:
    """List the jobs, and on how many nodes they are.

    Example: gaffer lookup jobs -L http://lookup:5010
    """
    cluster = make_cluster(ctx, lookupd_address)
    found = cluster.jobs()
    tell_problems(ctx.find_root().info_name, cluster)
    rows = [(job["name"], len(job["sources"]), _processes(job)) for job in found]
    return View(found, [job["name"] for job in found], JOB_COLUMNS, rows)


def _processes(job: Mapping[str, Any]) -> int:
    return sum(len(source["pids"]) for source in job["sources"])


@_command("job")
@click.argument("name")
@view_option
def job(ctx: click.Context, lookupd_address: tuple[str, ...], name: str) -> View:
    """Show where a job is.

    Example: gaffer lookup job shop.web
    """
    from ...httpclient.cluster import merge_jobs

    cluster = make_cluster(ctx, lookupd_address)
    (found,) = merge_jobs(cluster.ask(lambda one: [one.find_job(name)]))
    tell_problems(ctx.find_root().info_name, cluster)
    return _sources_view(found, [found])


@_command("sessions")
@click.argument("node", required=False)
@view_option
def sessions(ctx: click.Context, lookupd_address: tuple[str, ...], node: str | None) -> View:
    """List the sessions, or those of a node.

    Example: gaffer lookup sessions
    """
    cluster = make_cluster(ctx, lookupd_address)
    merged: dict[str, set[str]] = {}
    for answer in cluster.ask(lambda one: one.sessions(node)):
        for session in answer:
            merged.setdefault(session["sessionid"], set()).update(session["jobs"])
    tell_problems(ctx.find_root().info_name, cluster)
    data = [{"sessionid": id, "jobs": sorted(merged[id])} for id in sorted(merged)]
    rows = [(id, " ".join(name.partition(".")[2] for name in sorted(merged[id]))) for id in sorted(merged)]
    return View(data, sorted(merged), SESSION_COLUMNS, rows)


@_command("session")
@click.argument("sessionid")
@view_option
def session(ctx: click.Context, lookupd_address: tuple[str, ...], sessionid: str) -> View:
    """Show where the jobs of a session are.

    Example: gaffer lookup session shop
    """
    from ...httpclient.cluster import merge_jobs

    cluster = make_cluster(ctx, lookupd_address)
    found = merge_jobs(answer["jobs"] for answer in cluster.ask(lambda one: one.find_session(sessionid)))
    tell_problems(ctx.find_root().info_name, cluster)
    return _sources_view({"sessionid": sessionid, "jobs": found}, found)


def _sources_view(data: Any, found: Sequence[Mapping[str, Any]]) -> View:
    sources = [(job["name"], source) for job in found for source in job["sources"]]
    names = list(dict.fromkeys(source["node_info"]["name"] for _, source in sources))
    rows = [
        (name, one["node_info"]["name"], one["node_info"]["origin"], " ".join(map(str, one["pids"])))
        for name, one in sources
    ]
    return View(data, names, SOURCE_COLUMNS, rows)


@_command("watch")
@click.option("--state", is_flag=True, help="Begin with what is there already.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print an event.")
def watch(ctx: click.Context, lookupd_address: tuple[str, ...], state: bool, output: str) -> None:
    """Show what changes, until interrupted.

    Example: gaffer lookup watch --state -o json
    """
    from .lookup_watch import follow

    cluster = make_cluster(ctx, lookupd_address)
    program = ctx.find_root().info_name
    for event in follow(cluster, state, lambda problem: complain(program, problem)):
        print_lines([_event_text(event, output)])


def _event_text(event: Mapping[str, Any], output: str) -> str:
    if output == "json":
        import json

        return json.dumps(event, ensure_ascii=False)
    info = event["node_info"]
    words = [event["event"], info["name"], info["origin"], event.get("job_name"), event.get("pid")]
    return " ".join([time.strftime("%H:%M:%S"), *(str(word) for word in words if word is not None)])
