"""Taking secrets out of what is written down: logs that others read outlive the secrets' owners."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

#: What stands for a value that is not shown.
HIDDEN = "***"
#: A longer text, list or object is cut.
_LONGEST, _MOST, _DEEPEST = 1000, 100, 8
#: Secrets shorter than this are not searched for in sentences: they would be found everywhere.
SHORTEST = 4

_KEY = r"(?:api|access|private|secret)[-_]?key"
_WORD = rf"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|auth(?:orization)?|{_KEY})"
_SECRET = re.compile(rf"(?:^|[-_.]){_WORD}(?:$|[-_.])", re.IGNORECASE)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s'"]+)"""
_BETWEEN = r"(?:=|:\s?|\s+)"
#: ``--password x``, ``--password=x``, ``PASSWORD=x``; the value may be quoted. That there is one is looked at first:
#: else each of many such words in a row would be tried with all that follow, which takes milliseconds of everybody's.
_OPTION = re.compile(
    rf"""((?:^|[\s'"])(?=[\w.-]+{_BETWEEN}{_VALUE})-{{0,2}}[\w.-]*?(?<![a-z]){_WORD}(?![a-z])[\w.-]*{_BETWEEN}){_VALUE}""",
    re.IGNORECASE,
)
#: ``scheme://user:password@host``.
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,40}://[^\s/:@]*:)[^\s/@]+@", re.IGNORECASE)
#: Keys whose values are environment variables, all of them hidden.
_ENVIRONMENTS = ("env", "os_env", "environ", "environment")
#: Keys whose values are what somebody typed or sent.
_CONTENT = ("data", "body", "stdin", "lines")


def redact(value: Any, depth: int = 0) -> Any:
    """Return *value*, JSON-ready data, without what could be a secret: environments, passwords, what is in URLs."""
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return HIDDEN
        return {str(key)[:_LONGEST]: _of_key(str(key), one, depth) for key, one in list(value.items())[:_MOST]}
    if isinstance(value, (list, tuple)):
        if depth >= _DEEPEST:
            return HIDDEN
        return _words([redact(one, depth + 1) for one in value[:_MOST]])
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return redact_text(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(type(value).__name__)


def _of_key(key: str, value: Any, depth: int) -> Any:
    lower = key.lower()
    if lower in _ENVIRONMENTS and isinstance(value, Mapping):
        return dict.fromkeys(map(str, list(value)[:_MOST]), HIDDEN)
    if lower in _CONTENT and isinstance(value, (str, bytes)):
        return f"{len(value)} {'bytes' if isinstance(value, bytes) else 'characters'}"
    if lower == "lines" and isinstance(value, (list, tuple)):
        return f"{len(value)} texts"
    if _SECRET.search(key) and isinstance(value, (str, bytes)):
        return HIDDEN
    return redact(value, depth + 1)


def _words(words: list[Any]) -> list[Any]:
    """Hide the word after ``--password``."""
    for at, word in enumerate(words[:-1]):
        if isinstance(word, str) and word.startswith("-") and "=" not in word and _SECRET.search(word.lstrip("-")):
            words[at + 1] = HIDDEN
    return words


def redact_text(text: str) -> str:
    """Return a text or a command line without what could be a secret."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    if "://" in text:
        text = _URL.sub(rf"\1{HIDDEN}@", text)
    return _OPTION.sub(rf"\1{HIDDEN}", text)


def redact_sentence(sentence: str, data: Any) -> str:
    """Return what an error said about *data* without the secrets in it."""
    for secret in sorted(set(_secrets(data)), key=len, reverse=True):
        sentence = sentence.replace(secret, HIDDEN)
    return redact_text(sentence)


def _secrets(value: Any, hidden: bool = False, depth: int = 0) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, one in list(value.items())[:_MOST]:
            lower = str(key).lower()
            secret = hidden or lower in _ENVIRONMENTS or lower in _CONTENT or bool(_SECRET.search(lower))
            yield from _secrets(one, secret, depth + 1)
    elif isinstance(value, (list, tuple)):
        for one in value[:_MOST]:
            yield from _secrets(one, hidden, depth + 1)
    elif hidden and isinstance(value, str) and len(value) >= SHORTEST:
        yield value
