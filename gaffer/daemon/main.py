"""The entry of gafferd. Patching comes first, so nothing else is imported up here."""

from __future__ import annotations

import sys
from typing import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run gafferd and return its exit status (docs/command-line.rst).

    :param argv: the command line without the program's name; by default this process'.
    """
    try:
        from ..service.exit_signals import keep_status
        from ..service.monkey_patch import patch

        keep_status()
        patch()
        from .program import run
    except KeyboardInterrupt:
        print("gafferd: interrupted", file=sys.stderr)
        return 130
    return run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
