"""The documentation, built once for all tests."""

from __future__ import annotations

import fcntl
import json
import os
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
    # Workers share it: their folders lie side by side, and the first one to come builds.
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "html"
    ended = folder / "ended.json"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ended.exists():
            code, said = _build(folder)
            ended.write_text(json.dumps([code, said]), "utf-8")
    return Built(folder, *json.loads(ended.read_text("utf-8")))


def _build(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-E", "-d", str(folder / ".doctrees")]
    done = subprocess.run([*command, str(DOCS), str(folder)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr
