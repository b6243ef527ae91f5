"""dotenv files, read by python-dotenv: quotes, ``export``, comments and ``${VAR}``."""

from __future__ import annotations

import io
import os
import re
import stat
from collections import ChainMap
from typing import TYPE_CHECKING, Iterable, Iterator, Mapping, NamedTuple

from ..errors import InvalidConfig, Problem
from ..security.inherited_environment import inherited
from ..security.trusted_files import SharedFile, check_read

if TYPE_CHECKING:
    from dotenv.parser import Binding

#: A larger file is refused: it is a mistake.
MAX_SIZE = 1_048_576
#: So long may all values together be, ``${VAR}`` replaced; the kernel takes 2 MiB of arguments and environment at most.
MAX_EXPANDED = 1_048_576
#: Longer runs of blanks in a line are refused: python-dotenv takes the square of their length to look for a comment.
MAX_BLANKS = 256

#: A name with what is around it.
_BEGINNING = re.compile(r"""(?:export\s+)?[^\s=:'"]{0,20}\s{0,9}[=:]?\s{0,9}['"]?""")
_BLANKS = re.compile(rf"[^\S\r\n]{{{MAX_BLANKS + 1}}}")
#: ``\${``, ``${NAME}``, ``${NAME-default}`` and ``${NAME:-default}``. python-dotenv's own expression reads on to the
#: end of the value from each ``${`` that is never closed, and knows neither the first nor the third.
_BRACES = re.compile(r"\\\$(?=\{)|\$\{((?:[^}:$-]|\$(?!\{))*)(?::?-((?:[^}$]|\$(?!\{))*))?\}")
#: The beginning of what a shell would replace, and of the name in it.
_OPENED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,20})?")
#: What stands before a value in single quotes, which is taken literally.
_SINGLE_QUOTED = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*'")


