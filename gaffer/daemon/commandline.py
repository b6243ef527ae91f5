"""gafferd's command line, made from the table of options.

argparse, since gafferd's first child should run 0.35 s after exec: importing it
takes 10 ms, click 45 ms.
"""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple, Sequence

from ..config.options import Options
from ..version import __version__


class CommandLine(NamedTuple):
    """Parsed command line.

    :param config: the configuration file or folder.
    :param overrides: option name to text, list of texts, number or True.
    :param unknown: what is left over; words of options that plugins will declare.
    """

    config: str | None
    overrides: dict[str, Any]
    unknown: list[str]


def make_parser(options: Options, early: bool = False) -> argparse.ArgumentParser:
    """Return the parser for *options*.

    :param early: plugins have not declared theirs yet, so neither help nor the
        number of words can be judged.
    """
    parser = argparse.ArgumentParser(
        prog="gafferd",
        description="Launches, watches and controls processes.",
        epilog="Every option can also be set in the environment as GAFFERD_<OPTION>, most of them in the "
        "configuration file. TERM, INT and QUIT stop gafferd and all that it runs, HUP reads the configuration "
        "again, USR1 opens the log file again. Example: gafferd -c /etc/gaffer/gafferd.ini --check",
        allow_abbrev=False,
        add_help=not early,
        argument_default=argparse.SUPPRESS,
    )
    if early:
        # Both end the program; without plugins they cannot say everything.
        parser.add_argument("-h", "--help", action="store_true", dest=" help")
    parser.add_argument("--version", action="version", version=f"gafferd {__version__}")
    parser.add_argument("-c", "--config", metavar="FILE", dest=" config", help=_CONFIG)
    for option in options:
        if option.flags:
            parser.add_argument(*option.flags, **option.parser_argument())
    parser.add_argument("config", nargs="*" if early else "?", default=None, help="the same as --config")
    return parser


_CONFIG = (
    "configuration file, or the folder of a gafferd.ini (default: ~/.gaffer/gafferd.ini, "
    "for root /etc/gaffer/gafferd.ini too)"
)


def parse_early(argv: Sequence[str]) -> CommandLine:
    """Read the options of gafferd itself, before any plugin is known.

    Words behind options that are not known yet may be their values or the name of
    the configuration file: the last one that exists is taken for the latter.
    """
    given, unknown = make_parser(Options(), early=True).parse_known_args(argv)
    found = vars(given)
    words = [*(found.pop("config") or ()), *(word for word in unknown if not word.startswith("-"))]
    if unknown:
        words = [word for word in words if os.path.exists(word)]
    config = found.pop(" config", None) or (words[-1] if words else None)
    if found.pop(" help", False):
        unknown = [*unknown, "--help"]
    return CommandLine(config, found, unknown)


def parse(argv: Sequence[str], options: Options) -> CommandLine:
    """Read the command line; wrong usage ends the program with status 2, ``--help`` with 0.

    :param options: the table, with the options of plugins.
    """
    parser = make_parser(options)
    found = vars(parser.parse_args(argv))
    word, flag = found.pop("config"), found.pop(" config", None)
    if word and flag:
        parser.error(f"two configuration files are given: {flag} and {word}")
    return CommandLine(flag or word, found, [])
