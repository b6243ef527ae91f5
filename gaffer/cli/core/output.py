"""What commands print: aligned tables, details, names or JSON; colour only on terminals."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, NamedTuple, Sequence

import click

if TYPE_CHECKING:
    from .fanout import Caught

Paint = Callable[[str], str]

_here = threading.local()

#: Numbers, sizes, shares and durations.
_NUMBER = re.compile(r"-|\d[\d.]*[A-Za-z]?( \d+[hms])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: Colours of a job's states; the others stay plain.
STATE_COLORS = {
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "backoff": "red",
    "flapping": "red",
    "failed": "red",
}

#: The option ``-o table|json|name`` of a command.
output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "name"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)


class Lines(list[str]):
    """A value of several lines, each printed on its own."""


class View(NamedTuple):
    """One result in its three forms.

    :param data: what JSON shows.
    :param names: the names or pids alone.
    :param columns: headers of the table; none prints the rows as lines.
    :param rows: the table's cells, printed with ``str``; None is a dash.
    :param paint: colours the padded cells of a column, by its header.
    """

    data: Any
    names: Sequence[object]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    paint: Mapping[str, Paint] = {}


def show(view: View, output: str) -> None:
    """Print *view* as ``table``, ``json`` or ``name``."""
    taker = caught()
    if taker is not None:
        taker.view(view)
    elif output == "json":
        print_json(view.data)
    elif output == "name" or not view.columns:
        print_lines(view.names)
    else:
        print_table(view.columns, view.rows, view.paint)


def catch(taker: Caught | None) -> None:
    """Give what this thread prints from now on to *taker*; None prints it again."""
    _here.caught = taker


def caught() -> Caught | None:
    """Return what takes what this thread prints, None where it is printed."""
    return getattr(_here, "caught", None)


def _say(text: str) -> None:
    taker = caught()
    if taker is not None:
        taker.line(text)
    else:
        click.echo(text)


def complain(program: str | None, sentence: str) -> None:
    """Print a sentence on stderr, after the program's name unless it has its place itself."""
    sentence = printable(sentence, keep="\n")
    taker = caught()
    if taker is not None:
        taker.complain(sentence)
    else:
        click.echo(f"{program}: {sentence}" if program else sentence, err=True)


def print_lines(lines: Iterable[object]) -> None:
    """Print one line each."""
    for line in lines:
        _say(printable(str(line)))


def print_json(data: Any) -> None:
    """Print *data* as indented JSON."""
    taker = caught()
    if taker is not None:
        return taker.json(data)
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], paint: Mapping[str, Paint]) -> None:
    """Print a header and rows; columns of numbers are aligned to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    widths, rights = [], []
    for header, *column in zip(columns, *cells):
        widths.append(max(map(len, [header, *column])))
        rights.append(bool(column) and all(_NUMBER.fullmatch(text) for text in column))
    click.echo(_row(columns, widths, rights, [None] * len(columns)))
    painters = [paint.get(header) if colored() else None for header in columns]
    for row in cells:
        click.echo(_row(row, widths, rights, painters))


def _row(texts: Sequence[str], widths: Sequence[int], rights: Sequence[bool], paint: Sequence[Paint | None]) -> str:
    last = len(texts) - 1
    parts = []
    for place, (text, width, right, painter) in enumerate(zip(texts, widths, rights, paint)):
        padded = text.rjust(width) if right else text if place == last else text.ljust(width)
        parts.append(painter(padded) if painter else padded)
    return "  ".join(parts).rstrip()


def print_details(pairs: Iterable[tuple[str, object]], paint: Mapping[str, Paint] | None = None) -> None:
    """Print ``key  value`` lines; :class:`Lines` follow their key, indented."""
    pairs = list(pairs)
    width = max((len(key) for key, value in pairs if not isinstance(value, Lines)), default=0)
    for key, value in pairs:
        if isinstance(value, Lines):
            _say(f"{key}:")
            print_lines(f"  {item}" for item in value)
            continue
        text = cell(value)
        painter = (paint or {}).get(key)
        _say(f"{key.ljust(width)}  {painter(text) if painter and colored() else text}")


def cell(value: object) -> str:
    """Return *value* as a table shows it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return printable(" ".join(_word(item) for item in value)) or "-"
    if isinstance(value, (dict, list)):
        import json

        return printable(json.dumps(value, ensure_ascii=False))
    return printable(str(value))


def _word(item: object) -> str:
    """Return an item of a list so that it can be told from its neighbours."""
    import shlex

    return shlex.quote(item) if isinstance(item, str) else str(item)


def colored() -> bool:
    """Tell whether stdout is a terminal that wants colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def state_color(padded: str) -> str:
    """Colour the name of a job's state."""
    color = STATE_COLORS.get(padded.strip())
    return click.style(padded, fg=color) if color else padded


def printable(text: str, keep: str = "") -> str:
    """Escape control characters, so that the output of a process cannot steer the terminal.

    :param keep: those that stay; a tab always becomes spaces.
    """
    return _CONTROL.sub(lambda found: _escaped(found.group(), keep), text)


def _escaped(char: str, keep: str) -> str:
    if char == "\t":
        return "    "
    return char if char in keep else f"\\x{ord(char):02x}"


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: ``0.4s``, ``12s``, ``3m 5s``, ``2h 7m``, ``5d 3h``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, size, lower, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{lower}"
    return f"{whole}s"
