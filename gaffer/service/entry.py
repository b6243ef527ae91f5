"""The entry of gafferd and gaffer_lookupd. Patching comes first, so nothing else is imported up here."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Sequence


def run_patched(program: str, module: str, argv: Sequence[str] | None) -> int:
    """Patch the standard library, call ``run`` of *module* and return its exit status (docs/command-line.rst).

    :param argv: the command line without the program's name; by default this process'.
    """
    try:
        from .exit_signals import keep_status
        from .monkey_patch import patch

        keep_status()
        patch()
        run = import_module(module).run
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    status: int = run(sys.argv[1:] if argv is None else argv)
    return status
