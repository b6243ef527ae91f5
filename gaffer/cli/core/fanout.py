"""Run a command on many nodes: ``-L URL … --on all|NODE|LABEL=VALUE COMMAND``.

The command runs once for each node, as if it were alone. Its results become one table with a column for the
node; a failure on one node is reported under its name and keeps no other.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple, Sequence

import click

from ...errors import GafferError
from .output import Output, Paint, View, chosen_form, complain, current, duration, printable, table_lines

if TYPE_CHECKING:
    from ...httpclient import Cluster, Node
    from ...httpclient.cluster import Result
    from .program import Program

#: Commands that work with one process, with one gafferd's users, or without any gafferd.
SINGLE = {"attach", "recv", "send", "run", "check", "export", "login", "logout", "user", "key"}
NODE = "NODE"
#: Seconds after which the results that have come are printed, and others when they come. A start takes one by itself.
PATIENCE = 3.0


class NodeOutput(Output):
    """The output of a command on one node, collected."""

    def __init__(self) -> None:
        self.views: list[View] = []
        self.text: list[str] = []
        #: Sentences for stderr.
        self.problems: list[str] = []
        self._rest = ""

    def show(self, view: View, form: str) -> None:
        self.views.append(view)

    def is_terminal(self) -> bool:
        return False

    def lines(self, lines: Iterable[str]) -> None:
        self.text += lines

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        self.lines(lines)

    def write_bytes(self, data: bytes, err: bool = False) -> None:
        # Raw output shares its lines with that of other nodes, so it is text.
        self.write(data.decode("utf-8", "replace"))

    def complain(self, program: str | None, sentence: str) -> None:
        self.problems.append(sentence)

    def finish(self) -> None:
        """Complete the last line."""
        if self._rest:
            self.write("\n")


class LiveOutput(NodeOutput):
    """The output of a command on one node, printed line by line after the node's name.

    :param width: of the longest name of a node.
    :param lock: held while a line is printed.
    """

    def __init__(self, program: str | None, node: Node, width: int, lock: threading.Lock) -> None:
        super().__init__()
        self._program, self._node, self._width, self._lock = program, node, width, lock

    def lines(self, lines: Iterable[str]) -> None:
        with self._lock:
            Output.write(self, "".join(f"{self._node.name.ljust(self._width)}  {line}\n" for line in lines))

    def show(self, view: View, form: str) -> None:
        Output.show(self, view, form)

    def complain(self, program: str | None, sentence: str) -> None:
        with self._lock:
            Output.complain(self, self._program, f"{self._node}: {printable(sentence)}")


class NodeEnding(NamedTuple):
    """The end of a command on one node; *problem* is None if it went well."""

    output: NodeOutput
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


def tell_problems(program: str | None, cluster: Cluster) -> None:
    """Report on stderr what is wrong with the answers of lookupds."""
    for problem in cluster.problems:
        complain(program, str(problem))
    for lost in cluster.lost:
        ending = "expired" if lost.get("reason") == "expired" else "lost its connection"
        seconds = duration(lost.get("seconds"))
        complain(program, f"node {lost.get('name')} at {lost.get('origin')} {ending} {seconds} ago and is left out")
    for one in cluster.lookups:
        if one.stale:
            seconds, reason = one.stale.get("seconds", 0), one.stale.get("reason", "")
            complain(program, f"answers of {one.uri} may be incomplete or {seconds:.0f} s old: {reason}")


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
        raise click.UsageError("with -L name the nodes: --on all, --on NODE or --on LABEL=VALUE", ctx)
    if name.replace("-", "_") in SINGLE:
        raise click.UsageError(f"{name} works with one gafferd, without -L", ctx)
    # Wrong usage is reported once, before any node is asked.
    command = program.far(name) or command
    shown = command.make_context(name, list(rest), parent=ctx)
    nodes = cluster.select(on)
    tell_problems(program.name, cluster)
    is_live = bool(shown.params.get("follow")) or name == "watch"
    width, lock = max(len(node.name) for node in nodes), threading.Lock()

    def run_on(node: Node) -> NodeEnding:
        output = LiveOutput(program.name, node, width, lock) if is_live else NodeOutput()
        current.set(output)
        code, problem = _run_one(program, ctx, name, command, list(rest), node, make)
        output.finish()
        if is_live and problem:
            output.complain(None, problem)  # now: the other nodes may go on for ever
        return NodeEnding(output, code, problem)

    if is_live:
        from .streaming import end_with_reader

        end_with_reader()
    report = Report(program.name, nodes, str(shown.params.get("output") or chosen_form(shown)), is_live)
    cluster.each(run_on, nodes, len(nodes) if is_live else None, report.add)
    return report.finish()


def _run_one(
    program: Program,
    ctx: click.Context,
    name: str,
    command: click.Command,
    args: list[str],
    node: Node,
    make: Callable[[Node], Any],
) -> tuple[int, str | None]:
    """Run a command on a node; return its exit code, and what went wrong."""
    from ...service.exit_codes import FAILED
    from .program import exit_code

    try:
        parent = click.Context(program, info_name=ctx.info_name, auto_envvar_prefix=ctx.auto_envvar_prefix)
        with parent.scope(cleanup=True):
            parent.obj = obj = make(node)
            parent.call_on_close(obj.close)
            with command.make_context(name, args, parent=parent) as sub:
                command.invoke(sub)
        return 0, None
    except click.exceptions.Exit as ended:
        return ended.exit_code, None
    except GafferError as error:
        return exit_code(error), str(error)
    except click.ClickException as error:
        return error.exit_code, error.format_message()
    except BrokenPipeError:  # the reader of all nodes' output left
        raise
    except Exception as error:
        return FAILED, f"{type(error).__name__}: {error}"


class Report:
    """Prints the endings of a command on many nodes: as one, unless some take long; then each later one as it comes.

    JSON is always one array.

    :param is_live: output and problems were printed when they came up.
    :param patience: seconds after which what has come is printed.
    """

    def __init__(
        self, program: str | None, nodes: Sequence[Node], form: str, is_live: bool, patience: float = PATIENCE
    ) -> None:
        self._program, self._form, self._is_live = program, form, is_live
        self._order = {node: number for number, node in enumerate(nodes)}
        self._endings: list[tuple[Node, NodeEnding]] = []
        self._printed = 0
        self._late = False
        # Threads do not inherit it.
        self._output = current.get()
        self._lock = threading.Lock()
        self._timer = threading.Timer(patience, self._print_early)
        self._timer.daemon = True
        if form != "json" and not is_live:
            self._timer.start()

    def add(self, result: Result[NodeEnding]) -> None:
        """Take the result of a node."""
        with self._lock:
            self._endings.append((result.node, result.get()))
            if self._late:
                self._print()

    def finish(self) -> int:
        """Print what is left and return the exit code: 1 if the command failed on any node."""
        self._timer.cancel()
        with self._lock:
            self._print()
        return 1 if any(ending.code or ending.problem for _, ending in self._endings) else 0

    def _print_early(self) -> None:
        with self._lock:
            self._late = True
            self._print()
            waiting = [node.name for node in self._order if node not in {node for node, _ in self._endings}]
            if waiting:
                self._complain(f"waiting for {', '.join(waiting)}")

    def _print(self) -> None:
        endings = sorted(self._endings[self._printed :], key=lambda ending: self._order[ending[0]])
        self._printed = len(self._endings)
        if self._form == "json":
            return self._output.json([_as_json(node, ending) for node, ending in endings])
        self._output.lines(_merged(endings, self._form, max(len(node.name) for node in self._order)))
        if not self._is_live:
            for node, ending in endings:
                for sentence in _problems(ending):
                    self._complain(f"{node}: {sentence}")
        return None

    def _complain(self, sentence: str) -> None:
        self._output.complain(self._program, printable(sentence, keep="\n"))


def _problems(ending: NodeEnding) -> list[str]:
    return [*ending.output.problems, *([ending.problem] if ending.problem else [])]


def _as_json(node: Node, ending: NodeEnding) -> dict[str, Any]:
    shown: dict[str, Any] = {"node": node.name, "origin": node.origin, "ok": not ending.code}
    data = [*(view.data for view in ending.output.views), *ending.output.text]
    if data:
        shown["result"] = data[0] if len(data) == 1 else data
    if problems := _problems(ending):
        shown["error"] = "; ".join(problems)
    return shown


def _merged(endings: Sequence[tuple[Node, NodeEnding]], form: str, width: int) -> list[str]:
    """Return the output of nodes as one: tables with a column for the node, then all other lines."""
    tables: dict[tuple[str, ...], list[list[object]]] = {}
    paint: dict[str, Paint] = {}
    drops: dict[str, None] = {}
    lines: list[str] = []
    for node, ending in endings:
        for view in ending.output.views:
            if form != "name" and view.columns:
                paint |= view.paint
                drops |= dict.fromkeys(view.drops)
                rows = tables.setdefault(tuple(view.columns), [])
                rows += [[node.name, *row] for row in view.rows]
        lines += [f"{node.name.ljust(width)}  {line}" for line in _lines(ending.output, form)]
    room, first = current.get().width(), [*drops]
    text = [
        line for columns, rows in tables.items() for line in table_lines([NODE, *columns], rows, paint, room, first)
    ]
    return [*text, *lines]


def _lines(output: NodeOutput, form: str) -> list[str]:
    """Return all that is no table."""
    found = list(output.text)
    for view in output.views:
        is_list = form == "name" or not view.columns and not view.text
        found += [printable(str(name)) for name in view.names] if is_list else view.text
    return found
