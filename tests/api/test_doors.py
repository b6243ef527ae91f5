"""The doors through which plugins import gaffer: complete, documented, and used by everything that is an example."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import gaffer_tables as tables
import pytest

ROOT = Path(__file__).parents[2]
DOORS = ("gaffer.api", "gaffer.api.web", "gaffer.api.cli", "gaffer.api.lookup")
#: Modules that kept the names which gaffer 0.4 and 0.5 documented, and the libraries for programs and tests.
OLD_NAMES = "console_output events http_handler manager pidfile plugins procfile process sig_handler util webhooks"
DOCUMENTED = {"gaffer", *DOORS, "gaffer.testing", "gaffer.httpclient"}
DOCUMENTED |= {f"gaffer.{name}" for name in OLD_NAMES.split()}
PLUGINS = ("gaffer_plugins", "contrib/plugins", "examples", "docs/examples")


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_is_there_and_described(door: str) -> None:
    for name in import_module(door).__all__:
        assert tables.summary(door, name), f"{door}.{name} has neither a docstring nor a comment"


@pytest.mark.parametrize("door", DOORS)
def test_types_are_declared_for_every_name_of_a_door(door: str) -> None:
    source = Path(str(import_module(door).__file__)).read_text("utf-8")
    assert set(re.findall(r"import (\w+) as \1$", source, re.M)) == set(import_module(door).__all__)


@pytest.mark.parametrize("door", DOORS)
def test_unknown_name_of_a_door_is_an_attribute_error(door: str) -> None:
    with pytest.raises(AttributeError, match=rf"module '{door}' has no attribute 'nonsense'"):
        import_module(door).nonsense  # noqa: B018


@pytest.mark.parametrize("folder", PLUGINS)
def test_plugins_and_examples_import_through_the_doors_only(folder: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {module}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for module in imported(node)
        if module.partition(".")[0] == "gaffer" and module not in DOCUMENTED
    }
    assert not found


def imported(node: ast.AST) -> list[str]:
    """Return the modules that an import statement names."""
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
