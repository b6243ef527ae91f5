"""The command that shows events as they happen."""

from __future__ import annotations

import re
import time
from typing import Any, Mapping

import click

from ...httpclient import Server
from ..core.output import printable, write
from ..core.program import command
from ..core.streaming import Painter, colorize_option, end_with_reader
from ..operations.wait import exit_text

#: The family of events that is shown beside the plain names unless a pattern says otherwise.
_CLASSIC = re.compile(r"proc\.([^.]*[^.0-9][^.]*)\.")
_FAMILY = re.compile(r"(proc)\.([^.]+)\.|(job)\.([^.]+\.[^.]+)\.")


@command("watch")
@click.argument("pattern", required=False)
@click.option(
    "--heartbeat",
    type=click.FloatRange(0.1, 86_400),
    default=20.0,
    show_default=True,
    metavar="N",
    help="Seconds between two signs of life of gafferd; after three that stay away it is lost.",
)
@click.option("-n", "--tail", type=click.IntRange(0), metavar="N", help="Begin with the last N events.")
@click.option("--details", is_flag=True, help="Say pids, how processes ended and why, too.")
@colorize_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one event a line.",
)
@click.pass_obj
def watch(
    server: Server,
    pattern: str | None,
    heartbeat: float,
    tail: int | None,
    details: bool,
    colorize: bool | None,
    output: str,
) -> None:
    """Show events as they happen, until ctrl-C.

    PATTERN selects them: spawn, proc.web, proc(web), proc(web).exit, job.shop.web; . is
    all of their names. Without it each event is shown under its own name and, for
    jobs of the session default, under that of its job.

    Example: gafferctl watch --details 'proc(web).exit'
    """
    end_with_reader()
    painter = Painter(colorize)
    with server.events(pattern or ".", tail=tail, heartbeat=heartbeat, patience=0) as events:
        for event in events:
            if pattern is None and not is_shown(event):
                continue
            write(_json(event) if output == "json" else f"{line(event, painter, details)}\n")


def is_shown(event: Mapping[str, Any]) -> bool:
    """Return whether an event is shown without a pattern: each event once, or twice under a classic name."""
    name = str(event["event"])
    return "." not in name or _CLASSIC.match(name) is not None


def line(event: Mapping[str, Any], painter: Painter, details: bool = False) -> str:
    """Return an event as a line: ``17:56:42 dummy | proc(dummy).exit dummy``."""
    if event["event"] == "gap":
        return f"{_clock(time.time())} gafferd | {event['lost']} events are missing here, they came too fast"
    name = str(event.get("name", "gafferd"))
    text = f"{_clock(event.get('time', 0.0))} {painter.aligned(name)} | {spelled(str(event['event']))} {name}"
    return painter.paint(name, printable(text + (_details(event) if details else "")))


def spelled(name: str) -> str:
    """Return the name of an event as people write it: ``proc(dummy).exit``, ``job(shop.web).exit``."""
    return _FAMILY.sub(lambda found: f"{found[1] or found[3]}({found[2] or found[4]}).", name, count=1)


def _details(event: Mapping[str, Any]) -> str:
    words = [f"pid {event['pid']}"] if "pid" in event else []
    if "exit_status" in event:
        words.append(exit_text(event))
    if event.get("reason"):
        words.append(str(event["reason"]))
    if "retry_in" in event:
        words.append(f"retry in {event['retry_in']:g} s")
    return f" ({', '.join(words)})" if words else ""


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _json(event: Mapping[str, Any]) -> str:
    import json

    return json.dumps(event, ensure_ascii=False) + "\n"
