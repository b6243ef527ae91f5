"""Command lines: split by shell rules, with ``$VAR`` taken from the job's environment.

Written by hand because the rule "text in single quotes is left alone" needs to
know how each character was quoted, which :mod:`shlex` forgets.

``$VAR`` and ``${VAR}`` are replaced outside single quotes, ``$$`` is a dollar and
a replaced value is never split again, so a variable with a space stays one word.
"""

from __future__ import annotations

import re
from typing import Iterable, Mapping, NamedTuple, Sequence

#: A command with its variables replaced is no longer: the kernel takes 2 MiB of arguments and environment at most.
MAX_EXPANDED = 2_097_152

_DOLLAR_SIGN = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


class TemplateVariable(NamedTuple):
    """A place where the value of an environment variable goes."""

    name: str


Word = tuple["str | TemplateVariable", ...]


class Template(NamedTuple):
    """A command line cut into words; most have no variable and expand for nothing."""

    words: tuple[Word, ...]
    fixed: tuple[str, ...] | None

    def variables(self) -> set[str]:
        """Return the names of all variables used."""
        return {part.name for word in self.words for part in word if isinstance(part, TemplateVariable)}

    def expand(self, env: Mapping[str, str]) -> list[str]:
        """Return the words with variables from *env*; KeyError names a missing one.

        :raises ValueError: they are longer than :data:`MAX_EXPANDED` characters.
        """
        if self.fixed is not None:
            return list(self.fixed)
        parts = (part for word in self.words for part in word)
        if (
            sum(len(env[part.name]) if isinstance(part, TemplateVariable) else len(part) for part in parts)
            > MAX_EXPANDED
        ):
            raise ValueError(f"with its variables the command is longer than {MAX_EXPANDED} characters")
        return [expand_word(word, env) for word in self.words]


def expand_word(word: Word, env: Mapping[str, str]) -> str:
    """Return one word with variables from *env*; KeyError names a missing one."""
    return "".join(env[part.name] if isinstance(part, TemplateVariable) else part for part in word)


def make_template(cmd: str, args: str | Sequence[str] = ()) -> Template:
    """Build the template of *cmd* and *args*; extra words of *cmd* come before *args*.

    :param cmd: split with shell rules.
    :param args: a string, split likewise, or a list whose items stay whole.
    :raises ValueError: unbalanced quotes or no word at all.
    """
    words = split(cmd)
    words += split(args) if isinstance(args, str) else [_variables(item) for item in args]
    if not words:
        raise ValueError("no command in it")
    return Template(tuple(words), _fixed(words))


def _fixed(words: Iterable[Word]) -> tuple[str, ...] | None:
    if any(isinstance(part, TemplateVariable) for word in words for part in word):
        return None
    return tuple("".join(str(part) for part in word) for word in words)


def split(line: str) -> list[Word]:
    """Split *line* by the quoting rules of POSIX sh (section 2.2) into words with variables.

    Without a ``$`` the words are those of :func:`shlex.split`, which keeps the newline after a backslash;
    a backslash before a backquote in double quotes goes, as in sh.

    :raises ValueError: a quote that is never closed, or a trailing backslash.
    """
    words: list[Word] = []
    word: list[str | TemplateVariable] | None = None
    at, end = 0, len(line)
    while at < end:
        char = line[at]
        if char in " \t\r\n":
            if word is not None:
                words.append(tuple(word))
                word = None
            at += 1
            continue
        word = [] if word is None else word
        if char == "'":
            at = _single(line, at, word)
        elif char == '"':
            at = _double(line, at, word)
        elif char == "\\":
            if at + 1 >= end:
                raise ValueError("nothing follows the last backslash")
            word.append(line[at + 1])
            at += 2
        else:
            stop = _plain_end(line, at)
            word.extend(_variables(line[at:stop]))
            at = stop
    if word is not None:
        words.append(tuple(word))
    return words


def _plain_end(line: str, at: int) -> int:
    while at < len(line) and line[at] not in " \t\r\n'\"\\":
        at += 1
    return at


def _single(line: str, at: int, word: list[str | TemplateVariable]) -> int:
    close = line.find("'", at + 1)
    if close < 0:
        raise ValueError("a single quote is never closed")
    word.append(line[at + 1 : close])
    return close + 1


def _double(line: str, at: int, word: list[str | TemplateVariable]) -> int:
    text = ""
    at += 1
    word.append("")
    while at < len(line):
        char = line[at]
        if char == '"':
            word.extend(_variables(text))
            return at + 1
        if char == "\\" and line[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            if line[at + 1] == "$":
                word.extend(_variables(text))
                word.append("$")
                text = ""
            else:
                text += line[at + 1]
            at += 2
            continue
        text += char
        at += 1
    raise ValueError("a double quote is never closed")


def _variables(text: str) -> Word:
    """Cut *text* at its variables; a ``$`` that starts none stays a dollar."""
    parts: list[str | TemplateVariable] = []
    last = 0
    for found in _DOLLAR_SIGN.finditer(text):
        parts.append(text[last : found.start()])
        dollar, name, braced = found.groups()
        parts.append("$" if dollar else TemplateVariable(name or braced))
        last = found.end()
    parts.append(text[last:])
    return tuple(part for part in parts if part != "") or ("",)
