"""dotenv files, read by python-dotenv: quotes, ``export``, comments and ``${VAR}``."""

from __future__ import annotations

import io
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from .errors import InvalidConfig, Problem

if TYPE_CHECKING:
    from dotenv.parser import Binding

#: A larger file is refused: nobody means it.
MAX_SIZE = 1_048_576


def read_env_file(path: str) -> dict[str, str]:
    """Return the variables of the dotenv file at *path*; names without ``=`` are left out.

    :raises InvalidConfig: it cannot be read, is no file, too large, not UTF-8 or holds a NUL.
    """
    try:
        values = _values(_read(path))
    except InvalidConfig as error:
        raise InvalidConfig(f"env_file {path!r}: {error}") from error
    for key, value in values.items():
        if "\0" in key + (value or ""):
            raise InvalidConfig(f"env_file {path!r} holds a NUL character in {key}")
    return {key: value for key, value in values.items() if value is not None}


class Variable(NamedTuple):
    """A variable and where it was set."""

    value: str
    file: str
    line: int


def read_env_lines(path: str) -> tuple[dict[str, Variable], list[Problem]]:
    """Return the variables of a dotenv file with their lines, those of wrong lines left out, and all that is wrong.

    Stricter than :func:`read_env_file`: a line that means nothing is a problem, and so is a name without a value.
    """
    from dotenv.parser import parse_stream

    try:
        text = _read(path)
    except InvalidConfig as error:
        return {}, [Problem(path, 0, str(error))]
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    right = []
    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        line = binding.original.line + written[: len(written) - len(written.lstrip())].count("\n")
        sentence = _wrong(binding)
        if sentence:
            problems.append(Problem(path, line, sentence))
            continue
        right.append(written)
        if binding.key is not None:
            lines[binding.key] = line
    values = _values("".join(right))
    return {name: Variable(values[name] or "", path, line) for name, line in lines.items()}, problems


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
    line = text.strip().partition("\n")[0]
    return repr(line if len(line) <= 60 else line[:57] + "...")


def _read(path: str) -> str:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would hold up everything
            raise InvalidConfig("not a regular file")
        if found.st_size > MAX_SIZE:
            raise InvalidConfig(f"larger than {MAX_SIZE} bytes")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return stream.read()
    except OSError as error:
        raise InvalidConfig(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"not UTF-8: {error.reason} at byte {error.start}") from error


def _values(text: str) -> dict[str, str | None]:
    from dotenv import dotenv_values

    return dotenv_values(stream=io.StringIO(text))