def read_env_file(path: str, *users: int, earlier: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of the dotenv file at *path*.

    :param users: accounts that may own and write it, such as the one that its job runs as.
    :param earlier: variables of files before it, which ``${VAR}`` may name.
    :raises InvalidConfig: it cannot be read, is no file, too large, not UTF-8, or a line is wrong.
    """
    variables, problems = read_env_lines(path, earlier)
    for problem in problems:
        where = f"{path}:{problem.line}" if problem.line else repr(path)
        raise InvalidConfig(f"env_file {where}: {problem.message}")
    try:
        check_read(path, *users)
    except SharedFile as error:
        raise InvalidConfig(f"env_file {path!r}: {error}") from error
    return {name: variable.value for name, variable in variables.items()}


class DotenvVariable(NamedTuple):
    """A variable and where it was set."""

    value: str
    file: str
    line: int


def read_env_lines(
    path: str, earlier: Mapping[str, str] | None = None
) -> tuple[dict[str, DotenvVariable], list[Problem]]:
    """Return the variables of a dotenv file with their lines, those of wrong lines left out, and all that is wrong.

    A line that means nothing is a problem, and so is a name without a value. Who may change the file is not looked at:
    ``gaffer`` runs what the person who calls it points at.

    :param earlier: variables of files before it, which ``${VAR}`` may name.
    """
    try:
        bindings = _bindings(_read(path))
    except _WrongLine as error:
        return {}, [Problem(path, error.line, str(error))]
    except InvalidConfig as error:
        return {}, [Problem(path, 0, str(error))]
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    right = []
    for binding in bindings:
        line = _line(binding)
        sentence = _wrong(binding)
        if sentence:
            problems.append(Problem(path, line, sentence))
            continue
        right.append(binding)
        if binding.key is not None:
            lines[binding.key] = line
    try:
        values, unknown = _values(right, earlier or {})
    except _WrongLine as error:
        return {}, [*problems, Problem(path, error.line, str(error))]
    problems += [Problem(path, line, sentence) for line, sentence in unknown]
    problems.sort(key=lambda problem: problem.line)
    return {name: DotenvVariable(values[name] or "", path, line) for name, line in lines.items()}, problems


def _wrong(binding: Binding) -> str:
    """Return what is wrong with a line, or ``""``."""
    if binding.error:
        return f"expected NAME=VALUE, not {_short(binding.original.string)}{_unclosed(binding.original.string)}"
    if binding.key is not None and binding.value is None:
        return f"{binding.key} has no value; write {binding.key}= for an empty one"
    if "\0" in (binding.key or "") + (binding.value or ""):
        return f"a NUL character in {binding.key}"
    return ""


def _unclosed(text: str) -> str:
    opened = re.match(r"\s*(?:export\s+)?[^=\s]+\s*=\s*(['\"])", text)
    return f"; the {opened[1]} is never closed" if opened and text.count(opened[1]) == 1 else ""


def _short(text: str) -> str:
    """Return what a line begins with: of what may be a value, nothing."""
    line = text.strip().partition("\n")[0]
    shown = line[: _BEGINNING.match(line).end()]  # type: ignore[union-attr]  # it always matches
    return repr(shown if shown == line else f"{shown}...")


def _read(path: str) -> str:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would hold up everything
            raise InvalidConfig("not a regular file")
        if found.st_size > MAX_SIZE:
            raise InvalidConfig(f"larger than {MAX_SIZE} bytes")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return stream.read().replace("\r\n", "\n")
    except OSError as error:
        raise InvalidConfig(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"not UTF-8: {error.reason} at byte {error.start}") from error


class _WrongLine(InvalidConfig):
    """Error in a line."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


def _bindings(text: str) -> list[Binding]:
    from dotenv.parser import parse_stream

    blanks = _BLANKS.search(text)
    if blanks is not None:
        line = text.count("\n", 0, blanks.start()) + 1
        raise _WrongLine(line, f"more than {MAX_BLANKS} blanks in a row; leave out those that mean nothing")
    return list(parse_stream(io.StringIO(text)))


def _line(binding: Binding) -> int:
    """Return the line where a binding begins, without the empty ones before it."""
    written = binding.original.string
    return binding.original.line + written[: len(written) - len(written.lstrip())].count("\n")


def _values(
    bindings: Iterable[Binding], earlier: Mapping[str, str]
) -> tuple[dict[str, str | None], list[tuple[int, str]]]:
    """Return the values, and the lines with unknown variables.

    ``${VAR}`` is a line before, then *earlier*, then our environment.

    :raises _WrongLine: together they are too long.
    """
    wrong: list[tuple[int, str]] = []
    values: dict[str, str | None] = {}
    env = ChainMap(values, dict[str, "str | None"](inherited() | dict(earlier)))
    size = 0
    for binding in bindings:
        if binding.key is None:
            continue
        value = binding.value
        if value is not None and not _SINGLE_QUOTED.match(binding.original.string):
            wrong += [(_line(binding), sentence) for sentence in _unknown(value, env)]
            value = _expanded(value, env, MAX_EXPANDED - size)
        if value is None and binding.value is not None:
            sentence = f"with {binding.key}, the values are longer than {MAX_EXPANDED} characters in all"
            raise _WrongLine(_line(binding), f"{sentence}; use fewer or shorter ${{VARIABLES}}")
        size += len(value or "")
        values[binding.key] = value
    return values, wrong


def _unknown(value: str, env: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what is wrong with the variables that a value names."""
    known = set()
    for found in _BRACES.finditer(value):
        known.add(found.start() if found[1] is not None else found.start() + 1)
        if found[1] is not None and found[2] is None and env.get(found[1]) is None:
            yield (
                f"${{{found[1][:50]}}} is not set; set it in a line before, write ${{NAME-}} where it may be missing,"
                " or use single quotes for the text itself"
            )
    for found in _OPENED.finditer(value):
        if found.start() not in known:
            opened = f"${{{found[1] or ''}..."
            yield f"{opened} means nothing here; write ${{NAME}}, ${{NAME-default}}, or \\${{ for the text itself"
            return


def _expanded(value: str, env: Mapping[str, str | None], room: int) -> str | None:
    """Return *value* with its variables replaced; None if that is longer than *room*."""
    parts: list[str] = []
    last = 0
    for found in _BRACES.finditer(value):
        put = "$" if found[1] is None else env.get(found[1], found[2] or "") or ""
        parts += (value[last : found.start()], put)
        room -= found.start() - last + len(put)
        last = found.end()
        if room < 0:
            return None
    parts.append(value[last:])
    return "".join(parts) if len(parts[-1]) <= room else None
