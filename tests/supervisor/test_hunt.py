"""Hunts: what forks itself anew is killed as soon as it is seen, in a bounded time."""

import itertools
import signal

import pytest

from gaffer.supervisor import hunt as module
from gaffer.supervisor.hunt import BATCH, HUNT_TIME, hunt
from gaffer.testing.fakes import FakeClock


class Machine:
    """Processes by os_pid, with their environments; *looks* is what the next listings bring."""

    def __init__(self, monkeypatch):
        self.clock = FakeClock(0.0)
        self.environments, self.dead, self.killed, self.looks = {}, set(), [], []
        monkeypatch.setattr(module, "is_dead", self.dead.__contains__)
        monkeypatch.setattr(module, "environment_of", lambda os_pid: self.environments.get(os_pid, b""))
        monkeypatch.setattr(module, "signal_checked", self.signal)
        monkeypatch.setattr(module.time, "monotonic", self.clock)

    def listing(self):
        return self.looks.pop(0) if self.looks else []

    def signal(self, os_pid, signum, is_it):
        assert signum == signal.SIGKILL
        if is_it(os_pid):
            self.killed.append(os_pid)


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def ours(environment):
    return environment == b"ours"


def test_hunt_follows_what_forks_until_a_look_finds_nothing_new(machine):
    machine.environments = {3: b"ours", 4: b"ours", 2: b"another"}
    machine.dead.add(1)
    machine.looks = [[3, 2, 1], [4, 3, 2, 1], [4, 3, 2, 1], [5]]
    assert hunt(ours, machine.listing)
    assert machine.killed == [3, 4] and machine.looks == [[5]]


def test_hunt_of_what_comes_faster_ends_in_time(machine):
    numbers = itertools.count(1)

    def listing():
        machine.clock.advance(HUNT_TIME / 10)
        return [next(numbers)]

    assert not hunt(ours, listing)
    assert next(numbers) < 15


def test_what_comes_meanwhile_goes_before_a_long_list(machine):
    old = range(BATCH * 2, 0, -1)
    machine.environments = dict.fromkeys(range(1, 101), b"ours")
    machine.looks = [[*old], [100, *old], [100, *old]]
    assert hunt(ours, machine.listing)
    assert machine.killed.index(100) == BATCH and len(machine.killed) == 2 * BATCH + 1


def test_process_that_may_not_be_signalled_does_not_end_the_hunt(machine, monkeypatch):
    machine.environments = {1: b"ours", 2: b"ours"}
    refused = []

    def refuse(os_pid, signum, is_it):
        refused.append(os_pid)
        raise PermissionError

    monkeypatch.setattr(module, "signal_checked", refuse)
    machine.looks = [[2, 1]]
    assert hunt(ours, machine.listing) and refused == [2, 1]
