"""Writing ini files that :mod:`gaffer.config.ini_reader` reads back exactly."""

from __future__ import annotations

from typing import Mapping

from ..errors import InvalidConfig

_TRIPLE = ('"""', "'''")


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
