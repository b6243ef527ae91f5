"""The end of a manager: order, patience, threads, callbacks, detached processes."""

import os
import signal
import subprocess
import sys
import threading

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import Conflict, ReentrantCall, Unavailable

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


# -- order ---------------------------------------------------------------------------------
def test_jobs_start_by_priority_and_stop_in_reverse(make_manager, watch):
    manager = make_manager(watch, start=False)
    for name, priority in (("late", None), ("third", 7), ("first", 0), ("second", 3), ("later", None)):
        load(manager, name, priority=priority, numprocesses=2)
    manager.start()
    eventually(lambda: watch.count("spawned") == 10)
    started = [told.job for told in watch.log if told.what == "spawned"]
    assert started == ["first"] * 2 + ["second"] * 2 + ["third"] * 2 + ["late"] * 2 + ["later"] * 2
    manager.stop()
    ended = [told.job for told in watch.log if told.what == "reaped"]
    assert sorted(ended[:4]) == ["late", "late", "later", "later"]
    assert ended[4:] == ["third"] * 2 + ["second"] * 2 + ["first"] * 2


def test_a_job_is_told_to_stop_when_those_that_started_after_it_are_gone(make_manager, watch, tmp_path):
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


# -- everything goes ---------------------------------------------------------------------------
def test_stop_leaves_nothing_and_tells_so(make_manager, watch):
    manager = make_manager(watch)
    load(manager, "a", numprocesses=20)
    load(manager, "b", "sh -c 'setsid sleep 1000 & sleep 1000 & wait'", numprocesses=5)
    running(manager, 25)
    manager.stop()
    assert belongings(manager.node_id) == [] and manager.running == {}
    assert manager.state == "stopped" and not manager.active
    assert watch.count("stopped") == 2 and watch.count("reaped") == 25


@pytest.mark.parametrize("started", [1, 5, 120])
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


def test_stop_before_anything_was_started(make_manager):
    manager = make_manager()
    load(manager, numprocesses=100)
    manager.stop()
    assert belongings(manager.node_id) == []


def test_stop_of_a_manager_that_was_never_started(make_manager):
    manager = make_manager(start=False)
    load(manager)
    manager.stop()
    assert manager.state == "stopped" and manager.wait_stopped(0)


def test_crashes_during_the_stop_bring_nothing_back(make_manager, watch):
    """Those of the job that is stopped last are killed while the first ones are still being stopped."""
    manager = make_manager(watch)
    load(manager, "last", numprocesses=10, priority=0, min_uptime=0.0)
    running(manager, 10)
    deaf(manager, "first", priority=1, graceful_timeout=0.3)
    stopping = gevent.spawn(manager.stop)
    eventually(lambda: manager.state == "stopping" and watch.count("signalled"))
    for os_pid in os_pids(manager, "last"):
        os.kill(os_pid, signal.SIGKILL)
    stopping.get()
    assert watch.count("spawned") == 11 and belongings(manager.node_id) == []


def test_a_backoff_that_ends_during_the_stop_brings_nothing_back(make_manager, watch):
    manager = make_manager(watch)
    load(manager, "failing", "false", priority=0, min_uptime=100.0)
    eventually(lambda: watch.count("spawned", "failing") >= 3)
    deaf(manager, "first", priority=1, graceful_timeout=1.0)
    stopping = gevent.spawn(manager.stop)
    eventually(lambda: manager.state == "stopping")
    settle(manager)
    seen = watch.count("spawned")
    stopping.get()
    assert watch.count("spawned") == seen


def test_nothing_can_be_loaded_or_started_in_a_stopping_manager(make_manager, watch):
    manager = make_manager(watch)
    load(manager, "other", start=False)
    deaf(manager, graceful_timeout=0.3)
    stopping = gevent.spawn(manager.stop)
    eventually(lambda: manager.state == "stopping")
    for attempt in (
        lambda: load(manager, "new"),
        lambda: manager.start_job("other"),
        lambda: manager.restart_job("other"),
        lambda: manager.commit("other"),
        lambda: manager.update(gaffer.JobConfig("other", "sleep 1001"), start=True),
    ):
        with pytest.raises(Unavailable):
            attempt()
    stopping.get()
    for attempt in (lambda: load(manager, "new"), lambda: manager.start_job("other"), lambda: manager.commit("other")):
        with pytest.raises(Unavailable):
            attempt()
    with pytest.raises(Conflict):
        manager.start()
    assert watch.count("spawned") == 1


