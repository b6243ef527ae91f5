"""Everything at once: random commands, crashes and slow plugins against real processes.

The order of things differs from run to run, as it does in life; the commands of a seed do not.
"""

import os
import random
import signal

import gevent
import pytest

import gaffer
from gaffer.errors import Conflict, GafferError, NotFound, Unavailable

from ..kit.manager import alive, belongings, eventually

NAMES = ("a", "b", "c")
COMMANDS = (
    "sleep 1000",
    "true",
    "sh -c 'sleep 0.0$GAFFER_INDEX; exit 3'",
    "sh -c 'trap \"\" TERM; while :; do sleep 0.02; done'",
    "sh -c 'trap \"sleep 0.1; exit 0\" TERM; while :; do sleep 0.02; done'",
    "sh -c 'setsid sleep 1000 & sleep 1000 & wait'",
    "/nowhere/at/all",
)


class Census:
    """A plugin that knows at any time which processes live, and complains of two in one place."""

    def __init__(self):
        self.live, self.spawned, self.complaints = {}, 0, []

    @gaffer.hookimpl
    def gaffer_spawned(self, job, process):
        self.spawned += 1
        place = (job.name, -process.pid if process.committed else process.index)
        if place in self.live.values():
            self.complaints.append(f"{place} was taken when {process} came")
        if not process.committed and process.index >= 6:
            self.complaints.append(f"{process} is one too many")
        self.live[process.pid] = place

    @gaffer.hookimpl
    def gaffer_reaped(self, process):
        if self.live.pop(process.pid, None) is None:
            self.complaints.append(f"{process} was reaped twice, or never came")


class Ponder:
    """A plugin that takes a random moment for every answer it is asked for."""

    def __init__(self, dice):
        self.dice = dice

    def ponder(self):
        gevent.sleep(self.dice.random() * 0.02)

    @gaffer.hookimpl
    def gaffer_before_spawn(self):
        self.ponder()
        if self.dice.random() < 0.1:
            raise gaffer.Veto("not now")

    @gaffer.hookimpl
    def gaffer_restart_decision(self):
        self.ponder()

    @gaffer.hookimpl
    def gaffer_stop_steps(self):
        self.ponder()

    @gaffer.hookimpl
    def gaffer_before_load(self):
        self.ponder()

    @gaffer.hookimpl
    def gaffer_before_unload(self):
        self.ponder()

    @gaffer.hookimpl
    def gaffer_before_scale(self):
        self.ponder()


class Chaos:
    """Gives random commands."""

    def __init__(self, manager, dice):
        self.manager, self.dice = manager, dice

    def config(self):
        return gaffer.JobConfig(
            self.dice.choice(NAMES),
            self.dice.choice(COMMANDS),
            numprocesses=self.dice.randint(0, 3),
            graceful_timeout=self.dice.choice([0.0, 0.05, 0.3]),
            min_uptime=self.dice.choice([0.0, 100.0]),
            restart=self.dice.choice(["always", "always", "on-failure", "never"]),
            flapping=self.dice.choice([None, None, [2, 1.0, 0.05, 2]]),
            redirect_output=self.dice.choice([[], ["out", "err"]]),
        )

    def step(self):
        manager, dice = self.manager, self.dice
        name, pids = dice.choice(NAMES), manager.pids()
        commands = [
            lambda: manager.load(self.config()),
            lambda: manager.load(self.config()),
            lambda: manager.update(self.config(), start=dice.choice([None, True, False])),
            lambda: manager.unload(name),
            lambda: manager.start_job(name),
            lambda: manager.start_job(name),
            lambda: manager.stop_job(name),
            lambda: manager.restart_job(name),
            lambda: manager.reload(name),
            lambda: manager.stopall(name),
            lambda: manager.scale(name, f"={dice.randint(0, 6)}"),
            lambda: manager.commit(name, graceful_timeout=0.1),
            lambda: pids and manager.stop_process(dice.choice(pids)),
            lambda: pids and manager.kill(dice.choice(pids), dice.choice(["TERM", "KILL", "STOP"])),
            lambda: manager.killall(name, "KILL"),
            lambda: pids and self.crash(dice.choice(pids)),
            lambda: pids and self.crash(dice.choice(pids)),
            lambda: manager.info(name),
            lambda: manager.health(),
        ]
        try:
            dice.choice(commands)()
        except (Conflict, NotFound, Unavailable):
            pass

    def crash(self, pid):
        process = self.manager.running.get(pid)
        if process is not None and process.status is None and alive(process.os_pid):
            os.kill(process.os_pid, signal.SIGKILL)

    def run(self, steps):
        for _ in range(steps):
            self.step()
            gevent.sleep(self.dice.choice([0, 0, 0.001, 0.02]))


@pytest.mark.parametrize("seed", range(4))
def test_chaos(make_manager, seed):
    dice, census = random.Random(seed), Census()
    manager = make_manager(census, *([Ponder(dice)] if seed % 2 else []))
    users = [gevent.spawn(Chaos(manager, random.Random(f"{seed} {user}")).run, 60) for user in range(4)]
    gevent.joinall(users, raise_error=True)
    assert census.complaints == []
    manager.stop()
    assert belongings(manager.node_id) == [] and manager.running == {}
    assert census.complaints == [] and census.live == {} and census.spawned


@pytest.mark.parametrize("seed", range(2))
def test_quiet_after_chaos(make_manager, seed):
    """When the commands end, every job comes to what was asked of it last."""
    dice, census = random.Random(seed), Census()
    manager = make_manager(census, *([Ponder(dice)] if seed % 2 else []))
    gevent.joinall(
        [gevent.spawn(Chaos(manager, random.Random(f"{seed} {n}")).run, 40) for n in range(3)], raise_error=True
    )
    for name in NAMES:
        config = gaffer.JobConfig(name, "sleep 1000", numprocesses=4, graceful_timeout=0.3)
        try:
            manager.update(config, start=True)
        except GafferError:
            manager.load(config)
    for name in NAMES:
        eventually(lambda name=name: _is_calm(manager.info(name)), what=f"{name}: {manager.info(name)}")
        indexes = sorted(process.index for process in manager.list(name) if not process.committed)
        assert indexes == [0, 1, 2, 3]
    for name in NAMES:
        manager.stop_job(name)
    eventually(lambda: not manager.running, what=f"{manager.running} are left")
    # Daemons of processes that were killed from outside are ended with the manager.
    manager.stop()
    assert census.complaints == [] and belongings(manager.node_id) == []


def _is_calm(info):
    return info["running"] - info["running_out"] == 4 and info["state"] in ("running", "starting")
