"""Managers with plugins that answer, listen and fail in one hook; their processes are not real."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import gaffer
from gaffer.testing import HookRecorder, settle


class Plugin(HookRecorder):
    """A plugin called *name* that implements some hooks; keywords are its answers."""

    def __init__(self, name: str, *hooks: str, **answers: Any) -> None:
        super().__init__(*hooks, *answers)
        self.name = name
        self.answers.update(answers)


class Told:
    """A manager that runs, and for one TELL hook a plugin that fails and one that listens."""

    def __init__(self, make: Any, hook: str) -> None:
        self.listener = Plugin("listener", hook)
        self.manager = make(Plugin("broken", **{hook: RuntimeError("broken")}), self.listener)
        self.hook = hook
        self.manager.start()

    def load(self, **settings: Any) -> Any:
        job = self.manager.load({"name": "web", "cmd": "serve", **settings})
        settle(self.manager)
        return job

    def once(self) -> Any:
        """Return the arguments of the only call; the plugin that fails cost the others nothing."""
        settle(self.manager)
        (call,) = self.listener.calls
        counters = self.manager.hooks.counters()
        assert (counters["broken"]["failures"], counters["listener"]["delivered"]) == (1, 1)
        self.listener.clear()
        return SimpleNamespace(**call.args)


@pytest.fixture
def told(gaffer_manager, request):
    """For ``test_gaffer_x``: a manager and plugins that are told ``gaffer_x``."""
    return Told(gaffer_manager, request.function.__name__.removeprefix("test_"))


@pytest.fixture
def running(gaffer_manager):
    """Return a function that makes a manager that runs with these plugins and the job ``web``."""

    def make(*plugins: Any, **settings: Any) -> gaffer.Manager:
        manager = gaffer_manager(*plugins)
        manager.start()
        manager.load({"name": "web", "cmd": "serve", **settings})
        settle(manager)
        return manager

    return make
