"""Pid files that a lock decides about, not the number in them.

The number may belong to any process by now; the lock belongs to a process that
lives, and the kernel drops it when that one dies, however it dies. It is that of
a file of its own, ``PIDFILE.lock``: a pidfile is world-readable, and a process that can
open a file can lock it.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile

from .errors import Conflict, GafferError
from .security.trusted_files import LockHeld, close_lock, is_at, lock_path, open_file, open_lock, place

_FILE_CONTENT = re.compile(rb"\s*(\d{0,10})\s*\Z")
_OPEN_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
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
        self._lock = -1

    def create(self, pid: int) -> None:
        """Lock the file and write *pid* into it; one whose process is gone is replaced.

        :raises AlreadyRunning: another process holds it.
        :raises PidfileError: it cannot be written, or is something else than a pidfile.
        """
        if self.fname is None:
            descriptor, self.fname = tempfile.mkstemp(prefix="gaffer-", suffix=".pid")
            os.close(descriptor)
        try:
            self._lock = _lock(self.fname, self._program)
            self._descriptor = _open(self.fname)
            _check(self._descriptor, self.fname)
            os.fchmod(self._descriptor, 0o644)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % pid, 0)
        except OSError as error:
            self._release()
            raise PidfileError(f"cannot write pidfile {self.fname}: {error.strerror}") from error
        except BaseException:
            self._release()
            raise
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
                lock = _lock(path, self._program)
                try:
                    with place(self.fname) as old, place(path) as new:
                        os.rename(old, new)
                except BaseException:
                    close_lock(lock, lock_path(path))
                    raise
            except OSError as error:
                raise PidfileError(f"cannot move pidfile {self.fname} to {path}: {error.strerror}") from error
            close_lock(self._lock, lock_path(self.fname))
            self._lock = lock
        self.fname = path

    def unlink(self) -> None:
        """Remove the file, if it is still ours, and give up the lock."""
        try:
            if self.fname is not None and self._descriptor >= 0:
                with place(self.fname) as at:
                    if is_at(self._descriptor, at):
                        os.unlink(at)
        except OSError:
            pass  # its folder is gone or not ours any more; the lock ends with us all the same
        self._release()

    def _release(self) -> None:
        """Remove the lock file, which we hold."""
        if self._lock >= 0 and self.fname is not None:
            close_lock(self._lock, lock_path(self.fname))
            self._lock = -1
        self.close()

    def close(self) -> None:
        """Give up the lock; the file stays and counts as left behind."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1
        self.pid = None

    def validate(self) -> int | None:
        """Return the pid of the process that holds the file; None if there is none, whatever number is in it.

        :raises PidfileError: it is something else than a pidfile.
        """
        if self.fname is None:
            return None
        if self._descriptor >= 0:
            return self.pid
        try:
            descriptor = open_file(self.fname, os.O_RDONLY | _OPEN_FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PidfileError(f"cannot read pidfile {self.fname}: {error.strerror}") from error
        try:
            number = _check(descriptor, self.fname)
        finally:
            os.close(descriptor)
        return number if _is_held(self.fname) else None


def _open(path: str) -> int:
    try:
        return open_file(path, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o644)
    except OSError as error:
        if os.path.islink(path):
            raise PidfileError(_NOT_OURS.format(path, "it is a symbolic link")) from error
        raise


def _lock(path: str, program: str) -> int:
    """Return a descriptor that holds the lock of the pidfile *path*."""
    try:
        return open_lock(lock_path(path))
    except LockHeld as error:
        descriptor = _open(path)
        try:
            raise _already_running(path, _check(descriptor, path), program) from error
        finally:
            os.close(descriptor)


def _is_held(path: str) -> bool:
    if not os.path.lexists(lock_path(path)):
        return False
    try:
        close_lock(open_lock(lock_path(path)), lock_path(path))
    except LockHeld:
        return True
    except OSError as error:
        raise PidfileError(f"cannot use pidfile {path}: {error.strerror}") from error
    return False


def _check(descriptor: int, path: str) -> int:
    """Return the number in a pidfile; refuse a file that another account may have put there for us to overwrite."""
    found = os.fstat(descriptor)
    reason = ""
    if not stat.S_ISREG(found.st_mode):
        reason = "it is no regular file"
    elif found.st_nlink > 1:
        reason = "it has another name too (a hard link)"
    elif os.geteuid() == 0 and found.st_uid != 0:
        reason = "it belongs to another user"
    content = b"" if reason else os.pread(descriptor, 64, 0)
    number = _FILE_CONTENT.match(content)
    if number is None:
        reason = "it holds something else than a process id"
    if reason or number is None:
        raise PidfileError(_NOT_OURS.format(path, reason))
    return int(number.group(1) or 0)


def _already_running(path: str, pid: int, program: str) -> AlreadyRunning:
    return AlreadyRunning(f"another {program} is running, with process id {pid}: it holds the pidfile {path}")
