"""Finding secrets in texts: command lines, URLs, headers, JSON and what other programs say.

One pass from left to right, in a time that grows with the length only: each expression here either takes a character or
gives way to the next, and none tries again.
"""

from __future__ import annotations

import re
from typing import Any, Iterator

from .secret_names import FLAGS, HEADERS, is_secret

#: What stands for a value that is not shown.
#: What is shown in place of a secret.
HIDDEN = "***"

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
#: Between name and value; a quote before it belongs to the name.
_SEPARATOR = re.compile(r"""\\{0,8}["']?\s{0,20}(?:=>|:=|[:=])\s{0,20}""")
_BLANKS = re.compile(r"\s+")
_OPENING = re.compile(r"""(\\{0,8})(["'])""")
#: A list or an object.
_COLLECTION = re.compile(r"""[\[{]\s*\\{0,8}["'\[{]""")
#: shlex.quote's way to write ' in single quotes.
_APOSTROPHE = "'\"'\"'"
#: A word of a command line: pieces in quotes and pieces without.
_WORD = re.compile(r"""(?:'[^']*(?:'|\Z)|"(?:\\.|[^"\\])*(?:"|\\?\Z)|\\.|\\\Z|[^\s'"\\])+""", re.DOTALL)
#: The same inside an outer quote, which ends it.
_INNER = {
    "'": re.compile(r"""(?:'"'"'[^']*(?:'"'"'|(?=')|\Z)|"(?:'"'"'|[^"'])*(?:"|(?=')|\Z)|[^\s'"])+"""),
    '"': re.compile(r"""(?:\\.|\\\Z|'[^'"]*(?:'|(?=")|\Z)|[^\s"'\\])+""", re.DOTALL),
}
#: What ends a line, or the quote it is in.
_LINE = {
    "": re.compile(r"()\n"),
    "'": re.compile(r"""'"'"'|'\\''|('|\n)"""),
    '"': re.compile(r"""\\.|("|\n)"""),
}
_IN_QUERY = re.compile(r"""[^\s'"&#]+""")
_QUOTE = re.compile(r"""\\.|(?<![A-Za-z0-9])'|\"""", re.DOTALL)
_PROGRAM = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, FLAGS))})(?=\s)")
_COMMAND = re.compile(r"[^;|&\n]+")
_FLAG_PATTERNS = {name: re.compile(rf"(?<=\s)({flag})(?!\s)") for name, flag in FLAGS.items()}


def hide_pairs(text: str) -> str:
    """Return *text* without the values of names that are secrets: ``--password x``, ``"token": "x"``, ``?key=x``."""
    return _without(text, _values(text))


def hide_flags(text: str) -> str:
    """Return *text* without what follows options that mean a password in the program they are given to."""
    return _without(text, _flagged(text)) if _PROGRAM.search(text) else text


def hide_arguments(program: str, words: list[Any]) -> None:
    """Hide in *words* what follows options that mean a password in *program*, a command line or a path."""
    for name in {found[0] for found in _PROGRAM.finditer(program + " ")}:
        for at, word in enumerate(words):
            if not isinstance(word, str) or not word.startswith("-"):
                continue
            glued = _FLAG_PATTERNS[name].match(f" {word}", 1)
            if glued is not None and glued.end() <= len(word):
                words[at] = word[: glued.end() - 1] + HIDDEN
            elif at + 1 < len(words) and _FLAG_PATTERNS[name].match(f" {word} x:x", 1):
                words[at + 1] = HIDDEN
            else:
                continue
            break


def _without(text: str, spans: Iterator[tuple[int, int]]) -> str:
    parts: list[str] = []
    last = 0
    for start, end in spans:
        parts += (text[last:start], HIDDEN)
        last = end
    return "".join([*parts, text[last:]])


def _flagged(text: str) -> Iterator[tuple[int, int]]:
    """Yield where secrets are: for each program of a command, what follows its first such option."""
    for line in _COMMAND.finditer(text):
        programs = {found[0]: found.end() for found in reversed([*_PROGRAM.finditer(line[0] + " ")])}
        flags = [_FLAG_PATTERNS[name].search(text, line.start() + end, line.end()) for name, end in programs.items()]
        last = line.start()
        for at in sorted(found.end() for found in flags if found is not None):
            word = _WORD.match(text, at) if at >= last else None
            if word is not None:
                yield word.span()
                last = word.end()


def _values(text: str) -> Iterator[tuple[int, int]]:
    """Yield where values of secrets are."""
    at, seen, quote = 0, 0, ""
    while (name := _SETTING_NAME.search(text, at)) is not None:
        at = name.end()
        if not _names(text, name):
            continue
        quote = _open_quote(text, seen, name.start(), quote)
        seen = name.start()
        span = _value(text, name, quote)
        if span is not None and span[0] < span[1]:
            yield span
            at = seen = max(span[1], at)


def _names(text: str, name: re.Match[str]) -> bool:
    if is_secret(name[0]) or name[0] == "Bearer":
        return True
    # -Dapi.key=x of Java.
    return name[0].startswith("D") and text[name.start() - 1 : name.start()] == "-" and is_secret(name[0][1:])


def _open_quote(text: str, start: int, end: int, quote: str) -> str:
    """Return the quote that is open at *end* if *quote* is at *start*."""
    while start < end:
        if quote == "'":
            start = text.find("'", start, end) + 1 or end + 1
            quote = "" if start <= end else quote
            continue
        found = _QUOTE.search(text, start, end)
        if found is None:
            break
        start = found.end()
        if found[0] == quote:
            quote = ""
        elif not quote and len(found[0]) == 1:
            quote = found[0]
    return quote


def _value(text: str, name: re.Match[str], quote: str) -> tuple[int, int] | None:
    """Return where the value of *name* is."""
    before = text[name.start() - 1 : name.start()]
    separator = _SEPARATOR.match(text, name.end())
    if separator is None:
        separator = _BLANKS.match(text, name.end()) if before == "-" or name[0] == "Bearer" else None
    if separator is None:
        return None
    start, colon = separator.end(), ":" in separator[0] or "=>" in separator[0]
    opening = _OPENING.match(text, start)
    if opening is not None and (colon or opening[1]):
        return opening.end(), _string_end(text, opening)
    if _COLLECTION.match(text, start):
        return (start, text.find("]", start) + 1 or len(text)) if text[start] == "[" else None
    if colon and opening is None and (name[0].lower() in HEADERS or (quote and before == quote)):
        return start, _line_end(text, start, quote)
    closes = opening is not None and opening[2] == quote and not text.startswith(_APOSTROPHE, start)
    expression = _WORD if closes or not quote else _INNER[quote]
    if before and before in "?&" and opening is None:
        expression = _IN_QUERY
    found = expression.match(text, start)
    return None if found is None else found.span()


def _string_end(text: str, opening: re.Match[str]) -> int:
    """Return where a string ends whose quotes have so many backslashes, as in JSON in JSON."""
    depth, quote, at = len(opening[1]), opening[2], opening.end()
    while (at := text.find(quote, at)) >= 0:
        if quote == '"' and text.startswith(_APOSTROPHE, at - 1):
            at += len(_APOSTROPHE) - 1
            continue
        slash = at
        while slash > opening.end() and text[slash - 1] == "\\":
            slash -= 1
        if (at - slash) % (2 * (depth + 1)) == depth:
            return at - depth
        at += 1
    return len(text)


def _line_end(text: str, start: int, quote: str) -> int:
    """Return where the line ends, or the quote that it is in."""
    return next((found.start() for found in _LINE[quote].finditer(text, start) if found[1] is not None), len(text))
