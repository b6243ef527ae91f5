"""The end of a manager with real processes; tests/manager/test_shutdown.py has its rules."""

import os
import signal
import subprocess
import sys
import threading

import gevent
import pytest

import gaffer

from ..kit.manager import alive, belongings, eventually, os_pids, read_pids, said, settle

DEAF = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done'"


def load(manager, name="web", cmd="sleep 1000", **settings):
    manager.load(gaffer.JobConfig(name, cmd, **settings))


def deaf(manager, name="web", **settings):
    """Load a job that ignores TERM and wait until it does."""
    load(manager, name, DEAF, redirect_output=["out"], **settings)
    for process in eventually(lambda: manager.info(name)["running"] and manager.list(name)):
        said(process)


def running(manager, count):
    return eventually(lambda: len(manager.running) == count and list(manager.running.values()))


def test_server_finds_its_database_alive_while_it_stops(make_manager, watch, tmp_path):
    """The children say so themselves: the database is still there when the server puts its things away."""
    manager = make_manager(watch)
    alive_still = "kill -0 $(cat database) && echo yes > answer; exit"
    load(manager, "database", "sh -c 'echo $$ > database; exec sleep 1000'", priority=0, cwd=str(tmp_path))
    eventually(lambda: read_pids(tmp_path / "database"))
    server = f"sh -c 'trap \"{alive_still}\" TERM; echo ready; while :; do sleep 0.02; done'"
    load(manager, "server", server, priority=1, cwd=str(tmp_path), redirect_output=["out"])
    said(eventually(lambda: manager.list("server"))[0])
    manager.stop()
    assert (tmp_path / "answer").read_text() == "yes\n"


def test_stop_leaves_no_process_in_any_session(make_manager, watch):
    manager = make_manager(watch)
    load(manager, "a", numprocesses=20)
    load(manager, "b", "sh -c 'setsid sleep 1000 & sleep 1000 & wait'", numprocesses=5)
    running(manager, 25)
    manager.stop()
    assert belongings(manager.node_id) == [] and manager.running == {}
    assert manager.state == "stopped" and not manager.active
    assert watch.count("stopped") == 2 and watch.count("reaped") == 25


@pytest.mark.parametrize("started", [5, 120])
def test_stop_in_the_middle_of_a_burst_leaves_nothing(make_manager, watch, started):
    """Five hundred are wanted; the stop comes when some of them have been started."""
    manager = make_manager(watch)
    manager.load(gaffer.JobConfig("web", "sleep 1000", numprocesses=500))
    eventually(lambda: len(manager.running) >= started)
    manager.stop()
    assert belongings(manager.node_id) == []
    assert watch.count("spawned") == watch.count("reaped")


def test_stop_of_a_job_in_the_middle_of_a_burst(manager, watch):
    manager.load(gaffer.JobConfig("web", "sleep 1000", numprocesses=500))
    eventually(lambda: len(manager.running) >= 20)
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped") == 1)
    assert belongings(manager.node_id) == [] and watch.count("spawned") < 500


def test_halt_during_a_stop_kills_everything_at_once(make_manager, watch):
    manager = make_manager(watch)
    deaf(manager, "a", priority=0, graceful_timeout=1000.0)
    deaf(manager, "b", priority=1, graceful_timeout=1000.0)
    stopping = gevent.spawn(manager.stop)
    eventually(lambda: watch.count("signalled"))
    manager.halt()
    manager.halt()
    stopping.get()
    assert belongings(manager.node_id) == []


def test_many_threads_may_write_to_one_process(manager, watch):
    """Each writes lines; they arrive whole, and none is lost though the reader is slow."""
    load(
        manager, cmd="sh -c 'sleep 0.3; sort -u | wc -l'", redirect_input=True, redirect_output=["out"], restart="never"
    )
    (process,) = running(manager, 1)

    def write(number):
        for line in range(500):
            process.write(f"{number} {line} {'x' * 100}\n")

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: not any(thread.is_alive() for thread in threads))
    settle(manager)
    process.stdin.finish()
    eventually(lambda: process.pid in watch.statuses)
    assert process.reader("out").ring.read()[1].split() == [b"2000"]


def test_detached_processes_outlive_the_manager(make_manager, watch):
    manager = make_manager(watch)
    load(manager, "free", detach=True, numprocesses=2)
    load(manager, "bound")
    free, bound = [], []
    eventually(lambda: len(os_pids(manager, "free")) == 2 and os_pids(manager, "bound"))
    free, bound = os_pids(manager, "free"), os_pids(manager, "bound")
    manager.stop()
    assert all(alive(os_pid) for os_pid in free) and not alive(bound[0])
    for os_pid in free:
        os.kill(os_pid, signal.SIGKILL)
        os.waitpid(os_pid, 0)


@pytest.mark.parametrize("end", ["stop_job", "unload"])
def test_detached_job_can_be_stopped(manager, watch, end):
    load(manager, cmd="sh -c 'setsid sleep 1000 & sleep 1000'", detach=True)
    running(manager, 1)
    getattr(manager, end)("web")
    eventually(lambda: watch.count("stopped"))
    assert belongings(manager.node_id) == []


def test_detached_process_is_supervised(manager, watch):
    load(manager, detach=True, min_uptime=0.0)
    os.kill(running(manager, 1)[0].os_pid, signal.SIGKILL)
    eventually(lambda: watch.count("spawned") == 2)
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))


PROGRAM = """
import gaffer, gevent, os, signal, sys
manager = gaffer.Manager()
manager.start()
manager.load(gaffer.JobConfig("web", "sleep 1000", numprocesses=3))
while len(manager.running) < 3:
    gevent.sleep(0.01)
print(*[process.os_pid for process in manager.list()], flush=True)
"""


def program(text):
    """Run a program with a manager of three processes; returns its exit code and their os_pids."""
    done = subprocess.run([sys.executable, "-c", PROGRAM + text], capture_output=True, text=True, timeout=60)
    return done.returncode, [int(word) for word in done.stdout.split()[:3]], done.stderr


def test_interrupted_program_can_still_stop_everything():
    """The interrupt hits the engine itself, in the middle of something."""
    code, os_pids, errors = program(
        "def interrupt():\n"
        "    raise KeyboardInterrupt\n"
        "manager.engine.post(None, interrupt)\n"
        "try:\n"
        "    manager.run()\n"
        "except KeyboardInterrupt:\n"
        "    manager.stop()\n"
        "    sys.exit(7)\n"
    )
    assert code == 7, errors
    eventually(lambda: not any(alive(os_pid) for os_pid in os_pids))


def test_program_that_ends_without_a_stop_does_not_hang_and_leaves_its_processes():
    """It was not stopped: the processes stay, and nothing hangs."""
    code, os_pids, errors = program("")
    assert code == 0, errors
    assert len(os_pids) == 3
    for os_pid in os_pids:
        os.kill(os_pid, signal.SIGKILL)


def test_embedded_manager_patches_nothing_and_imports_no_web_server():
    code, _, errors = program(
        "from gevent import monkey\n"
        "manager.stop()\n"
        "assert not monkey.saved, monkey.saved\n"
        "assert not {'bottle', 'psutil', 'geventwebsocket'} & set(sys.modules)\n"
        "os._exit(0)\n"
    )
    assert code == 0, errors
