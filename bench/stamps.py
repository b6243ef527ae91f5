"""The children's birth notes: which process came to life, and when (see child.c)."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Callable, NamedTuple

_RECORD = struct.Struct("=qq")
#: How often the file is looked at. The notes bear their own time, so this costs no accuracy, only a little CPU.
_GLANCE = 0.003


class BenchError(Exception):
    """A measurement could not be made; the sentence goes into the table's footnotes."""


class Stamp(NamedTuple):
    os_pid: int
    ns: int


def build_child(work: Path) -> Path:
    """Compile child.c statically into *work* and return the program's path."""
    source, program = Path(__file__).with_name("child.c"), work / "gaffer-bench-child"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-static", "-o", str(program), str(source)], check=True)
    return program


class Stamps:
    """The file that children append their notes to; read in order, each note once."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"")
        self.path = path
        self._offset = 0

    def take(self) -> list[Stamp]:
        """Return the notes that have come since the last call."""
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = len(data) - len(data) % _RECORD.size
        self._offset += whole
        return [Stamp(*record) for record in _RECORD.iter_unpack(data[:whole])]

    def wait(self, count: int, check: Callable[[], None], timeout: float = 90.0) -> list[Stamp]:
        """Return the next *count* notes.

        :param check: called while waiting; raises BenchError when there is nothing to wait for.
        :raises BenchError: they have not all come after *timeout* seconds.
        """
        found: list[Stamp] = []
        deadline = time.monotonic() + timeout
        while len(found) < count:
            if time.monotonic() > deadline:
                raise BenchError(f"{len(found)} of {count} children came to life within {timeout:g} s")
            check()
            time.sleep(_GLANCE)
            found += self.take()
        return found


def kill_strays(program: Path) -> int:
    """KILL every process that still runs *program*; return how many there were."""
    strays = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _runs(int(entry), program):
            os.kill(int(entry), 9)
            strays += 1
    return strays


def _runs(os_pid: int, program: Path) -> bool:
    try:
        return os.readlink(f"/proc/{os_pid}/exe") == str(program)
    except OSError:
        return False
