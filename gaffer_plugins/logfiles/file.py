"""File on disk, for the thread that writes it: opened again when it is gone, rotated when it is full."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Any, Callable, NamedTuple

from gevent.monkey import get_original

from gaffer.api import trusted_files

from . import rotation

#: A file may grow by so much over its size to end a line that was begun; a longer one is cut.
SLACK = 65_536
#: Pieces that are written at a time (writev(2) takes 1024).
_PIECES = 256
#: Seconds until a rotation that failed is tried again.
_PAUSE = 1.0
#: How long a pipe or a terminal that is full is waited for, in seconds.
_PIPE_TIMEOUT = 1.0
_SEND = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
#: Readable by all as far as the umask allows.
_MODE = 0o640


class RotationPolicy(NamedTuple):
    """Rotation of a file; see the settings ``logfile_…`` of jobs."""

    maxbytes: int = 0
    backups: int = 10
    total: int | None = None
    compress: bool = False
    timestamps: bool = False

    @property
    def limit(self) -> int | None:
        """The size at which a new file is begun: half of what all may have, at the most."""
        if self.total is None:
            return self.maxbytes or None
        return min(self.maxbytes or self.total, max(self.total // 2, 1))


class DiskFile:
    """A file that is appended to. One thread at a time may use it.

    :param path: absolute.
    :param policy: how it is kept; it may be replaced at any time.
    :param lock: held while old files are renamed.
    :param rotated: called after a rotation.
    """

    def __init__(self, path: str, policy: RotationPolicy, lock: Any, rotated: Callable[[], Any] = lambda: None) -> None:
        self.path = path
        self.policy = policy
        #: Bytes written, files begun since, and rotations that failed.
        self.written = self.rotations = self.failures = 0
        #: Whether what is written next begins a line.
        self.whole = True
        self._lock = lock
        self._rotated = rotated
        self._pending: deque[bytes | memoryview] = deque()
        self._fd = -1
        #: The descriptor, if it is a socket.
        self._socket: Any = None
        #: Whether a write to it may wait: a pipe or terminal that other processes share.
        self._waits = False
        self._size = 0
        self._regular = True
        self._not_before = 0.0

    def add(self, data: bytes, begin: bool = False) -> None:
        """Put *data* into the row of what :meth:`flush` writes.

        :param begin: it is the first of its stream: if another stopped in the middle of a line, that line ends.
        """
        if begin and not (self._pending[-1][-1] == 10 if self._pending else self.whole):
            self._pending.append(b"\n")
        self._pending.append(data)

    @property
    def pending(self) -> bool:
        """True if there is something to write."""
        return bool(self._pending)

    def flush(self) -> None:
        """Write what was added.

        :raises OSError: not all could be written; what was not is kept for the next time.
        """
        if self._pending:
            self.look()
        while self._pending:
            limit = self._limit()
            pieces = list(islice(self._pending, _PIECES))
            if limit is None or self._size + sum(map(len, pieces)) <= limit:
                self._written(self._write(pieces))
            else:
                self._write_first(limit)

    def _write_first(self, limit: int) -> None:
        data = memoryview(self._pending[0])
        cut = self._cut(bytes(data), limit)
        if cut:
            self._written(self._write([data[:cut]]))
        else:
            self.rotate()

    def _write(self, pieces: list[Any]) -> int:
        """Write as much as goes at once; a pipe or terminal that is full is waited for, a moment."""
        while True:
            try:
                if self._socket is not None:  # never O_NONBLOCK: other processes share that flag
                    sent: int = self._socket.sendmsg(pieces, [], _SEND)
                    return sent
                if self._waits:
                    return self._write_if_ready(pieces[0])
                return os.writev(self._fd, pieces)
            except BlockingIOError:
                poll = get_original("select", "poll")()
                poll.register(self._fd, select.POLLOUT)
                if not poll.poll(_PIPE_TIMEOUT * 1000):
                    raise

    def _write_if_ready(self, piece: Any) -> int:
        """Write so little to a pipe or terminal that can be written that this does not wait.

        :raises BlockingIOError: it cannot be written now.
        """
        poll = get_original("select", "poll")()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self._fd, piece[: select.PIPE_BUF])

    def _cut(self, data: bytes, limit: int) -> int:
        """Return how many bytes of *data* go into this file; 0 when it is time for another."""
        if self._size + len(data) <= limit:
            return len(data)
        cut = data.rfind(b"\n", 0, max(0, limit - self._size)) + 1
        if cut or (self.whole and self._size):
            return cut
        return min(data.find(b"\n") + 1 or len(data), max(0, limit + SLACK - self._size))

    def _limit(self) -> int | None:
        if not self._regular or (self._not_before and time.monotonic() < self._not_before):
            return None
        return self.policy.limit

    def _written(self, count: int) -> None:
        self.written += count
        self._size += count
        while count:
            first = self._pending[0]
            self.whole = first[min(count, len(first)) - 1] == 10
            if count < len(first):
                self._pending[0] = memoryview(first)[count:]
                return
            count -= len(self._pending.popleft())

    def look(self) -> None:
        """See to it that the descriptor is that of the path: the file may have been moved or removed.

        :raises OSError: it cannot be opened.
        """
        if self._fd >= 0:
            if trusted_files.shares_output(self.path):
                return
            try:
                if os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                    if self._regular:
                        self._size = os.fstat(self._fd).st_size
                    return
            except FileNotFoundError:
                pass
            self.close()
        self._open()

    def _open(self) -> None:
        self._fd = open_log(self.path)
        status = os.fstat(self._fd)
        self._regular = stat.S_ISREG(status.st_mode) and not trusted_files.shares_output(self.path)
        if stat.S_ISSOCK(status.st_mode):
            self._socket = get_original("socket", "socket")(fileno=self._fd)
        self._waits = not stat.S_ISREG(status.st_mode) and self._socket is None and os.get_blocking(self._fd)
        self._size = status.st_size if self._regular else 0
        self.whole = not self._size or ends_a_line(self.path)

    def reopen(self) -> None:
        """Open the path again, now.

        :raises OSError: it cannot be.
        """
        self.close()
        self.look()

    def rotate(self) -> None:
        """Begin a new file; if that cannot be, the old one goes on for a while."""
        policy = self.policy
        try:
            with trusted_files.place(self.path) as path:
                with self._lock:
                    rotation.shift(path, policy.backups)
                if policy.total is not None:
                    rotation.trim(path, policy.total - (policy.limit or 0))
        except OSError:
            self.failures += 1
            self._not_before = time.monotonic() + _PAUSE
            return
        self.rotations += 1
        self.whole = True
        self.close()
        self._open()
        self._rotated()

    def close(self) -> None:
        """Close the descriptor; the next write opens it again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            if self._socket is not None:
                self._socket.detach()
                self._socket = None
            os.close(fd)

    def forget(self) -> int:
        """Give up what could not be written; returns how many bytes that was."""
        size = sum(map(len, self._pending))
        self._pending.clear()
        return size


def ends_a_line(path: str) -> bool:
    """Tell whether a file ends with a line's end; one that cannot be read may as well."""
    # Without waiting, should it be a pipe by now.
    with suppress(OSError), os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
    return True


def open_log(path: str) -> int:
    """Return a descriptor that appends to *path*; folders that are missing are made.

    :raises OSError: it cannot be opened.
    """
    return trusted_files.open_log(path, _MODE, make_folders=True)
