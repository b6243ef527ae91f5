"""gaffer.service.signals: handlers note, greenlets act, children inherit nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Iterator

import gevent
import pytest
from gevent.event import Event

from gaffer.service.signals import Signals


class Seen:
    """Actions that remember what was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.happened = Event()

    def action(self, name: str):  # type: ignore[no-untyped-def]
        def act() -> None:
            self.calls.append(name)
            self.happened.set()

        return act

    def wait(self, *names: str) -> None:
        with gevent.Timeout(5):
            while len(self.calls) < len(names):
                self.happened.wait()
                self.happened.clear()
        assert self.calls == list(names)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def signals(seen: Seen) -> Iterator[Signals]:
    actions = {signal.SIGHUP: seen.action("hup"), signal.SIGUSR1: seen.action("usr1"), signal.SIGUSR2: None}
    signals = Signals(gevent.get_hub().loop, actions)
    before = [signal.getsignal(number) for number in actions]
    signals.install()
    yield signals
    signals.remove()
    assert [signal.getsignal(number) for number in actions] == before


def test_an_action_runs_in_a_greenlet_of_its_own(signals: Signals, seen: Seen) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    assert seen.calls == []  # the handler only notes it
    assert signals.arrived(signal.SIGHUP) and not signals.arrived(signal.SIGUSR1)
    seen.wait("hup")
    assert not signals.arrived(signal.SIGHUP)


def test_a_sleeping_loop_is_woken(signals: Signals, seen: Seen) -> None:
    with subprocess.Popen(["/bin/sh", "-c", f"kill -USR1 {os.getpid()}"]):
        seen.wait("usr1")


def test_they_keep_their_order(signals: Signals, seen: Seen) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGUSR1)
    seen.wait("usr1", "hup")  # the second USR1 came before the action for the first had begun


def test_an_action_that_waits_does_not_hold_up_the_next(seen: Seen) -> None:
    gate = Event()
    signals = Signals(gevent.get_hub().loop, {signal.SIGHUP: gate.wait, signal.SIGUSR1: seen.action("usr1")})
    signals.install()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        seen.wait("usr1")
    finally:
        gate.set()
        signals.remove()


def test_nothing_happens_on_usr2_and_children_do_not_ignore_it(signals: Signals, seen: Seen) -> None:
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGHUP)
    seen.wait("hup")
    with subprocess.Popen(["/bin/sh", "-c", "grep SigIgn /proc/$$/status"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        ignored = int(child.stdout.read().split()[1], 16)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        assert not ignored & 1 << (number - 1)


def test_the_descriptors_are_closed(seen: Seen) -> None:
    before = os.listdir("/proc/self/fd")
    signals = Signals(gevent.get_hub().loop, {signal.SIGHUP: seen.action("hup")})
    signals.install()
    signals.remove()
    assert os.listdir("/proc/self/fd") == before


def test_signals_of_one_kind_that_arrive_during_the_action_are_one(seen: Seen) -> None:
    go_on = Event()

    def reload() -> None:
        seen.action("reload")()
        go_on.wait()

    signals = Signals(gevent.get_hub().loop, {signal.SIGHUP: reload})
    signals.install()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        seen.wait("reload")
        for _ in range(100):
            os.kill(os.getpid(), signal.SIGHUP)
            gevent.sleep(0)
        gevent.sleep(0.05)
        go_on.set()
        seen.wait("reload", "reload")
        gevent.sleep(0.05)
        assert seen.calls == ["reload", "reload"]
    finally:
        signals.remove()


def test_second_stop_signal_is_told_while_the_first_is_acted_upon(seen: Seen) -> None:
    def stop() -> None:
        seen.action("stop")()
        gevent.sleep(5)

    signals = Signals(gevent.get_hub().loop, {signal.SIGTERM: stop})
    signals.install()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        seen.wait("stop")
        os.kill(os.getpid(), signal.SIGTERM)
        seen.wait("stop", "stop")
    finally:
        signals.remove()
