"""Pid files that a lock decides about, not the number in them.

The number may belong to any process by now; the lock belongs to a process that
lives, and the kernel drops it when that one dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile

from .errors import Conflict, GafferError

_NUMBER = re.compile(rb"\s*(\d{0,10})\s*\Z")
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NOT_OURS = "cannot use pidfile {}: {}; remove it, or give another name"


class PidfileError(GafferError):
    """The pidfile cannot be used; the sentence says which and why."""

    code = "pidfile"


class AlreadyRunning(PidfileError, Conflict):
    """Another process holds the pidfile."""


class Pidfile:
    """A file that holds a process id and is locked by that process.

    :param fname: its path; None makes a temporary file.
    :param program: what holds it, for sentences.
    """

    def __init__(self, fname: str | None, program: str = "gafferd") -> None:
        self.fname = fname
        self._program = program
        self.pid: int | None = None
        self._descriptor = -1

    def create(self, pid: int) -> None:
        """Lock the file and write *pid* into it; one whose process is gone is replaced.

        :raises AlreadyRunning: another process holds it.
        :raises PidfileError: it cannot be written, or is something else than a pidfile.
        """
        if self.fname is None:
            descriptor, self.fname = tempfile.mkstemp(prefix="gaffer-", suffix=".pid")
            os.close(descriptor)
        try:
            self._descriptor = _lock(self.fname, self._program)
            os.fchmod(self._descriptor, 0o644)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % pid, 0)
        except OSError as error:
            self.close()
            raise PidfileError(f"cannot write pidfile {self.fname}: {error.strerror}") from error
        self.pid = pid

    def rename(self, path: str) -> None:
        """Move the file to *path*; it stays locked.

        :raises AlreadyRunning: another process holds *path*.
        """
        other = Pidfile(path)
        holder = other.validate()
        if holder is not None:
            raise _already_running(path, holder, self._program)
        if self.fname is not None and self._descriptor >= 0:
            try:
                os.rename(self.fname, path)
            except OSError as error:
                raise PidfileError(f"cannot move pidfile {self.fname} to {path}: {error.strerror}") from error
        self.fname = path

    def unlink(self) -> None:
        """Remove the file, if it is still ours, and give up the lock."""
        try:
            if self.fname is not None and self._descriptor >= 0 and _is_at(self._descriptor, self.fname):
                os.unlink(self.fname)
        except OSError:
            pass  # its folder is gone or not ours any more; the lock ends with us all the same
        self.close()

    def close(self) -> None:
        """Give up the lock; the file stays and counts as left behind."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self.pid = None

    def validate(self) -> int | None:
        """Return the pid of the process that holds the file; None if nobody does, whatever number is in it.

        :raises PidfileError: it is something else than a pidfile.
        """
        if self.fname is None:
            return None
        if self._descriptor >= 0:
            return self.pid
        try:
            descriptor = os.open(self.fname, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PidfileError(f"cannot read pidfile {self.fname}: {error.strerror}") from error
        try:
            number = _check(descriptor, self.fname)
            return None if _try_lock(descriptor, fcntl.LOCK_SH) else number
        finally:
            os.close(descriptor)


def _lock(path: str, program: str) -> int:
    """Open and lock *path*; returns the descriptor, which holds the lock."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o644)
        except OSError as error:
            if os.path.islink(path):
                raise PidfileError(_NOT_OURS.format(path, "it is a symbolic link")) from error
            raise
        try:
            number = _check(descriptor, path)
            if not _try_lock(descriptor, fcntl.LOCK_EX):
                raise _already_running(path, number, program)
            # Its last holder may have removed it between our open and our lock.
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    ours = os.fstat(descriptor)
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _check(descriptor: int, path: str) -> int:
    """Return the number in a pidfile; refuse what somebody may have put there for us to overwrite."""
    found = os.fstat(descriptor)
    reason = ""
    if not stat.S_ISREG(found.st_mode):
        reason = "it is no regular file"
    elif found.st_nlink > 1:
        reason = "it has another name too (a hard link)"
    elif os.geteuid() == 0 and found.st_uid != 0:
        reason = "it belongs to another user"
    content = b"" if reason else os.pread(descriptor, 64, 0)
    number = _NUMBER.match(content)
    if number is None:
        reason = "it holds something else than a process id"
    if reason or number is None:
        raise PidfileError(_NOT_OURS.format(path, reason))
    return int(number.group(1) or 0)


def _already_running(path: str, pid: int, program: str) -> AlreadyRunning:
    return AlreadyRunning(f"another {program} is running, with process id {pid}: it holds the pidfile {path}")
