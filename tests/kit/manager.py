"""What the tests of the embedded manager need: waiting for conditions, writing down events, looking at processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple

import gevent
from gevent.event import Event

import gaffer
from gaffer.manager.manager import Manager
from gaffer.process.process import ExitStatus, Process

#: How long anything may take. The machine may be busy: nothing here measures speed.
PATIENCE = 30.0
_GLANCE = 0.004


def eventually(predicate: Callable[[], Any], timeout: float = PATIENCE, what: str = "") -> Any:
    """Wait until *predicate* answers something true, and return that."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(what or f"still not so after {timeout:g} s: {predicate}")
        gevent.sleep(_GLANCE)


def settle(manager: Manager) -> None:
    """Wait until the engine has nothing to do: every message taken, every start made."""
    engine = manager.engine
    eventually(lambda: not engine._messages and (engine.held or not engine._starts))
    engine.submit(None, lambda: None)


def pass_deadlines(manager: Manager) -> None:
    """Wait until every deadline that is set now has come, and its consequences too."""
    engine = manager.engine
    last = max((when for when, _, one in engine.deadlines._heap if one.call), default=engine.clock())
    passed = Event()
    engine.at(last + 0.001, passed.set)
    assert passed.wait(PATIENCE), "a deadline never came"
    settle(manager)


class Told(NamedTuple):
    """One thing that a plugin was told."""

    what: str
    job: str
    detail: Any = None


class Watch:
    """A plugin that writes down what it is told of processes, and keeps them after their end."""

    def __init__(self) -> None:
        self.log: list[Told] = []
        self.processes: list[Process] = []
        self.statuses: dict[int, ExitStatus] = {}
        self.events: list[dict[str, Any]] = []

    def _note(self, what: str, job: Any, detail: Any = None) -> None:
        self.log.append(Told(what, job.name.short, detail))

    @gaffer.hookimpl
    def gaffer_job_loaded(self, job: Any) -> None:
        self._note("loaded", job)

    @gaffer.hookimpl
    def gaffer_job_updated(self, job: Any) -> None:
        self._note("updated", job)

    @gaffer.hookimpl
    def gaffer_job_unloaded(self, job: Any) -> None:
        self._note("unloaded", job)

    @gaffer.hookimpl
    def gaffer_job_started(self, job: Any) -> None:
        self._note("started", job)

    @gaffer.hookimpl
    def gaffer_job_stopped(self, job: Any) -> None:
        self._note("stopped", job)

    @gaffer.hookimpl
    def gaffer_job_scaled(self, job: Any, before: int, after: int) -> None:
        self._note("scaled", job, (before, after))

    @gaffer.hookimpl
    def gaffer_spawned(self, job: Any, process: Process) -> None:
        self.processes.append(process)
        self._note("spawned", job, process.pid)

    @gaffer.hookimpl
    def gaffer_spawn_failed(self, job: Any, error: Exception) -> None:
        self._note("spawn_failed", job, str(error))

    @gaffer.hookimpl
    def gaffer_signalled(self, job: Any, process: Process, signum: signal.Signals) -> None:
        self._note("signalled", job, signum)

    @gaffer.hookimpl
    def gaffer_exited(self, job: Any, process: Process, status: ExitStatus) -> None:
        self.statuses[process.pid] = status
        self._note("exited", job, process.pid)

    @gaffer.hookimpl
    def gaffer_reaped(self, job: Any, reason: str) -> None:
        self._note("reaped", job, reason)

    @gaffer.hookimpl
    def gaffer_flapping(self, job: Any, decision: Any) -> None:
        self._note("flapping", job, decision.seconds)

    @gaffer.hookimpl
    def gaffer_event(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def count(self, what: str, job: str | None = None) -> int:
        """How often *what* happened, to *job* or to any."""
        return sum(1 for told in self.log if told.what == what and job in (None, told.job))

    def whats(self, *wanted: str) -> list[str]:
        """What happened, in order; only *wanted* if any are given."""
        return [told.what for told in self.log if not wanted or told.what in wanted]

    def details(self, what: str) -> list[Any]:
        """The details of everything called *what*."""
        return [told.detail for told in self.log if told.what == what]


class Ran(NamedTuple):
    """What became of a command that was run once."""

    status: ExitStatus
    out: bytes
    err: bytes

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


def output(process: Process, label: str = "out") -> bytes:
    """What is kept of an output, also after the end."""
    return process.reader(label).ring.read()[1]


def run(manager: Manager, watch: Watch, cmd: str, **settings: Any) -> Ran:
    """Run *cmd* once as a job called ``once`` and return what it said."""
    settings = {"restart": "never", "redirect_output": ["out", "err"], **settings}
    seen = len(watch.processes)
    manager.load(gaffer.JobConfig("once", cmd, **settings))
    eventually(lambda: watch.count("unloaded", "once") or manager.info("once")["state"] in ("stopped", "failed"))
    eventually(lambda: len(watch.processes) > seen and watch.processes[-1].pid in watch.statuses, what="it never ran")
    process = watch.processes[-1]
    manager.unload("once")
    return Ran(watch.statuses[process.pid], output(process, "out"), output(process, "err"))


# -- looking at the system ------------------------------------------------------------
def alive(os_pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    return look(f"/proc/{os_pid}/stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def belongings(node_id: str) -> list[int]:
    """The os_pids of all live processes that descend from a manager's jobs."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        entries = look(f"/proc/{name}/environ").split(b"\0")
        if any(entry.startswith(b"GAFFER_ID=") and node_id.encode() in entry for entry in entries):
            found.append(int(name))
    return found


def look(path: str) -> bytes:
    """What a file under ``/proc`` holds; nothing if it is gone. Thousands of them are read, so nothing fancy."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 1_048_576)
    except OSError:
        return b""
    finally:
        os.close(fd)


def os_pids(manager: Manager, name: str) -> list[int]:
    """The kernel's ids of a job's processes."""
    return [process.os_pid for process in manager.list(name)]


def zombies() -> int:
    """How many children of this program have exited without being waited for."""
    children = [pid for thread in os.listdir("/proc/self/task") for pid in _children(thread)]
    return sum(look(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] == [b"Z"] for pid in children)


def _children(thread: str) -> list[int]:
    return [int(pid) for pid in look(f"/proc/self/task/{thread}/children").split()]


def read_pids(path: Any) -> list[int]:
    """The numbers that children wrote into a file, one a line; incomplete lines are left out."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return [int(line) for line in text[: text.rfind("\n") + 1].split()]


def proc(process: Process, entry: str) -> bytes:
    """A file of a process under ``/proc``; some are empty for a moment while it executes its program."""
    path = Path(f"/proc/{process.os_pid}/{entry}")
    return eventually(path.read_bytes) if entry in ("environ", "cmdline") else path.read_bytes()


def said(process: Process, what: bytes = b"ready\n", label: str = "out") -> bool:
    """Wait until a process has written *what*."""
    return bool(eventually(lambda: what in output(process, label), what=f"{process} never said {what!r}"))
