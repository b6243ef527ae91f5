"""What the reference pages say about the code, made from the code: plain functions that return reStructuredText.

``gaffer_docs`` is the Sphinx directive that puts them into pages.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
from functools import lru_cache, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple

import gaffer
from gaffer import hookspecs
from gaffer.commands.command import Arg
from gaffer.config.fields import Field
from gaffer.config.jobconfig import JobFields
from gaffer.config.options import ENDPOINT_FIELDS, Option, Options
from gaffer.daemon.commandline import make_parser
from gaffer.events import patterns
from gaffer.lookupd.options import make_options as lookupd_options
from gaffer.lookupd.program import make_parser as lookupd_parser
from gaffer.web.live.channel_session import COMMANDS
from gaffer.web.requests.routes import UNDECLARED, Route, check_routes

#: Columns of the help texts of command lines.
WIDTH = 92
ROOT = Path(__file__).parents[2]
#: The tests whose ``@attack`` says what the security page shows.
ATTACKS = ROOT / "tests" / "security"

#: Where the commands of a command line are listed.
CLI_MODULES = {"gaffer": "gaffer.cli.app.gaffer", "gafferctl": "gaffer.cli.ctl.gafferctl"}

KINDS = {
    "SETUP": "called when the plugin is registered",
    "ASK": "every answer counts",
    "ASK1": "the first answer that is not None wins",
    "COLLECT": "every answer on its own",
    "TELL": "told afterwards",
}


def linked(text: str) -> str:
    """Return *text* with links to our pages in place of their paths."""
    return re.sub(r"docs/([a-z-]+)\.rst", r":doc:`\1`", text)


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], widths: str = "auto", name: str = "") -> str:
    """Return a list table.

    :param widths: shares of the columns, ``25 75``.
    """
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}"]
    lines += [f"   :class: {name}"] if name else []
    for row in (header, *rows):
        for index, cell in enumerate(row):
            mark = "   * -" if index == 0 else "     -"
            lines.append(f"{mark} {cell}".rstrip())
        if row is header:
            lines.insert(len(lines) - len(row), "")
    return "\n".join(lines) + "\n\n"


def plain(text: str) -> str:
    """Return *text* so that nothing in it is markup."""
    return re.sub(r"[\\`*|]|_(?=\W|$)", r"\\\g<0>", text)


def code(text: str) -> str:
    """Return *text* as a literal."""
    return f"``{text}``"


# -- settings ---------------------------------------------------------------------------
def shown_default(field: Field) -> str:
    """Return the default of a field as a table shows it."""
    if field.default is None:
        return "none"
    value = field.kind.to_json(field.default)
    if isinstance(value, (list, tuple, dict)):
        return code(", ".join(map(str, value))) if value else "none"
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(f"{value:g}" if isinstance(value, float) else str(value))


def builtin_plugins() -> list[str]:
    """Return the names of the plugins that come with gaffer."""
    points = metadata.entry_points(group="gaffer.plugins")
    return sorted(point.name for point in points if point.dist is not None and point.dist.name == "gaffer")


@lru_cache(None)
def complete_manager() -> gaffer.Manager:
    """Return a manager with all our plugins; it is never started."""
    return gaffer.Manager(builtin=builtin_plugins())


def job_fields() -> JobFields:
    """Return the job settings of the core and of our plugins."""
    return complete_manager().job_fields


def all_options() -> Options:
    """Return the options of gafferd and of our plugins."""
    options = Options()
    complete_manager().plugins.pm.hook.gaffer_add_options.call_historic(kwargs={"options": options})
    return options


def job_settings() -> str:
    """Return the table of job settings."""
    required = ("name", "cmd")
    rows = []
    for field in job_fields():
        default = "required" if field.name in required else shown_default(field)
        follows = "new processes" if field.needs_restart else "—"
        rows.append((code(field.name), plain(field.kind.label), default, plain(field.help), follows))
    header = ("setting", "value", "default", "meaning", "a change needs")
    return table(header, rows, "16 18 14 38 14", "settings")


def endpoint_settings() -> str:
    """Return the table of the keys of ``[endpoint:NAME]``."""
    return field_table(ENDPOINT_FIELDS)


def plugin_options(plugin: str) -> str:
    """Return the table of the keys of ``[plugin:NAME]``: what the plugin's module ``config`` lists as ``FIELDS``."""
    return field_table(import_module(f"gaffer_plugins.{plugin}.config").FIELDS)


