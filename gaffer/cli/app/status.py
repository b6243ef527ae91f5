"""Commands that show an application on a gafferd: what runs, for how long, and what it uses."""

from __future__ import annotations

from typing import Any

import click

from ...config.names import parse_job_name
from ...errors import BadRequest, GafferError
from ...httpclient import Job
from ..core.output import View, printable, view_option
from ..core.program import command
from ..core.shell_completion import types
from ..operations.job_info import has_unready, info_view, stopping_text, why_view
from ..operations.wait import TROUBLED, trouble
from .apps import RemoteApplication
from .completion import types_and_pids
from .context import GafferContext


@command("ps")
@click.argument("app", required=False)
@view_option
@click.pass_obj
def ps(context: GafferContext, app: str | None) -> View:
    """Show the application's processes.

    That is the command of each type, what its processes use together, and how long each is up. APP is what
    the application is called on gafferd, by default what its folder is called.

    Example: gaffer ps -o json
    """
    remote = RemoteApplication(context)
    stats = _stats(remote, app)
    found = [_measured(info, stats.get(info["name"], {})) for info in remote.infos(app)]
    text = [printable(line) for one in found for line in _lines(one)]
    return View(found, [name for one in found for name in _names(one)], text=text)


def _stats(remote: RemoteApplication, app: str | None) -> dict[str, dict[str, Any]]:
    """Return the statistics of an application's jobs by their full names; none without a plugin that measures."""
    try:
        found = remote.server.stats(remote.context.session(app))
    except GafferError as error:
        if error.status not in (404, 503):
            raise
        return {}
    return {parse_job_name(one["name"]).full: one for one in found}


def _measured(info: dict[str, Any], stats: dict[str, Any]) -> dict[str, Any]:
    """Return a job as ``ps`` shows it; cpu and mem are None if it was not measured."""
    name = parse_job_name(info["name"])
    return {
        "name": name.full,
        "type": name.job,
        "command": _command(info["config"]),
        "state": info["state"],
        "reason": trouble(info) if info["state"] in TROUBLED else None,
        "stopping": info.get("stopping"),
        "cpu": stats.get("cpu"),
        "mem": stats.get("mem"),
        "ready": info.get("ready"),
        "unready": has_unready(info),
        "processes": [{"pid": pid, "uptime": up} for pid, up in zip(info["processes"], info["uptimes"])],
    }


def _command(config: dict[str, Any]) -> str:
    import shlex

    args = config.get("args") or []
    return " ".join([config["cmd"], *([args] if isinstance(args, str) else map(shlex.quote, args))])


def _names(one: dict[str, Any]) -> list[str]:
    return [f"{one['type']}.{process['pid']}" for process in one["processes"]]


def _lines(one: dict[str, Any]) -> list[str]:
    lines = [f"== {one['type']}: `{one['command']}'"]
    if one["cpu"] is not None:
        lines += [f"Total CPU: {one['cpu']:f} Total MEM: {one['mem']:.2f}"]
    lines += ["", *(f"{one['type']}.{each['pid']}: up for {clock(each['uptime'])}" for each in one["processes"])]
    if one["unready"]:
        lines.append(f"{one['type']}: {one['ready']}/{len(one['processes'])} ready")
    if stopping := stopping_text(one):
        lines.append(f"{one['type']}: stopping {stopping}")
    if one["reason"] or not one["processes"]:
        lines.append(f"{one['type']}: {one['state']}" + (f": {one['reason']}" if one["reason"] else ""))
    return lines


def clock(seconds: float) -> str:
    """Return seconds as ``0:00.44``, ``12:34.56`` or ``1:02:03``, and days in front: ``2d 1:02:03``."""
    hundredths = int(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    if minutes < 60:
        return f"{minutes}:{rest // 100:02}.{rest % 100:02}"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}d ' if days else ''}{hours}:{minutes:02}:{rest // 100:02}"


@command("info")
@click.argument("target", required=False, metavar="[TYPE|PID]", shell_complete=types_and_pids)
@view_option
@click.pass_obj
def info(context: GafferContext, target: str | None) -> View:
    """Show everything about a type, a process or all types.

    TYPE may be APP.TYPE too, or APP.* for another application; PID as ps shows it: web.3.

    Example: gaffer info web
    """
    remote = RemoteApplication(context)
    if target is not None and not target.endswith("*"):
        return info_view(remote.target(target))
    views = [info_view(Job(remote.server, name)) for name in remote.find([target] if target else [])]
    blocks = [["", *view.text] if number else view.text for number, view in enumerate(views)]
    data = [view.data for view in views]
    names = [name for view in views for name in view.names]
    return View(data if target is None else data[0], names, text=[line for block in blocks for line in block])


@command("why")
@click.argument("type", metavar="TYPE", shell_complete=types)
@view_option
@click.pass_obj
def why(context: GafferContext, type: str) -> View:
    """Say why a type is in its state, and what helps.

    TYPE may be APP.TYPE too.

    Example: gaffer why web
    """
    remote = RemoteApplication(context)
    target = remote.target(type)
    if not isinstance(target, Job):
        raise BadRequest(f"{type} is a process; name a type")
    return why_view(target)
