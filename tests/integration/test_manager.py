"""What programs call a manager for beside jobs: channels, monitors, pids, and gaffer 0.5's names."""

from __future__ import annotations

import gevent
import pytest

import gaffer
from gaffer.errors import BadRequest, Conflict, NotFound, Unavailable
from gaffer.process.process import Process

from ..kit.manager import eventually


@pytest.fixture
def measured(make_manager, watch):
    return make_manager(watch, builtin=("stats",))


def job(name="web", **settings):
    return gaffer.JobConfig(name, "sleep 1000", **settings)


def named(events):
    return [(name, message["name"]) for name, message in events]


# -- channels ---------------------------------------------------------------------------


def test_a_channel_gives_events_one_by_one(manager):
    channel = manager.subscribe("proc.web")
    manager.load(job(start=False))
    manager.load(job("other"))
    manager.start_job("web")
    events = [channel.get(timeout=10) for _ in range(2)]
    assert named(events) == [("proc.web.start", "web"), ("proc.web.spawn", "web")]
    assert channel.get(timeout=0.001) is None and channel.lost == 0
    manager.unsubscribe("proc.web", channel)
    manager.unsubscribe("proc.web", channel)
    manager.stop_job("web")
    assert channel.get() is None and not manager.events


def test_the_end_of_the_manager_ends_a_channel(make_manager):
    manager = make_manager()
    channel = manager.subscribe(".")
    heard = gevent.spawn(lambda: named(channel))
    manager.load(job(start=False))
    gevent.idle()
    manager.stop()
    assert heard.get(timeout=10) == [("create", "web"), ("job.default.web.create", "web")]


def test_a_reader_that_is_too_slow_loses_the_oldest_and_knows_it(manager):
    channel = manager.subscribe("create")
    for number in range(1010):
        manager.load(job(f"job{number}", start=False))
    name, message = channel.get()
    assert (channel.lost, message["name"]) == (10, "job10")


def test_listeners_subscribe_too(manager):
    heard = []
    listener = lambda event, message: heard.append(message["event"])  # noqa: E731
    assert manager.subscribe("create", listener) is None
    manager.load(job(start=False))
    eventually(lambda: heard == ["create"])
    manager.unsubscribe("create", listener)
    assert not manager.events


# -- monitors ---------------------------------------------------------------------------


def test_a_job_is_monitored_whatever_processes_it_has(measured):
    seen = []
    measured.load(job(numprocesses=2))
    measured.monitor("web", lambda event, figures: seen.append(figures["pid"]))
    eventually(lambda: {1, 2} <= set(seen))
    measured.scale("web", "+1")
    eventually(lambda: 3 in seen)
    measured.unload("web")
    eventually(lambda: not measured.running)
    measured.load(job())
    eventually(lambda: 4 in seen)
    assert measured.statistics


def test_a_process_is_monitored_until_its_end(measured):
    seen = []
    measured.load(job())
    eventually(measured.pids)
    measured.monitor(lambda *heard: seen.append(heard), measured.pids()[0], interval=0.1)
    measured.monitor(print, measured.list()[0], interval=60)
    measured.unmonitor(measured.list()[0], print)
    eventually(lambda: seen)
    measured.stop_job("web")
    eventually(lambda: not measured.statistics)


def test_what_cannot_be_monitored(measured, make_manager):
    for name in ("nothing", 99):
        with pytest.raises(NotFound):
            measured.monitor(name, print)
    with pytest.raises(BadRequest, match="a listener must be callable, not 'web'"):
        measured.monitor("web", "web")
    bare = make_manager()
    bare.load(job())
    eventually(bare.pids)
    for call in (
        lambda: bare.monitor("web", print),
        lambda: bare.list()[0].monitor(print),
        lambda: bare.list()[0].stats,
    ):
        with pytest.raises(Unavailable, match="no plugin collects statistics; load the plugin 'stats'"):
            call()


def test_the_figures_of_a_monitored_process_are_the_latest(measured):
    measured.load(job())
    process = eventually(measured.list)[0]
    fresh = process.stats
    process.monitor()
    eventually(lambda: measured.statistics.last(process.pid))
    assert process.stats is measured.statistics.last(process.pid) and process.stats is not fresh


# -- processes --------------------------------------------------------------------------


def test_processes_of_a_manager_do_what_others_do(manager, watch):
    manager.load(job())
    process = eventually(manager.list)[0]
    assert isinstance(process, Process) and process.owner is manager
    with pytest.raises(Conflict, match="was started already"):
        process.spawn()
    process.kill(10)
    eventually(lambda: watch.count("exited") == 1)
    eventually(lambda: watch.count("signalled") == 1)
    process.stop()  # it is gone: nothing happens to the next one
    (second,) = eventually(manager.list)
    second.stop()
    eventually(lambda: watch.count("spawned") == 3)
    assert second.closed and manager.pids() == [3]


def test_a_pid_of_ones_own_is_given_to_no_other_process(manager):
    manager.load(job())
    eventually(manager.pids)
    mine = manager.get_process_id()
    manager.scale("web", 1)
    eventually(lambda: len(manager.pids()) == 2)
    assert mine not in manager.pids() and manager.get_process_id() > mine
