#!/usr/bin/env python3
"""Writes the shell completions and the manual pages of the four programs, from their command lines.

    python contrib/generate.py            # what make man does
    python contrib/generate.py --check    # exit code 1 if a file is not current

The scripts of gaffer and gafferctl ask the program, as click has it. Those of gafferd and gaffer_lookupd are
made by shtab, since these programs start too late for that, and with options of plugins that are not there yet.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path
from typing import Iterator, NamedTuple

import click

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "docs" / "_ext"))

import gaffer_tables as tables  # noqa: E402

from gaffer.cli.app.gaffer import make_program as make_gaffer  # noqa: E402
from gaffer.cli.ctl.gafferctl import make_program as make_gafferctl  # noqa: E402
from gaffer.daemon.commandline import make_parser as make_gafferd  # noqa: E402
from gaffer.lookupd.options import make_options as lookupd_options  # noqa: E402
from gaffer.lookupd.program import make_parser as make_lookupd  # noqa: E402
from gaffer.version import __version__  # noqa: E402

SHELLS = ("bash", "zsh", "fish")
#: Where the shells look for a program's completion.
COMPLETION = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}
DAEMONS = {
    "gafferd": lambda: make_gafferd(tables.all_options()),
    "gaffer_lookupd": lambda: make_lookupd(lookupd_options()),
}
CLIENTS = {"gaffer": make_gaffer, "gafferctl": make_gafferctl}
SECTION = {"gafferd": 8, "gaffer_lookupd": 8, "gaffer": 1, "gafferctl": 1}
EXIT_CODES = {
    "0": "Done.",
    "1": "The operation failed.",
    "2": "Wrong usage or wrong configuration.",
    "3": "gafferd cannot be reached.",
    "4": "Not allowed.",
}
FILES = {
    "gafferd": {
        "~/.gaffer/gafferd.ini": "The configuration that is read if none is named; for root, "
        "/etc/gaffer/gafferd.ini too.",
        "~/.gaffer/plugins, ~/.gafferd/plugins": "Plugins that are loaded if no other folder is named.",
    },
    "gaffer": {
        "Procfile": "The application: a line 'name: command' for each type of process.",
        ".env": "The application's environment, beside the Procfile.",
    },
}


class Entry(NamedTuple):
    """An option, an argument or a signal: what is typed and what it means."""

    flags: str
    help: str


class Command(NamedTuple):
    """One command of a program."""

    usage: str
    help: str
    entries: list[Entry]


class Page(NamedTuple):
    """What a manual page says.

    :param commands: by the titles of their sections.
    """

    program: str
    summary: str
    usage: str
    help: str
    entries: list[Entry]
    commands: dict[str, list[Command]]


# -- reading command lines


def daemon_page(program: str) -> Page:
    parser = DAEMONS[program]()
    entries = [_argparse_entry(action) for action in parser._actions if action.help != argparse.SUPPRESS]
    summary = parser.description or ""
    return Page(program, summary.rstrip("."), f"{program} [OPTIONS] [config]", parser.epilog or "", entries, {})


def _argparse_entry(action: argparse.Action) -> Entry:
    names = [*action.option_strings] or [action.dest]
    metavar = f" {action.metavar}" if action.option_strings and action.nargs != 0 and action.metavar else ""
    return Entry(", ".join(f"{name}{metavar}" for name in names), (action.help or "").replace("%%", "%"))


def client_page(program: str) -> Page:
    group = CLIENTS[program]()
    context = click.Context(group, info_name=program)
    commands: dict[str, list[Command]] = {}
    known = {name for names in group.sections.values() for name in names}
    others = [name for name in group.list_commands(context) if name not in known]
    for title, names in [*group.sections.items(), ("Plugins", others)]:
        found = [one for name in names for one in _click_commands(group, context, name)]
        if found:
            commands[title] = found
    summary = (group.help or "").partition("\n")[0].rstrip(".")
    return Page(program, summary, _usage(context), group.epilog or "", _entries(context), commands)


def _click_commands(group: click.Group, parent: click.Context, name: str) -> Iterator[Command]:
    command = group.get_command(parent, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    yield Command(_usage(context), command.help or "", _entries(context))
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _click_commands(command, context, below)


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def _entries(context: click.Context) -> list[Entry]:
    records = [param.get_help_record(context) for param in context.command.get_params(context)]
    found = [Entry(*record) for record in records if record is not None]
    # What an argument means stands in the text; --help is the same everywhere.
    return [one for one in found if one.help and (context.parent is None or not one.flags.endswith("--help"))]


# -- writing manual pages, in the language of man(7)


def escaped(text: str) -> str:
    """Return text in which nothing means anything to roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    return re.sub(r"^\.", r"\\&.", text, flags=re.M)


