"""The command that shows the help of another, as ``--help`` does."""

from __future__ import annotations

import click

from ...errors import nearest
from .output import print_lines
from .program import command


def _make_command(program: str) -> click.Command:
    @command("help", help=f"Show what this program can do, or COMMAND.\n\nExample: {program} help logs")
    @click.argument("words", nargs=-1, metavar="[COMMAND]...")
    @click.pass_context
    def help_command(ctx: click.Context, words: tuple[str, ...]) -> None:
        shown = ctx.parent or ctx
        for word in words:
            group = shown.command
            found = group.get_command(shown, word) if isinstance(group, click.Group) else None
            if found is None:
                near = nearest(word, group.list_commands(shown)) if isinstance(group, click.Group) else ""
                ctx.fail(f"No such command '{word}'{near}")
            shown = click.Context(found, info_name=word, parent=shown)
        print_lines(shown.get_help().splitlines())

    return help_command


gaffer_help, gafferctl_help = _make_command("gaffer"), _make_command("gafferctl")
