"""Programs that are not ours and that some tests need; .ci/tools installs them where it may."""

from __future__ import annotations

import shutil

import pytest


def needs(program: str) -> str:
    """Return the path of *program*; without it, the calling test is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed; .ci/tools does it, as root on Debian")
    return path
