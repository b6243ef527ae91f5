"""The output of commands: aligned tables, details, names or JSON; colour and the window's width only on terminals."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextvars import ContextVar
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence, TypeVar

import click

Paint = Callable[[str], str]
_F = TypeVar("_F", bound=Callable[..., Any])

#: Numbers, sizes, shares and durations.
_NUMERIC = re.compile(r"-|\d[\d.]*[A-Za-z]?( \d+[hms])?")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: Colours of a job's states; the others stay plain.
STATE_COLORS = {
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "waiting": "yellow",
    "unready": "red",
    "backoff": "red",
    "flapping": "red",
    "failed": "red",
}

#: Names keep so many characters while columns can be dropped instead, and so many when none can.
NAME_WIDTH, SHORT_NAME_WIDTH = 20, 12
#: A text in the last column is dropped before it is shorter.
TEXT_WIDTH = 16

#: Where :func:`view_option` and :func:`output_option` keep the form that was asked for, in a context's ``meta``.
_FORM = "gaffer.form"


def _keep_form(ctx: click.Context, param: click.Parameter, value: str) -> str:
    ctx.meta[_FORM] = value
    return value


def _form_option(**settings: Any) -> Callable[[_F], _F]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "name"]),
        default="table",
        show_default=True,
        callback=_keep_form,
        help="How to print the result.",
        **settings,
    )


#: The option ``-o table|json|name`` of a command that returns its :class:`View`, which is then printed so.
view_option = _form_option(expose_value=False)
#: The same option of a command that calls :func:`show` itself.
output_option = _form_option()


def chosen_form(ctx: click.Context) -> str:
    """Return what ``-o`` says."""
    return str(ctx.meta.get(_FORM, "table"))


class TextBlock(list[str]):
    """A value of several lines, each printed on its own."""


class View(NamedTuple):
    """The result of a command, for each form it can be printed in.

    :param data: what JSON shows.
    :param names: the names or pids alone.
    :param columns: headers of the table; without it and *text* the names are printed.
    :param rows: the table's cells, printed with ``str``; None is a dash.
    :param paint: colours the padded cells of a column, by its header.
    :param text: lines that are printed below the table, or instead of one.
    :param exit_code: what the command ends with.
    :param drops: the columns that a narrow terminal misses first; then those on the right.
    """

    data: Any
    names: Sequence[object]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    paint: Mapping[str, Paint] = {}
    text: Sequence[str] = ()
    exit_code: int = 0
    drops: Sequence[str] = ()


class Output:
    """The output of a command: what it prints goes to stdout and stderr. Subclasses collect it."""

    def show(self, view: View, form: str) -> None:
        """Print a result."""
        if form == "json":
            return self.json(view.data)
        if form == "name" or not view.columns and not view.text:
            return self.lines(printable(str(name)) for name in view.names)
        if view.columns:
            self.lines(table_lines(view.columns, view.rows, view.paint, self.width(), view.drops))
        self.lines(view.text)

    def is_terminal(self) -> bool:
        """Tell whether it is a terminal, whose whole screen may be used."""
        return sys.stdout.isatty()

    def width(self) -> int | None:
        """Return how many columns a table may have; None if it is no terminal."""
        return shutil.get_terminal_size().columns if self.is_terminal() else None

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines as they are."""
        for line in lines:
            click.echo(line)

    def json(self, data: Any) -> None:
        """Print indented JSON."""
        import json

        click.echo(json.dumps(data, indent=2, ensure_ascii=False))

    def write(self, text: str) -> None:
        """Print text at once."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def write_bytes(self, data: bytes, err: bool = False) -> None:
        """Print bytes as they are, at once."""
        stream = sys.stderr if err else sys.stdout
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()

    def complain(self, program: str | None, sentence: str) -> None:
        """Print a sentence on stderr, after the program's name if it has one."""
        click.echo(f"{program}: {sentence}" if program else sentence, err=True)


#: The output of what runs here; a command on many nodes runs in one thread, and so in one context, for each.
current: ContextVar[Output] = ContextVar("output", default=Output())  # noqa: B039, it has no state


def show(view: View, output: str) -> None:
    """Print *view* as ``table``, ``json`` or ``name``."""
    current.get().show(view, output)


def complain(program: str | None, sentence: str) -> None:
    """Print a sentence on stderr, after the program's name unless the sentence begins with its own."""
    current.get().complain(program, printable(sentence, keep="\n"))


def print_lines(lines: Iterable[object]) -> None:
    """Print one line each."""
    current.get().lines(printable(str(line)) for line in lines)


def write(text: str) -> None:
    """Print *text*, at once."""
    current.get().write(text)


