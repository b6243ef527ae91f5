"""gaffer.ThreadedManager: a manager used from threads, asyncio and programs that end without stopping it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import Future

import gevent
import pytest

import gaffer
from gaffer.errors import Conflict, NotFound, PluginError, Unavailable
from tests.kit.gafferd import eventually

PATIENCE = 60.0
START = """
import gaffer, sys, threading, time
m = gaffer.ThreadedManager()
m.start()
m.load({"name": "web", "cmd": "sleep 1000", "numprocesses": 2})
while len(m.pids("web")) < 2:
    time.sleep(0.01)
print(*[m.process_info(pid)["os_pid"] for pid in m.pids("web")], flush=True)
"""
#: Ways in which a program ends without stopping its manager, and what it then says.
ENDS = {
    "at its last line": ("", 0, ""),
    "by an exception": ("raise RuntimeError('oops')", 1, "oops"),
    "by sys.exit": ("sys.exit(3)", 3, ""),
    "with another thread that goes on": (
        "threading.Thread(target=lambda: (time.sleep(0.2), print(len(m.pids('web'))))).start()",
        0,
        "",
    ),
    "with a thread that waits for ever": (
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        0,
        "",
    ),
}


def run(program: str, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *options]
    return subprocess.run([*command, "-c", program], input=stdin, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("way", ENDS)
def test_a_program_that_does_not_stop_its_manager_ends_and_leaves_no_process(way: str) -> None:
    end, status, said = ENDS[way]
    ended = run(START + end)
    os_pids, *more = ended.stdout.splitlines()
    assert ended.returncode == status and said in ended.stderr
    assert more == (["2"] if "goes on" in way else [])
    assert len(os_pids.split()) == 2 and not [one for one in os_pids.split() if os.path.exists(f"/proc/{one}")]


def test_an_interactive_session_supervises_at_its_prompt_and_ends_with_ctrl_d() -> None:
    wait = "import os, time; first = m.pids('web')\nos.kill(m.process_info(first[0])['os_pid'], 9)\n"
    wait += "while m.pids('web') == first or len(m.pids('web')) < 2: time.sleep(0.01)\n\nprint('replaced')\n"
    ended = run(START, "-i", stdin=wait)
    assert ended.stdout.splitlines()[1:] == ["replaced"] and ended.returncode == 0


@pytest.fixture
def manager():
    with gaffer.ThreadedManager() as made:
        yield made


def test_methods_of_the_manager_are_called_in_its_thread(manager: gaffer.ThreadedManager) -> None:
    manager.load(gaffer.JobConfig("web", "sleep 1000", start=False))
    assert manager.jobs() == ["default.web"] and manager.state == "running"
    assert manager.submit("info", "web").result(PATIENCE)["state"] == "stopped"
    assert manager.submit(threading.get_ident).result(PATIENCE) != threading.get_ident()
    with pytest.raises(NotFound, match="no job 'nothing'"):
        manager.info("nothing")
    with pytest.raises(AttributeError):
        manager.no_such_method()
    assert not hasattr(manager, "_private")


def test_many_threads_use_it_at_once(manager: gaffer.ThreadedManager) -> None:
    manager.load({"name": "web", "cmd": "sleep 1000", "numprocesses": 0})
    threads = [threading.Thread(target=manager.scale, args=("web", "+1")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert manager.info("web")["max_processes"] == 8


def test_a_listener_may_call_it_in_its_own_thread_and_stop_it() -> None:
    manager, told = gaffer.ThreadedManager(), Future()  # type: ignore[var-annotated]

    def listener(event: str, message: object) -> None:
        told.set_result(manager.jobs())
        manager.stop()

    manager.start()
    manager.subscribe("load", listener)
    manager.load({"name": "web", "cmd": "sleep 1000"})
    assert told.result(PATIENCE) == ["default.web"]
    assert manager.wait_stopped(PATIENCE) and manager.state == "stopped"


def test_a_start_that_fails_is_raised_and_the_thread_ends() -> None:
    class Broken(gaffer.Plugin):
        @gaffer.hookimpl
        def gaffer_manager_start(self) -> None:
            raise RuntimeError("no")

    manager = gaffer.ThreadedManager(plugins=[Broken()])
    with pytest.raises(PluginError, match="gaffer_manager_start: RuntimeError: no"):
        manager.start()
    assert manager.wait_stopped(PATIENCE)
    manager.stop()
    with pytest.raises(Conflict, match="second time"):
        manager.start()


def test_calls_of_a_manager_that_does_not_run_are_errors() -> None:
    manager = gaffer.ThreadedManager()
    manager.stop()
    with pytest.raises(Unavailable, match="not started"):
        manager.jobs()
    manager.start()
    waiting = manager.submit(gevent.sleep, 1000)
    manager.stop()
    for call in (manager.jobs, lambda: waiting.result(PATIENCE)):
        with pytest.raises(Unavailable, match="has stopped"):
            call()
    manager.stop()


def test_nothing_is_left_of_managers_that_were_stopped() -> None:
    def count() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with gaffer.ThreadedManager():
        pass  # what the first one imports and opens stays
    before = count()
    for _ in range(5):
        with gaffer.ThreadedManager():
            pass
    eventually(lambda: count() <= before)


def test_asyncio_waits_for_it_without_blocking() -> None:
    async def main() -> list[str]:
        async with gaffer.ThreadedManager() as manager:
            await asyncio.wrap_future(manager.submit("load", {"name": "web", "cmd": "sleep 1000"}))
            return list(await asyncio.wrap_future(manager.submit("jobs")))

    assert asyncio.run(main()) == ["default.web"]


def test_a_program_that_gevent_has_patched_is_told_to_use_a_manager() -> None:
    ended = run("from gevent import monkey; monkey.patch_all(); import gaffer; gaffer.ThreadedManager().start()")
    assert "use gaffer.Manager" in ended.stderr.splitlines()[-1] and ended.returncode == 1


@pytest.mark.parametrize(("waits", "warned"), [("time.sleep(1)", True), ("gevent.sleep(0.6); time.sleep(1)", False)])
def test_a_loop_that_does_not_run_after_the_start_is_a_warning(waits: str, warned: bool) -> None:
    program = "import gaffer, gevent, time; from gaffer.manager import hub_check; "
    program += f"hub_check.DUE, hub_check.LIMIT = 0.05, 0.5; m = gaffer.Manager(); m.start(); {waits}; m.stop()"
    ended = run(program)
    assert ("gevent's loop has not run" in ended.stderr) is warned and ended.returncode == 0
    assert not warned or "gaffer.ThreadedManager" in ended.stderr
