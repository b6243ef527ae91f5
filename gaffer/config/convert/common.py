"""Shared parts of the converters: reading ini files with the line of every option, and writing a gafferd.ini."""

from __future__ import annotations

import configparser
import glob
import os
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, Mapping

from ...errors import ConfigError, GafferError, Problem
from ..ini_section import Section, Value, can_name_variable, ini_command, ini_section, ini_value
from ..names import clean_name
from ..text_file import read_text

#: Bytes that a file may have; a larger one is no configuration.
MAX_FILE = 4 * 1024 * 1024
_HEADER = re.compile(r"\[(.+)\]")
_KEY = re.compile(r"([^\s=:;#\[][^=:]*?)\s*[=:]")
#: Stands for a variable of the environment in a command that is being taken apart.
_MARK = re.compile("\x01([^\x01]*)\x01")


class Notes:
    """Settings that could not be converted, each with its place."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, where: Value | Section, text: str) -> None:
        self.lines.append(f"{where.file}:{where.line}: {text}")

    def value_of(self, name: str, place: Value | Section, label: str) -> str | None:
        """Return a variable of the environment where gafferd replaces none, and report it."""
        value = os.environ.get(name)
        outcome = "is not set here" if value is None else "is replaced by what it is here and now"
        self.add(place, f"{label}: variables are replaced in commands only; {name} {outcome}")
        return value

    def leftovers(self, section: Section, why: dict[str, str], otherwise: str) -> None:
        """Report every option that was not taken.

        :param why: reasons by option, or by its beginning up to ``*``.
        """
        for key, option in section.items.items():
            reason = next((text for known, text in why.items() if _means(known, key)), otherwise)
            self.add(option, f"[{section.header}] {key}: {reason}")


def _means(known: str, key: str) -> bool:
    return key.startswith(known[:-1]) if known.endswith("*") else key == known


def read(
    path: str, comments: tuple[str, ...], include: Callable[[Section], Iterable[str]], notes: Notes | None = None
) -> list[Section]:
    """Return the sections of a file and of those that it includes; the same section in several files is one.

    :param comments: what begins a comment behind a value.
    :param include: returns the patterns of files that a section includes.
    :param notes: are told of patterns that match none.
    :raises ConfigError: one cannot be read.
    """
    merged: dict[str, Section] = {}
    for section in _read(path, comments, include, set(), notes):
        # What is said later, or by a file that is included, counts.
        merged.setdefault(section.header, section).items |= section.items
    return list(merged.values())


def _read(
    path: str,
    comments: tuple[str, ...],
    include: Callable[[Section], Iterable[str]],
    done: set[str],
    notes: Notes | None,
) -> list[Section]:
    done.add(os.path.realpath(path))
    text = read_text(path, MAX_FILE)
    parser = configparser.RawConfigParser(inline_comment_prefixes=comments or None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, path)
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError([Problem(path, error.lineno, "expected a [SECTION] before it")]) from None
    except configparser.ParsingError as error:
        raise ConfigError(
            [Problem(path, line, "expected [SECTION] or KEY = VALUE") for line, _ in error.errors]
        ) from None
    lines = _lines(text)
    sections = [Section(header, path, lines.get((header, ""), 0)) for header in parser.sections()]
    for section in sections:
        for key, value in parser.items(section.header):
            section.items[key] = Value(value, path, lines.get((section.header, key), section.line))
    found = list(sections)
    for section in sections:
        for pattern in include(section):
            others = sorted(glob.glob(os.path.join(os.path.dirname(path), pattern)))
            if not others and notes is not None:
                notes.add(section, f"[{section.header}]: no file {pattern} to include")
            for other in others:
                if os.path.realpath(other) not in done:
                    found += _read(other, comments, include, done, notes)
    return found


def _lines(text: str) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    header = ""
    for number, line in enumerate(text.split("\n"), 1):
        if match := _HEADER.match(line):
            header = match[1]
            found[header, ""] = number
        elif match := _KEY.match(line):
            found[header, match[1]] = number
    return found


def true(text: str) -> bool:
    return text.strip().lower() in ("true", "yes", "on", "1")


def whole(section: Section, key: str, default: int, notes: Notes, least: int = 0) -> int:
    """Take an option that is a whole number, at least *least*; *default* stands for anything else, which is told."""
    option = section.items.pop(key, None)
    if option is None:
        return default
    if re.fullmatch(r"\s*-?[0-9]+\s*", option.text) and int(option.text) >= least:
        return int(option.text)
    notes.add(option, f"[{section.header}] {key}: {option.text} is no number that gaffer takes; it is {default} now")
    return default


def variable(name: str) -> str:
    """Return what stands in a command for a variable of the environment, until :func:`command` writes it."""
    return f"\x01{name}\x01"


def variables_in(text: str) -> set[str]:
    """Return the names that :func:`variable` put into *text*."""
    return set(_MARK.findall(text))


def has_variable(text: str) -> bool:
    """Tell whether :func:`variable` put something into *text*."""
    return _MARK.search(text) is not None


def command(text: str) -> str:
    """Return a command whose words gaffer splits alike; a dollar stays one, but where :func:`variable` put it.

    :raises ValueError: the quotes do not match.
    """
    return " ".join(map(_word, shlex.split(text)))


def _word(word: str) -> str:
    if not _MARK.search(word):
        return shlex.quote(word)
    pieces = _MARK.split(word)
    shown = [
        f"${{{piece}}}" if place % 2 else re.sub(r'([\\"$`])', r"\\\1", piece) for place, piece in enumerate(pieces)
    ]
    return '"' + "".join(shown) + '"'


def home_of_now(option: Value, label: str, notes: Notes) -> Value:
    """Return a name of a file with ``~`` replaced, which gafferd does not do, and report it."""
    text = os.path.expanduser(option.text)
    if text == option.text:
        return option
    notes.add(option, f"{label}: ~ is replaced by what it is here and now")
    return option._replace(text=text)


def file_name(text: str) -> str:
    """Return the name of a log file, in which gaffer replaces nothing."""
    return text.replace("%", "%%")


def log_settings(section: Section, notes: Notes, sizes: dict[str, str]) -> dict[str, str]:
    """Return the settings of rotation; gaffer has them once for both streams.

    :param sizes: the options of each setting but for their beginning: ``{"logfile_maxbytes": "_logfile_maxbytes"}``.
    """
    found: dict[str, str] = {}
    for setting, ending in sizes.items():
        for stream in ("stdout", "stderr"):
            option = section.items.pop(stream + ending, None)
            if option is not None and found.setdefault(setting, option.text) != option.text:
                told = f"[{section.header}] {stream}{ending}: {setting} is {found[setting]}, for both streams"
                notes.add(option, told)
    return found


@dataclass
class ConvertedJob:
    """A job of the gafferd.ini to be, and the section that it is made of."""

    source: Section
    session: str
    name: str
    settings: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    #: Variables that the process has, but that others of *env* and the command know with the value from outside.
    late: dict[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """Session and name as the gafferd.ini has them."""
        return ":".join(clean_name(part) for part in (self.session, self.name) if part)

    def sections(self) -> list[str]:
        """Return its sections as text.

        Variables whose names an ini file cannot hold, and those that name others, are set by ``env``.

        :raises InvalidConfig: an ini file cannot hold it.
        """
        name = self.full_name
        texts = dict(self.settings)
        plain = {key: text for key, text in self.env.items() if can_name_variable(key) and not has_variable(text)}
        awkward = [_word(f"{key}={text}") for key, text in self.env.items() if key not in plain]
        awkward += [_word(f"{key}={text}") for key, text in self.late.items()]
        if awkward and texts.get("shell") == "true":
            del texts["shell"]
            texts["cmd"] = f"/bin/sh -c {shlex.quote(texts['cmd'])}"
        if awkward:
            texts["cmd"] = " ".join(["/usr/bin/env", *awkward, texts["cmd"]])
        env = {key: ini_value(key, text) for key, text in plain.items()}
        commands = {"cmd", "args"}
        shown = {key: (ini_command if key in commands else ini_value)(key, text) for key, text in texts.items()}
        return [ini_section(f"process:{name}", shown), *([ini_section(f"env:{name}", env)] if env else [])]


class Unusable(GafferError):
    """A job that cannot be converted.

    :param place: what is wrong with it.
    """

    def __init__(self, place: Value | Section, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place


def usable(section: Section, notes: Notes, make: Callable[[], ConvertedJob]) -> Iterator[ConvertedJob]:
    """Yield the job of a section; report one that cannot be converted."""
    places = dict(section.items)
    try:
        job = make()
        job.sections()
    except (ValueError, GafferError) as error:
        named = next((places[key] for key in ("command", "cmd") if key in places), section)
        notes.add(getattr(error, "place", named), f"[{section.header}] is left out: {error}")
    else:
        yield job


def keep_apart(jobs: Iterable[ConvertedJob], notes: Notes) -> None:
    """Rename jobs whose names would be those of others, and report every name that is another one in gaffer."""
    taken: set[str] = set()
    for job in jobs:
        wanted, first, number = job.full_name, job.name, 1
        while job.full_name in taken:
            number += 1
            job.name = f"{clean_name(first)}-{number}"
        if number > 1:
            notes.add(job.source, f"[{job.source.header}]: the name {wanted} is taken; the job is {job.full_name}")
        elif job.full_name != ":".join(filter(None, (job.session, job.name))):
            notes.add(job.source, f"[{job.source.header}] is the job {job.full_name}: gaffer allows no such name")
        taken.add(job.full_name)


def write(own: dict[str, str], jobs: list[ConvertedJob], endpoints: Mapping[str, dict[str, str]] | None = None) -> str:
    """Return the text of a gafferd.ini.

    :param own: the options of ``[gaffer]``.
    :param endpoints: those of ``[endpoint:NAME]`` by name.
    """
    sections = {"gaffer": own, **{f"endpoint:{name}": items for name, items in (endpoints or {}).items()}}
    parts = [
        ini_section(header, {key: ini_value(key, text) for key, text in items.items()})
        for header, items in sections.items()
        if items
    ]
    return "\n".join([*parts, *(part for job in jobs for part in job.sections())])


def settings(**pairs: Any) -> dict[str, str]:
    """Return those of the settings that say something, as text."""
    return {key: str(value) for key, value in pairs.items() if value not in ("", None)}
