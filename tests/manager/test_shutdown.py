"""The end of a manager on fake processes and a fake clock: order, deadlines, second stops, applications, threads."""

import signal
import threading

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import Conflict, ReentrantCall, Unavailable
from gaffer.manager import shutdown as module
from gaffer.process.proc_scan import Survivors
from gaffer.testing import FakeProcess, settle

TERM, CONT, KILL = signal.SIGTERM, signal.SIGCONT, signal.SIGKILL


class Order:
    """A plugin that notes what happens to jobs, in order."""

    def __init__(self):
        self.spawned, self.reaped, self.stopped = [], [], []

    @gaffer.hookimpl
    def gaffer_spawned(self, job):
        self.spawned.append(job.name.job)

    @gaffer.hookimpl
    def gaffer_reaped(self, job):
        self.reaped.append(job.name.job)

    @gaffer.hookimpl
    def gaffer_job_stopped(self, job):
        self.stopped.append(job.name.job)


@pytest.fixture
def order():
    return Order()


@pytest.fixture
def manager(gaffer_manager, order):
    made = gaffer_manager(order)
    made.start()
    return made


def load(manager, name="web", **settings):
    manager.load(gaffer.JobConfig(name, "serve", **settings))
    settle(manager)


def begin_stop(manager):
    """Let the manager stop as far as it does without time passing; return what the callback gets."""
    called = []
    manager.stop(called.append)
    settle(manager)
    return called


def pass_time(manager, clock, seconds):
    clock.advance(seconds)
    settle(manager)


def jobs_of(processes):
    return [process.name.job for process in processes]


# -- order and deadline ---------------------------------------------------------------------------


def test_jobs_start_by_priority_and_stop_in_reverse(gaffer_manager, order):
    manager = gaffer_manager(order)
    for name, priority in (("late", None), ("third", 7), ("first", 0), ("second", 3), ("later", None)):
        load(manager, name, priority=priority, numprocesses=2)
    manager.start()
    settle(manager)
    by_name = ["first", "second", "third", "late", "later"]
    assert order.spawned == [name for name in by_name for _ in range(2)]
    manager.stop()
    assert sorted(order.reaped[:4]) == ["late", "late", "later", "later"]
    assert order.reaped[4:] == ["third"] * 2 + ["second"] * 2 + ["first"] * 2
    assert manager.state == "stopped" and not manager.active and manager.running == {}


def test_job_is_told_to_stop_when_those_that_started_after_it_are_gone(manager, gaffer_spawner, gaffer_clock):
    load(manager, "database", priority=0)
    gaffer_spawner.ignores = {TERM}
    load(manager, "server", priority=1, graceful_timeout=30.0)
    database, server = gaffer_spawner.processes
    called = begin_stop(manager)
    assert (server.signals, database.signals) == ([TERM, CONT], [])
    pass_time(manager, gaffer_clock, 29.9)
    assert server.alive and database.signals == []
    server.exit()
    settle(manager)
    assert database.signals == [TERM] and not database.alive
    assert manager.wait_stopped(10) and called == [manager]


def test_deaf_process_is_killed_at_the_end_of_its_graceful_timeout(manager, gaffer_spawner, gaffer_clock):
    gaffer_spawner.ignores = {TERM}
    load(manager, graceful_timeout=30.0)
    begin_stop(manager)
    pass_time(manager, gaffer_clock, 29.9)
    assert gaffer_spawner.last.signals == [TERM, CONT] and manager.state == "stopping"
    pass_time(manager, gaffer_clock, 0.2)
    assert gaffer_spawner.last.signals == [TERM, CONT, KILL]
    assert manager.wait_stopped(10)


def test_process_that_even_kill_does_not_end_is_left(manager, gaffer_spawner, monkeypatch, caplog):
    class Unkillable(FakeProcess):
        def signal_group(self, signum):
            self.signals.append(signum)
            return True

    monkeypatch.setattr(module, "UNKILLABLE_TIMEOUT", 0.0)
    manager.engine.launch = lambda loop, config, plan, on_exit=None, *rest, **options: Unkillable(
        config, plan, gaffer_spawner.clock, on_exit
    )
    load(manager, graceful_timeout=0)
    manager.stop()
    assert manager.state == "stopped" and "the kernel does not end" in caplog.text


