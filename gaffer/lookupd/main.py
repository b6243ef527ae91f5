"""The entry of gaffer_lookupd."""

from __future__ import annotations

import sys
from typing import Sequence

from ..service.entry import run_patched


def main(argv: Sequence[str] | None = None) -> int:
    """Run gaffer_lookupd and return its exit status; see :func:`gaffer.service.entry.run_patched`."""
    return run_patched("gaffer_lookupd", "gaffer.lookupd.program", argv)


if __name__ == "__main__":
    sys.exit(main())