def write_bytes(data: bytes, err: bool = False) -> None:
    """Print bytes as they are, at once; with *err* on stderr."""
    current.get().write_bytes(data, err)


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    paint: Mapping[str, Paint],
    width: int | None = None,
    drops: Sequence[str] = (),
) -> Iterator[str]:
    """Yield a header and rows; columns of numbers are aligned to the right.

    :param width: of the terminal, which all lines fit into, if the first column does.
    """
    table = [(header, [cell(row[place]) for row in rows]) for place, header in enumerate(columns)]
    if width is not None:
        table = _fitted(table, width, drops)
    headers = [header for header, _ in table]
    widths = [_width(column) for column in table]
    rights = [bool(texts) and all(_NUMERIC.fullmatch(text) for text in texts) for _, texts in table]
    yield _row(headers, widths, rights, [None] * len(table))
    painters = [paint.get(header) if colored() else None for header in headers]
    for number in range(len(rows)):
        yield _row([texts[number] for _, texts in table], widths, rights, painters)


#: A column: its header and its cells.
_Column = tuple[str, list[str]]


def _fitted(table: list[_Column], width: int, drops: Sequence[str]) -> list[_Column]:
    """Return what of a table fits into *width*: names are shortened, columns dropped, then names shortened further."""
    table = _shortened(table, width, NAME_WIDTH)
    order = [*drops, *(header for header, _ in reversed(table[1:]) if header not in drops)]
    for dropped in order:
        if _excess(table, width) <= 0:
            break
        if table[-1][0] == dropped:
            # The last column may hold long texts, whose beginning says something, too.
            short = _cut(table, len(table) - 1, width, TEXT_WIDTH)
            if _excess(short, width) <= 0:
                return short
        kept = [column for column in table if column[0] != dropped]
        if len(kept) < 2:
            break
        table = kept
    return _shortened(table, width, SHORT_NAME_WIDTH if len(table) > 1 else 1)


def _shortened(table: list[_Column], width: int, least: int) -> list[_Column]:
    """Shorten names to no fewer than *least* characters, as far as needed."""
    place = next((number for number, (header, _) in enumerate(table) if header == "NAME"), 0)
    return _cut(table, place, width, least)


def _cut(table: list[_Column], place: int, width: int, least: int) -> list[_Column]:
    header, texts = table[place]
    room = max(least, len(header), _width(table[place]) - max(0, _excess(table, width)))
    return [*table[:place], (header, [shortened(text, room) for text in texts]), *table[place + 1 :]]


def _width(column: _Column) -> int:
    return max(map(len, [column[0], *column[1]]))


def _excess(table: list[_Column], width: int) -> int:
    return sum(_width(column) + 2 for column in table) - 2 - width


def shortened(text: str, room: int) -> str:
    """Return *text* in at most *room* characters, without its middle: names often differ at their end only."""
    if len(text) <= room:
        return text
    kept = max(0, room - 2)
    return f"{text[: kept - kept // 2]}..{text[len(text) - kept // 2 :]}"[:room]


def _row(texts: Sequence[str], widths: Sequence[int], rights: Sequence[bool], paint: Sequence[Paint | None]) -> str:
    last = len(texts) - 1
    parts = []
    for place, (text, width, right, painter) in enumerate(zip(texts, widths, rights, paint)):
        padded = text.rjust(width) if right else text if place == last else text.ljust(width)
        parts.append(painter(padded) if painter else padded)
    return "  ".join(parts).rstrip()


def details_lines(pairs: Iterable[tuple[str, object]], paint: Mapping[str, Paint] | None = None) -> Iterator[str]:
    """Yield ``key  value`` lines; :class:`TextBlock` follow their key, indented."""
    pairs = list(pairs)
    width = max((len(key) for key, value in pairs if not isinstance(value, TextBlock)), default=0)
    for key, value in pairs:
        if isinstance(value, TextBlock):
            yield f"{key}:"
            yield from (f"  {printable(item)}" for item in value)
            continue
        text = cell(value)
        painter = (paint or {}).get(key)
        yield f"{key.ljust(width)}  {painter(text) if painter and colored() else text}"


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
    """Quote an item of a list."""
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
    return _UNPRINTABLE.sub(lambda found: _escaped(found.group(), keep), text)


def _escaped(char: str, keep: str) -> str:
    if char == "\t":
        return "    "
    return char if char in keep else f"\\x{ord(char):02x}"


def duration(seconds: float | None) -> str:
    """Return a duration in words: ``0.4s``, ``12s``, ``3m 5s``, ``2h 7m``, ``5d 3h``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, size, lower, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{lower}"
    return f"{whole}s"
