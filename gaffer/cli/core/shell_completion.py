"""Shell completion of process types, those of the Procfile in the working directory, and of signals."""

from __future__ import annotations

import click

from ...errors import GafferError
from ...procfile.naming import find_procfile

#: Operations that are offered for ``gaffer scale``.
_OPERATIONS = ("+1", "-1", "=1")


def types(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the types that begin with *incomplete*; none if the Procfile cannot be read."""
    from ...config.text_file import read_text
    from ...procfile.parser import MAX_SIZE, parse_text

    given = ctx.find_root().params
    path, _ = find_procfile(given.get("procfile"), given.get("directory"))
    try:
        found = parse_text(read_text(path, MAX_SIZE), path)
    except GafferError:
        return []
    return [name for name in found if name.startswith(incomplete)]


def scalings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the types that begin with *incomplete*, each with the operations of ``gaffer scale``."""
    return [f"{name}{operation}" for name in types(ctx, param, incomplete) for operation in _OPERATIONS]


def signals(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of signals that begin with *incomplete*, without SIG unless that was typed."""
    import signal

    typed = incomplete.upper()
    names = sorted({one.name for one in signal.Signals})
    found = names if typed.startswith("SIG") else [name.removeprefix("SIG") for name in names]
    return [name for name in found if name.startswith(typed)]
