"""Reloading the jobs of the configuration, on fake processes."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

import gaffer
import gaffer.api
from gaffer.errors import Conflict


class Source:
    """A job source whose answer can be changed, and held back."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked = 0
        self.gate = Event()
        self.gate.set()

    @gaffer.hookimpl
    def gaffer_load_jobs(self) -> list[gaffer.JobConfig]:
        self.asked += 1
        names = self.names
        self.gate.wait()
        return [gaffer.JobConfig(name, "serve") for name in names]


@pytest.fixture
def source() -> Source:
    return Source("a", "b")


@pytest.fixture
def manager(gaffer_manager, source):
    manager = gaffer_manager(source)
    manager.start()
    return manager


def test_two_reloads_at_once_are_one_after_the_other(manager, source):
    source.gate.clear()
    source.names = ("b", "c")
    first = gevent.spawn(manager.reload_config)
    gevent.sleep(0)
    second = gevent.spawn(manager.reload_config)
    gevent.sleep(0)
    assert source.asked == 2  # at the start, and by the first
    source.names = ("c", "d")
    source.gate.set()
    assert first.get(timeout=5)["loaded"] == ["default.c"]
    assert second.get(timeout=5) == {
        "loaded": ["default.d"],
        "unloaded": ["default.b"],
        "updated": [],
        "unchanged": ["default.c"],
    }
    assert sorted(manager.jobs()) == ["default.c", "default.d"]


def test_failed_reload_leaves_the_next_one_a_chance(manager, source):
    source.names = ("a", "a")
    with pytest.raises(gaffer.api.InvalidConfig, match="configured twice"):
        manager.reload_config()
    source.names = ("a",)
    assert manager.reload_config()["unloaded"] == ["default.b"]


def test_reload_out_of_a_reload_is_rejected(gaffer_manager):
    class Recursive:
        manager = None

        @gaffer.hookimpl
        def gaffer_load_jobs(self):
            if self.manager is not None:
                self.manager.reload_config()
            return []

    plugin = Recursive()
    manager = gaffer_manager(plugin)
    manager.start()
    plugin.manager = manager
    with pytest.raises(Conflict, match="the configuration is being reloaded"):
        manager.reload_config()
