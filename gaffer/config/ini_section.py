"""Sections and values of ini files, of gafferd's and of those that are converted, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import Problem


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
