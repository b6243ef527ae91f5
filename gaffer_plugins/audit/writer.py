"""Appending lines to a file from a native thread: a slow or full disk does not hold up the loop."""

from __future__ import annotations

import os
import stat
from typing import Any

from gaffer.api import ThreadWriter, open_file

#: Bytes that may wait for the disk; lines beyond are dropped and counted.
LIMIT = 4 << 20
#: How long a stopping manager waits for the disk, in seconds.
STOP_TIMEOUT = 2.0
_APPEND_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class AuditWriter(ThreadWriter):
    """A bounded queue of lines, and the thread that appends them to *path*.

    The file is looked for before every batch, so one that was moved away (logrotate(8)) is made again without a
    signal.
    """

    def __init__(self, path: str, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self.path = path
        #: Lines in the file; lines that did not fit into the queue, or could not be written.
        self.written = 0
        #: Why the last batch could not be written; ``""`` if it could.
        self.trouble = ""
        self._unqueued = self._unwritten = 0
        self._fd = -1

    @property
    def dropped(self) -> int:
        """Number of lines lost."""
        return self._unqueued + self._unwritten

    @property
    def state(self) -> tuple[str, str, int]:
        """Path, trouble and lost lines, for a sentence."""
        return self.path, self.trouble, self.dropped

    def open(self) -> None:
        """Open the file, which others cannot read; a link is not followed.

        :raises OSError: that is not possible, or it is no file.
        """
        descriptor = open_file(self.path, _APPEND_FLAGS)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError("it is no regular file")
        if found.st_mode & 0o077 and found.st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
        self._fd = descriptor

    def write(self, line: bytes) -> None:
        """Queue a line; never waits."""
        if self._closed:
            return
        if self._put - self._done + len(line) > self._limit:
            self._unqueued += 1
            return
        self._enqueue(line)

    def _write_batch(self, lines: list[bytes]) -> None:
        try:
            self._look()
            _write_all(self._fd, b"".join(lines))
        except OSError as error:
            self.trouble = error.strerror or str(error)
            self._unwritten += len(lines)
            self._finish()
        else:
            self.trouble = ""
            self.written += len(lines)

    def _look(self) -> None:
        """See to it that the descriptor is that of the path."""
        if self._fd >= 0:
            try:
                if os.path.samestat(os.lstat(self.path), os.fstat(self._fd)):
                    return
            except FileNotFoundError:
                pass
            self._finish()
        self.open()

    def _finish(self) -> None:
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _wait(self, written: Any) -> bool:
        return bool(written.wait(STOP_TIMEOUT))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