def test_processes_that_were_to_be_started_are_not(manager, gaffer_spawner, order):
    manager.engine.held = True
    load(manager, numprocesses=100)
    manager.stop()
    assert gaffer_spawner.processes == [] and order.stopped == ["web"]


def test_manager_that_was_never_started_can_be_stopped(gaffer_manager, gaffer_spawner):
    manager = gaffer_manager()
    manager.load(gaffer.JobConfig("web", "serve"))
    manager.stop()
    assert manager.state == "stopped" and manager.wait_stopped(0) and gaffer_spawner.processes == []
    with pytest.raises(Conflict, match="it is stopped"):
        manager.start()


def test_crash_during_the_stop_is_not_followed_by_a_start(manager, gaffer_spawner):
    load(manager, "last", priority=0, min_uptime=0.0)
    gaffer_spawner.ignores = {TERM}
    load(manager, "first", priority=1)
    last, first = gaffer_spawner.processes
    begin_stop(manager)
    last.die()
    settle(manager)
    first.exit()
    assert manager.wait_stopped(10) and jobs_of(gaffer_spawner.processes) == ["last", "first"]


def test_backoff_that_ends_during_the_stop_is_not_followed_by_a_start(manager, gaffer_spawner, gaffer_clock):
    load(manager, "failing", priority=0)
    gaffer_spawner.last.exit(1)
    settle(manager)
    assert manager.info("failing")["state"] == "backoff"
    gaffer_spawner.ignores = {TERM}
    load(manager, "first", priority=1, graceful_timeout=1000.0)
    begin_stop(manager)
    pass_time(manager, gaffer_clock, 100.0)
    assert jobs_of(gaffer_spawner.processes) == ["failing", "first"]
    gaffer_spawner.last.exit()
    assert manager.wait_stopped(10)


def test_nothing_can_be_loaded_or_started_in_a_stopping_or_stopped_manager(manager, gaffer_spawner):
    load(manager, "other", start=False)
    gaffer_spawner.ignores = {TERM}
    load(manager)
    begin_stop(manager)
    attempts = (
        lambda: load(manager, "new"),
        lambda: manager.start_job("other"),
        lambda: manager.restart_job("other"),
        lambda: manager.commit("other"),
        lambda: manager.update(gaffer.JobConfig("other", "serve2"), start=True),
    )
    for attempt in attempts:
        with pytest.raises(Unavailable):
            attempt()
    gaffer_spawner.last.exit()
    assert manager.wait_stopped(10)
    for attempt in attempts:
        with pytest.raises(Unavailable):
            attempt()
    assert len(gaffer_spawner.processes) == 1


# -- second stops ---------------------------------------------------------------------------------


def test_second_stop_waits_for_the_same_end(manager, gaffer_spawner, order):
    gaffer_spawner.ignores = {TERM}
    load(manager)
    both = [gevent.spawn(manager.stop) for _ in range(2)]
    settle(manager)
    assert gaffer_spawner.last.signals == [TERM, CONT] and not any(one.ready() for one in both)
    gaffer_spawner.last.exit()
    gevent.joinall(both, timeout=10, raise_error=True)
    manager.stop()
    manager.run()
    assert all(one.ready() for one in both) and order.stopped == ["web"]


def test_callbacks_of_every_stop_are_called_when_all_is_gone(manager, gaffer_spawner):
    gaffer_spawner.ignores = {TERM}
    load(manager)
    called = []
    callback = lambda stopped: called.append((stopped, stopped.state, len(stopped.running)))  # noqa: E731
    manager.stop(callback)
    manager.stop(callback)
    settle(manager)
    assert called == []
    gaffer_spawner.last.exit()
    manager.run()
    gevent.idle()
    manager.stop(callback)
    assert called == [(manager, "stopped", 0)] * 3


def test_callback_that_fails_keeps_no_other_from_being_called(manager, caplog):
    called = []
    manager.stop(lambda manager: called.remove(manager))
    manager.stop(called.append)
    assert manager.wait_stopped(10)
    gevent.idle()
    assert called == [manager] and "stop callback failed" in caplog.text


