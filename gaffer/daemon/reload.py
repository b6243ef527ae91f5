"""Reading the configuration again: check everything first, then touch only what changed."""

from __future__ import annotations

import logging
from typing import Any, Callable

from gevent.lock import BoundedSemaphore

from ..config.settings import Settings
from ..errors import ConfigError, GafferError, Unavailable
from ..manager.manager import Manager
from .checks import find_problems

log = logging.getLogger("gafferd")


class ConfigReload:
    """Reloads a manager's configuration; calls wait for each other.

    :param read: reads the settings from where they came at the start.
    :param taken: called with the new settings when they are in force.
    """

    def __init__(
        self, manager: Manager, read: Callable[[], Settings], taken: Callable[[Settings], None] = lambda settings: None
    ) -> None:
        self._manager, self._read, self._taken = manager, read, taken
        self._one = BoundedSemaphore(1)

    def __call__(self, force: bool = False) -> dict[str, Any]:
        """Reload and return what was loaded, unloaded, updated and left unchanged, and what needs a new start.

        :param force: also if that unloads more than half of the jobs.
        :raises ConfigError: lists what is wrong; everything stays as it was.
        :raises GafferError: a plugin refused; everything stays as it was.
        """
        with self._one:
            if not self._manager.active:
                raise Unavailable(f"gafferd is {self._manager.state}; nothing is reloaded")
            settings = self._read()
            problems = find_problems(settings, self._manager)
            if problems:
                raise ConfigError(problems)
            old: Settings = self._manager.settings
            report = self._manager.reload_config(settings, force)
            late = [option.name for option in old.changed(settings) if option.needs_restart]
            self._tell(late, report)
            self._taken(settings)
            return {**report, "needs_restart": late}

    def _tell(self, late: list[str], report: dict[str, list[str]]) -> None:
        for option in late:
            log.warning("%s has changed; that takes effect when gafferd is started again", option)
        shown = [f"{what}: {', '.join(names)}" for what, names in report.items() if names and what != "unchanged"]
        log.info("configuration reloaded; %s", "; ".join(shown) or "no job has changed")

    def quietly(self) -> None:
        """Reload; what is wrong is logged instead of raised."""
        try:
            self()
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error("the configuration was not reloaded; everything stays as it was")
        except GafferError as error:
            log.error("the configuration was not reloaded; everything stays as it was: %s", error)
