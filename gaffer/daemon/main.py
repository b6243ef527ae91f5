"""The entry of gafferd."""

from __future__ import annotations

import sys
from typing import Sequence

from ..service.entry import run_patched


def main(argv: Sequence[str] | None = None) -> int:
    """Run gafferd and return its exit status; see :func:`gaffer.service.entry.run_patched`."""
    return run_patched("gafferd", "gaffer.daemon.program", argv)


if __name__ == "__main__":
    sys.exit(main())
