"""Termination on a fake clock: signals in time, survivors, KILL at the end, nothing kept afterwards."""

import gc
import itertools
import os
import signal
import weakref
from types import SimpleNamespace

import pytest

from gaffer.process.proc_scan import Survivors
from gaffer.supervisor import termination
from gaffer.supervisor.deadlines import Deadlines
from gaffer.supervisor.job import STOPPING, UP
from gaffer.supervisor.termination import Termination
from gaffer.testing.fakes import FakeClock

TERM, KILL, CONT, INT = signal.SIGTERM, signal.SIGKILL, signal.SIGCONT, signal.SIGINT


class StoppedProcess:
    """A process whose group gets signals."""

    def __init__(self, pid, stop_signal=TERM, graceful_timeout=10.0, detach=False):
        self.pid, self.os_pid, self.name = pid, 2**22 + pid, "web"
        self.config = SimpleNamespace(stop_signal=stop_signal, graceful_timeout=graceful_timeout, detach=detach)
        self.graceful_timeout = None
        self.status = None
        self.signals = []

    def signal_group(self, signum):
        self.signals.append(signum)


class Machine:
    """A termination with everything around it: clock, engine, and a ``/proc`` that a test fills."""

    def __init__(self):
        self.clock = FakeClock(0.0)
        self.deadlines = Deadlines(self.clock)
        self.sent, self.gone_pids, self.posted = [], [], []
        self.left, self.walks = Survivors(), []
        self.told, self.hunted = [], []
        self.termination = Termination(None, self.deadlines, self, "node", self.find)
        self.termination.hunt = self.hunted.append

    # -- the engine, as termination sees it
    def post(self, job, message):
        self.posted.append(message)

    def signalled(self, job, process, signum):
        self.sent.append((process.pid, signum))

    def gone(self, job, copy, process):
        self.gone_pids.append(process.pid)

    def not_ended(self, job, copy, process, reason):
        self.told.append((process.pid, reason))

    def find(self, ids, groups=None):
        self.walks.append(sorted(ids.values()))
        return self.left

    # -- what a test does
    def start(self, pid=1, state=STOPPING, **settings):
        process = StoppedProcess(pid, **settings)
        self.termination.register(process, "job", SimpleNamespace(state=state, process=process))
        return process

    def exit(self, process):
        process.status = "exited"
        self.termination.leader_exited(process)
        self.run()

    def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.run()

    def run(self):
        while (call := self.deadlines.due()) is not None:
            call()


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(termination, "group_alive", lambda group: False)
    monkeypatch.setattr(termination.os, "pidfd_open", lambda os_pid: (_ for _ in ()).throw(OSError()))
    return Machine()


def test_stop_signal_then_kill_after_the_graceful_timeout(machine):
    process = machine.start(stop_signal=INT, graceful_timeout=5.0)
    machine.termination.begin(1)
    assert process.signals == [INT, CONT]
    machine.pass_time(4.9)
    assert process.signals == [INT, CONT]
    machine.pass_time(0.2)
    assert process.signals == [INT, CONT, KILL]
    assert machine.sent == [(1, INT), (1, KILL)]


def test_graceful_timeout_of_a_committed_process_wins(machine):
    process = machine.start(graceful_timeout=5.0)
    process.graceful_timeout = 1.0
    machine.termination.begin(1)
    machine.pass_time(1.0)
    assert process.signals[-1] == KILL


@pytest.mark.parametrize("steps", [[], [(TERM, 0.0)]])
def test_no_time_at_all_is_kill_at_once(machine, steps):
    process = machine.start()
    machine.termination.begin(1, steps)
    assert process.signals == [KILL]


def test_steps_are_taken_one_after_the_other_then_kill(machine):
    process = machine.start()
    machine.termination.begin(1, [(INT, 1.0), (TERM, 2.0)])
    machine.pass_time(1.0)
    machine.pass_time(1.9)
    assert process.signals == [INT, CONT, TERM, CONT]
    machine.pass_time(0.2)
    assert process.signals[-1] == KILL


def test_second_begin_changes_nothing(machine):
    process = machine.start()
    machine.termination.begin(1)
    machine.termination.begin(1, [])
    assert process.signals == [TERM, CONT]


