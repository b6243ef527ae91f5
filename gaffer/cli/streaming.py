"""Commands that need feeds, which this version does not have; they say so and fail."""

from __future__ import annotations

import click

from .program import Command, Failed


def _missing(name: str, what: str) -> click.Command:
    @click.command(
        name,
        cls=Command,
        help=f"{what}.\n\nNot available in this version.",
        short_help=f"{what} (not available yet).",
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def missing(args: tuple[str, ...]) -> None:
        raise Failed(f"{name} is not available in this version")

    return missing


watch = _missing("watch", "Show events as they happen")
logs = _missing("logs", "Show the output of processes")
send = _missing("send", "Write to the stdin of a process")
attach = _missing("attach", "Connect the terminal to a process")
