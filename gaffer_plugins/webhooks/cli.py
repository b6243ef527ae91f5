"""``gafferctl webhooks``. Imports nothing of the server's half."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import click

from gaffer.api.cli import Program, View, command, output_option, print_lines, show

COLUMNS = ("ID", "URL", "EVENTS", "STATE", "PENDING", "SENT", "RETRIES", "FAILED", "LOST", "LAST ERROR")
DEAD_COLUMNS = ("ID", "TIME", "URL", "EVENT", "ATTEMPTS", "REASON")


def gaffer_cli(cli: Program) -> None:
    """Add the command; called through the entry point group ``gaffer.cli``."""
    cli.add_command(webhooks)


@command("webhooks")
@click.option("--dead", is_flag=True, help="List the deliveries that were given up.")
@click.option("--redeliver", metavar="ID", help="Send a delivery that was given up again; 'all' for every one.")
@output_option
@click.pass_obj
def webhooks(server: Any, dead: bool, redeliver: str | None, output: str) -> None:
    """Show where events are posted to, and what became of them.

    Example: gafferctl webhooks --dead
    """
    if redeliver is not None:
        return _redeliver(server, redeliver)
    found = server.transport.object("GET", "/webhooks")
    if dead:
        letters = found["dead_letters"]
        show(View(letters, [one["id"] for one in letters], DEAD_COLUMNS, [_dead_row(one) for one in letters]), output)
    else:
        hooks = found["webhooks"]
        show(View(hooks, [one["url"] for one in hooks], COLUMNS, [_row(one) for one in hooks]), output)


def _redeliver(server: Any, wanted: str) -> None:
    ids = [wanted]
    if wanted == "all":
        ids = [one["id"] for one in server.transport.object("GET", "/webhooks")["dead_letters"]]
    for letter in ids:
        server.transport.request("POST", f"/webhooks/dead_letters/{quote(letter, safe='')}")
        print_lines([f"{letter}: queued again"])


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    error = one["last_error"]
    counts = [one[key] for key in ("pending", "sent", "retries", "failed", "lost")]
    shown = f"{_clock(error['time'])} {error['reason']}" if error else None
    return (one["id"], one["url"], ", ".join(one["events"]), one["state"], *counts, shown)


def _dead_row(one: dict[str, Any]) -> tuple[object, ...]:
    return (one["id"], _clock(one["time"]), one["url"], one["event"], one["attempts"], one["reason"])


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
