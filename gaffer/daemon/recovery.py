"""The processes of a gafferd that was killed: a warning, or with ``orphans = stop`` their end.

A process is ended only if three things are certain: the gafferd that started it is dead, since we hold the lock of its
pidfile, which the kernel drops at no other time; it carries that gafferd's random id in its environment, which no other
process does; and it is still that process when the signal is sent, since it is held by a pidfd meanwhile. Jobs with
``detach`` are meant to live on.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import time
from contextlib import suppress
from typing import Iterator, Mapping

import gevent

from ..config.fields import parse_signal
from ..config.names import parse_job_name
from ..config.settings import Settings
from ..errors import GafferError
from ..process.environment import DETACHED
from ..process.proc_scan import ID_VARIABLE, find_node_survivors, read_environment, signal_checked
from ..security.trusted_files import open_file, place

log = logging.getLogger("gafferd")

#: So many ids are in a warning.
MAX_SHOWN = 10
#: How long they may take to end by themselves, in seconds, and how often it is looked whether they did.
GRACE, STEP = 10.0, 0.05
_NODE = re.compile(rb"[0-9a-f]{12}\n\Z")


class Leftovers:
    """The processes of the gafferd that held a pidfile before us.

    :param pidfile: its path; we hold it.
    :param node_id: our own id, for the one that comes after us.
    :param stops: stop signal and graceful timeout of jobs, by their short names; others get TERM and *grace*.
    """

    def __init__(self, pidfile: str, node_id: str, stops: Mapping[str, tuple[int, float]] | None = None) -> None:
        self._path = f"{pidfile}.node"
        self._own = node_id
        self._stops = stops or {}

    def end(self, grace: float = GRACE) -> int:
        """End what is left of the one before us, and leave our own id; returns how many there were."""
        node = self._find()
        count = _end(node, grace, self._stops) if node else 0
        self._write()
        return count

    def warn(self) -> int:
        """Tell what is left of the one before us, and leave our own id; returns how many there are."""
        node = self._find()
        left = sorted(_orphans(node)) if node else []
        if left:
            shown = ", ".join(map(str, left[:MAX_SHOWN])) + (", ..." if len(left) > MAX_SHOWN else "")
            log.warning(
                "%d processes of a gafferd that was killed are still running beside those that are started now: os_pid "
                "%s; end them with kill, or set orphans = stop, which does it at the next start",
                len(left),
                shown,
            )
        self._write()
        return len(left)

    def _find(self) -> str:
        """Return the id of the one before us, if its processes are not ours to leave alone."""
        node = self._read()
        if node and f"{node}." in os.environ.get(ID_VARIABLE, ""):
            log.warning("this gafferd descends from the one before it, so what that left running is left alone")
            return ""
        return node

    def forget(self) -> None:
        """We end as we should, and leave nothing running."""
        with suppress(OSError), place(self._path) as path:
            os.unlink(path)

    def _read(self) -> str:
        """Return the id of the one before us; nothing if it ended as it should, or others could have written it."""
        try:
            descriptor = open_file(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            found, data = os.fstat(descriptor), os.read(descriptor, 64)
        except OSError:
            return ""
        finally:
            os.close(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not _NODE.match(data):
            log.warning("%s is not what a gafferd wrote; processes of the one before are left alone", self._path)
            return ""
        return data.decode().strip()

    def _write(self) -> None:
        try:
            with suppress(FileNotFoundError), place(self._path) as path:
                os.unlink(path)
            descriptor = open_file(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{self._own}\n")
        except OSError as error:
            log.warning("cannot write %s: %s; orphans = stop will not work after a crash", self._path, error.strerror)


def stops_of_jobs(settings: Settings) -> dict[str, tuple[int, float]]:
    """Return stop signal and graceful timeout of the jobs that configuration files have, by their short names.

    What cannot be read is left out: it is told where the configuration is checked.
    """
    found = {}
    for section in settings.sections("process", "job"):
        with suppress(ValueError, GafferError):
            values = {"stop_signal": "TERM", "graceful_timeout": "30"}
            values |= {key: value.text for key, value in section.items.items()}
            signum = int(parse_signal(values["stop_signal"]))
            found[parse_job_name(section.name).short] = (signum, float(values["graceful_timeout"]))
    return found


def _end(node: str, grace: float, stops: Mapping[str, tuple[int, float]]) -> int:
    """Ask the processes of *node* to end, and kill those that do not; returns how many there were."""
    usual = (signal.SIGTERM.value, grace)
    ways = {os_pid: stops.get(_job(os_pid), usual) for os_pid in _orphans(node)}
    if not ways:
        return 0
    log.warning("%d processes of a gafferd that was killed are still running; they are ended now", len(ways))
    for os_pid, (signum, _) in ways.items():
        _signal(os_pid, node, signum)
    began = time.monotonic()
    while left := list(_orphans(node)):
        gevent.sleep(STEP)
        passed = time.monotonic() - began
        for os_pid in left:
            if passed >= ways.setdefault(os_pid, usual)[1]:
                _signal(os_pid, node, signal.SIGKILL)
    return len(ways)


def _job(os_pid: int) -> str:
    return read_environment(os_pid).get(b"GAFFER_JOB", b"").decode("utf-8", "replace")


def _orphans(node: str) -> Iterator[int]:
    """Yield the processes of *node* that are not detached."""
    for os_pids in find_node_survivors(node).values():
        for os_pid in os_pids:
            if _is_orphan(os_pid, node):
                yield os_pid


def _is_orphan(os_pid: int, node: str) -> bool:
    environment = read_environment(os_pid)
    return f"{node}.".encode() in environment.get(ID_VARIABLE.encode(), b"") and DETACHED.encode() not in environment


def _signal(os_pid: int, node: str, number: int) -> None:
    """Send a signal to a process, if it is what it was when it was found."""
    try:
        signal_checked(os_pid, number, lambda os_pid: _is_orphan(os_pid, node))
    except OSError as error:
        log.warning("process %d of a gafferd that was killed cannot be ended: %s", os_pid, error.strerror)