def field_table(fields: Iterable[Field]) -> str:
    """Return a table of *fields*."""
    rows = [(code(field.name), plain(field.kind.label), shown_default(field), plain(field.help)) for field in fields]
    return table(("key", "value", "default", "meaning"), rows, "15 20 15 50", "settings")


def option_table(section: str) -> str:
    """Return the table of the options that belong to an ini section; ``-`` for those of the command line only."""
    rows = []
    for option in all_options():
        if option.section == section.strip("-"):
            names = [code(name) for name in (option.name, *option.aliases)] if option.section else []
            rows.append((*(", ".join(cell) or "—" for cell in (names, _flags(option))), *_meaning(option)))
    header = ("key", "command line", "environment", "value", "default", "meaning", "reload")
    return table(header, rows, "15 15 18 12 12 20 8", "settings")


def _flags(option: Option) -> list[str]:
    value = "" if option.count or option.kind.label == "true or false" else f" {option.metavar or option.name.upper()}"
    return [code(flag + value) for flag in option.flags]


def _meaning(option: Option) -> tuple[str, ...]:
    environment = ", ".join(map(code, option.environment))
    taken = "at a start" if option.needs_restart else "at once"
    return environment, plain(option.kind.label), shown_default(option), plain(option.help), taken


# -- hooks ------------------------------------------------------------------------------
class Contract(NamedTuple):
    """What a hook's docstring says, taken apart."""

    kind: str
    summary: str
    when: str
    may: str
    returns: str
    on_exception: str
    example: str


_PARTS = ("When", "May", "Returns", "On exception")
_CONTRACT = re.compile(
    r"\[(?P<kind>\w+)\] (?P<summary>.+?)\n\n"
    r"When: (?P<when>.+?)\nMay: (?P<may>.+?)\nReturns: (?P<returns>.+?)\nOn exception: (?P<on_exception>.+?)\n\n"
    r"Example::\n\n(?P<example>.+)\Z",
    re.DOTALL,
)


def contract(hook: Callable[..., Any]) -> Contract:
    """Take the docstring of *hook* apart.

    :raises ValueError: it has not the form that all contracts have.
    """
    found = _CONTRACT.match(inspect.getdoc(hook) or "")
    if found is None or found["kind"] not in KINDS:
        raise ValueError(
            f"the docstring of {hook.__name__} is no contract: [KIND] summary, {', '.join(_PARTS)}, Example"
        )
    parts = found.groupdict()
    example = inspect.cleandoc(parts.pop("example"))
    return Contract(example=example, **{key: " ".join(text.split()) for key, text in parts.items()})


def hooks(module: Any) -> Iterator[Callable[..., Any]]:
    """Yield the hooks that *module* specifies, in the order of the file."""
    for name, found in vars(module).items():
        if name.startswith("gaffer_"):
            yield found


def all_hooks() -> list[Callable[..., Any]]:
    """Return every hook of gaffer."""
    return [hook for module in hookspecs.MODULES for hook in hooks(module)]


def arguments(hook: Callable[..., Any]) -> dict[str, str]:
    """Return the arguments of *hook* with their types as written."""
    return {name: str(parameter.annotation) for name, parameter in inspect.signature(hook).parameters.items()}


def signature(hook: Callable[..., Any]) -> str:
    """Return ``gaffer_spawned(job, process)``."""
    return f"{hook.__name__}({', '.join(arguments(hook))})"


def hook_index() -> str:
    """Return the table of all hooks."""
    rows = []
    for hook in all_hooks():
        said = contract(hook)
        rows.append((f":ref:`{signature(hook)} <{hook.__name__}>`", said.kind, linked(said.summary)))
    return table(("hook", "kind", "what it is for"), rows, "45 12 43", "hooks")


def hook_reference(module: str) -> str:
    """Return the sections of all hooks of one module of :mod:`gaffer.hookspecs`."""
    return "\n".join(map(hook_section, hooks(getattr(hookspecs, module))))


def hook_section(hook: Callable[..., Any]) -> str:
    """Return one hook's section."""
    said = contract(hook)
    types = ", ".join(f"``{name}``: {code(kind)}" for name, kind in arguments(hook).items())
    title = f"{signature(hook)}"
    lines = [f".. _{hook.__name__}:", "", title, "^" * len(title), "", linked(said.summary), ""]
    for name, text in (
        ("Kind", f"{said.kind}: {KINDS[said.kind]}."),
        ("Arguments", f"{types}."),
        ("When", said.when),
        ("May", said.may),
        ("Returns", said.returns),
        ("On exception", said.on_exception),
    ):
        lines.append(f":{name}: {sentence(unrolled(linked(text)))}")
    lines += ["", ".. code-block:: python", ""]
    lines += [f"    {line}".rstrip() for line in said.example.splitlines()]
    return "\n".join([*lines, "", ""])


