"""Ends that the kernel explains: killed for memory, and core dumps."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from gaffer.process.exit_status import OOM_KILLED, ExitStatus, OomCounter, collect, decode_status

KILLED = ExitStatus(None, signal.SIGKILL)


def test_kill_is_explained_by_a_counter_that_has_risen(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 3\noom_kill 3\n")
    found = OomCounter(str(counter))
    assert found.explain(KILLED) == KILLED
    counter.write_text("oom_kill 5\n")
    found.look()
    assert found.explain(KILLED).note == OOM_KILLED
    assert str(found.explain(KILLED)) == f"signal SIGKILL, {OOM_KILLED}"
    found.look()
    assert found.explain(KILLED).note == ""  # two kills, two ends


def test_without_a_counter_nothing_is_claimed(tmp_path: Path) -> None:
    assert OomCounter(str(tmp_path / "none")).explain(KILLED) == KILLED


def test_this_system_has_a_counter() -> None:
    assert OomCounter()._count is not None


def test_core_dump_is_told(tmp_path: Path) -> None:
    os_pid = os.fork()
    if not os_pid:
        try:
            os.chdir(tmp_path)
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGQUIT)
        finally:
            os._exit(1)
    pidfd = os.pidfd_open(os_pid)
    os.waitid(os.P_PID, os_pid, os.WEXITED | os.WNOWAIT)
    dumped = os.waitid(os.P_PID, os_pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED
    status = collect(pidfd)
    os.close(pidfd)
    assert status == ExitStatus(None, signal.SIGQUIT, "core dumped" if dumped else "")
    assert decode_status(0x80 | signal.SIGSEGV) == ExitStatus(None, signal.SIGSEGV, "core dumped")
    assert str(decode_status(0x80 | signal.SIGSEGV)) == "signal SIGSEGV, core dumped"
