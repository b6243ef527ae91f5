"""Every example of an embedding program, run as it is; and a manager that lives in a thread of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

import gaffer
from gaffer.errors import PluginError

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60.0

SAID = {
    "embed": [
        "scaled to 3",
        "sleeper: ended with signal SIGTERM",
        "sleeper: ended with signal SIGTERM",
        "sleeper: ended with signal SIGTERM",
        "sleeper: started",
        "sleeper: started",
        "sleeper: started",
    ],
    "embedding/own_children": ["gaffer's: ['code 7']", "the program's own children: [1, 2, 3]"],
    "embedding/threaded": [
        "jobs: ['default.web']",
        "refused: no job 'nothing'; 'gafferctl processes' lists them",
        "scaled to 3",
        "stopped: stopped",
    ],
    "embedding/asyncio_host": ["create web", "spawn web", "stop web"],
    "embedding/two_managers": ["free: 4", "measured: True", "strict: plugin Limit: at most 2 processes"],
}


def test_every_example_is_tested():
    found = [EXAMPLES / "embed.py", *EXAMPLES.glob("embedding/*.py")]
    assert {path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in found} == set(SAID)


@pytest.mark.parametrize("name", SAID)
def test_an_example_does_what_it_says(name):
    path = EXAMPLES / f"{name}.py"
    ended = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=PATIENCE)
    assert complaints(ended.stderr) == ""
    # Two greenlets may print in either order.
    assert sorted(ended.stdout.splitlines()) == SAID[name]
    assert ended.returncode == 0


@pytest.mark.parametrize("name", SAID)
def test_no_example_patches_anything(name):
    program = f"import runpy, gevent.monkey; runpy.run_path({str(EXAMPLES / name)!r} + '.py', run_name='__main__'); "
    program += "raise SystemExit(any(map(gevent.monkey.is_module_patched, ('threading', 'socket', 'subprocess'))))"
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str((EXAMPLES / name).parent)!r}); {program}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, complaints(ended.stderr)) == (0, "")


def complaints(stderr: str) -> str:
    """Return what an example said on stderr, but for plugins that a busy machine made slow."""
    return re.sub(r"plugin \S+: gaffer_\w+ took \d+ ms\n", "", stderr)


def in_a_thread() -> tuple[gaffer.Manager, threading.Thread]:
    ready: Future[gaffer.Manager] = Future()

    def run() -> None:
        manager = gaffer.Manager()
        manager.start()
        ready.set_result(manager)
        manager.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return ready.result(PATIENCE), thread


def test_a_manager_without_jobs_waits_in_its_thread_and_is_stopped_from_another():
    for _ in range(5):
        manager, thread = in_a_thread()
        manager.stop()
        assert manager.state == "stopped"
        thread.join(PATIENCE)
        assert not thread.is_alive()
        manager.stop()


def test_a_stop_from_another_thread_may_leave_word_instead_of_waiting():
    manager, thread = in_a_thread()
    told: Future[gaffer.Manager] = Future()
    manager.stop(told.set_result)
    assert told.result(PATIENCE) is manager
    thread.join(PATIENCE)


def test_two_threads_may_stop_it_at_once():
    manager, thread = in_a_thread()
    stoppers = [threading.Thread(target=manager.stop) for _ in range(4)]
    for stopper in stoppers:
        stopper.start()
    for stopper in [*stoppers, thread]:
        stopper.join(PATIENCE)
        assert not stopper.is_alive()


def test_an_app_that_fails_to_restart_does_not_hold_up_who_asked_from_another_thread():
    manager, thread = in_a_thread()

    class Broken:
        def restart(self) -> None:
            raise RuntimeError("no")

    manager.apps.append(("broken", Broken()))
    with pytest.raises(PluginError, match="broken failed to restart: RuntimeError: no"):
        manager.restart()
    manager.stop()
    thread.join(PATIENCE)
