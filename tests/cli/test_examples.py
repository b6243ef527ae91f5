"""Each command has ``-h`` and ``--help`` with an example, and the examples are right."""

import re
import shlex

import click
import pytest

from gaffer.cli.app.gaffer import REMOTE_COMMANDS
from gaffer.cli.app.gaffer import make_program as make_gaffer
from gaffer.cli.ctl.gafferctl import make_program as make_gafferctl
from gaffer.config.options import Options
from gaffer.daemon.commandline import make_parser as make_gafferd
from gaffer.lookupd.options import make_options as lookupd_options
from gaffer.lookupd.program import make_parser as make_lookupd

PROGRAMS = {"gaffer": make_gaffer, "gafferctl": make_gafferctl}
_EXAMPLE = re.compile(r"^  Example: (.+)$", re.MULTILINE)


def commands(name):
    """Yield the words of each command, those of groups too."""

    def walk(command, context, words):
        yield words
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                yield from walk(found, click.Context(found, info_name=sub, parent=context), (*words, sub))

    program = PROGRAMS[name]()
    yield from walk(program, click.Context(program, info_name=name), (name,))


ALL = [pytest.param(words, id=" ".join(words)) for name in PROGRAMS for words in commands(name)]


def examples(text):
    return [shlex.split(line) for line in _EXAMPLE.findall(text)]


def parsed(words):
    """Return the names of the program and the commands that *words* call; wrong usage raises."""
    name, *rest = words
    command, context, found = PROGRAMS[name](), None, []
    while True:
        context = command.make_context(name, list(rest), parent=context)
        found.append(name)
        left = [*getattr(context, "_protected_args", ()), *context.args]
        if not isinstance(command, click.Group) or not left:
            return tuple(found)
        name, command, rest = command.resolve_command(context, left)


@pytest.mark.parametrize("words", ALL)
def test_help_of_every_command_has_an_example_that_calls_it(call, words):
    name, *rest = words
    help = call(*rest, "-h", program=PROGRAMS[name]())
    assert help == call(*rest, "--help", program=PROGRAMS[name]())
    assert (help.code, help.err) == (0, "")
    given = examples(help.out)
    assert given, f"{' '.join(words)} --help has no line 'Example: ...'"
    for example in given:
        assert parsed(example)[: len(words)] == words


def test_help_of_commands_on_other_machines_has_an_example_too():
    program = make_gaffer()
    for name in REMOTE_COMMANDS:
        command = program.far(name)
        ((*words, last),) = examples(command.get_help(click.Context(command, info_name=name)))
        assert "-L" in words and name in [*words, last]


@pytest.mark.parametrize(
    "parser", [make_gafferd(Options()), make_lookupd(lookupd_options())], ids=lambda parser: parser.prog
)
def test_help_of_the_daemons_has_an_example_too(parser):
    _, _, example = " ".join(parser.format_help().split()).partition("Example: ")
    program, *words = shlex.split(example)
    assert program == parser.prog and parser.parse_args(words)