# -- twice, and at once -----------------------------------------------------------------------------
def test_stopping_twice_waits_for_the_same_end(make_manager, watch):
    manager = make_manager(watch)
    deaf(manager, graceful_timeout=0.3)
    both = [gevent.spawn(manager.stop) for _ in range(2)]
    gevent.joinall(both, raise_error=True)
    manager.stop()
    manager.run()
    assert belongings(manager.node_id) == [] and watch.count("stopped") == 1


def test_callbacks_are_called_once_all_is_gone(make_manager, watch):
    manager, called, all_called = make_manager(watch), [], Event()
    deaf(manager, graceful_timeout=0.2)

    def callback(stopped):
        called.append((stopped is manager, stopped.state, belongings(manager.node_id)))
        if len(called) == 3:
            all_called.set()

    manager.stop(callback)
    manager.stop(callback)
    manager.run()
    manager.stop(callback)
    assert all_called.wait(10)
    assert called == [(True, "stopped", [])] * 3


def test_halt_during_a_stop_waits_for_nobody(make_manager, watch):
    manager = make_manager(watch)
    deaf(manager, "a", priority=0, graceful_timeout=1000.0)
    deaf(manager, "b", priority=1, graceful_timeout=1000.0)
    stopping = gevent.spawn(manager.stop)
    eventually(lambda: watch.count("signalled"))
    manager.halt()
    manager.halt()
    stopping.get()
    assert belongings(manager.node_id) == []


def test_halt_of_a_job_whose_stop_plugins_are_still_asked_about(make_manager, watch):
    asked = Event()

    class Thoughtful:
        @gaffer.hookimpl
        def gaffer_stop_steps(self):
            asked.set()
            gevent.sleep(1000)

    manager = make_manager(watch, Thoughtful())
    deaf(manager, graceful_timeout=1000.0)
    manager.stop(lambda stopped: None)
    asked.wait()
    manager.halt()
    manager.run()
    assert belongings(manager.node_id) == []


def test_halt_of_a_process_between_the_steps_of_a_plugin(make_manager, watch):
    class Patient:
        @gaffer.hookimpl
        def gaffer_stop_steps(self):
            return [("INT", 1000.0), ("TERM", 1000.0)]

    manager = make_manager(watch, Patient())
    load(manager, cmd="sh -c 'trap \"\" TERM INT; echo ready; while :; do sleep 0.05; done'", redirect_output=["out"])
    said(running(manager, 1)[0])
    manager.stop_job("web")
    eventually(lambda: watch.count("signalled"))
    manager.halt()
    manager.run()
    assert watch.details("signalled") == [signal.SIGINT, signal.SIGKILL]


def test_the_context_manager_starts_and_stops(make_manager):
    manager = make_manager(start=False)
    with pytest.raises(KeyError), manager:
        load(manager)
        found = running(manager, 1)[0]
        raise KeyError("the program failed")
    assert manager.state == "stopped" and not alive(found.os_pid)


# -- apps and plugins ----------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=lambda error: error.__name__)
def test_an_app_that_fails_to_stop_stops_nothing_else(make_manager, watch, error):
    stopped = []

    class Good:
        def stop(self):
            stopped.append("good")

    class Bad:
        def stop(self):
            stopped.append("bad")
            raise error("cannot stop")

    manager = make_manager(watch, apps=[Good(), Bad()])
    load(manager)
    running(manager, 1)
    manager.stop()
    assert stopped == ["bad", "good"] and manager.state == "stopped"


def test_an_app_that_never_stops_is_left_when_patience_is_over(make_manager, watch, caplog):
    asked, forever = Event(), Event()

    class Stuck:
        def stop(self):
            asked.set()
            forever.wait()

    manager = make_manager(watch, start=False)
    manager.start(apps=[Stuck()])
    load(manager, numprocesses=2)
    running(manager, 2)
    manager.stop(lambda manager: None)
    assert asked.wait(20)
    assert not manager.wait_stopped(0.05), "nobody has lost patience yet"
    manager.halt()
    assert manager.wait_stopped(20)
    assert belongings(manager.node_id) == []
    assert any("Stuck does not stop" in message for message in caplog.messages)


