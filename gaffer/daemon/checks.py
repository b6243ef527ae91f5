"""Everything that can be wrong with a configuration, found before anything is started."""

from __future__ import annotations

import logging
import os
from typing import Iterator

from ..config.addresses import UNIX
from ..config.paths import expand_home
from ..config.settings import Settings
from ..errors import GafferError, PluginError, Problem, described
from ..manager.manager import Manager

log = logging.getLogger("gafferd")

NO_KEYS = "keys are required, but no plugin that checks them is loaded, so every request would be rejected"

#: The plugin that runs what ``[process:…]`` and ``[job:…]`` say.
_JOBS = "inijobs"

NO_PIDFILE = "orphans = stop needs a pidfile, whose lock shows that the gafferd before is dead"


def find_problems(settings: Settings, manager: Manager) -> list[Problem]:
    """Return all problems of *settings*, with those that plugins find, by file and line."""
    problems = [*settings.problems, *_missing_folders(settings)]
    problems += [*_plugin_problems(settings, manager), *_ask_plugins(settings, manager)]
    return sorted(set(problems))


def _missing_folders(settings: Settings) -> Iterator[Problem]:
    """Yield files and sockets that cannot be made, since their folder is not there."""
    for name in ("error_log", "pidfile"):
        path = settings.get(name)
        if path and not _has_folder(path):
            yield settings.problem(name, f"{name}: there is no folder {os.path.dirname(path)}")
    for endpoint in settings.endpoints:
        for address in endpoint.bind:
            path = address.removeprefix(UNIX)
            if path != address and endpoint.source not in ("default", "") and not _has_folder(path):
                yield settings.problem("bind", f"bind: there is no folder {os.path.dirname(path)}")


def _has_folder(path: str) -> bool:
    return os.path.isdir(os.path.dirname(os.path.abspath(expand_home(path))))


def _plugin_problems(settings: Settings, manager: Manager) -> list[Problem]:
    problems = []
    # A missing authentication plugin must never mean an open door.
    if not manager.hooks.implemented("gaffer_identify"):
        if settings.get("require_key"):
            problems.append(settings.problem("require_key", NO_KEYS))
        names = {one.name for one in settings.endpoints if one.require_key and one.name != "default"}
        problems += [settings.problem(at, NO_KEYS) for at in settings.sections("endpoint") if at.name in names]
    if settings.get("orphans") == "stop" and not settings.get("pidfile"):
        problems.append(settings.problem("orphans", NO_PIDFILE))
    problems += settings.unknown_plugins([plugin.name for plugin in manager.plugins.list()])
    try:
        manager.plugins.check_mandatory()
    except PluginError as error:
        problems += [Problem("", 0, line) for line in str(error).splitlines()]
    return problems


def _ask_plugins(settings: Settings, manager: Manager) -> list[Problem]:
    problems: list[Problem] = []
    arguments = {"settings": settings, "fields": manager.job_fields, "manager": manager}
    for plugin, answer in manager.hooks.attempts("gaffer_check_config", **arguments):
        if isinstance(answer, BaseException):
            log.debug("plugin %s failed", plugin, exc_info=answer)
            sentence = f"plugin {plugin} cannot check the configuration: {described(answer)}"
            problems.append(Problem("", 0, sentence))
        else:
            problems += answer or ()
    return problems


def find_job_problems(manager: Manager) -> list[Problem]:
    """Return what is wrong with the jobs of the configuration among each other: their ports, for one.

    For this the jobs are read as at a start, so it comes after everything else.
    """
    try:
        return sorted(manager.reconciler.problems())
    except GafferError as error:
        return [Problem("", 0, str(error))]


def warn_of_unused(settings: Settings, manager: Manager) -> None:
    """Log sections that no loaded plugin takes, and jobs that therefore do not run."""
    loaded = {plugin.name for plugin in manager.plugins.list() if plugin.state == "loaded"}
    for section in settings.sections("webhooks", "plugin", "process", "job"):
        name = _JOBS if section.kind in ("process", "job") else section.name or section.kind
        if section.items and name not in loaded:
            log.warning("%s", section.problem(f"nothing reads [{section.header}]: no plugin '{name}' is loaded"))
