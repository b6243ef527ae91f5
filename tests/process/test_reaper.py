"""gaffer.process.reaper: dead children are reaped, but never those that other code waits for."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
import unittest.mock
from typing import Iterator

import pytest

from gaffer.process.reaper import GRACE, Orphans, become_subreaper, children, is_dead, reap_all_but


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def subreaper() -> Iterator[None]:
    assert become_subreaper()
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


def die() -> int:
    """Make a dead child that has not been waited for."""
    os_pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, os_pid, os.WEXITED | os.WNOWAIT)
    return os_pid


def test_children_and_their_ends_are_seen_without_taking_a_status() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as living:
        dead = die()
        assert {living.pid, dead} <= set(children())
        assert is_dead(dead) and is_dead(dead) and not is_dead(living.pid)
        assert os.waitpid(dead, 0) == (dead, 0)
        assert not is_dead(dead)


def test_the_dead_are_reaped_after_a_while(clock: Clock) -> None:
    orphans = Orphans(lambda: (), clock)
    os_pid = die()
    assert orphans.sweep() and is_dead(os_pid)
    clock.now += GRACE / 2
    assert orphans.sweep() and is_dead(os_pid)
    clock.now += GRACE / 2
    assert not orphans.sweep()
    assert os_pid not in children()


def test_those_of_the_engine_are_left_to_it(clock: Clock) -> None:
    os_pid = die()
    orphans = Orphans(lambda: {os_pid}, clock)
    assert not orphans.sweep()
    clock.now += 10 * GRACE
    assert not orphans.sweep()
    assert os.waitpid(os_pid, 0) == (os_pid, 0)


def test_those_that_are_waited_for_meanwhile_are_forgotten(clock: Clock) -> None:
    orphans = Orphans(lambda: (), clock)
    os_pid = die()
    assert orphans.sweep()
    assert os.waitpid(os_pid, 0) == (os_pid, 0)
    assert not orphans.sweep()


def test_orphan_of_a_session_of_a_job_is_reaped_at_once(clock: Clock, subreaper: None) -> None:
    # The shell leads a session. Its child ends after it, or the shell itself might still reap it.
    script = "{ read line <&3; } 3<&0 & echo $!"
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, text=True, start_new_session=True) as shell:
        assert shell.stdout is not None and shell.stdin is not None
        os_pid = int(shell.stdout.readline())
        shell.wait()
        shell.stdin.close()
    deadline = time.monotonic() + 20
    while os_pid not in children() or not is_dead(os_pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not Orphans(lambda: (), clock).sweep()
    assert os_pid not in children()


def test_all_dead_children_but_one_are_reaped() -> None:
    others, kept = [die(), die()], die()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        reap_all_but(kept)
        assert not any(map(is_dead, others)) and is_dead(kept)
        assert os.waitpid(kept, 0) == (kept, 0)
        reap_all_but(kept)  # only one that lives is left
    reap_all_but(kept)


def test_many_dead_children_are_reaped_in_batches(clock: Clock) -> None:
    dead = [die() for _ in range(5)]
    rests: list[None] = []
    with unittest.mock.patch("gaffer.process.reaper.BATCH", 2):
        orphans = Orphans(lambda: (), clock, lambda: rests.append(None))
        assert orphans.sweep()
        clock.now += GRACE
        assert not orphans.sweep()
    assert not set(dead) & set(children()) and len(rests) >= 6
