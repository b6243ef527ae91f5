"""What is kept of processes that ended: the latest ones, within bounds."""

from types import SimpleNamespace

from gaffer.config.names import JobName
from gaffer.manager.ended_processes import EndedProcesses

WEB, DB = JobName("default", "web"), JobName("default", "db")


def process(pid, held=0, name=WEB, both=0):
    duplexes = {"control": SimpleNamespace(reader=SimpleNamespace(held=both))} if both else None
    return SimpleNamespace(pid=pid, name=name, readers={"out": SimpleNamespace(held=held)}, duplexes=duplexes)


def pids(processes):
    return [one.pid for one in processes]


def test_processes_are_found_by_pid_and_by_job():
    past = EndedProcesses()
    for one in (process(1), process(2, name=DB), process(3)):
        past.add(one)
    assert past.get(2).name == DB and past.get(4) is None
    assert pids(past.of(WEB)) == [1, 3] and past.of(JobName("other", "web")) == []


def test_those_that_ended_first_go_first():
    past = EndedProcesses(most=3)
    for pid in range(1, 6):
        past.add(process(pid))
    assert pids(past.of(WEB)) == [3, 4, 5] and past.get(2) is None


def test_so_they_do_when_they_hold_too_much():
    past = EndedProcesses(most=100, size=1000)
    for pid in range(1, 6):
        past.add(process(pid, held=200, both=200))
    assert pids(past.of(WEB)) == [4, 5]


def test_one_that_alone_holds_too_much_is_not_kept():
    past = EndedProcesses(size=1000)
    past.add(process(1, held=5000))
    past.add(process(2, held=10))
    assert pids(past.of(WEB)) == [2]


def test_adding_twice_is_adding_once():
    past = EndedProcesses(size=1000)
    one = process(1, held=600)
    past.add(one)
    past.add(one)
    past.add(process(2, held=400))
    assert pids(past.of(WEB)) == [1, 2]
