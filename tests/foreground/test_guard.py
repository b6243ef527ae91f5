"""The guard of gaffer start: what it does at which end, with real processes."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import Iterator

import pytest

from gaffer.errors import SpawnError
from gaffer.foreground.guard import Guard

NODE = "0123456789ab"


@pytest.fixture
def marked() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the node, in a session of its own."""
    process = subprocess.Popen(["sleep", "1000"], env={"GAFFER_ID": f"{NODE}.1"}, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def test_after_an_exception_nothing_is_left(marked: subprocess.Popen[bytes]) -> None:
    before = descriptors()
    with pytest.raises(ZeroDivisionError), Guard() as guard:
        guard.watch(NODE)
        raise ZeroDivisionError
    assert marked.wait(30) == -9
    assert descriptors() == before


def test_groups_die_though_they_have_no_mark() -> None:
    process = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
    with pytest.raises(ZeroDivisionError), Guard() as guard:
        guard.watch(NODE)
        guard.add(process.pid)
        raise ZeroDivisionError
    assert process.wait(30) == -9


def test_after_a_clean_end_it_touches_no_process(marked: subprocess.Popen[bytes]) -> None:
    before = descriptors()
    with Guard() as guard:
        guard.watch(NODE)
        guard.add(marked.pid)
    assert marked.poll() is None
    assert descriptors() == before


def test_a_group_that_was_taken_back_is_left_alone(marked: subprocess.Popen[bytes]) -> None:
    with pytest.raises(ZeroDivisionError), Guard() as guard:
        guard.watch("ba9876543210")
        guard.add(marked.pid)
        guard.remove(marked.pid)
        raise ZeroDivisionError
    assert marked.poll() is None


@pytest.mark.parametrize("missing", ["os.pipe", "subprocess.Popen"])
def test_why_it_cannot_be_started(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = descriptors()
    monkeypatch.setattr(missing, fail)
    with pytest.raises(SpawnError, match="cannot be started: Resource temporarily unavailable; raise the limits"):
        Guard()
    monkeypatch.undo()
    assert descriptors() == before
