"""Managers for tests, and a look after each test whether anything was left over."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any, Callable, Iterator

import gevent
import pytest

import gaffer

from ..kit.manager import PATIENCE, Watch, belongings, eventually, zombies

#: A test that takes longer hangs; the hub still runs, so that this can say where.
TOO_LONG = 90.0


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    with gevent.Timeout(TOO_LONG, AssertionError(f"the test hung for {TOO_LONG:g} s")):
        yield


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def make_manager(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., gaffer.Manager]]:
    """Make managers; at the end they are stopped and must have left nothing behind."""
    made: list[gaffer.Manager] = []
    gevent.get_hub()
    before = descriptors()

    def make(*plugins: Any, start: bool = True, **settings: Any) -> gaffer.Manager:
        manager = gaffer.Manager(plugins=plugins, **settings)
        made.append(manager)
        if start:
            manager.start()
        return manager

    yield make
    left: list[int] = []
    for manager in made:
        manager.halt()
        assert manager.wait_stopped(PATIENCE), "the manager never stopped"
        if manager.engine.next_pid() > 1:  # else nothing was ever started
            left += belongings(manager.node_id)
    for os_pid in left:
        os.kill(os_pid, signal.SIGKILL)
    assert not left, f"the manager left processes behind: {left}"
    eventually(lambda: not zombies(), what="the manager left zombies behind")
    eventually(lambda: descriptors() <= before, what=f"descriptors are left: {before} before, {descriptors()} after")
    broken = [record.getMessage() for record in caplog.records if record.levelno >= logging.CRITICAL]
    assert not broken, broken


@pytest.fixture
def manager(make_manager: Callable[..., gaffer.Manager], watch: Watch) -> gaffer.Manager:
    """A manager that runs, with ``watch`` as its only plugin."""
    return make_manager(watch)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