def test_times_of_a_stop_are_its_beginning_and_when_kill_comes(machine):
    machine.start()
    assert machine.termination.times(1) is None
    machine.pass_time(3.0)
    machine.termination.begin(1, [(INT, 1.0), (TERM, 2.0)])
    assert machine.termination.times(1) == (3.0, 6.0)
    machine.pass_time(1.0)
    assert machine.termination.times(1) == (3.0, 6.0)
    machine.pass_time(2.0)
    assert machine.termination.times(1) == (3.0, None)


def test_stop_begins_when_plugins_are_asked_about_it(machine):
    machine.start()
    machine.termination.begin_within(1, 10.0)
    assert machine.termination.times(1) == (0.0, 10.0)
    machine.pass_time(4.0)
    machine.termination.begin(1, [(TERM, 20.0)])
    assert machine.termination.times(1) == (0.0, 24.0)


def test_unanswered_stop_is_killed_in_time(machine):
    process = machine.start()
    machine.termination.begin_within(1, 3.0)
    machine.pass_time(2.9)
    assert process.signals == []
    machine.pass_time(0.2)
    assert process.signals == [KILL]


def test_answered_stop_follows_the_answer(machine):
    process = machine.start()
    machine.termination.begin_within(1, 3.0)
    machine.termination.begin(1, [(INT, 10.0)])
    machine.pass_time(5.0)
    assert process.signals == [INT, CONT]


def test_kill_skips_the_remaining_steps(machine):
    process = machine.start()
    machine.termination.begin(1, [(INT, 1.0), (TERM, 1.0)])
    machine.termination.kill(1)
    machine.pass_time(5.0)
    assert process.signals == [INT, CONT, KILL]


def test_kill_all_reaches_everything_that_is_being_stopped(machine):
    asked, begun, up = machine.start(1), machine.start(2), machine.start(3, state=UP)
    machine.termination.begin(2)
    assert not machine.termination.all_killed()
    machine.termination.kill_all()
    assert (asked.signals, begun.signals, up.signals) == ([KILL], [TERM, CONT, KILL], [])
    assert machine.termination.all_killed()


def test_process_without_survivors_is_gone_after_one_walk(machine):
    process = machine.start()
    machine.termination.begin(1)
    machine.exit(process)
    assert machine.gone_pids == [1] and machine.walks == [[1]]
    assert machine.termination.owned(1) is None


def test_process_that_exits_before_the_plugins_answer_is_gone_too(machine):
    process = machine.start()
    machine.termination.begin_within(1, 3.0)
    machine.exit(process)
    machine.pass_time(5.0)
    assert machine.gone_pids == [1] and process.signals == []


def test_stops_that_end_together_share_one_walk(machine):
    processes = [machine.start(pid) for pid in (1, 2, 3)]
    for process in processes:
        machine.termination.begin(process.pid)
    for process in processes[:2]:
        machine.exit(process)
    assert machine.walks == []  # the third leader is waited for, for a moment
    machine.exit(processes[2])
    assert machine.walks == [[1, 2, 3]] and machine.gone_pids == [1, 2, 3]


def test_leader_that_takes_long_delays_the_walk_a_moment_only(machine):
    first = machine.start(1)
    machine.start(2)
    machine.termination.begin(1)
    machine.termination.begin(2)
    machine.exit(first)
    machine.pass_time(termination.BATCH_DELAY)
    assert machine.gone_pids == [1]


def test_survivors_keep_the_process_until_they_are_gone(machine):
    process = machine.start()
    machine.termination.begin(1)
    machine.left[1] = [77]
    machine.exit(process)
    machine.pass_time(1.0)
    assert machine.gone_pids == []
    machine.left.clear()
    machine.pass_time(termination.RECHECK_DELAY)
    assert machine.gone_pids == [1]


def kill_often(machine, left):
    """Let a stopped process leave what KILL never ends; *left* returns its os_pids at each look."""
    process = machine.start()
    machine.termination.begin(1, [])
    machine.left[1] = left()
    machine.exit(process)
    for _ in range(termination.MAX_KILLS + 1):
        machine.left[1] = left()
        machine.pass_time(termination.RECHECK_DELAY)


