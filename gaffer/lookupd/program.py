"""gaffer_lookupd from its command line to its exit status."""

from __future__ import annotations

import argparse
import os
from typing import Any, Sequence

from ..config.options import Options
from ..config.settings import Settings, read_settings, read_shared_flag
from ..errors import ConfigError
from ..service.daemonize import Starter, detach
from ..service.exit_codes import DONE, status_of
from ..service.logging import Log
from ..service.rlimits import hold_standard_streams
from ..version import __version__
from .lease import LEAST_PING
from .options import make_options

NAME = "gaffer_lookupd"


def run(argv: Sequence[str]) -> int:
    """Do what *argv* says; returns the exit status, with everything that went wrong said on standard error."""
    starters: list[Starter] = []
    hold_standard_streams()

    def serve() -> int:
        options = make_options()
        overrides = vars(make_parser(options).parse_args(argv))
        settings = read(overrides, options)
        Log(None, "warning", tracebacks=settings.get("log_level") == "debug", program=NAME)
        if settings.get("daemonize"):
            mask = settings.get("umask")
            starters.append(detach(0o022 if mask is None else mask, NAME))
        return _serve(settings, overrides, starters[0] if starters else None)

    status = status_of(NAME, serve)
    for starter in starters:
        starter.ended(status)
    return status


def read(overrides: dict[str, Any], options: Options) -> Settings:
    """Return what command line and environment say.

    :raises ConfigError: it cannot be used.
    """
    read_shared_flag(options, overrides, os.environ)
    settings = read_settings(None, options, overrides)
    problems = list(settings.problems)
    if settings.get("ping_interval") < LEAST_PING:
        problems.append(settings.problem("ping_interval", f"the least is {LEAST_PING:g} seconds"))
    if problems:
        raise ConfigError(problems)
    return settings


def make_parser(options: Options) -> argparse.ArgumentParser:
    """Return the parser for *options*."""
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Knows which gafferd runs what: nodes register, clients ask.",
        epilog="Every option can also be set in the environment as GAFFER_LOOKUPD_<OPTION>. TERM, INT and QUIT stop "
        "gaffer_lookupd, USR1 opens the log file again. Example: gaffer_lookupd --bind 10.0.0.1:5010",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {__version__}")
    for option in options:
        if option.flags:
            parser.add_argument(*option.flags, **option.parser_argument())
    return parser


def _serve(settings: Settings, overrides: dict[str, Any], starter: Starter | None) -> int:
    # Usage errors and --help need not wait for the server.
    from .service import LookupdService

    if settings.get("umask") is not None:
        os.umask(settings.get("umask"))
    service = LookupdService(settings, starter, overrides)
    if settings.get("plugins"):
        service.list_plugins()
        return DONE
    service.run()
    return DONE
