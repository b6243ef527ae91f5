"""Conversion of other supervisors' configuration into a gafferd.ini."""

from __future__ import annotations

from ...errors import ConfigError, Problem
from ..ini_section import Section
from . import circus, supervisord
from .common import read

#: Sources by name, each with the kinds of sections by which its files are told.
SOURCES = {
    "supervisord": (supervisord.convert, {"supervisord", "program", "unix_http_server", "inet_http_server"}),
    "circus": (circus.convert, {"circus", "watcher"}),
}


def convert(path: str, source: str | None = None) -> tuple[str, list[str]]:
    """Return the text of the gafferd.ini, and sentences about what is lost, with file and line.

    :param source: one of :data:`SOURCES`; by default what the file's sections tell.
    :raises ConfigError: the file cannot be read, or its source cannot be told.
    """
    return SOURCES[source or _source(path, read(path, (), _no_includes))][0](path)


def _source(path: str, sections: list[Section]) -> str:
    kinds = {section.kind for section in sections}
    found = [name for name, (_, known) in SOURCES.items() if kinds & known]
    if len(found) == 1:
        return found[0]
    sentence = "this is no configuration of supervisord and none of circus" if not found else "this could be either"
    raise ConfigError([Problem(path, 0, f"{sentence}; say by --from which of the two it is")])


def _no_includes(section: Section) -> list[str]:
    return []
