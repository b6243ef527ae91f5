"""What must stay flat however long it goes on: descriptors, memory, zombies, tables (docs/upgrading.rst)."""

import gc
import os
import resource
import subprocess
import sys
import textwrap

import pytest

import gaffer
from gaffer.process.process import Process
from gaffer.supervisor.job import Copy, Job

from ..kit.manager import eventually, settle, zombies
from .conftest import descriptors


def load(manager, cmd="sleep 1000", name="web", **settings):
    manager.load(gaffer.JobConfig(name, cmd, **settings))


def resident():
    """Resident memory of this program, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def count(*kinds):
    gc.collect()
    return sum(isinstance(one, kinds) for one in gc.get_objects())


def test_two_thousand_restarts_leave_no_memory_and_no_descriptors(make_manager):
    """All kinds of streams, so that all kinds of descriptors come and go."""
    manager = make_manager()
    restarts = lambda: manager.info("web")["restarts"] + manager.info("piped")["restarts"]  # noqa: E731
    load(manager, "true", numprocesses=4, min_uptime=0.0)
    load(manager, "true", "piped", numprocesses=2, min_uptime=0.0, redirect_output=["a", "b"], redirect_input=True)
    eventually(lambda: restarts() >= 300)
    # Other tests of this program may have left some open.
    before, objects, opened = resident(), count(Process, Copy), descriptors()
    eventually(lambda: restarts() >= 2300, timeout=80.0)
    assert resident() - before < 8.0
    assert count(Process, Copy) <= objects + 12
    assert descriptors() < opened + 40 and len(manager.engine.deadlines) < 50 and len(manager.running) <= 6
    manager.stop_job("web")
    manager.stop_job("piped")
    eventually(lambda: not manager.running and not zombies())


class StopSteps:
    """A plugin that is asked about every stop."""

    @gaffer.hookimpl
    def gaffer_stop_steps(self):
        return None


@pytest.mark.parametrize("plugins", [[], [StopSteps()]], ids=["own steps", "asked plugin"])
def test_stops_with_a_long_graceful_timeout_keep_no_output_in_memory(make_manager, watch, plugins):
    """A cancelled deadline keeps nothing of the process that it was for."""
    manager = make_manager(watch, *plugins)
    load(
        manager,
        "sh -c 'head -c 65536 /dev/zero; echo; exec sleep 1000'",
        redirect_output=["out"],
        graceful_timeout=10_000.0,
    )
    watch.processes = Forgetful()
    before = count(Process)
    manager.past.most = 3
    for number in range(1, 31):
        eventually(lambda number=number: watch.count("spawned") == number)
        manager.restart_job("web")
    eventually(lambda: watch.count("spawned") == 31)
    manager.unload("web")
    eventually(lambda: watch.count("unloaded"))
    settle(manager)
    assert count(Process) <= before + 3


class Forgetful(list):
    def append(self, item):
        pass


def test_jobs_come_and_go_without_a_trace(manager):
    """Memory growing with every reload bit others."""
    before = count(Job)
    for number in range(50):
        load(manager, name=f"job{number}", env={"A": "x" * 1000})
        manager.update(gaffer.JobConfig(f"job{number}", "sleep 2000"))
        manager.unload(f"job{number}")
    eventually(lambda: not manager.running)
    settle(manager)
    assert count(Job) <= before
    assert manager.health()["jobs"] == 0


def test_managers_come_and_go_without_a_trace():
    before, managers = descriptors(), count(gaffer.Manager)
    for _ in range(5):
        with gaffer.Manager() as manager:
            load(manager, numprocesses=2)
            eventually(lambda manager=manager: len(manager.running) == 2)
        del manager
    assert descriptors() <= before
    eventually(lambda: count(gaffer.Manager) <= managers)


# -- programs that have children of their own ----------------------------------------------
HOST = """
import gevent
from gevent import subprocess
import gaffer

class Seen:
    statuses = []

    @gaffer.hookimpl
    def gaffer_exited(self, status):
        self.statuses.append(status)

assert subprocess.call(["true"]) == 0  # from now on the loop waits for every child
manager = gaffer.Manager(plugins=[Seen()], reaper={reaper!r})
manager.start()
manager.load(gaffer.JobConfig("a", "sh -c 'exit 3'", min_uptime=0.0, numprocesses=3))
manager.load(gaffer.JobConfig("b", "sh -c 'setsid sleep 1000 & sleep 1000'", numprocesses=5))
while len(Seen.statuses) < 100:
    assert subprocess.call(["sh", "-c", "exit 7"]) == 7
    gevent.sleep(0.001)
while manager.info("b")["running"] < 5:
    gevent.sleep(0.01)
assert manager.info("a")["active"]
known = [status for status in Seen.statuses if status.code == 3]
assert all(status in known or (status.code, status.signal) == (None, None) for status in Seen.statuses), Seen.statuses
assert len(known) == len(Seen.statuses) or {reaper!r} == "pidfd"
manager.stop()
assert not manager.running
print("fine")
"""


@pytest.mark.parametrize("reaper", ["pidfd", "loop"])
def test_program_with_child_watchers_of_its_own(reaper):
    """They take every status; with pidfds those are unknown then, with the loop's watchers they are not."""
    program = textwrap.dedent(HOST).format(reaper=reaper)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=80)
    assert done.stdout == "fine\n", done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_program_that_ignores_sigchld():
    """Then the kernel reaps; ends are noticed all the same."""
    program = textwrap.dedent("""
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        import gaffer, gevent
        with gaffer.Manager() as manager:
            manager.load(gaffer.JobConfig("a", "true", min_uptime=0.0, numprocesses=3))
            while manager.info("a")["restarts"] < 30:
                gevent.sleep(0.01)
        print("fine")
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=80)
    assert done.stdout == "fine\n", done.stderr


def test_no_descriptor_of_ours_is_inherited_by_programs_of_the_host(manager, watch):
    """The host starts a program of its own while gaffer's pipes are open."""

    def inherited():
        return os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "exit $(ls /proc/self/fd | wc -l)")

    before = inherited()
    load(manager, "cat", redirect_output=["a", "b"], redirect_input=True, custom_streams=["c"])
    eventually(lambda: watch.count("spawned"))
    assert inherited() == before
