"""The documentation, built once for all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ..kit.pages import DOCS

sys.path.insert(0, str(DOCS / "_ext"))


class Built(NamedTuple):
    """The built pages and what Sphinx said."""

    folder: Path
    code: int
    said: str

    def page(self, name: str) -> str:
        return (self.folder / f"{name}.html").read_text("utf-8")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("html")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-E", "-d", str(folder / ".doctrees")]
    ended = subprocess.run([*command, str(DOCS), str(folder)], capture_output=True, text=True, timeout=120)
    return Built(folder, ended.returncode, ended.stdout + ended.stderr)
