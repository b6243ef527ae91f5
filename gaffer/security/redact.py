"""Taking secrets out of what is written down: logs that others read outlive the secrets' owners."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Iterator, Mapping
from urllib.parse import quote

from .redact_text import HIDDEN, hide_arguments, hide_flags, hide_pairs
from .secret_names import is_secret

__all__ = ["HIDDEN", "SHORTEST", "redact", "redact_sentence", "redact_text"]

#: A longer text, list or object is cut.
_MAX_TEXT, _MOST, _DEEPEST = 1000, 100, 8
#: Secrets shorter than this are not searched for in sentences: they would be found everywhere.
SHORTEST = 4

#: ``scheme://user:password@host``; a port with a path is none, whatever comes later.
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,40}://[^\s/:@'\"]*:)(?!\d{1,5}[/?#])[^\s'\"]*@", re.IGNORECASE)
_CUT_URL = re.compile(r"(?<=://)[^\s'\"@/]{0,200}:[^\s'\"@]*\Z")
#: Keys whose values are environment variables, all of them hidden.
_ENVIRONMENTS = ("env", "os_env", "environ", "environment")
#: Keys whose values are a user's input.
_CONTENT = ("data", "body", "stdin", "lines")


def redact(value: Any, depth: int = 0) -> Any:
    """Return *value*, JSON-ready data, without what could be a secret: environments, passwords, what is in URLs."""
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return HIDDEN
        found = {str(key)[:_MAX_TEXT]: _of_key(str(key), one, depth) for key, one in list(value.items())[:_MOST]}
        if isinstance(found.get("cmd"), str) and isinstance(found.get("args"), list):
            _words(found["args"], found["cmd"])
        return found
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
    if is_secret(key) and isinstance(value, (str, bytes, list, tuple, int, float)) and not isinstance(value, bool):
        return HIDDEN
    return redact(value, depth + 1)


def _words(words: list[Any], program: str = "") -> list[Any]:
    """Hide the word after ``--password``, and after options that mean one in *program*, or in the first word."""
    if not program and words and isinstance(words[0], str):
        program = words[0]
    for at, word in enumerate(words[:-1]):
        if not isinstance(word, str) or not word.startswith("-") or "=" in word:
            continue
        if isinstance(words[at + 1], str) and is_secret(word.lstrip("-")):
            words[at + 1] = HIDDEN
    if program:
        hide_arguments(program, words)
    return words


def redact_text(text: str) -> str:
    """Return a text or a command line without what could be a secret."""
    if len(text) > _MAX_TEXT:
        # A password that is cut in the middle has no @ after it.
        text = _CUT_URL.sub("…", text[:_MAX_TEXT]) + "…"
    if "://" in text:
        text = _URL.sub(rf"\1{HIDDEN}@", text)
    return hide_pairs(hide_flags(text))


def redact_sentence(sentence: str, data: Any) -> str:
    """Return what an error said about *data* without the secrets in it."""
    for secret in sorted(set(_secrets(data)), key=len, reverse=True):
        for written in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], shlex.quote(secret), quote(secret)):
            sentence = sentence.replace(written, HIDDEN)
    return redact_text(sentence)


def _secrets(value: Any, hidden: bool = False, depth: int = 0) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, one in list(value.items())[:_MOST]:
            lower = str(key).lower()
            secret = hidden or lower in _ENVIRONMENTS or lower in _CONTENT or is_secret(str(key))
            yield from _secrets(one, secret, depth + 1)
    elif isinstance(value, (list, tuple)):
        for one in value[:_MOST]:
            yield from _secrets(one, hidden, depth + 1)
    elif hidden and isinstance(value, str) and len(value) >= SHORTEST:
        yield value
