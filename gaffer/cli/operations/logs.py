"""Stored output of processes, and what follows; shared by gafferctl and gaffer."""

from __future__ import annotations

import re
import time
from contextlib import closing
from typing import Any, Callable, Iterable, NamedTuple, Sequence

import click

from ...config.names import JobName, parse_job_name
from ...errors import GafferError, IONotRedirected, NotFound
from ...httpclient import CannotConnect, Job, Process, Server
from ...httpclient.feeds import Feed, LogLine
from ..core.output import printable, write, write_bytes
from ..core.program import complain
from ..core.streaming import Painter, close_all, colorize_option, end_with_reader, merge
from .job_selection import find_jobs, is_pattern

#: Colours that a process prints itself may stay.
_COLOR = re.compile(r"(\x1b\[[0-9;]*m)")
_RESET_COLOR = "\x1b[0m"
#: More lines than gafferd gives.
MAX_LINES = 10_000


class LogQuery(NamedTuple):
    """The output that ``logs`` shows, and its form.

    :param prefix: ``NAME.PID`` before each line; None decides: with several jobs or processes.
    :param session: a session that is left out of the prefix.
    :param among: targets that a pattern matched: those without output are left out.
    """

    follow: bool = False
    lines: int | None = None
    since: str | None = None
    label: str | None = None
    timestamps: bool = False
    prefix: bool | None = None
    colorize: bool | None = None
    output: str = "text"
    session: str | None = None
    among: frozenset[JobName | int] = frozenset()


