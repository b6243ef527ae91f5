"""Sections and values of ini files: what was read, each with its place, and what is written to be read back exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, NamedTuple

from ..errors import InvalidConfig, Problem

_TRIPLE = ('"""', "'''")


class Value(NamedTuple):
    """The text of one key and where it stands.

    ``text`` has lost the quotes that enclosed all of it, ``raw`` is as written:
    commands need theirs for the shell's rules.
    """

    text: str
    file: str
    line: int
    raw: str = ""


@dataclass
class Section:
    """Section of an ini file, ``[kind:name]``, and the values below it."""

    header: str
    file: str
    line: int
    items: dict[str, Value] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Text before the first colon of the header."""
        return self.header.partition(":")[0].strip()

    @property
    def name(self) -> str:
        """Text after the first colon of the header, ``""`` without one."""
        return self.header.partition(":")[2].strip()

    def take(self, key: str, default: str = "") -> str:
        """Return the text of a key and forget the key; what is left over at the end is unknown."""
        value = self.items.pop(key, None)
        return default if value is None else value.text

    def problem(self, message: str, key: str = "") -> Problem:
        """Return a :class:`Problem` that points at *key*, or at the header."""
        at = self.items.get(key)
        return Problem(at.file, at.line, message) if at else Problem(self.file, self.line, message)


def ini_section(header: str, items: Mapping[str, str]) -> str:
    """Return one section; the values are those of :func:`value` and :func:`command`."""
    return "\n".join([f"[{header}]", *(f"{key} = {text}".rstrip() for key, text in items.items())]) + "\n"


def ini_value(key: str, text: str) -> str:
    """Return a text as it is written, in quotes where it would lose something without them.

    :raises InvalidConfig: no ini file can hold it.
    """
    plain = text == text.strip() and "\n" not in text and text[:1] not in ("'", '"')
    return _line(key, text) if plain else _in_quotes(key, text)


def ini_command(key: str, text: str) -> str:
    """Return a command line as it is written: its own quotes are the shell's, and stay.

    :raises InvalidConfig: no ini file can hold it.
    """
    plain = text == text.strip() and "\n" not in text and not text.startswith(_TRIPLE)
    return _line(key, text) if plain else _in_quotes(key, text)


def can_name_variable(name: str) -> bool:
    """Tell whether ``[env:…]`` can hold a variable of that name: it knows upper case only."""
    return name == name.upper() and name == name.strip() and name[:1] not in ("[", ";", "#", "'", '"')


def _in_quotes(key: str, text: str) -> str:
    for quotes in _TRIPLE:
        if quotes not in text and not text.endswith(quotes[0]):
            return _line(key, f"{quotes}{text}{quotes}")
    raise InvalidConfig(f"an ini file cannot hold the quotes in the value of {key}")


def _line(key: str, text: str) -> str:
    if "\r" in text:
        raise InvalidConfig(f"an ini file cannot hold the carriage return in the value of {key}")
    return text
