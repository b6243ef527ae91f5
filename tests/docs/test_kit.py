"""The index of the test kit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

KIT = Path(__file__).parents[1] / "kit"


def test_index_of_the_kit_lists_every_module_with_its_first_line() -> None:
    listed = dict(re.findall(r"^``(\w+\.py)``\n    (.+)$", (KIT / "README.rst").read_text("utf-8"), re.M))
    modules = {path.name: path.read_text("utf-8") for path in KIT.glob("*.py") if path.name != "__init__.py"}
    first_lines = {name: (ast.get_docstring(ast.parse(text)) or "").splitlines()[0] for name, text in modules.items()}
    assert listed == first_lines
