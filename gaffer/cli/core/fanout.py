"""One command on many nodes: ``-L URL … --on all|NODE|label=value COMMAND``.

The command runs once for each node, in threads, as if it were alone. What it
prints is caught and put into one table with a column for the node; what fails
on one node is told under its name and stops no other.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Sequence

import click

from ...errors import GafferError
from . import output
from .output import View, cell, print_json, print_lines, print_table

if TYPE_CHECKING:
    from ...httpclient import Cluster, Node
    from .program import Program

WORKERS = 16
#: Commands that are about one process, one gafferd's users, or about nothing far away at all.
SINGLE = {"attach", "recv", "send", "run", "check", "export", "login", "logout", "user", "key"}
NODE = "NODE"


class Caught:
    """What a command printed for one node, in the forms that it was printed in."""

    def __init__(self, live: Callable[[str], None] | None = None, problem: Callable[[str], None] | None = None) -> None:
        self.views: list[View] = []
        self.lines: list[str] = []
        self.data: list[Any] = []
        #: Sentences for stderr.
        self.problems: list[str] = []
        self._live = live
        self._problem = problem
        self._begun = ""

    def view(self, view: View) -> None:
        """Take a result."""
        self.views.append(view)

    def complain(self, sentence: str) -> None:
        """Take a sentence for stderr."""
        if self._problem is not None:
            self._problem(sentence)
        else:
            self.problems.append(sentence)

    def write(self, text: str) -> None:
        """Take text in any pieces; its lines are taken when they are complete."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self.line(line)

    def finish(self) -> None:
        """Take the last line, which has no end."""
        if self._begun:
            self.write("\n")

    def line(self, text: str) -> None:
        """Take a line."""
        if self._live is not None:
            self._live(text)
        else:
            self.lines.append(text)

    def json(self, data: Any) -> None:
        """Take what JSON is to show."""
        self.data.append(data)


class Stdout:
    """Standard output while a command runs on many nodes: what a node's thread writes is that node's.

    It stands in for what commands write without the functions of :mod:`.output`.
    """

    encoding, errors = "utf-8", "replace"

    def __init__(self, real: Any) -> None:
        self._real = real
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        caught = output.caught()
        if caught is None:
            return int(self._real.write(text))
        caught.write(text)
        return len(text)

    def flush(self) -> None:
        self._real.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise OSError("this is many outputs in one")