def test_a_plugin_that_refuses_the_start_leaves_nothing_running(make_manager, watch):
    stopped = []

    class First:
        @gaffer.hookimpl
        def gaffer_load_jobs(self):
            return [gaffer.JobConfig("web", "sleep 1000")]

        @gaffer.hookimpl
        def gaffer_manager_stopped(self):
            stopped.append("first")

    class Second:
        @gaffer.hookimpl
        def gaffer_manager_start(self):
            raise gaffer.Veto("no port")

    manager = make_manager(watch, First(), Second(), start=False)
    with pytest.raises(Conflict, match="second.*no port|Second.*no port"):
        manager.start()
    assert manager.state == "stopped" and stopped == ["first"]
    assert watch.count("spawned") == 0


def test_a_stop_that_comes_during_the_start(make_manager, watch):
    class Stopper:
        @gaffer.hookimpl
        def gaffer_manager_start(self, manager):
            manager.stop(lambda stopped: None)

    manager = make_manager(watch, Stopper(), start=False)
    load(manager)
    try:
        manager.start()
    except Unavailable:
        pass
    assert manager.wait_stopped(30) and watch.count("spawned") == 0


def test_a_plugin_may_stop_the_manager_from_a_hook(make_manager, watch):
    """It waits for the end, so the end does not wait for it; it is told of it all the same."""
    told, all_told = [], Event()

    class Fuse:
        @gaffer.hookimpl
        def gaffer_exited(self):
            fused.stop()
            told.append("blown")

        @gaffer.hookimpl
        def gaffer_manager_stopped(self):
            told.append("stopped")
            all_told.set()

    fused = make_manager(watch, Fuse())
    load(fused, "a", numprocesses=3)
    load(fused, "b", "false", min_uptime=0.0)
    fused.run()
    assert belongings(fused.node_id) == []
    assert all_told.wait(30) and told[0] == "blown" and told[-1] == "stopped"


def test_a_listener_may_stop_the_manager(make_manager, watch):
    done = Event()

    def listener(event, message):
        manager.stop()
        done.set()

    manager = make_manager(watch)
    manager.subscribe("exit", listener)
    load(manager, cmd="false", min_uptime=0.0)
    manager.run()
    assert done.wait(30) and belongings(manager.node_id) == []


# -- callbacks of the hub and other threads -------------------------------------------------------------
def in_the_hub(manager, function):
    """Call *function* in a callback of the loop; returns what it returned or raised."""
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


def test_what_waits_is_refused_in_a_callback_of_the_hub(manager):
    load(manager)
    (process,) = running(manager, 1)
    for call in (
        lambda: manager.stop_job("web"),
        lambda: manager.scale("web", 1),
        lambda: manager.restart_job("web"),
        lambda: manager.commit("web"),
        lambda: manager.unload("web"),
        lambda: load(manager, "other"),
    ):
        error = in_the_hub(manager, call)
        assert isinstance(error, ReentrantCall) and "manager.later" in str(error)
    assert manager.jobs() == ["default.web"] and alive(process.os_pid)
    assert in_the_hub(manager, lambda: manager.info("web"))["running"] == 1


def test_later_is_the_way_to_do_it_all_the_same(manager, watch):
    load(manager)
    running(manager, 1)
    in_the_hub(manager, lambda: manager.later(manager.scale, "web", 2))
    running(manager, 3)


def test_stop_from_a_callback_of_the_hub(make_manager, watch):
    manager, called = make_manager(watch), []
    load(manager, numprocesses=3)
    running(manager, 3)
    assert in_the_hub(manager, lambda: manager.stop(called.append)) is None
    manager.run()
    eventually(lambda: called == [manager])
    assert belongings(manager.node_id) == []


@pytest.mark.parametrize("end", ["stop", "halt"])
def test_end_from_a_callback_of_the_hub_without_a_callback(make_manager, watch, end):
    manager = make_manager(watch)
    load(manager, numprocesses=3)
    running(manager, 3)
    assert in_the_hub(manager, getattr(manager, end)) is None
    manager.run()
    assert belongings(manager.node_id) == []


def in_a_thread(function):
    """Call *function* in another thread while this one serves the loop; returns what it returned or raised."""
    outcome = []

    def body():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    eventually(lambda: not thread.is_alive(), what="the thread never came back")
    return outcome[0]


