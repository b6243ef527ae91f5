"""The sampler: one greenlet, only while there are subscribers; every listener by itself; figures from a plugin."""

import os
import subprocess
import sys
import types

import gevent
import pytest
from gevent.event import Event

from gaffer.errors import BadRequest, NotFound, Unavailable
from gaffer.process.sampler import MIN_STATS_INTERVAL, ProcessWatcher, Sampler, get_process_stats
from gaffer.process.standalone import StandaloneOwner
from tests.kit.web import wait_until


class Meter:
    """Measures what it is asked to, and notes when."""

    def __init__(self):
        self.asked = []
        self.error = None

    def __call__(self, processes):
        if self.error is not None:
            raise self.error
        if processes:
            self.asked.append([process.pid for process in processes])
        return [{"pid": process.pid, "look": len(self.asked)} for process in processes if process.alive]


class Listener:
    def __init__(self):
        self.heard = []

    def __call__(self, event, figures):
        self.heard.append((event, figures))


def target(pid, alive=True):
    return types.SimpleNamespace(pid=pid, alive=alive)


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def sampler(meter):
    made = Sampler(meter)
    yield made
    made.close()
    wait_until(lambda: made._greenlet is None)


@pytest.fixture
def listener():
    return Listener()


def test_sampler_runs_only_while_there_are_subscribers(sampler, meter, listener):
    assert sampler._greenlet is None and not sampler
    sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    wait_until(lambda: len(listener.heard) >= 2)
    assert sampler
    sampler.unsubscribe("stat", 1, listener)
    wait_until(lambda: sampler._greenlet is None)
    assert not sampler and listener.heard[:2] == [("stat", {"pid": 1, "look": 1}), ("stat", {"pid": 1, "look": 2})]


def test_one_greenlet_measures_for_all(sampler, meter, listener):
    other = Listener()
    sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    sampler.subscribe("STATS", "job", other, lambda: [target(1), target(2)])
    wait_until(lambda: len(other.heard) >= 2)
    assert meter.asked[:2] == [[1], [1, 2]] and len(listener.heard) >= 1


def test_every_subscriber_has_its_own_interval(sampler, meter, listener):
    slow = Listener()
    sampler.subscribe("stat", 1, slow, lambda: [target(1)], interval=60)
    sampler.subscribe("stat", 2, listener, lambda: [target(2)], interval=MIN_STATS_INTERVAL)
    wait_until(lambda: len(listener.heard) == 3)
    assert meter.asked == [[1], [2], [2], [2]] and len(slow.heard) == 1


def test_new_subscriber_does_not_wait_for_another_interval(sampler, listener):
    sampler.subscribe("stat", 1, Listener(), lambda: [target(1)], interval=60)
    wait_until(lambda: sampler.last(1))
    sampler.subscribe("stat", 1, listener, lambda: [target(1)], interval=60)
    wait_until(lambda: listener.heard)


def test_subscribing_again_changes_the_interval_only(sampler, meter, listener):
    sampler.subscribe("stat", 1, listener, lambda: [target(1)], interval=60)
    sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    wait_until(lambda: len(listener.heard) == 2)
    assert [figures["look"] for _, figures in listener.heard] == [1, 2]


@pytest.mark.parametrize("interval", [0, 0.05, -1, float("nan"), "1", None])
def test_invalid_intervals_are_rejected(sampler, listener, interval):
    with pytest.raises(BadRequest, match="interval"):
        sampler.subscribe("stat", 1, listener, lambda: [target(1)], interval=interval)
    assert not sampler


def test_missing_measure_is_an_error_at_once(sampler, meter, listener):
    meter.error = Unavailable("no plugin collects statistics")
    with pytest.raises(Unavailable):
        sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    assert not sampler


def test_subscription_once_gets_one_measurement(sampler, listener):
    sampler.subscribe("stat", 1, listener, lambda: [target(1)], once=True)
    wait_until(lambda: sampler._greenlet is None)
    assert len(listener.heard) == 1


def test_subscription_once_waits_for_figures(sampler, meter, listener):
    processes = []
    sampler.subscribe("stat", 1, listener, lambda: processes, once=True)
    gevent.idle()
    processes.append(target(1))
    wait_until(lambda: listener.heard)


def test_end_of_a_process_ends_its_subscriptions(sampler, listener):
    found = [[target(1)], None]
    sampler.subscribe("stat", 1, listener, lambda: found.pop(0))
    wait_until(lambda: sampler._greenlet is None)
    assert len(listener.heard) == 1 and not sampler


def test_ended_processes_are_left_out(sampler, listener):
    sampler.subscribe("STATS", "job", listener, lambda: [target(1, alive=False), target(2)])
    wait_until(lambda: listener.heard)
    assert listener.heard[0][1]["pid"] == 2 and sampler.last(1) is None