def test_halt_during_a_stop_kills_everything_at_once(manager, gaffer_spawner):
    gaffer_spawner.ignores = {TERM}
    for priority, name in enumerate(("a", "b")):
        load(manager, name, priority=priority, graceful_timeout=1000.0)
    a, b = gaffer_spawner.processes
    begin_stop(manager)
    assert a.signals == []
    manager.halt()
    manager.halt()
    assert manager.wait_stopped(10) and (a.signals[-1], b.signals) == (KILL, [TERM, CONT, KILL])


def test_halt_does_not_wait_for_plugins_that_are_asked_about_a_stop(gaffer_manager, gaffer_spawner):
    asked = Event()

    class Thoughtful:
        @gaffer.hookimpl
        def gaffer_stop_steps(self):
            asked.set()
            Event().wait()

    manager = gaffer_manager(Thoughtful())
    manager.start()
    load(manager, graceful_timeout=1000.0)
    manager.stop(lambda manager: None)
    assert asked.wait(10) and gaffer_spawner.last.signals == []
    manager.halt()
    assert manager.wait_stopped(10) and gaffer_spawner.last.signals == [KILL]


def test_halt_ends_the_steps_of_a_plugin(gaffer_manager, gaffer_spawner):
    class Patient:
        @gaffer.hookimpl
        def gaffer_stop_steps(self):
            return [("INT", 1000.0), ("TERM", 1000.0)]

    gaffer_spawner.ignores = {signal.SIGINT, TERM}
    manager = gaffer_manager(Patient())
    manager.start()
    load(manager)
    manager.stop_job("web")
    settle(manager)
    assert gaffer_spawner.last.signals == [signal.SIGINT, CONT]
    manager.halt()
    assert (
        manager.wait_stopped(10) and gaffer_spawner.last.signals[-1] == KILL and TERM not in gaffer_spawner.last.signals
    )


@pytest.mark.parametrize("end", ["stop", "halt"])
def test_detached_process_outlives_the_manager(manager, gaffer_spawner, end):
    load(manager, "free", detach=True)
    load(manager, "bound")
    free, bound = gaffer_spawner.processes
    getattr(manager, end)()
    assert manager.wait_stopped(10)
    assert free.alive and free.signals == [] and not bound.alive


def test_detached_process_that_is_being_stopped_is_stopped_to_the_end(manager, gaffer_spawner, gaffer_clock):
    gaffer_spawner.ignores = {TERM}
    load(manager, detach=True, graceful_timeout=5.0)
    manager.stop_job("web")
    begin_stop(manager)
    assert manager.state == "stopping"
    pass_time(manager, gaffer_clock, 5.1)
    assert manager.wait_stopped(10) and gaffer_spawner.last.signals[-1] == KILL


# -- what crashed processes left behind -----------------------------------------------------------


@pytest.fixture
def strays(manager, gaffer_clock, monkeypatch):
    """Return what searches for strays find, one after the other, and the signals that were sent to them."""
    found, sent = [], []
    manager.shutdown.find = lambda node_id: found.pop(0) if found else Survivors()
    manager.shutdown.pause = gaffer_clock.advance
    monkeypatch.setattr(module.os, "kill", lambda os_pid, signum: sent.append((os_pid, signum)))
    return found, sent


def unclear():
    found = Survivors()
    found.unclear = True
    return found


def test_strays_get_term_and_after_their_grace_kill(manager, strays):
    found, sent = strays
    found += [Survivors({1: [77, 78]})] * 60
    manager.stop()
    assert sent[:2] == [(77, TERM), (78, TERM)]
    assert set(sent[2:]) == {(77, KILL), (78, KILL)} and len(sent) > 4


def test_strays_that_end_after_term_are_not_killed(manager, strays):
    found, sent = strays
    found += [Survivors({1: [77]})] * 3
    manager.stop()
    assert sent == [(77, TERM)] and found == []


def test_strays_get_kill_at_once_after_halt(manager, strays):
    found, sent = strays
    found += [Survivors({1: [77]})] * 2
    manager.halt()
    assert manager.wait_stopped(10) and sent == [(77, KILL), (77, KILL)]


def test_strays_that_nothing_ends_are_left(manager, strays, gaffer_clock):
    found, sent = strays
    found += [Survivors({1: [77]})] * 10_000
    began = gaffer_clock()
    manager.stop()
    assert gaffer_clock() - began == pytest.approx(module.STRAY_GRACE + module.UNKILLABLE_TIMEOUT, abs=1)


