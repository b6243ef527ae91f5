"""The process that listens on a TCP port, as far as we may look (proc(5): net/tcp, PID/fd)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

_LISTEN = "0A"


class Holder(NamedTuple):
    """A process that listens."""

    os_pid: int
    name: str


def holder_of(port: int) -> Holder | None:
    """Return a process that listens on *port* on any address; None if there is none that we may see."""
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    if not inodes:
        return None
    for os_pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended, or is not ours to look at
            if any(_target(f"/proc/{os_pid}/fd/{fd}") in inodes for fd in os.listdir(f"/proc/{os_pid}/fd")):
                return Holder(int(os_pid), _name(os_pid))
    return None


def _listening(table: str, port: int) -> list[str]:
    found = []
    with suppress(OSError), open(f"/proc/net/{table}") as file:
        for line in list(file)[1:]:
            words = line.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                found.append(words[9])
    return found


def _target(path: str) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ""


def _name(os_pid: str) -> str:
    with suppress(OSError), open(f"/proc/{os_pid}/comm", errors="replace") as file:
        return file.read().strip()
    return "?"
