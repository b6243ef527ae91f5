"""The registry ``memory:`` is marked as stale until nodes have had the time to come back."""

from __future__ import annotations

from gaffer.lookupd.registry import Registry
from gaffer.testing import FakeClock
from gaffer_plugins import registry_memory
from gaffer_plugins.lookup import links
from gaffer_plugins.registry_memory import MemoryBackend, MemoryRegistry


def test_answers_are_marked_while_nodes_may_not_have_come_back():
    clock = FakeClock()
    backend = MemoryBackend(clock)
    clock.advance(100)
    backend.start(Registry(), 45.0, print)
    clock.advance(3)
    assert backend.stale() == {
        "seconds": 3.0,
        "reason": "warming up since its start, so some nodes may not have connected again",
    }
    clock.advance(registry_memory.WARM_UP - 3)
    assert backend.stale() is None


def test_the_time_is_that_which_a_node_may_take():
    assert registry_memory.WARM_UP >= links.LONGEST + links.ANSWER_TIMEOUT


def test_other_registries_are_not_its_own():
    plugin = MemoryRegistry()
    assert isinstance(plugin.gaffer_registry("memory:"), MemoryBackend) and plugin.gaffer_registry("etcd://h:1") is None
