"""The command that makes a gafferd.ini from another supervisor's configuration."""

from __future__ import annotations

import click

from ...config.convert import SOURCES
from ...config.convert import convert as converted
from ...procfile.export import Export, File
from ..core.output import complain
from ..core.program import command
from .export import write_export


@command("convert")
@click.option("--from", "source", type=click.Choice(list(SOURCES)), help="By default what its sections tell.")
@click.option("--out", metavar="PATH", help="The file to write; by default it is printed.")
@click.argument("file", type=click.Path())
def convert(file: str, source: str | None, out: str | None) -> None:
    """Make a gafferd.ini from a supervisord.conf or a circus.ini.

    Files that it includes are read too. What has no counterpart is said on stderr, with file and line.

    Example: gaffer convert --out gafferd.ini /etc/supervisor/supervisord.conf
    """
    text, notes = converted(file, source)
    write_export(Export([File("gafferd.ini", text)]), False, out)
    for note in notes:
        complain(None, note)