def test_stop_from_another_thread(make_manager, watch):
    manager, called = make_manager(watch), []
    load(manager, numprocesses=3)
    running(manager, 3)

    def stop():
        manager.stop(called.append)
        manager.stop()
        return manager.state, belongings(manager.node_id)

    assert in_a_thread(stop) == ("stopped", [])
    assert called == [manager]


def test_halt_from_another_thread(make_manager, watch):
    manager = make_manager(watch)
    deaf(manager, graceful_timeout=1000.0)
    assert in_a_thread(manager.halt) is None
    manager.run()
    assert belongings(manager.node_id) == []


def test_restart_from_another_thread(make_manager, watch):
    manager, called = make_manager(watch), []
    load(manager)
    running(manager, 1)
    assert in_a_thread(lambda: manager.restart(called.append)) is None
    eventually(lambda: watch.count("spawned") == 2)
    assert called == [manager]


def test_an_app_that_fails_to_restart_is_told_to_whoever_asked(make_manager, watch):
    """Also when that is another thread; and the processes are replaced all the same."""

    class Bad:
        def restart(self):
            raise ValueError("cannot restart")

    manager = make_manager(watch, apps=[Bad()])
    load(manager)
    running(manager, 1)
    assert "cannot restart" in str(in_a_thread(manager.restart))
    eventually(lambda: watch.count("spawned") == 2)


def test_a_process_is_written_from_many_threads(manager, watch):
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


def test_the_manager_refuses_other_calls_from_other_threads(manager, watch):
    load(manager)
    (process,) = running(manager, 1)
    error = in_a_thread(lambda: manager.stop_job("web"))
    assert isinstance(error, ReentrantCall) and "manager.later" in str(error)
    in_a_thread(lambda: manager.later(manager.stop_job, "web"))
    eventually(lambda: not alive(process.os_pid))


# -- detached processes -------------------------------------------------------------------------------------
def test_detached_processes_survive_the_manager(make_manager, watch):
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


def test_detached_processes_survive_a_halt_as_well(make_manager):
    manager = make_manager()
    load(manager, detach=True)
    (process,) = running(manager, 1)
    manager.halt()
    manager.run()
    assert alive(process.os_pid)
    os.kill(process.os_pid, signal.SIGKILL)
    os.waitpid(process.os_pid, 0)


@pytest.mark.parametrize("end", ["stop_job", "unload"])
def test_a_detached_job_can_be_stopped(manager, watch, end):
    load(manager, cmd="sh -c 'setsid sleep 1000 & sleep 1000'", detach=True)
    running(manager, 1)
    getattr(manager, end)("web")
    eventually(lambda: watch.count("stopped"))
    assert belongings(manager.node_id) == []


def test_a_detached_process_is_supervised(manager, watch):
    load(manager, detach=True, min_uptime=0.0)
    os.kill(running(manager, 1)[0].os_pid, signal.SIGKILL)
    eventually(lambda: watch.count("spawned") == 2)
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))


def test_a_detached_process_that_was_being_stopped_is_stopped_to_the_end(make_manager, watch):
    """Whoever said stop meant it; that the manager stops too is no reason to let go."""
    manager = make_manager(watch)
    deaf(manager, detach=True, graceful_timeout=0.5)
    manager.stop_job("web")
    manager.stop()
    assert belongings(manager.node_id) == []


# -- programs that end in other ways ----------------------------------------------------------------------------
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


def test_a_program_that_is_interrupted_can_still_stop_everything():
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


def test_a_program_whose_main_greenlet_ends_with_the_manager_running():
    """Nobody stopped it: the processes stay, and nothing hangs."""
    code, os_pids, errors = program("")
    assert code == 0, errors
    assert len(os_pids) == 3
    for os_pid in os_pids:
        os.kill(os_pid, signal.SIGKILL)


def test_nothing_is_imported_or_patched_that_need_not_be():
    code, _, errors = program(
        "from gevent import monkey\n"
        "manager.stop()\n"
        "assert not monkey.saved, monkey.saved\n"
        "assert not {'bottle', 'psutil', 'geventwebsocket'} & set(sys.modules)\n"
        "os._exit(0)\n"
    )
    assert code == 0, errors
