"""The engine on fake processes and a fake clock, turn by turn: effects in order, and nothing lost or kept."""

import gc
import signal
from functools import partial

import gevent
import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import ReentrantCall, SpawnError
from gaffer.process.proc_scan import Survivors
from gaffer.supervisor import engine as module
from gaffer.supervisor import messages, plugin_queries
from gaffer.supervisor.engine import Engine
from gaffer.supervisor.job import Job
from gaffer.testing.fakes import FakeClock, FakeProcess, FakeSpawner

TERM, CONT, KILL = signal.SIGTERM, signal.SIGCONT, signal.SIGKILL


class Observer:
    """Writes down notifications."""

    def __init__(self):
        self.events, self.started, self.ended, self.removed_jobs, self.signals = [], [], [], [], []

    def notify(self, job, what, at):
        self.events.append(what.event)

    def removed(self, job):
        self.removed_jobs.append(job)

    def signalled(self, job, process, signum):
        self.signals.append((process.pid, signum))

    def process_started(self, process):
        self.started.append(process.pid)

    def process_gone(self, process):
        self.ended.append(process.pid)


class NoHooks:
    """Hooks that no plugin implements, except those that a test names."""

    def __init__(self):
        self.names = set()

    def implemented(self, name):
        return name in self.names


class Machine:
    """An engine whose turns a test makes."""

    def __init__(self):
        self.clock, self.observer, self.hooks = FakeClock(0.0), Observer(), NoHooks()
        self.spawner = FakeSpawner(self.clock)
        self.engine = Engine(None, self.hooks, self.observer, "node", clock=self.clock, launch=self.spawner)
        self.engine.termination.find = lambda ids, groups=None: Survivors()
        self.engine.held = False

    def load(self, **settings):
        job = Job(JobConfig(settings.pop("name", "web"), "serve", **settings))
        self.send(job, messages.Start())
        return job

    def send(self, job, message):
        self.engine.post(job, message)
        self.run()

    def run(self):
        while self.engine.turn():
            pass

    def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.run()


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(module, "group_left", lambda group, thorough=False: False)
    return Machine()


def test_copies_are_started_and_reported(machine):
    machine.load(numprocesses=3)
    assert machine.observer.started == [1, 2, 3]
    assert machine.observer.events == ["start", "spawn", "spawn", "spawn"]


def test_nothing_is_started_while_the_engine_is_held(machine):
    machine.engine.held = True
    machine.load()
    assert machine.spawner.processes == []
    machine.engine.release()
    machine.run()
    assert len(machine.spawner.processes) == 1


def test_jobs_are_started_in_order_of_priority(machine):
    machine.engine.held = True
    for name, priority in (("late", None), ("second", 2), ("first", 1)):
        machine.load(name=name, priority=priority)
    machine.engine.release()
    machine.run()
    assert [process.name.job for process in machine.spawner.processes] == ["first", "second", "late"]


def test_crashed_process_is_replaced_after_its_delay(machine, monkeypatch):
    monkeypatch.setattr("gaffer.supervisor.restart_policy._random", lambda: 0.5)
    machine.load()
    machine.spawner.last.die()
    machine.run()
    assert machine.observer.ended == [1] and len(machine.spawner.processes) == 1
    machine.pass_time(0.11)
    assert machine.observer.started == [1, 2]


def test_stop_sends_the_signal_then_kill(machine):
    machine.spawner.ignores = {TERM}
    job = machine.load(graceful_timeout=5.0)
    machine.send(job, messages.Stop())
    assert machine.spawner.last.signals == [TERM, CONT]
    machine.pass_time(5.0)
    assert machine.observer.signals == [(1, TERM), (1, KILL)]
    assert machine.observer.events[-1] == "stop" and machine.observer.ended == [1]


def test_failed_start_is_reported_and_tried_again(machine):
    machine.spawner.fail("no such program")
    machine.load()
    assert machine.observer.events == ["start", "spawn_failed"]
    machine.pass_time(1.0)
    assert machine.observer.started == [2]  # a pid is never used again


def test_start_that_raises_anything_is_a_failed_start(machine):
    machine.spawner.fail(RuntimeError("odd"))
    job = machine.load()
    assert machine.observer.events == ["start", "spawn_failed"] and job.reasons() == ["odd"]


def test_started_process_is_supervised_although_the_observer_fails(machine, caplog):
    def fail(process):
        raise ValueError("no")

    machine.observer.process_started = fail
    job = machine.load()
    assert machine.engine.termination.owned(1).process is machine.spawner.last
    assert [copy.process for copy in job.live()] == [machine.spawner.last]
    machine.send(job, messages.Stop())
    assert machine.observer.ended == [1]
    assert "ValueError" in caplog.text


def test_sinks_of_a_failed_start_are_closed(machine, monkeypatch):
    closed = []

    class Sink:
        def write(self, data): ...

        def close(self):
            closed.append(self)

    def open_sinks(hooks, job, plan):
        plan.sinks["stdout"] = [Sink()]
        if len(machine.observer.events) >= 2:
            raise SpawnError("refused")

    machine.hooks.names = {"gaffer_open_sinks"}
    monkeypatch.setattr(plugin_queries, "about_start", open_sinks)
    machine.spawner.fail("no such program")
    machine.load()
    for expected in (1, 2):
        gevent.idle()
        machine.run()
        gevent.idle()
        assert len(closed) == expected
        machine.pass_time(1.0)