class _Bytes:
    """The bytes of :class:`Stdout`; a raw output shares its lines with those of other nodes, so it is text."""

    def __init__(self, stdout: Stdout) -> None:
        self._stdout = stdout

    def write(self, data: bytes) -> int:
        self._stdout.write(data.decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        self._stdout.flush()


class Outcome(NamedTuple):
    """How it went on one node; *problem* is None where it went well."""

    node: Node
    caught: Caught
    code: int
    problem: str | None


def lookups_option(function: Any) -> Any:
    """Add ``-L`` and ``--on``, to be given before the command; ``--on`` may come after it, too."""
    on = click.option("--on", metavar="all|NODE|LABEL=VALUE", help="With -L: the nodes to run the command on.")
    lookups = click.option(
        "-L",
        "--lookupd-address",
        metavar="URL",
        multiple=True,
        help="A gaffer_lookupd; the command then runs on the nodes that it knows. May be repeated.",
    )
    return lookups(on(function))


def take_on(args: Sequence[str], on: str | None) -> tuple[list[str], str | None]:
    """Return a command's words without ``--on VALUE``, and the value; what comes after ``--`` is left alone."""
    rest: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if word == "--":
            return [*rest, word, *words], on
        if word == "--on" and words:
            on = words.pop(0)
        elif word.startswith("--on="):
            on = word[5:]
        else:
            rest.append(word)
    return rest, on


def run_everywhere(
    program: Program, ctx: click.Context, args: Sequence[str], make: Callable[[Node], Any], cluster: Cluster
) -> int:
    """Run the command in *args* on the nodes that ``--on`` means; returns the exit code.

    :param make: makes a node's ``ctx.obj``.
    """
    args, on = take_on(args, ctx.params.get("on"))
    name, command, rest = program.resolve_command(ctx, list(args))
    assert name is not None and command is not None
    if not on:
        raise click.UsageError("with -L say where: --on all, --on NODE or --on LABEL=VALUE", ctx)
    if name.replace("-", "_") in SINGLE:
        raise click.UsageError(f"{name} works with one gafferd, without -L", ctx)
    # Wrong usage is told once, and before anything is asked.
    command = program.far(name) or command
    shown = command.make_context(name, list(rest), parent=ctx)
    nodes = cluster.select(on)
    for problem in cluster.problems:
        output.complain(program.name, str(problem))
    live = _Live(program.name, nodes) if shown.params.get("follow") or name == "watch" else None

    def one(node: Node) -> Outcome:
        caught = Caught() if live is None else Caught(partial(live.line, node), partial(live.problem, node))
        output.catch(caught)
        try:
            outcome = _run_one(program, ctx, name, command, list(rest), node, make, caught)
        finally:
            caught.finish()
            output.catch(None)
        if live is not None and outcome.problem:
            live.problem(node, outcome.problem)  # now: the other nodes may go on for ever
        return outcome

    if live is not None:
        from .streaming import end_with_reader

        end_with_reader()
    real, sys.stdout = sys.stdout, Stdout(sys.stdout)
    try:
        outcomes = in_threads(one, nodes, len(nodes) if live else WORKERS)
    finally:
        sys.stdout = real
    return report(program.name, outcomes, str(shown.params.get("output") or "table"), told=live is not None)


def in_threads(work: Callable[[Node], Outcome], nodes: Sequence[Node], most: int) -> list[Outcome]:
    """Return what *work* returns for each node; ctrl-C does not wait for those that have not ended."""
    import queue

    waiting: queue.SimpleQueue[tuple[int, Node]] = queue.SimpleQueue()
    found: dict[int, Outcome] = {}

    def run() -> None:
        while True:
            try:
                number, node = waiting.get_nowait()
            except queue.Empty:
                return
            found[number] = work(node)

    for number, node in enumerate(nodes):
        waiting.put((number, node))
    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(most, len(nodes)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in sorted(found)]


def _run_one(
    program: Program,
    ctx: click.Context,
    name: str,
    command: click.Command,
    args: list[str],
    node: Node,
    make: Callable[[Node], Any],
    caught: Caught,
) -> Outcome:
    from .program import FAILED, exit_code

    try:
        parent = click.Context(program, info_name=ctx.info_name, auto_envvar_prefix=ctx.auto_envvar_prefix)
        with parent.scope(cleanup=True):
            parent.obj = obj = make(node)
            parent.call_on_close(obj.close)
            with command.make_context(name, args, parent=parent) as sub:
                command.invoke(sub)
        return Outcome(node, caught, 0, None)
    except click.exceptions.Exit as ended:
        return Outcome(node, caught, ended.exit_code, None)
    except GafferError as error:
        return Outcome(node, caught, exit_code(error), str(error))
    except click.ClickException as error:
        return Outcome(node, caught, error.exit_code, error.format_message())
    except Exception as error:
        return Outcome(node, caught, FAILED, f"{type(error).__name__}: {error}")


class _Live:
    """Prints lines as they come, each after its node's name."""

    def __init__(self, program: str | None, nodes: Sequence[Node]) -> None:
        self._program = program
        self._width = max(len(node.name) for node in nodes)
        self._one = threading.Lock()
        self._stdout = sys.stdout

    def line(self, node: Node, text: str) -> None:
        with self._one:
            self._stdout.write(f"{node.name.ljust(self._width)}  {text}\n")
            self._stdout.flush()

    def problem(self, node: Node, sentence: str) -> None:
        """Tell what is not as it should be on a node."""
        with self._one:
            click.echo(f"{self._program}: {node}: {output.printable(sentence)}", err=True)


# -- one result -------------------------------------------------------------------------------------


def report(program: str | None, outcomes: Sequence[Outcome], form: str, told: bool = False) -> int:
    """Print what came of it and return the exit code: 1 if it failed on any node.

    :param told: problems were told when they came up.
    """
    if form == "json":
        print_json([_as_json(outcome) for outcome in outcomes])
    else:
        _print_tables(outcomes, form)
        _print_lines(outcomes)
    bad = [outcome for outcome in outcomes if outcome.code or outcome.problem]
    if form != "json" and not told:
        for outcome in outcomes:
            for sentence in [*outcome.caught.problems, *([outcome.problem] if outcome.problem else [])]:
                output.complain(program, f"{outcome.node}: {sentence}")
    return 1 if bad else 0


def _as_json(outcome: Outcome) -> dict[str, Any]:
    caught = outcome.caught
    shown: dict[str, Any] = {"node": outcome.node.name, "origin": outcome.node.origin, "ok": not outcome.code}
    data = [*caught.data, *(view.data for view in caught.views), *caught.lines]
    if data:
        shown["result"] = data[0] if len(data) == 1 else data
    problems = [*caught.problems, *([outcome.problem] if outcome.problem else [])]
    if problems:
        shown["error"] = "; ".join(problems)
    return shown


def _print_tables(outcomes: Sequence[Outcome], form: str) -> None:
    tables: dict[tuple[str, ...], list[list[object]]] = {}
    paint: dict[str, output.Paint] = {}
    for outcome in outcomes:
        for view in outcome.caught.views:
            if form == "name" or not view.columns:
                outcome.caught.lines += [cell(name) for name in view.names]
                continue
            paint |= dict(view.paint)
            rows = tables.setdefault(tuple(view.columns), [])
            rows += [[outcome.node.name, *row] for row in view.rows]
    for columns, rows in tables.items():
        print_table([NODE, *columns], rows, paint)


def _print_lines(outcomes: Sequence[Outcome]) -> None:
    width = max(len(outcome.node.name) for outcome in outcomes)
    if any(outcome.caught.lines for outcome in outcomes):
        print_lines(
            f"{outcome.node.name.ljust(width)}  {line}" for outcome in outcomes for line in outcome.caught.lines
        )
