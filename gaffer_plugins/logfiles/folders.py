"""The way to a log file, as root goes it: links that others made lead nowhere but into their own folders.

Where somebody else may write to a folder on the way, they could put a link in place of the next one, and have gafferd
append what their job says to a file of any folder. So each part of the path is opened by itself, in the one before it.
A gafferd that is not root can do nobody else's work, and takes the path as it is.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import Iterator

_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
#: Links that one path may have, as for the kernel (path_resolution(7)).
_MOST_LINKS = 40
_MADE_BY_OTHERS = "uid {} made a symbolic link on the way that leads out of their own folders"


def is_guarded() -> bool:
    """Tell whether paths have to be gone with care."""
    return os.geteuid() == 0


class Walk:
    """One way from the root to a folder; close it.

    :param path: absolute.
    :param make: make the folders that are missing.
    :raises OSError: there is no such folder, or somebody made a link to what is not theirs.
    """

    def __init__(self, path: str, make: bool = False) -> None:
        self._make = make
        self._links = 0
        #: Others who made a link on the way.
        self._makers: set[int] = set()
        #: Whether nobody else could have put anything else in the way.
        self.safe = True
        self.fd = os.open("/", _FLAGS)
        try:
            self._go(path)
            self._check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the folder."""
        os.close(self.fd)

    def protects(self, name: str) -> bool:
        """Tell whether nobody else could have put what has this *name* into the folder."""
        try:
            entry = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            entry = None
        return self.safe and _protects(os.fstat(self.fd), entry)

    def _go(self, path: str) -> None:
        ahead = _parts(path)
        while ahead:
            name = ahead.pop(0)
            self.safe = self.protects(name)
            try:
                self._enter(name)
            except FileNotFoundError:
                if not self._make:
                    raise
                self._made(name)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                ahead[:0] = self._link(name)

    def _enter(self, name: str) -> None:
        inner = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = inner

    def _made(self, name: str) -> None:
        self._check()
        os.mkdir(name, 0o755, dir_fd=self.fd)
        self._enter(name)
        self._makers.clear()  # what they led to is theirs, and the folder in it is ours

    def _link(self, name: str) -> list[str]:
        """Return the parts of the path that a link leads to."""
        maker = os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_uid
        target = os.readlink(name, dir_fd=self.fd)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not self.safe:
            self._makers.add(maker)
        if target.startswith("/"):
            os.close(self.fd)
            self.fd = os.open("/", _FLAGS)
        return _parts(target)

    def _check(self) -> None:
        strangers = self._makers - {os.fstat(self.fd).st_uid}
        if strangers:
            raise OSError(errno.ELOOP, _MADE_BY_OTHERS.format(min(strangers)))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _protects(folder: os.stat_result, entry: os.stat_result | None) -> bool:
    """Tell whether only root and our user could have put *entry* into *folder*."""
    ours = (0, os.geteuid())
    if folder.st_uid not in ours:
        return False
    others = folder.st_mode & (stat.S_IWOTH if folder.st_gid == 0 else stat.S_IWOTH | stat.S_IWGRP)
    # Where others may write, but the sticky bit is set, they cannot replace what is ours: /tmp, for instance.
    return not others or bool(folder.st_mode & stat.S_ISVTX) and entry is not None and entry.st_uid in ours


@contextmanager
def place(path: str) -> Iterator[str]:
    """Give a path of the same file that nobody can turn elsewhere meanwhile, for those who rename and remove.

    :raises OSError: as :class:`Walk`.
    """
    if not is_guarded() or not os.path.isdir("/proc/self/fd"):
        yield path
        return
    walk = Walk(os.path.dirname(path))
    try:
        yield f"/proc/self/fd/{walk.fd}/{os.path.basename(path)}"
    finally:
        walk.close()


def open_as_root(path: str, flags: int, mode: int) -> int:
    """Return a descriptor of *path*, whose last part is no link unless only we could have made it.

    :param flags: as for open(2); folders that are missing are made with O_CREAT.
    :raises OSError: as :class:`Walk`; or the file has another name, elsewhere.
    """
    name, walk = os.path.basename(path), Walk(os.path.dirname(path), make=bool(flags & os.O_CREAT))
    try:
        if not flags & os.O_NOFOLLOW and not walk.protects(name):
            raise OSError(errno.ELOOP, "it is a symbolic link, in a folder where others may make some")
        descriptor = os.open(name, flags, mode, dir_fd=walk.fd)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not walk.protects(name):
            os.close(descriptor)
            raise OSError(errno.EMLINK, "it has another name elsewhere, and others may write to its folder")
        return descriptor
    finally:
        walk.close()
