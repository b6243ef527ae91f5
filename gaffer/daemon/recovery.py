"""Recovery of the processes of a killed gafferd: ``orphans = stop``.

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
from contextlib import suppress
from typing import Iterator

import gevent

from ..process.environment import DETACHED
from ..process.proc_scan import ID_VARIABLE, find_node_survivors, read_environment, signal_checked
from ..security.trusted_files import open_file, place

log = logging.getLogger("gafferd")

#: How long they may take to end by themselves, in seconds, and how often it is looked whether they did.
GRACE, STEP = 10.0, 0.05
_NODE = re.compile(rb"[0-9a-f]{12}\n\Z")


class Leftovers:
    """The processes of the gafferd that held a pidfile before us.

    :param pidfile: its path; we hold it.
    :param node_id: our own id, for the one that comes after us.
    """

    def __init__(self, pidfile: str, node_id: str) -> None:
        self._path = f"{pidfile}.node"
        self._own = node_id

    def end(self, grace: float = GRACE) -> int:
        """End what is left of the one before us, and leave our own id; returns how many there were."""
        node = self._read()
        count = 0
        if node and f"{node}." in os.environ.get(ID_VARIABLE, ""):
            log.warning("this gafferd descends from the one before it, so what that left running is left alone")
        elif node:
            count = _end(node, grace)
        self._write()
        return count

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


def _end(node: str, grace: float) -> int:
    """Ask the processes of *node* to end, and kill those that do not; returns how many there were."""
    seen = set(_orphans(node))
    if not seen:
        return 0
    log.warning("%d processes of a gafferd that was killed are still running; they are ended now", len(seen))
    for os_pid in seen:
        _signal(os_pid, node, signal.SIGTERM)
    left = _wait(node, grace)
    while left:
        for os_pid in left:
            _signal(os_pid, node, signal.SIGKILL)
        seen |= set(left)
        left = _wait(node, 1.0)
    return len(seen)


def _wait(node: str, seconds: float) -> list[int]:
    """Return the processes left after *seconds*; return at once when none is left."""
    for _ in range(max(1, int(seconds / STEP))):
        left = list(_orphans(node))
        if not left:
            return []
        gevent.sleep(STEP)
    return left


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
