"""gafferd from its command line to its exit status: the composition root.

The way there: command line and settings, as far as they can be read before any
plugin is known; into the background, if that is wanted, since no event loop may
exist yet; plugins, which may declare more options; the whole command line and
the final settings; all checks; and then :mod:`~gaffer.daemon.service`.
"""

from __future__ import annotations

import os
from typing import Any, Sequence

from ..config.options import Options
from ..config.settings import Settings, find_config, read_settings, read_shared_flag
from ..errors import ConfigError, GafferError, PluginError, Problem
from ..plugins.calling import Hooks
from ..plugins.registry import PluginSet
from ..service.daemonize import Starter, detach
from ..service.exit_codes import DONE, status_of
from ..service.logging import Log
from ..service.rlimits import hold_standard_streams
from . import commandline


def run(argv: Sequence[str]) -> int:
    """Do what *argv* says; returns the exit status, with everything that went wrong said on standard error."""
    starters: list[Starter] = []
    hold_standard_streams()

    def serve() -> int:
        early = commandline.parse_early(argv)
        read_shared_flag(Options(), early.overrides, os.environ)
        settings = _read(early, Options())
        _log_early(settings.get("log_level"))
        if "--help" not in early.unknown and _wants_background(settings):
            starters.append(detach(_umask(settings, 0o022)))
        return _run(argv, early, settings, starters[0] if starters else None)

    status = status_of("gafferd", serve)
    for starter in starters:
        starter.ended(status)
    return status


def _log_early(level: str) -> None:
    """Log what happens before we serve to standard error, where a traceback would bury the sentence that helps."""
    Log(None, "debug" if level == "debug" else "warning", tracebacks=level == "debug")


def _wants_background(settings: Settings) -> bool:
    return settings.get("daemonize") and not settings.get("check") and not settings.get("plugins")


def _umask(settings: Settings, default: int) -> int:
    mask = settings.get("umask")
    return default if mask is None else mask


def _read(given: commandline.CommandLine, options: Options) -> Settings:
    path = find_config(given.config, os.environ, root=os.geteuid() == 0)
    return read_settings(path, options, given.overrides)


def _run(argv: Sequence[str], early: commandline.CommandLine, settings: Settings, starter: Starter | None) -> int:
    plugin_set = PluginSet()
    problems = load_plugins(plugin_set, settings)
    options = Options()
    try:
        Hooks(plugin_set.pm).historic("gaffer_add_options", options=options)
    except GafferError as error:
        problems.append(Problem("", 0, str(error)))
    given = commandline.parse(argv, options)
    if given.config != early.config and os.path.exists(given.config or ""):
        raise ConfigError([Problem("", 0, f"give the configuration file with -c: {early.config} was taken for it")])
    settings = _read(given, options)
    if settings.get("plugins"):
        list_plugins(plugin_set)
        problems += settings.unknown_plugins([plugin.name for plugin in plugin_set.list()])
    if problems:
        raise ConfigError([*settings.problems, *problems])
    if settings.get("plugins"):
        return DONE
    # Everything above is done before the engine is even imported: usage errors and --help need not wait for it.
    from .service import GafferdService
    from .warnings import find_warnings

    service = GafferdService(settings, plugin_set, lambda: _read(given, options), starter)
    status = service.instead()
    if status is not None:
        return status
    service.check()
    if settings.get("check"):
        service.check_jobs()
        warnings = find_warnings(settings)
        for warning in warnings:
            print(f"warning: {warning}")
        counted = f", {len(warnings)} warnings" if len(warnings) > 1 else ", 1 warning" if warnings else ""
        print(f"{settings.path or 'the default configuration'}: no problems{counted}")
        return DONE
    if settings.get("umask") is not None:
        os.umask(settings.get("umask"))
    service.run()
    return service.manager.essential_code or DONE


def load_plugins(plugin_set: PluginSet, settings: Settings) -> list[Problem]:
    """Load installed plugins and those in folders; returns one problem for each that cannot be used."""
    disabled = settings.get("no_plugin")
    problems: list[Problem] = []
    for load in [plugin_set.load_entry_points, *(_folder_loader(plugin_set, path) for path in settings.plugin_dirs)]:
        try:
            load(disabled=disabled)
        except PluginError as error:
            problems += [Problem("", 0, line) for line in str(error).splitlines()]
    return problems


def _folder_loader(plugin_set: PluginSet, path: str) -> Any:
    def load(disabled: Sequence[str]) -> None:
        # A folder that is not there is the settings' problem, and told as such.
        if os.path.isdir(path):
            plugin_set.load_folder(path, disabled)

    return load


def list_plugins(plugin_set: PluginSet) -> None:
    """Print a table of the plugins."""
    rows = [("NAME", "VERSION", "STATE", "ORIGIN", "HOOKS")]
    for plugin in plugin_set.list():
        hooks = " ".join(hook.removeprefix("gaffer_") for hook in plugin.hooks) or plugin.kind
        rows.append((plugin.name, plugin.version or "-", plugin.state, plugin.origin, hooks))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