def logs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that :class:`LogQuery` is made of."""
    options = [
        click.option("-f", "--follow", is_flag=True, help="Go on with what comes, across restarts."),
        click.option(
            "-n", "--lines", type=click.IntRange(0, MAX_LINES), metavar="N", help="The last N lines; by default 1000."
        ),
        click.option("--since", metavar="T", help="Lines since then: 30s, 10m, 2h, 1d ago, or a date and time."),
        click.option("--label", metavar="LABEL", help="One stream only: stdout."),
        click.option("-t", "--timestamps", is_flag=True, help="The time before each line."),
        click.option(
            "--prefix/--no-prefix", default=None, help="NAME.PID before each line; by default if there are several."
        ),
        colorize_option,
        click.option(
            "-o",
            "--output",
            type=click.Choice(["text", "json", "raw"]),
            default="text",
            show_default=True,
            help="json: one object a line; raw: the bytes as they were written.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def find_targets(server: Server, targets: Sequence[str]) -> tuple[list[JobName | int], frozenset[JobName | int]]:
    """Return the jobs and pids that the arguments name, and those of them that only patterns match."""
    named: list[JobName | int] = []
    matched: set[JobName | int] = set()
    found: dict[JobName | int, None] = {}
    for target in targets:
        if is_pattern(target):
            jobs = find_jobs(server, [target])
            matched.update(jobs)
            found.update(dict.fromkeys(jobs))
        else:
            named.append(int(target) if target.isdigit() else parse_job_name(target))
            found[named[-1]] = None
    return list(found), frozenset(matched.difference(named))


def show_logs(ctx: click.Context, server: Server, targets: Sequence[JobName | int], wish: LogQuery) -> None:
    """Print the output of jobs and processes; with ``follow`` until all of them are gone.

    :raises CannotConnect: gafferd goes away meanwhile.
    """
    if wish.follow:
        end_with_reader()
    if wish.output == "raw":
        return _show_raw(server, targets, wish)
    feeds: list[Feed[LogLine]] = []
    try:
        targets = _open(server, targets, wish, feeds)
        printer = LogPrinter(ctx, server, targets, wish)
        if not wish.follow and len(feeds) > 1:
            found = _in_order((number, line) for number, feed in enumerate(feeds) for line in feed)
            return printer.show(found[-wish.lines :] if wish.lines else found)
        for lines in merge(feeds):
            printer.show(_in_order(lines))
    finally:
        close_all(feeds)
    if wish.follow:
        for target in targets:
            tell_end(ctx, server, target)


def _open(
    server: Server, targets: Sequence[JobName | int], wish: LogQuery, feeds: list[Feed[LogLine]]
) -> list[JobName | int]:
    """Put the feeds of all targets into *feeds*; return the targets that have one."""
    found: list[JobName | int] = []
    refused: list[GafferError] = []
    for target in targets:
        try:
            feeds.append(_asked(server, target).logs(wish.lines, wish.since, wish.label, wish.follow))
        except (IONotRedirected, NotFound) as error:
            if target not in wish.among:
                raise
            refused.append(error)
        else:
            found.append(target)
    if refused and not found:
        raise refused[0]
    return found


def _in_order(lines: Iterable[tuple[int, LogLine]]) -> list[tuple[int, LogLine]]:
    return sorted(lines, key=lambda one: one[1].time)


def _asked(server: Server, target: JobName | int) -> Job | Process:
    return Process(server, target) if isinstance(target, int) else Job(server, target)


class LogPrinter:
    """A printer of lines, with time and prefix."""

    def __init__(self, ctx: click.Context, server: Server, targets: Sequence[JobName | int], wish: LogQuery) -> None:
        self._program = ctx.find_root().info_name
        self._server, self._targets, self._wish = server, targets, wish
        self._painter = Painter(wish.colorize)
        self._names: dict[int, str] = {}
        self._prefix = wish.prefix if wish.prefix is not None else len(targets) > 1

    def show(self, lines: Iterable[tuple[int, LogLine]]) -> None:
        """Print lines, each with the number of its target; lost bytes are reported on stderr."""
        text = []
        for number, line in lines:
            if line.pid not in self._names:
                self._meet(line.pid, self._targets[number])
            if self._wish.output == "json":
                text.append(_json(line))
            elif line.lost:
                complain(self._program, f"{line.lost} bytes of {line.label} of process {line.pid} are missing here")
            else:
                text.append(self._head(line) + tamed(line.line, self._painter.on) + "\n")
        if text:
            write("".join(text))

    def _meet(self, pid: int, target: JobName | int) -> None:
        """Keep the name of a new process, and add the prefix if its job has several."""
        self._names[pid] = f"{self._called(target)}.{pid}" if isinstance(target, JobName) else str(pid)
        if self._wish.prefix is None and not self._prefix and isinstance(target, JobName):
            self._prefix = self._has_several(target)

    def _called(self, job: JobName) -> str:
        return job.job if job.session == self._wish.session else job.short

    def _has_several(self, job: JobName) -> bool:
        try:
            info = self._server.info(job)
        except NotFound:
            return False
        return bool(max(info["max_processes"], info["running"]) > 1)

    def _head(self, line: LogLine) -> str:
        words = [time.strftime("%H:%M:%S", time.localtime(line.time))] if self._wish.timestamps else []
        if self._prefix:
            words.append(self._painter.aligned(self._names[line.pid]))
        return self._painter.paint(self._names[line.pid], " ".join(words) + " | ") if words else ""


def _json(line: LogLine) -> str:
    import json

    shown = line._asdict()
    del shown["line" if line.lost else "lost"]
    return json.dumps(shown, ensure_ascii=False) + "\n"


def tamed(line: str, colors: bool = True) -> str:
    """Escape the control characters of a line.

    :param colors: let its colours stay, up to its end.
    """
    if line.isprintable():
        return line
    parts = _COLOR.split(line.removesuffix("\r"))
    if not colors:
        return "".join(map(printable, parts[::2]))
    text = "".join(part if place % 2 else printable(part) for place, part in enumerate(parts))
    return text + _RESET_COLOR if len(parts) > 1 and not text.endswith(_RESET_COLOR) else text


def _show_raw(server: Server, targets: Sequence[JobName | int], wish: LogQuery) -> None:
    """Copy the bytes of one job or process."""
    if len(targets) > 1:
        raise click.UsageError("-o raw shows one job or process only.")
    with closing(_asked(server, targets[0]).raw_logs(wish.lines, wish.since, wish.label, wish.follow)) as answer:
        while data := answer.read():
            write_bytes(data)


def tell_end(ctx: click.Context, server: Server, target: JobName | int) -> None:
    """Report the end of *target*.

    :raises CannotConnect: because gafferd stops.
    """
    what = f"process {target} has exited" if isinstance(target, int) else f"{target.short} is gone"
    try:
        if isinstance(target, JobName):
            server.info(target)
            raise CannotConnect(f"gafferd at {server.uri} has ended the feed: it stops")
        server.version()
    except NotFound:
        pass
    complain(ctx.find_root().info_name, what)
