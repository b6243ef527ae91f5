"""Processes without a manager: what their owner does at a stop and at the end, on a process that is none."""

import signal

import gevent
import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.config.names import parse_job_name
from gaffer.errors import NotFound
from gaffer.process import standalone
from gaffer.process.exit_status import ExitStatus
from gaffer.process.proc_scan import Survivors
from gaffer.process.process import Process
from gaffer.process.standalone import StandaloneOwner

TERM, CONT, KILL = signal.SIGTERM, signal.SIGCONT, signal.SIGKILL


class StandaloneProcess:
    """Stands for the process of a program."""

    def __init__(self, **settings):
        self.config = JobConfig("web", "serve", **settings)
        self.name, self.pid, self.index = self.config.job_name, 7, 0
        self.env_extra, self.graceful_timeout = None, None
        self.signals, self.calls = [], []
        self.status = ExitStatus(0, None)

    def signal_group(self, signum):
        self.signals.append(signum)

    def start(self, plan, rings):
        self.plan = plan

    def collect(self):
        self.calls.append("collect")
        return self.status

    def watch(self):
        self.calls.append("watch")

    def close(self):
        self.calls.append("close")


@pytest.fixture
def survivors(monkeypatch):
    """Return the survivors that a search finds, once; and note what is killed."""
    found, killed = Survivors(), []

    def find(node_id):
        current = Survivors(found)
        found.clear()
        return current

    monkeypatch.setattr(standalone, "find_node_survivors", find)
    monkeypatch.setattr(standalone.os, "kill", lambda os_pid, signum: killed.append((os_pid, signum)))
    return found, killed


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """Keep what is to be done later; return it as ``(seconds, call)``."""
    planned = []

    class Planned:
        def kill(self):
            planned.clear()

    def spawn_later(seconds, function, *args):
        planned.append((seconds, lambda: function(*args)))
        return Planned()

    monkeypatch.setattr(standalone.gevent, "spawn_later", spawn_later)
    monkeypatch.setattr(standalone, "_KILL_PAUSES", (0.0, 0.0))
    return planned


def finish(owner, process):
    owner.exited(process)
    for _ in range(5):
        gevent.idle()


def test_start_makes_the_plan_of_a_single_process():
    process = StandaloneProcess(env={"A": "1"})
    process.env_extra = {"B": "2"}
    StandaloneOwner(process).start()
    env = process.plan.env
    assert process.plan.argv == ["serve"] and (env["A"], env["B"], env["GAFFER_JOB"]) == ("1", "2", "web")
    assert env["GAFFER_ID"].endswith(".7")


def test_stop_sends_the_signal_then_kill(later):
    process = StandaloneProcess(graceful_timeout=20.0)
    owner = StandaloneOwner(process)
    owner.stop_process(7)
    owner.stop_process(7)
    assert process.signals == [TERM, CONT]
    ((seconds, call),) = later
    call()
    assert seconds == 20.0 and process.signals == [TERM, CONT, KILL]


def test_stop_without_time_is_kill_at_once(later):
    process = StandaloneProcess()
    process.graceful_timeout = 0
    StandaloneOwner(process).stop_process(7)
    ((seconds, call),) = later
    call()
    assert seconds == 0 and process.signals == [KILL]


def test_process_that_ends_in_time_is_not_killed_later(survivors, later):
    process = StandaloneProcess()
    owner = StandaloneOwner(process)
    owner.stop_process(7)
    finish(owner, process)
    assert later == [] and process.calls[-1] == "close"


def test_end_kills_the_group_before_the_leader_is_collected_and_is_reported():
    ends = []
    process = StandaloneProcess()
    owner = StandaloneOwner(process, lambda *args: ends.append(args))
    finish(owner, process)
    assert process.signals == [KILL] and process.calls == ["collect", "close"]
    assert ends == [(process, 0, 0)]


def test_end_by_a_signal_is_reported_as_shells_do():
    ends = []
    process = StandaloneProcess()
    process.status = ExitStatus(None, 9)
    finish(StandaloneOwner(process, lambda *args: ends.append(args)), process)
    assert ends == [(process, 137, 9)]


def test_group_of_a_detached_process_is_left_alone():
    process = StandaloneProcess(detach=True)
    finish(StandaloneOwner(process), process)
    assert process.signals == []


def test_process_that_has_not_exited_is_watched_again():
    process = StandaloneProcess()
    process.status = None
    finish(StandaloneOwner(process), process)
    assert process.calls == ["collect", "watch"]


def test_survivors_of_a_stop_are_killed(survivors):
    found, killed = survivors
    found[7] = [77, 78]
    process = StandaloneProcess()
    owner = StandaloneOwner(process)
    owner.stop_process(7)
    finish(owner, process)
    assert killed == [(77, KILL), (78, KILL)] and process.calls[-1] == "close"


def test_survivors_of_an_end_without_a_stop_are_left_alone(survivors):
    found, killed = survivors
    found[7] = [77]
    process = StandaloneProcess()
    finish(StandaloneOwner(process), process)
    assert killed == []


def test_statistics_of_a_process_that_does_not_run_are_an_error(monkeypatch):
    monkeypatch.setattr(standalone, "make_measure", lambda: lambda processes: [])
    owner = StandaloneOwner(StandaloneProcess())
    with pytest.raises(NotFound, match="process 7 of web does not run"):
        owner.process_stats(7)


def test_a_process_has_the_attributes_of_gaffer_0_5():
    process = Process(None, 7, "dummy", "sh -c", args="'exit 3' x", env={"A": "1"})
    assert process.name == "dummy" == process.name and process.name == "default.dummy"
    assert (
        process.name != "other"
        and process.name == parse_job_name("dummy")
        and process.name in {parse_job_name("dummy")}
    )
    assert (process.cmd, process.args, process.env) == ("sh -c", ["exit 3", "x"], {"A": "1"})
    other = Process(None, 8, "shop.web", "serve")
    assert other.name == "shop.web" and other.name != "web" and process.name != other.name
