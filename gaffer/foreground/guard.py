"""A small helper process that kills what is left when gaffer is killed; see :mod:`~gaffer.foreground._guard`.

It is started first of all: it comes up while we import the engine, and not when children want the processors.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from ..errors import SpawnError
from ..security.inherited_environment import inherited

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_guard.py")


class Guard:
    """The guard, and the pipe whose end wakes it. A context, which ends it.

    :raises SpawnError: the system cannot start it.
    """

    def __init__(self) -> None:
        self._pipe = -1
        try:
            reader, self._pipe = os.pipe()
            with open(reader, "rb") as stdin:
                self._process = self._start(stdin)
            os.set_blocking(self._pipe, False)
        except OSError as error:
            if self._pipe >= 0:
                os.close(self._pipe)
            reason = error.strerror or str(error)
            raise SpawnError(
                f"the guard, which keeps processes from outliving gaffer, cannot be started: {reason}; "
                "raise the limits of open files and processes"
            ) from error

    @staticmethod
    def _start(stdin: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM],
            env=inherited(),
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        """End it: nothing is left. After an exception something may be, so then it does its work first."""
        if kind is None:
            self._process.kill()
        os.close(self._pipe)
        self._pipe = -1
        self._process.wait()

    def watch(self, node_id: str) -> None:
        """Send the mark of the processes to look for, before the first of them starts."""
        self._tell(f"={node_id}\n")

    def add(self, group: int) -> None:
        """Add the leader of a process group, which need not be searched for."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Remove a process group: its number may be used again soon."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            pass  # the guard was killed; or it is stuck, and finds by their mark the processes it was not told of
