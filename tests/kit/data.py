"""Where the files of ``tests/data`` are, on a path without blanks."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"


@lru_cache(maxsize=1)
def data_folder() -> Path:
    """Return the folder of the files; a copy where the checkout's path has a blank.

    supervisord takes a blank in ``%(here)s`` for the end of a word, and so does what is made of such a file.
    """
    if " " not in str(_DATA):
        return _DATA
    copy = tempfile.mkdtemp(prefix="gaffer-data-")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    return Path(shutil.copytree(_DATA, Path(copy) / "data"))
