"""Ini files: ConfigObj's syntax, read so that a command reaches its process untouched.

Plain ConfigObj takes ``;certfile=`` for a key, cuts values at ``#``, makes lists
of commas and eats ``%``. Here a comment is a whole line beginning with ``;`` or
``#`` and nothing else is. Every section, key and value knows its line, and all
problems of all files are found in one reading.

``[gaffer] include`` (files and glob patterns) and ``include_dir`` (folders whose
``*.ini`` are read, in order of name) are relative to the file that holds them.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any, Iterator

from configobj import ConfigObj

from ..errors import Problem
from ..security.trusted_files import SharedFile, check_read
from .ini_section import Section as Section
from .ini_section import Value as Value
from .paths import expand_home

#: Bounds; a configuration that exceeds one is a mistake or an attack.
MAX_FILE = 4 * 1024 * 1024
MAX_LINE_CHARACTERS = 64 * 1024
MAX_FILES = 1000

_SUFFIX = "*.ini"
_TRIPLE = ("'''", '"""')


@dataclass
class Ini:
    """Content of a file and all that it includes."""

    sections: list[Section] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


class _At(str):
    """A text that knows its line; ConfigObj keeps it as it is."""

    line: int
    raw: str


class _Lines(list[str]):
    """The lines of a file; ``at`` is the index of the one looked at last."""

    at = 0

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int):
            self.at = index
        return super().__getitem__(index)


class _Parser(ConfigObj):  # type: ignore[misc]
    """ConfigObj with our idea of comments, values and errors; the section loop is its own."""

    # Nothing in these can match the same text in two ways: their time grows with the length of the line only.
    _sectionmarker = re.compile(r"(\s*)(\[)([^\[\]]+)(\])()\s*$")
    _keyword = re.compile(r"(\s*)([^=\s\[][^=]*)=\s*(.*)$")

    def __init__(self, lines: list[str]) -> None:
        self.complaints: list[tuple[int, str]] = []
        super().__init__(lines, list_values=False, interpolation=False)

    def _parse(self, infile: list[str]) -> None:
        self._original = infile
        self._lines = _Lines("#" if line.lstrip().startswith(";") else line for line in infile)
        self._seen: dict[str, int] = {}
        super()._parse(self._lines)

    def _unquote(self, value: str) -> _At:
        """Called with the name of each section and of each key."""
        at = self._at(_without_quotes(value.strip()))
        if not self._lines[self._lines.at].lstrip().startswith("["):
            return at
        first = self._seen.setdefault(at, at.line)
        if first != at.line:
            self._complain(at.line, f"section [{at}] appears a second time; the first is in line {first}")
            # ConfigObj would put the keys below it into the section above; under this name they are dropped.
            return self._at(f"{at}\0{at.line}")
        return at

    def _handle_value(self, value: str) -> tuple[_At, str]:
        raw = value.strip()
        return self._at(_without_quotes(raw), raw), ""

    def _multiline(self, value: str, infile: list[str], cur_index: int, maxline: int) -> tuple[_At, str, int]:
        """Read a value in triple quotes, exactly, over as many lines as it takes."""
        quote, first = value[:3], self._lines.at
        text, end = value[3:], cur_index
        while quote not in text:
            end += 1
            if end > maxline:
                raise SyntaxError
            text += "\n" + self._original[end]
        inside, _, rest = text.partition(quote)
        if rest.strip():
            # Text goes on behind the closing quotes, so they are the shell's and not the file's.
            inside = (quote + text).strip()
        self._lines.at = first
        return self._at(inside, inside), "", end

    def _handle_error(self, text: str, ErrorClass: type, infile: list[str], cur_index: int) -> None:
        line = self._original[cur_index].strip()
        if "Duplicate" in text:
            key = _without_quotes(line.partition("=")[0].strip())
            self._complain(cur_index + 1, f"key '{key}' appears a second time in its section")
        elif "multiline" in text:
            self._complain(cur_index + 1, f"the closing {line.partition('=')[2].strip()[:3]} is missing")
        else:
            key, colon, value = line.partition(":")
            hint = ""
            if colon and key.strip().isidentifier():
                hint = f"; did you mean '{key.strip()} = {value.strip()[:40]}'?"
            self._complain(cur_index + 1, f"expected [SECTION] or KEY = VALUE, not {_short(line)}{hint}")

    def _complain(self, line: int, message: str) -> None:
        self.complaints.append((line, message))

    def _at(self, text: str, raw: str = "") -> _At:
        at = _At(text)
        at.line, at.raw = self._lines.at + 1, raw
        return at


def _without_quotes(text: str) -> str:
    """Drop one pair of quotes if it encloses all of *text*."""
    if len(text) >= 2 and text[0] in "'\"" and text.find(text[0], 1) == len(text) - 1:
        return text[1:-1]
    return text


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")


def parse_text(text: str, file: str = "") -> Ini:
    """Read the text of one file; includes are not followed.

    :param file: the name that sections, values and problems carry.
    """
    ini = Ini()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_CHARACTERS:
            ini.problems.append(Problem(file, number, f"line is longer than {MAX_LINE_CHARACTERS} characters"))
    if ini.problems:
        return ini
    parser = _Parser(lines)
    ini.problems += [Problem(file, line, message) for line, message in parser.complaints]
    for key in parser.scalars:
        ini.problems.append(Problem(file, key.line, f"key '{key}' stands before the first [SECTION]"))
    for header in parser.sections:
        if "\0" not in header:
            ini.sections.append(_section(header, parser[header], file))
    return ini


def _section(header: _At, values: Any, file: str) -> Section:
    items = {str(key): Value(str(values[key]), file, key.line, values[key].raw) for key in values.scalars}
    return Section(str(header), file, header.line, items)


def read_ini(path: str) -> Ini:
    """Read *path* and everything it includes; what is wrong is collected, never raised."""
    ini = Ini()
    _read_into(ini, path, (), set(), Problem(path, 0, ""))
    return ini


def _read_into(ini: Ini, path: str, chain: tuple[str, ...], done: set[str], asked: Problem) -> None:
    """Read one file and what it includes; *asked* is where it was asked for."""
    real = os.path.realpath(path)
    if real in chain:
        ini.problems.append(Problem(asked.file, asked.line, f"include goes in a circle: {path} includes itself"))
        return
    if real in done:
        return
    if len(done) >= MAX_FILES:
        ini.problems.append(Problem(asked.file, asked.line, f"more than {MAX_FILES} files are included"))
        return
    done.add(real)
    text = _text(ini, path, asked)
    if text is None:
        return
    ini.files.append(path)
    found = parse_text(text, path)
    ini.sections += found.sections
    ini.problems += found.problems
    for section in found.sections:
        if section.header == "gaffer":
            for target, problem in _includes(ini, section):
                _read_into(ini, target, (*chain, real), done, problem)


def _text(ini: Ini, path: str, asked: Problem) -> str | None:
    try:
        # A start reads it more than once, and a reload again: a pipe would be empty then, or hold up everything.
        if stat.S_IFMT(os.stat(path).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError("this is no file that can be read again, as a reload does; write it to one")
        check_read(path)
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise OSError(f"larger than {MAX_FILE} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        ini.problems.append(Problem(asked.file, asked.line, f"cannot read {path}: {reason}" if asked.line else reason))
    except SharedFile as error:
        ini.problems.append(Problem(asked.file, asked.line, str(error)))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        ini.problems.append(Problem(path, line, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"))
    return None


def _includes(ini: Ini, section: Section) -> Iterator[tuple[str, Problem]]:
    """Yield the files that a ``[gaffer]`` section includes, with the place that asks for each."""
    for key in ("include", "include_dir"):
        value = section.items.get(key)
        base = os.path.dirname(section.file)
        for word in _paths(value.text, base) if value else ():
            if value:
                target = os.path.normpath(os.path.join(base, expand_home(word)))
                for path in _expand(ini, target, key == "include_dir", value, section.file):
                    yield path, Problem(value.file, value.line, "")


def _paths(text: str, base: str) -> list[str]:
    """Return the paths in a list with commas, or with spaces as gaffer 0.5 wrote it; one file may have spaces."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) == 1 and " " in words[0] and not os.path.exists(os.path.join(base, expand_home(words[0]))):
        return words[0].split()
    return words


def _expand(ini: Ini, target: str, folder: bool, value: Value, own: str) -> list[str]:
    if folder:
        if not os.path.isdir(target):
            ini.problems.append(Problem(value.file, value.line, f"include_dir: no folder {target}"))
            return []
        target = os.path.join(glob.escape(target), "**", _SUFFIX)
    elif not glob.has_magic(target):
        return [target]
    # A pattern may well match the file that it stands in.
    return [
        path for path in sorted(glob.glob(target, recursive=folder)) if os.path.realpath(path) != os.path.realpath(own)
    ]