def _paragraphs(text: str) -> list[str]:
    """Return help text, wrapped as it is written, as paragraphs."""
    blocks = re.split(r"\n\s*\n", textwrap.dedent(text).replace("\b\n", ""))
    lines: list[str] = []
    for block in blocks:
        if block.strip():
            lines += [".PP", escaped(" ".join(block.split()))]
    return lines


def _listed(entries: list[Entry]) -> list[str]:
    lines = []
    for entry in entries:
        lines += [".TP", f".B {escaped(entry.flags)}", escaped(" ".join(entry.help.split())) or "\\&"]
    return lines


def man_page(page: Page) -> str:
    """Return a manual page."""
    name = page.program
    summary = page.summary[:1].lower() + page.summary[1:]
    lines = [
        f'.\\" Made by contrib/generate.py with click {_version("click")}; do not edit.',
        f'.TH {name.upper()} {SECTION[name]} "" "gaffer {__version__}" "gaffer"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(summary)}",
        ".SH SYNOPSIS",
        f".B {escaped(page.usage)}",
        ".SH OPTIONS",
        *_listed(page.entries),
    ]
    for title, commands in page.commands.items():
        lines.append(f".SH {escaped(title).upper()}")
        for command in commands:
            lines += [f".SS {escaped(command.usage)}", *_paragraphs(command.help), *_listed(command.entries)]
    environment = page.help or f"Every option can also be set in the environment as {name.upper()}_<OPTION>."
    lines += [".SH ENVIRONMENT", *_paragraphs(environment)[1:]]
    lines += [".SH EXIT STATUS", *_listed([Entry(*pair) for pair in EXIT_CODES.items()])]
    if name in FILES:
        lines += [".SH FILES", *_listed([Entry(*pair) for pair in FILES[name].items()])]
    others = [f".BR {escaped(other)} ({SECTION[other]})" for other in SECTION if other != name]
    lines += [".SH SEE ALSO", " ,\n".join(others)]
    return "\n".join(lines) + "\n"


# -- completion


def client_completion(program: str, shell: str) -> str:
    """Return the script that the program itself prints."""
    from click.shell_completion import get_completion_class

    from gaffer.cli.core.completion_scripts import register

    register()
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(CLIENTS[program](), {}, program, f"_{program.upper()}_COMPLETE")
    return _made(f"click {_version('click')}", made.source(), shell)


def daemon_completion(program: str, shell: str) -> str:
    """Return shtab's script."""
    import shtab

    parser = DAEMONS[program]()
    for action in parser._actions:
        if action.metavar in ("FILE", "F") or action.dest in ("config", " config"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return _made(f"shtab {shtab.__version__}", shtab.complete(parser, shell=shell), shell)


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _made(tool: str, text: str, shell: str) -> str:
    """Return a script with a line that says how it was made; zsh wants its own first."""
    told = f"# Made by contrib/generate.py with {tool}; do not edit.\n"
    text = "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"
    if shell == "zsh" and text.startswith("#compdef"):
        first, _, rest = text.partition("\n")
        return f"{first}\n{told}{rest}"
    return told + text


def files() -> dict[str, str]:
    """Return every file by its path below this folder."""
    found = {}
    for program, section in SECTION.items():
        page = daemon_page(program) if program in DAEMONS else client_page(program)
        found[f"man/{program}.{section}"] = man_page(page)
        complete = daemon_completion if program in DAEMONS else client_completion
        for shell in SHELLS:
            found[f"completion/{shell}/{COMPLETION[shell].format(program)}"] = complete(program, shell)
    return found


def main(args: list[str]) -> int:
    good = True
    for name, text in files().items():
        path = HERE / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        if "--check" in args:
            print(f"{path}: not current; run 'make man'", file=sys.stderr)
            good = False
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"{path}: written")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
