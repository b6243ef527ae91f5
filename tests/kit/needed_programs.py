"""Programs that are not ours and that some tests need; ``make tools`` installs them."""

from __future__ import annotations

import shutil

import pytest


def needs(program: str) -> str:
    """Return the path of *program*; without it, the calling test is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed; 'make tools' does it, as root on Debian and Ubuntu")
    return path