def test_latest_figures_are_kept_while_there_are_subscribers(sampler, meter):
    assert sampler.last(1) is None
    sampler.subscribe("stat", 1, None, lambda: [target(1)])
    wait_until(lambda: sampler.last(1))
    sampler.unsubscribe("stat", 1, None)
    assert sampler.last(1) is None


def test_slow_or_failing_listener_affects_no_other(sampler, listener, caplog):
    def broken(event, figures):
        raise ValueError("no")

    sampler.subscribe("stat", 1, lambda event, figures: Event().wait(), lambda: [target(1)])
    sampler.subscribe("stat", 1, broken, lambda: [target(1)])
    sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    wait_until(lambda: len(listener.heard) >= 2)
    assert "listener broken of 1 failed in stat: ValueError('no')" in caplog.messages


def test_listener_that_always_fails_is_not_measured_for(sampler, meter, listener):
    def broken(event, figures):
        raise ValueError("no")

    sampler.subscribe("STATS", "job", broken, lambda: [target(pid) for pid in range(1, 31)])
    wait_until(lambda: not sampler)
    assert len(meter.asked) <= 2


def test_failing_measure_is_logged_once_and_tried_again(sampler, meter, listener, caplog):
    sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    wait_until(lambda: listener.heard)
    meter.error = Unavailable("no plugin collects statistics")
    wait_until(lambda: caplog.messages)
    meter.error, heard = None, len(listener.heard)
    wait_until(lambda: len(listener.heard) > heard)
    assert caplog.messages == ["processes cannot be measured: no plugin collects statistics"]


def test_listener_unsubscribed_during_a_measurement_gets_nothing(meter, listener):
    def measure(processes):
        if processes:
            sampler.unsubscribe("stat", 1, listener)
        return meter(processes)

    sampler = Sampler(measure)
    sampler.subscribe("stat", 1, listener, lambda: [target(1)])
    wait_until(lambda: sampler._greenlet is None)
    assert meter.asked and listener.heard == []


# -- one process


class Process:
    """What a watcher needs of a process."""

    def __init__(self, meter):
        self.pid, self.alive, self.name = 7, True, "web"
        self.owner = StandaloneOwner(self)
        self.owner._statistics = Sampler(meter)

    def measurable(self):
        return [self] if self.alive else None


@pytest.fixture
def process(meter):
    made = Process(meter)
    yield made
    made.owner.statistics.close()


@pytest.fixture
def watcher(process):
    return ProcessWatcher(None, process)


def test_watcher_gets_figures_of_its_process(watcher, process, listener):
    assert not watcher.active
    watcher.subscribe(listener)
    wait_until(lambda: listener.heard)
    assert watcher.active and listener.heard[0][0] == "stat"
    process.alive = False
    wait_until(lambda: not watcher.active)


def test_watcher_subscribed_once_gets_one_measurement(watcher, listener):
    watcher.subscribe_once(listener)
    wait_until(lambda: not watcher.active)
    wait_until(lambda: listener.heard)
    assert len(listener.heard) == 1


def test_watcher_unsubscribes_its_own_listeners(watcher, process, listener):
    others = Listener()
    process.owner.statistics.subscribe("stat", 7, others, process.measurable)
    watcher.subscribe(listener)
    watcher.unsubscribe(listener)
    assert not watcher.active
    watcher.subscribe(listener)
    watcher.stop()
    assert not watcher.active and process.owner.statistics
    watcher.stop(all_events=True)
    assert not process.owner.statistics


def test_watcher_measures_at_once(watcher, process, meter):
    assert watcher.refresh() == {"pid": 7, "look": 1}
    assert watcher.refresh(interval=0.01)["look"] == 3
    process.alive = False
    with pytest.raises(NotFound, match="process 7 of web does not run"):
        watcher.refresh()


# -- any process of the system


def test_stats_of_this_program():
    figures = get_process_stats()
    assert (figures["os_pid"], figures["pid"]) == (os.getpid(), None)
    assert figures["mem_info1"] > 1_000_000 and figures["cmdline"]


def test_stats_of_another_process_by_its_id_over_an_interval():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        figures = get_process_stats(child.pid, interval=0.1)
        assert (figures["os_pid"], figures["pid"], figures["cpu"] >= 0) == (child.pid, None, True)
    finally:
        child.communicate()
    with pytest.raises(NotFound, match=f"no process with the id {child.pid}"):
        get_process_stats(child.pid)


@pytest.mark.parametrize("process", ["1", 1.0, True, -1])
def test_stats_of_what_is_no_process_are_an_error(process):
    with pytest.raises(BadRequest):
        get_process_stats(process)