def test_survivor_that_even_kill_does_not_end_is_told_once_and_tried_again(machine, caplog):
    kill_often(machine, lambda: [77])
    machine.pass_time(termination.LONG_RECHECK_DELAY)
    reason = "process 1 left 1 behind that cannot be ended: KILL does not end os_pid 77"
    assert machine.told == [(1, reason)] and machine.gone_pids == [] and machine.termination.stuck == {1}
    assert caplog.messages == [f"job web: {reason}; gaffer goes on trying, see gafferctl strays"]
    walks = len(machine.walks)
    machine.pass_time(termination.LONG_RECHECK_DELAY / 2)
    assert len(machine.walks) == walks
    machine.left.clear()
    machine.pass_time(termination.LONG_RECHECK_DELAY / 2)
    assert machine.gone_pids == [1] and machine.termination.stuck == set()


def test_survivors_that_are_others_at_each_look_are_told_to_fork(machine):
    numbers = itertools.count(77)
    kill_often(machine, lambda: [next(numbers), next(numbers)])
    assert machine.told == [
        (1, "process 1 left 2 behind that cannot be ended: they fork anew faster than they are found")
    ]


def test_survivors_that_kill_did_not_end_are_hunted(machine):
    process = machine.start()
    machine.termination.begin(1, [])
    machine.left[1] = [77]
    machine.exit(process)
    assert machine.hunted == []
    machine.pass_time(termination.RECHECK_DELAY)
    (belongs,) = machine.hunted
    assert belongs(b"A=1\0GAFFER_ID=outer.3/node.1\0B=2") and not belongs(b"GAFFER_ID=node.2\0")


def test_no_survivor_is_hunted_before_its_time_is_over(machine):
    process = machine.start()
    machine.termination.cheap = True
    machine.termination.begin(1)
    machine.left[1] = [77]
    machine.exit(process)
    machine.pass_time(5.0)
    assert machine.hunted == []
    machine.pass_time(5.0)
    assert len(machine.hunted) == 1


def test_unclear_walk_is_repeated_a_few_times(machine):
    process = machine.start()
    machine.termination.begin(1)
    machine.left.unclear = True
    machine.exit(process)
    for _ in range(termination.MAX_UNCLEAR_WALKS + 1):
        machine.pass_time(termination.RECHECK_DELAY)
    assert len(machine.walks) == termination.MAX_UNCLEAR_WALKS + 1 and machine.gone_pids == [1]


def test_detached_processes_are_listed(machine):
    machine.start(1, detach=True)
    machine.start(2)
    assert machine.termination.detached == {1}


@pytest.mark.parametrize("asked", [False, True], ids=["begun", "unanswered"])
def test_ended_process_is_not_kept_in_memory_until_its_deadlines(machine, asked):
    process = machine.start(graceful_timeout=1000.0)
    if asked:
        machine.termination.begin_within(1, 1000.0)
    else:
        machine.termination.begin(1, [(TERM, 1000.0)])
    machine.exit(process)
    assert machine.gone_pids == [1]
    kept = weakref.ref(process)
    del process
    gc.collect()
    assert kept() is None


def test_forgotten_process_gets_no_signal(machine):
    process = machine.start()
    machine.termination.begin(1, [(TERM, 1.0)])
    machine.termination.forget(1)
    machine.termination.begin(1)
    machine.termination.kill(1)
    machine.pass_time(2.0)
    assert process.signals == [TERM, CONT]


def test_what_a_process_left_that_exited_alone_is_looked_for_at_the_next_stop_of_its_job(machine):
    machine.start(1)
    machine.termination.exited_alone(1)
    second = machine.start(2)
    looked_for = []
    machine.termination.find = lambda ids, groups=None: looked_for.append(ids) or Survivors()
    machine.termination.begin(2)
    machine.exit(second)
    assert looked_for == [{"node.2": 2, "node.1": 2}] and machine.gone_pids == [2]


def test_process_that_dies_unasked_has_its_descendants_killed(machine, monkeypatch):
    sent = []
    monkeypatch.setattr(termination.os, "pidfd_open", lambda os_pid: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(termination.signal, "pidfd_send_signal", lambda pidfd, signum: sent.append(signum))
    machine.termination._loop = SimpleNamespace(
        io=lambda fd, events: SimpleNamespace(start=lambda *args: None, stop=lambda: None, close=lambda: None)
    )
    process = machine.start(state=UP)
    machine.left[1] = [4711]
    machine.exit(process)
    assert sent == [KILL, CONT]