def test_what_descends_from_a_detached_process_is_no_stray(manager, strays, gaffer_spawner):
    found, sent = strays
    load(manager, detach=True)
    found += [Survivors({gaffer_spawner.last.pid: [77]})] * 3
    manager.stop()
    assert sent == [] and len(found) == 2


def test_unclear_search_is_repeated_a_limited_number_of_times(manager, strays):
    found, sent = strays
    found += [unclear() for _ in range(100)]
    manager.stop()
    assert sent == [] and len(found) == 100 - module.MAX_UNCLEAR_WALKS - 1


# -- applications and plugins -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=lambda error: error.__name__)
def test_app_that_fails_to_stop_keeps_no_other_from_stopping(gaffer_manager, error):
    stopped = []

    class Good:
        def stop(self):
            stopped.append("good")

    class Bad:
        def stop(self):
            stopped.append("bad")
            raise error("cannot stop")

    manager = gaffer_manager(apps=[Good(), Bad()])
    manager.start()
    manager.stop()
    assert stopped == ["bad", "good"] and manager.state == "stopped"


def test_app_that_never_stops_is_waited_for_until_halt(gaffer_manager, monkeypatch, caplog):
    asked = Event()

    class Stuck:
        def stop(self):
            asked.set()
            Event().wait()

    monkeypatch.setattr(module, "LONG_STOP", 0.0)
    monkeypatch.setattr(module, "APP_GRACE", 0.0)
    manager = gaffer_manager()
    manager.start(apps=[Stuck()])
    manager.stop(lambda manager: None)
    assert asked.wait(10)
    settle(manager)
    assert manager.state == "stopping" and "Stuck is still stopping, and is waited for" in caplog.text
    manager.halt()
    assert manager.wait_stopped(10) and "Stuck does not stop; gaffer leaves it" in caplog.text


def test_plugin_that_refuses_the_start_leaves_nothing_running(gaffer_manager, gaffer_spawner):
    stopped = []

    class First:
        @gaffer.hookimpl
        def gaffer_load_jobs(self):
            return [gaffer.JobConfig("web", "serve")]

        @gaffer.hookimpl
        def gaffer_manager_stopped(self):
            stopped.append("first")

    class Second:
        @gaffer.hookimpl
        def gaffer_manager_start(self):
            raise gaffer.Veto("no port")

    manager = gaffer_manager(First(), Second())
    with pytest.raises(Conflict, match="Second.*no port"):
        manager.start()
    assert manager.state == "stopped" and stopped == ["first"] and gaffer_spawner.processes == []


def test_stop_during_the_start_starts_nothing(gaffer_manager, gaffer_spawner):
    class Stopper:
        @gaffer.hookimpl
        def gaffer_manager_start(self, manager):
            manager.stop(lambda manager: None)

    manager = gaffer_manager(Stopper())
    manager.load(gaffer.JobConfig("web", "serve"))
    manager.start()
    assert manager.wait_stopped(10) and gaffer_spawner.processes == []


def test_plugin_may_stop_the_manager_in_a_hook_and_is_notified_of_the_end(gaffer_manager, gaffer_spawner):
    notified, complete = [], Event()

    class Fuse:
        @gaffer.hookimpl
        def gaffer_exited(self):
            manager.stop()
            notified.append("stop returned")

        @gaffer.hookimpl
        def gaffer_manager_stopped(self):
            notified.append("stopped")
            complete.set()

    manager = gaffer_manager(Fuse())
    manager.start()
    load(manager, "a", numprocesses=3)
    gaffer_spawner.last.die()
    manager.run()
    assert complete.wait(10) and notified[0] == "stop returned" and notified[-1] == "stopped"


def test_listener_may_stop_the_manager(manager, gaffer_spawner):
    done = Event()

    def listener(event, message):
        manager.stop()
        done.set()

    manager.subscribe("exit", listener)
    load(manager)
    gaffer_spawner.last.die()
    manager.run()
    assert done.wait(10)


