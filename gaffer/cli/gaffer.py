"""gaffer, the tool for Procfile applications; this version only says that it is not available."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn, Sequence

from ..version import __version__


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Answer ``--version`` and ``--help``, and refuse everything else."""
    parser = argparse.ArgumentParser(
        "gaffer", description="Manage Procfile applications (not available in this version).", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"gaffer {__version__}")
    parser.parse_known_args(args)
    print("gaffer: Procfile applications are not available in this version; use gafferd and gafferctl", file=sys.stderr)
    sys.exit(1)
