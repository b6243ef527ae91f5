"""The commands that run something here, in the terminal; only they import the engine."""

from __future__ import annotations

import gc

import click

from ...errors import BadRequest, SpawnError
from ...procfile.application import ProcfileApplication
from ..core.program import Failed, command, complain, port_options
from ..core.shell_completion import types

#: The exit code of shells for a command that cannot be executed.
COMMAND_NOT_FOUND = 127


@command("start")
@port_options
@click.option(
    "--on-exit",
    type=click.Choice(["restart", "stop", "ignore"]),
    default="restart",
    show_default=True,
    help="When a process ends: start it again, stop all the others, or go on until the last has ended.",
)
@click.option("--watch", metavar="[TYPE=]GLOB", multiple=True, help="Restart types, or one, when such files change.")
@click.option("--timestamp/--no-timestamp", default=True, help="Begin lines with the time.")
@click.option("--color/--no-color", default=None, help="Colour names; by default on terminals without NO_COLOR.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=types)
@click.pass_context
def start(
    ctx: click.Context,
    concurrency: tuple[str, ...],
    port: int | None,
    no_port: bool,
    on_exit: str,
    watch: tuple[str, ...],
    timestamp: bool,
    color: bool | None,
    names: tuple[str, ...],
) -> None:
    """Run the Procfile, or the types NAME of it, until Ctrl-C.

    Example: gaffer start -c web=2 --watch 'web=*.py'
    """
    application = ctx.obj.application(concurrency=concurrency, port=port, ports=not no_port, only=names)
    if not any(one.number for one in application.chosen):
        raise BadRequest("there is nothing to run: -c asks for 0 processes of each type")
    check_ports(application)
    gc.disable()  # until everything runs: what is imported stays, and the first process waits for each look at it
    from ...foreground.guard import Guard

    with Guard() as guard:
        from ...foreground.application import ApplicationRun, RunOptions

        options = RunOptions(on_exit, color, timestamp, watch)
        code = ApplicationRun(application.configs(), application.root, options, guard).run()
    ctx.exit(code)


@command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "-c",
    "--copies",
    "--concurrency",
    "copies",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Run so many at once.",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.pass_context
def run(ctx: click.Context, copies: int, words: tuple[str, ...]) -> None:
    """Run COMMAND, or a type of the Procfile, once in the application's environment.

    It has the terminal, and its exit code is ours; several copies are shown as by start.

    Example: gaffer run python manage.py migrate
    """
    from ...foreground.oneoff import one_off
    from ...foreground.oneoff import run as run_one

    application = ctx.obj.application()
    config = one_off(application, words, copies)
    if copies > 1:
        from ...foreground.application import ApplicationRun, RunOptions
        from ...foreground.guard import Guard

        with Guard() as guard:
            code = ApplicationRun([config], application.root, RunOptions("ignore"), guard).run()
        ctx.exit(code)
    try:
        ctx.exit(run_one(config))
    except SpawnError as error:
        complain("gaffer", str(error))
        ctx.exit(COMMAND_NOT_FOUND)


def check_ports(application: ProcfileApplication) -> None:
    """Reject ports that are in use.

    :raises Failed: names the first one.
    """
    from ...foreground.ports import first_taken

    taken = first_taken(application.ports())
    if taken is not None:
        raise Failed(
            f"port {taken[1]} of {taken[0]} is taken by another program; choose others with --port N, or use --no-port"
        )