def test_stop_that_plugins_do_not_answer_is_killed_and_not_kept(machine):
    machine.hooks.names = {"gaffer_stop_steps"}
    machine.engine._ask = lambda *args: None  # no answer ever comes
    job = machine.load(graceful_timeout=5.0)
    machine.send(job, messages.Stop())
    machine.pass_time(4.9)
    assert machine.spawner.last.signals == []
    machine.pass_time(0.2)
    assert machine.spawner.last.signals == [KILL] and machine.observer.ended == [1]


def test_stopped_process_is_not_kept_until_its_graceful_timeout(machine):
    machine.hooks.names = {"gaffer_stop_steps"}
    machine.engine._ask = lambda *args: None
    job = machine.load(graceful_timeout=1000.0)
    machine.send(job, messages.Stop())
    machine.spawner.last.exit()
    machine.run()
    assert machine.observer.ended == [1]
    assert machine.engine.deadlines.next() is None
    machine.spawner.processes.clear()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, FakeProcess) and one.clock is machine.clock]


def test_retries_of_an_unloaded_job_are_cancelled(machine):
    machine.spawner.fail(*["no such program"] * 3)
    job = machine.load(numprocesses=3)
    assert machine.engine.deadlines.next() is not None
    machine.send(job, messages.Unload())
    assert machine.observer.removed_jobs == [job]
    assert machine.engine.deadlines.next() is None


def test_notifications_wait_for_the_starts(machine):
    order = []
    launch = machine.engine.launch
    machine.engine.launch = lambda *args, **options: (order.append("launch"), launch(*args, **options))[1]
    machine.observer.notify = lambda job, what, at: order.append(what.event)
    machine.load(numprocesses=2)
    assert order == ["launch", "launch", "start", "spawn", "spawn"]


def test_deadlines_come_before_messages(machine):
    order = []
    machine.engine.post(None, partial(order.append, "message"))
    machine.engine.at(0.0, partial(order.append, "deadline"))
    machine.run()
    assert order == ["deadline", "message"]


def test_failing_callable_is_logged_and_the_engine_goes_on(machine, caplog):
    def fail():
        raise ValueError("no")

    machine.engine.post(None, fail)
    machine.engine.at(0.0, fail)
    machine.load()
    assert machine.observer.started == [1]
    assert caplog.text.count("ValueError('no')") == 2


def test_waiting_in_the_hub_is_rejected(machine):
    errors = []

    def submit():
        try:
            machine.engine.submit(None, lambda: None)
        except ReentrantCall as error:
            errors.append(str(error))

    gevent.get_hub().loop.run_callback(submit)
    gevent.idle()
    assert errors == ["this call waits, which a callback of the loop cannot; use manager.later(function)"]


class Descendants:
    """What a subreaper finds below itself: processes by the pid they descend from, until a test ends them."""

    def __init__(self, machine):
        self.left, self.walks = {}, []
        machine.engine.termination.find = self.find
        machine.engine.termination.cheap = True

    def find(self, ids, groups=None):
        self.walks.append(sorted(ids.values()))
        return Survivors({pid: [2**22 + pid] for pid in ids.values() if self.left.get(pid)})


@pytest.fixture
def descendants(machine, monkeypatch):
    monkeypatch.setattr("gaffer.supervisor.termination.group_alive", lambda group: False)
    monkeypatch.setattr("gaffer.supervisor.restart_policy._random", lambda: 0.5)
    return Descendants(machine)


def test_replacement_waits_for_descendants_that_left_the_group(machine, descendants):
    machine.load()
    descendants.left[1] = True
    machine.pass_time(0.5)
    machine.spawner.last.die()
    machine.run()
    machine.pass_time(1.0)
    assert machine.observer.started == [1] and "exit" not in machine.observer.events
    descendants.left[1] = False
    machine.pass_time(0.06)
    assert machine.observer.events[-2:] == ["exit", "reap"] and machine.observer.ended == [1]
    machine.pass_time(0.11)
    assert machine.observer.started == [1, 2]


def test_stop_while_descendants_are_being_killed_tells_the_exit_once(machine, descendants):
    job = machine.load()
    descendants.left[1] = True
    machine.spawner.last.die()
    machine.run()
    machine.send(job, messages.Stop())
    descendants.left[1] = False
    machine.pass_time(0.06)
    assert machine.observer.events == ["start", "spawn", "stop_pid", "exit", "reap", "stop"]
    machine.pass_time(10.0)
    assert machine.observer.started == [1]


def test_processes_that_exit_together_share_one_look_for_descendants(machine, descendants):
    machine.load(numprocesses=3)
    for process in machine.spawner.processes:
        process.die()
    machine.run()
    assert descendants.walks == [[1, 2, 3]] and machine.observer.ended == [1, 2, 3]


def test_descendants_of_a_detached_process_are_not_looked_for(machine, descendants):
    machine.load(detach=True)
    machine.spawner.last.die()
    machine.run()
    assert descendants.walks == [] and machine.observer.ended == [1]
