"""The installed command lines, run by this interpreter."""

from __future__ import annotations

import sys

#: The entry function of each console script, in ``gaffer.cli.entry``.
_ENTRIES = {"gaffer": "main", "gafferctl": "gafferctl"}


def command_line(program: str) -> list[str]:
    """Return the words that run ``gaffer`` or ``gafferctl``."""
    return [sys.executable, "-c", f"from gaffer.cli.entry import {_ENTRIES[program]} as run; run()"]