def unrolled(text: str) -> str:
    """Return *text* with Python roles as literals: not everything they name has a page."""
    return re.sub(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`", r"``\1``", text)


def sentence(text: str) -> str:
    """Return *text* with a capital at its beginning."""
    return text[:1].upper() + text[1:]


# -- events -----------------------------------------------------------------------------
def event_table() -> str:
    """Return the table of events."""
    rows = [
        (code(event.name), sentence(event.meaning) + ".", ", ".join(map(code, event.fields)) or "—")
        for event in patterns.EVENTS
    ]
    return table(("event", "meaning", "more in its message"), rows, "18 42 40", "events")


# -- HTTP -------------------------------------------------------------------------------
def routes() -> list[Route]:
    """Return every route of our plugins."""
    manager = complete_manager()
    offers = manager.hooks.collect("gaffer_routes", manager=manager)
    return check_routes(reversed(offers), {command.name for command in manager.commands}.__contains__)


def route_tables() -> str:
    """Return a section with a table for each tag."""
    tags = dict.fromkeys(route.tag for route in routes())
    return "".join(f"{sentence(tag)}\n{'^' * len(tag)}\n\n{route_table(tag)}" for tag in tags)


def route_table(tag: str) -> str:
    """Return the table of the routes of one tag; without one of its own, a route has its plugin's name."""
    rows = [_route_row(route) for route in routes() if route.tag == tag]
    header = ("method", "path", "does", "body", "status", "may be used by")
    return table(header, rows, "9 32 27 14 7 11", "routes")


def shown_path(route: Route) -> str:
    """Return ``/jobs/SESSION/JOB``."""
    return re.sub(r"<(\w+)(?::\w+)?>", lambda found: found[1].upper(), route.path)


def _route_row(route: Route) -> tuple[str, ...]:
    command = complete_manager().commands.get(route.command) if route.command else None
    permission = route.permission if command is None else command.permission
    summary = route.summary or (command.help if command else "")
    allowed = {None: "everybody", UNDECLARED: "—"}.get(permission, permission)
    path = code(shown_path(route))
    return code(route.method), path, plain(sentence(summary)), _body(route.body), str(route.status), allowed


def _body(body: Any) -> str:
    if body == "config":
        return ":ref:`a job <job-settings>`"
    if isinstance(body, tuple):
        return ", ".join(map(code, body))
    return "—" if body is None else code(body) if isinstance(body, str) else "JSON"


def command_table() -> str:
    """Return the table of the commands behind all transports."""
    rows = []
    for command in complete_manager().commands:
        taken = [code(arg.name if arg.required else f"[{arg.name}]") for arg in command.args]
        allowed = command.permission or "everybody"
        rows.append((code(command.name), " ".join(taken) or "—", plain(sentence(command.help)), allowed))
    return table(("command", "arguments", "does", "may be used by"), rows, "18 30 40 12", "commands")


def channel_commands() -> str:
    """Return the table of the commands of the channel."""
    rows = []
    for name, own in COMMANDS.items():
        command = complete_manager().commands.get(own)
        taken = [code(arg.name if arg.required else f"[{arg.name}]") for arg in command.args]
        rows.append(
            (code(name), " ".join(taken) or "—", plain(sentence(command.help)), command.permission or "everybody")
        )
    return table(("command", "arguments", "does", "may be used by"), sorted(rows), "18 30 40 12", "commands")


# -- command lines ----------------------------------------------------------------------
def literal(text: str) -> str:
    """Return a block of text as it is."""
    lines = [f"    {line}".rstrip() for line in text.rstrip().splitlines()]
    return "\n".join([".. code-block:: text", "", *lines, "", ""])


def gafferd_help() -> str:
    """Return what ``gafferd --help`` prints."""
    parser = make_parser(all_options())
    parser.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)  # type: ignore[assignment]
    return literal(parser.format_help())


def lookupd_help() -> str:
    """Return what ``gaffer_lookupd --help`` prints."""
    parser = lookupd_parser(lookupd_options())
    parser.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)  # type: ignore[assignment]
    return literal(parser.format_help())


def client_help(program: str) -> str:
    """Return what ``gafferctl --help`` or ``gaffer --help`` prints."""
    return literal(_client(program).get_help())


def client_commands(program: str) -> str:
    """Return a section for each section of commands of gafferctl or gaffer, with the help of all of them."""
    context = _client(program)
    sections = {title: list(names) for title, names in context.command.sections.items()}
    known = {name for names in sections.values() for name in names}
    sections["Of plugins"] = [name for name in context.command.list_commands(context) if name not in known]
    text = ""
    for title, names in sections.items():
        if not names:
            continue
        text += f"{title}\n{'^' * len(title)}\n\n"
        text += "".join(literal(command_help(context, name)) for name in names)
    return text


def command_help(context: Any, name: str) -> str:
    """Return the help of one command."""
    import click

    command = context.command.get_command(context, name)
    return str(click.Context(command, info_name=name, parent=context, **_SIZE).get_help())


def _client(program: str) -> Any:
    import click

    module = import_module(CLI_MODULES[program])
    return click.Context(module.make_program(), info_name=program, **_SIZE)


_SIZE: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}


#: What ``.. gaffer-generated:: NAME`` in a page may name.
def attacks() -> list[tuple[str, str, str]]:
    """Return attacker, attack and outcome of every test that is marked with ``@attack``, in the order of the table."""
    from tests.security import ATTACKERS

    found = []
    for path in sorted(ATTACKS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "attack":
                    found.append(tuple(ast.literal_eval(argument) for argument in mark.args))
    return sorted(found, key=lambda row: ATTACKERS.index(row[0]))


def layers() -> str:
    """Return the layers of the import contract in ``pyproject.toml`` as a literal block."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(r"^containers = .*?^layers = (\[.*?^\])", text, re.M | re.S)
    assert found is not None, "pyproject.toml has no layers"
    lines = (line.replace("(", "").replace(")", "") for line in ast.literal_eval(found[1]))
    return "::\n\n" + "".join(f"    {line}\n" for line in lines) + "\n"


def door(module: str) -> str:
    """Return the table of the names that plugins import from one door, such as ``gaffer.api.web``."""
    rows = ((code(name), plain(summary(module, name))) for name in sorted(import_module(module).__all__))
    return table(("name", "what it is"), rows, "30 70")


def summary(module: str, name: str) -> str:
    """Return one sentence about what a door exports: its docstring's first, the help of an argument, or its comment."""
    value = getattr(import_module(module), name)
    function = callable(value) and inspect.isfunction(inspect.unwrap(value)) and value.__doc__
    if inspect.isclass(value) or inspect.ismodule(value) or function:
        return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")
    if isinstance(value, Arg):
        return f"the argument {value.name!r}: {value.help}"
    imported = re.search(rf"from ([\w.]+) import {name} as {name}\n", inspect.getsource(import_module(module)))
    source = inspect.getsource(import_module(imported[1])) if imported else ""
    found = re.search(rf"((?:^#: .*\n)+)(?:^[A-Za-z_, ]+ = .*\n)*?^(?:[A-Za-z_]+, )*{name}\b.* = ", source, re.M)
    if found:
        return found[1].replace("#: ", "").replace("\n", " ").strip()
    return f"the JSON Schema {json.dumps(value)}" if isinstance(value, dict) else ""


def attack_table() -> str:
    """Return the table of attacks that are tried by the tests."""
    return table(("who", "attack", "what happens"), map(tuple, (map(plain, row) for row in attacks())), "20 40 40")


GENERATORS: dict[str, Callable[..., str]] = {
    "attacks": attack_table,
    "layers": layers,
    "door": door,
    "job-settings": job_settings,
    "options": option_table,
    "endpoint-settings": endpoint_settings,
    "plugin-options": plugin_options,
    "hook-index": hook_index,
    "hooks": hook_reference,
    "events": event_table,
    "routes": route_tables,
    "commands": command_table,
    "channel-commands": channel_commands,
    "gafferd-help": gafferd_help,
    "gaffer-help": partial(client_help, "gaffer"),
    "gaffer-commands": partial(client_commands, "gaffer"),
    "gafferctl-help": partial(client_help, "gafferctl"),
    "lookupd-help": lookupd_help,
    "gafferctl-commands": partial(client_commands, "gafferctl"),
}
