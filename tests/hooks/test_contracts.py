"""Hook specifications: every one says what it promises, in one form, and is called as it says."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

import gaffer
from gaffer import hookspecs

ROOT = Path(gaffer.__file__).parent
SPECS = {
    name: spec for module in hookspecs.MODULES for name, spec in vars(module).items() if hasattr(spec, "gaffer_spec")
}
FORM = re.compile(
    r"\[(?P<kind>\w+)\] (?P<what>\w.*?\.)\n\n"
    r"(?P<rest>.*?)"
    r"When: (?P<when>.+?)\nMay: (?P<may>.+?)\nReturns: (?P<returns>.+?)\nOn exception: (?P<exception>.+?)\n\n"
    r"Example::\n\n(?P<example>    @gaffer\.hookimpl\n.+)\Z",
    re.DOTALL,
)
#: Which methods of gaffer.plugins.calling.Hooks carry out which kind.
CALLS = {
    "SETUP": {"historic"},
    "ASK": {"ask", "ask_in_order", "fold"},
    "ASK1": {"ask_first"},
    "COLLECT": {"collect", "attempts"},
    "TELL": {"tell"},
}
#: Called by pluggy's own means: specifications must be there before anything can be looked up.
ITS_OWN_WAY = {"gaffer_addhooks"}

every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def parts(spec):
    found = FORM.match(inspect.getdoc(spec) or "")
    assert found, f"{spec.__name__}: not in the form of gaffer/hookspecs/__init__.py"
    return found.groupdict()


def arguments(spec):
    return list(inspect.signature(spec).parameters)


@cache
def sources():
    """Return every file of gaffer and its plugins with its syntax tree."""
    folders = ROOT, ROOT.parent / "gaffer_plugins"
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [(path, ast.parse(path.read_text("utf-8"))) for path in paths]


@cache
def texts():
    """Return every text that stands outside the specifications."""
    nodes = (node for path, tree in sources() if path.parent.name != "hookspecs" for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def hook_calls():
    """Yield ``(place, method, hook, keywords)`` of every call of a hook by name."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant) and str(name.value).startswith("gaffer_"):
                    keywords = [keyword.arg for keyword in node.keywords]
                    yield f"{path.relative_to(ROOT.parent)}:{node.lineno}", node.func.attr, name.value, keywords


FOUND = {place: call for place, *call in hook_calls() if call[0] in set().union(*CALLS.values())}
every_call = pytest.mark.parametrize(("method", "hook", "keywords"), FOUND.values(), ids=FOUND)


@every_spec
def test_the_docstring_has_the_fixed_form(spec):
    assert parts(spec)["kind"] in CALLS


@every_spec
def test_the_name_is_ours(spec):
    assert spec.__name__.startswith("gaffer_")


@every_spec
def test_flags_agree_with_the_kind(spec):
    kind, flags = parts(spec)["kind"], spec.gaffer_spec
    assert flags["firstresult"] == (kind == "ASK1")
    assert bool(flags["historic"]) == (kind == "SETUP")


@every_spec
def test_what_is_told_has_no_answer(spec):
    if parts(spec)["kind"] in ("TELL", "SETUP"):
        assert parts(spec)["returns"] == "nothing."
        assert inspect.signature(spec).return_annotation == "None"


@every_spec
def test_what_is_told_costs_only_the_plugin_that_fails(spec):
    if parts(spec)["kind"] == "TELL":
        assert parts(spec)["exception"] == "logged and counted under the plugin's name."


@every_spec
def test_the_example_is_python_that_implements_the_hook(spec):
    (function,) = ast.parse(inspect.cleandoc(parts(spec)["example"])).body
    assert isinstance(function, ast.FunctionDef) and function.name == spec.__name__
    assert {arg.arg for arg in function.args.args} <= set(arguments(spec))


@every_spec
def test_every_hook_is_called_somewhere(spec):
    assert spec.__name__ in texts() | ITS_OWN_WAY


def test_all_modules_are_registered():
    files = {path.stem for path in (ROOT / "hookspecs").glob("*.py")} - {"__init__", "markers"}
    assert {module.__name__.rpartition(".")[2] for module in hookspecs.MODULES} == files


def test_no_hook_is_specified_twice():
    names = [name for module in hookspecs.MODULES for name in vars(module) if name.startswith("gaffer_")]
    assert sorted(names) == sorted(SPECS)


# -- how they are called


@every_call
def test_a_hook_is_called_in_the_way_of_its_kind(method, hook, keywords):
    assert method in CALLS[parts(SPECS[hook])["kind"]]


@every_call
def test_a_call_gives_every_argument_and_no_other(method, hook, keywords):
    given = set(keywords) - {"key", "value"} if method == "fold" else set(keywords)
    assert None in given or given <= set(arguments(SPECS[hook]))
    assert None in given or set(arguments(SPECS[hook])) - given <= ({"app"} if method == "fold" else set())


def test_only_hooks_that_exist_are_looked_for():
    looked_for = {hook for _, method, hook, _ in hook_calls() if method in ("implemented", "implementations")}
    assert looked_for and looked_for <= SPECS.keys()


def test_hooks_that_are_found_by_events_are_told_only():
    from gaffer.manager.notifier import _HOOKS

    assert {parts(SPECS[hook])["kind"] for hook in _HOOKS.values()} == {"TELL"}


def test_no_other_module_touches_pluggys_callers():
    """Only what keeps plugins apart may call them; otherwise one exception ends the others' turn."""
    callers = {
        path.relative_to(ROOT.parent).as_posix()
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "hook" and ast.unparse(node.value).endswith("pm")
    }
    assert callers == {"gaffer/plugins/calling.py", "gaffer/plugins/introspection.py", "gaffer/plugins/registry.py"}