def test_context_manager_starts_and_stops(gaffer_manager, gaffer_spawner):
    manager = gaffer_manager()
    with pytest.raises(KeyError), manager:
        load(manager)
        raise KeyError("the program failed")
    assert manager.state == "stopped" and len(gaffer_spawner.processes) == 1 and gaffer_spawner.alive == []


# -- callbacks of the hub, and other threads ---------------------------------------------------------


def in_the_hub(manager, function):
    """Call *function* in a callback of the loop; return what it returned or raised."""
    outcome, done = [], Event()

    def callback():
        try:
            outcome.append(function())
        except Exception as error:
            outcome.append(error)
        done.set()

    manager.loop.run_callback(callback)
    assert done.wait(10)
    return outcome[0]


def in_a_thread(manager, function):
    """Call *function* in another thread while this one serves the loop; return what it returned or raised."""
    outcome, done = [], Event()

    def body():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)
        manager.loop.run_callback_threadsafe(done.set)

    awake = gevent.get_hub().loop.async_()
    awake.start(lambda: None)
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    assert done.wait(30), "the thread never came back"
    awake.stop()
    awake.close()
    thread.join()
    return outcome[0]


def test_call_that_waits_is_rejected_in_a_callback_of_the_hub(manager, gaffer_spawner):
    load(manager)
    for call in (
        lambda: manager.stop_job("web"),
        lambda: manager.scale("web", 1),
        lambda: manager.restart_job("web"),
        lambda: manager.commit("web"),
        lambda: manager.unload("web"),
        lambda: manager.load(gaffer.JobConfig("other", "serve")),
    ):
        error = in_the_hub(manager, call)
        assert isinstance(error, ReentrantCall) and "manager.later" in str(error)
    assert manager.jobs() == ["default.web"] and gaffer_spawner.last.signals == []
    assert in_the_hub(manager, lambda: manager.info("web"))["running"] == 1


def test_later_makes_the_call_that_a_callback_cannot_make(manager, gaffer_spawner):
    load(manager)
    in_the_hub(manager, lambda: manager.later(manager.scale, "web", 2))
    settle(manager)
    assert len(gaffer_spawner.alive) == 3


@pytest.mark.parametrize("end", ["stop", "halt"])
def test_callback_of_the_hub_may_end_the_manager_without_waiting(manager, gaffer_spawner, end):
    load(manager, numprocesses=3)
    assert in_the_hub(manager, getattr(manager, end)) is None
    manager.run()
    assert gaffer_spawner.alive == []


def test_stop_in_another_thread_waits_for_the_end(manager, gaffer_spawner):
    load(manager, numprocesses=3)
    called = []

    def stop():
        manager.stop(called.append)
        manager.stop()
        return manager.state, len(gaffer_spawner.alive)

    assert in_a_thread(manager, stop) == ("stopped", 0) and called == [manager]


def test_halt_in_another_thread_does_not_wait(manager, gaffer_spawner):
    gaffer_spawner.ignores = {TERM}
    load(manager, graceful_timeout=1000.0)
    assert in_a_thread(manager, manager.halt) is None
    manager.run()
    assert gaffer_spawner.last.signals[-1] == KILL


def test_restart_in_another_thread(manager, gaffer_spawner):
    load(manager)
    called = []
    assert in_a_thread(manager, lambda: manager.restart(called.append)) is None
    settle(manager)
    assert called == [manager] and [one.alive for one in gaffer_spawner.processes] == [False, True]


def test_app_that_fails_to_restart_is_an_error_for_the_thread_that_asked(gaffer_manager, gaffer_spawner):
    class Bad:
        def restart(self):
            raise ValueError("cannot restart")

    manager = gaffer_manager(apps=[Bad()])
    manager.start()
    load(manager)
    assert "cannot restart" in str(in_a_thread(manager, manager.restart))
    settle(manager)
    assert [one.alive for one in gaffer_spawner.processes] == [False, True]


def test_other_calls_from_other_threads_are_rejected(manager, gaffer_spawner):
    load(manager)
    error = in_a_thread(manager, lambda: manager.stop_job("web"))
    assert isinstance(error, ReentrantCall) and "manager.later" in str(error)
    in_a_thread(manager, lambda: manager.later(manager.stop_job, "web"))
    settle(manager)
    assert gaffer_spawner.alive == []
