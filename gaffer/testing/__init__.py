"""For tests of plugins and of programs that embed gaffer: no processes, no waiting.

pytest finds the fixtures of this module by itself wherever gaffer is installed::

    def test_every_crash_is_mailed(gaffer_manager, gaffer_spawner):
        mailer = Mailer()
        manager = gaffer_manager(mailer)
        manager.start()
        manager.load({"name": "web", "cmd": "serve"})
        settle(manager)
        gaffer_spawner.last.exit(1)
        settle(manager)
        assert mailer.sent == ["web failed with code 1"]

The classes do without pytest's fixtures too. They are imported when first used: pytest
loads this module in every project, whose own tests shall not pay for gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator

import pytest

from .. import lazy_names

if TYPE_CHECKING:
    from ..manager.manager import Manager
    from .fakes import FakeClock as FakeClock
    from .fakes import FakeProcess as FakeProcess
    from .fakes import FakeSpawner as FakeSpawner
    from .fakes import settle as settle
    from .recorder import HookCall as HookCall
    from .recorder import HookRecorder as HookRecorder

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {"testing.fakes": "FakeClock FakeProcess FakeSpawner settle", "testing.recorder": "HookCall HookRecorder"},
)
__all__ += ["gaffer_clock", "gaffer_manager", "gaffer_recorder", "gaffer_spawner"]


@pytest.fixture
def gaffer_clock() -> FakeClock:
    """A :class:`FakeClock`: the time of ``gaffer_manager``."""
    from .fakes import FakeClock

    return FakeClock()


@pytest.fixture
def gaffer_spawner(gaffer_clock: FakeClock) -> FakeSpawner:
    """A :class:`FakeSpawner`: the processes of ``gaffer_manager``."""
    from .fakes import FakeSpawner

    return FakeSpawner(gaffer_clock)


@pytest.fixture
def gaffer_recorder() -> HookRecorder:
    """A :class:`HookRecorder` of all hooks, to be given to a manager as a plugin."""
    from .recorder import HookRecorder

    return HookRecorder()


@pytest.fixture
def gaffer_manager(gaffer_spawner: FakeSpawner) -> Iterator[Callable[..., Manager]]:
    """A function that makes managers without real processes: ``gaffer_manager(*plugins, **options)``.

    The options are those of :class:`gaffer.Manager`. They are not started; those
    that are running at the end of the test are stopped.
    """
    from ..manager.manager import Manager

    made: list[Manager] = []

    def make(*plugins: Any, **options: Any) -> Manager:
        manager = Manager(plugins=plugins, **options)
        gaffer_spawner.install(manager)
        made.append(manager)
        return manager

    yield make
    for manager in made:
        if manager.state not in ("new", "stopped"):
            manager.halt()
            assert manager.wait_stopped(10), "the manager does not stop; does a plugin wait in a hook?"
