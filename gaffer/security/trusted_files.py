"""Files and folders whose names other accounts may have a hand in: the one place that checks and opens them.

An account that may write to a folder on the way could put a link in place of the next one, and have gafferd
read, write or give away a file of any folder. So each part of a path is opened by itself, in the one before it, when
gafferd runs as root; a gafferd that is not root has no more rights than its own account, and opens paths as they are.

What gafferd reads decides what it runs, so a file that others can change is refused (:func:`check_read`), for root
also one that belongs to another account. ``--allow-shared-files`` lifts that; no file can.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import stat
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from ..errors import GafferError

_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_OWN = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
#: Links that one path may have, as for the kernel (path_resolution(7)).
_MOST_LINKS = 40
_MADE_BY_OTHERS = "uid {} made a symbolic link on the way that leads out of their own folders"
_REMEDY = "{}; or start with --allow-shared-files, if that is meant"

#: Names of what this process got as its own standard output and error.
_OWN_OUTPUTS = {
    f"{folder}/{name}": number
    for number, own in ((1, "stdout"), (2, "stderr"))
    for folder, name in (("/dev", own), ("/dev/fd", number), ("/proc/self/fd", number))
}

_shared_allowed = False


class SharedFile(GafferError):
    """A file that other accounts can change; the sentence says which, and the command that mends it."""

    code = "shared-file"


class LockHeld(OSError):
    """Another process holds a lock file."""


def allow_shared_files(allowed: bool) -> None:
    """Take files that others can change, in this process; for command lines and the environment only."""
    global _shared_allowed
    _shared_allowed = allowed


def is_guarded() -> bool:
    """Tell whether paths have to be gone with care."""
    return os.geteuid() == 0


class Walk:
    """Open descriptors on the way from the root to a folder; close it.

    :param path: absolute.
    :param make: make the folders that are missing.
    :raises OSError: there is no such folder, or a link was made by another account than the owner of its target.
    """

    def __init__(self, path: str, make: bool = False) -> None:
        self._make = make
        self._links = 0
        #: Others who made a link on the way.
        self._makers: set[int] = set()
        #: Whether no other account could have replaced a part of the path.
        self.safe = True
        self.fd = os.open("/", _FOLDER_FLAGS)
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
        """Tell whether no other account could have put *name* into the folder."""
        try:
            entry = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            entry = None
        return self.safe and _protects(os.fstat(self.fd), entry)

    def safe_folder(self) -> bool:
        """Tell whether no other account can add to the folder, or replace it."""
        found = os.fstat(self.fd)
        return self.safe and _protects(found, None)

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
        inner = os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=self.fd)
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
            self.fd = os.open("/", _FOLDER_FLAGS)
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
    """Give a path of the same file that cannot be redirected meanwhile, for renaming, binding and removing.

    :raises OSError: as :class:`Walk`.
    """
    if not is_guarded() or not os.path.isdir("/proc/self/fd"):
        yield path
        return
    walk = Walk(os.path.dirname(os.path.abspath(path)))
    try:
        yield path if walk.safe_folder() else f"/proc/self/fd/{walk.fd}/{os.path.basename(path)}"
    finally:
        walk.close()


def open_file(path: str, flags: int, mode: int = 0o600, make_folders: bool = False) -> int:
    """Return a descriptor of *path*; as root, no link that another account could have made is followed.

    :param flags: as for open(2).
    :param make_folders: make the folders that are missing.
    :raises OSError: as :class:`Walk`; or the file has another name, elsewhere.
    """
    if is_guarded():
        return _open_as_root(os.path.abspath(path), flags, mode, make_folders)
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        if not make_folders:
            raise
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        return os.open(path, flags, mode)


def _open_as_root(path: str, flags: int, mode: int, make_folders: bool) -> int:
    name, walk = os.path.basename(path), Walk(os.path.dirname(path), make=make_folders)
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


def open_log(path: str, mode: int, make_folders: bool = False) -> int:
    """Return a descriptor that appends to *path* and does not wait.

    A link at the end of the path is followed to a device or a pipe only, such as ``/dev/stdout``: who may write into
    the folder of a log file could otherwise have gafferd write anywhere.

    Standard output and error of this process are what it got, whatever the name leads to; see :func:`shares_output`.

    :raises OSError: it cannot be opened.
    """
    own = _OWN_OUTPUTS.get(path)
    if own is not None:
        return _open_own(own)
    try:
        return open_file(path, _APPEND, mode, make_folders)
    except OSError as error:
        if error.errno != errno.ELOOP or not os.path.islink(path):
            raise
        descriptor = open_file(path, _APPEND & ~(os.O_NOFOLLOW | os.O_CREAT), mode)
    # What is open is looked at, not what the link leads to: that may be another file by then.
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, "it is a symbolic link; name the file itself")
    return descriptor


def shares_output(path: str) -> bool:
    """Tell whether *path* is standard output or error of this process: not ours to rotate, nor to change its flags."""
    return path in _OWN_OUTPUTS


def _open_own(own: int) -> int:
    """Open a pipe or a terminal anew, to write without waiting: other processes share the flags of our descriptor.

    A socket cannot be opened, and a file would be written at another place. A pipe or terminal of another account
    cannot be opened either, as after a change of user in a container. These are used as they are.
    """
    mode = os.fstat(own).st_mode
    if not stat.S_ISSOCK(mode) and not stat.S_ISREG(mode):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{own}", _OWN)
    return fcntl.fcntl(own, fcntl.F_DUPFD_CLOEXEC, 3)


# -- reading ----------------------------------------------------------------------------------


def check_read(path: str, *users: int) -> None:
    """Refuse a file or folder that other accounts can change, or exchange for another.

    For root these are files and folders on the way that belong to another account, or that others may write. An account
    of its own group is common elsewhere, so other accounts are warned of what all may write only.

    :param users: accounts that may own and write it, such as the one that a job runs as.
    :raises SharedFile: names what has to be changed, and how. A path that leads nowhere is no concern of this.
    """
    if _shared_allowed:
        return
    trusted = {0, os.geteuid(), *users}
    if is_guarded():
        # Who called sudo could do everything before. In a user namespace, / itself may belong to an unmapped uid.
        trusted |= {int(os.environ.get("SUDO_UID") or 0), os.stat("/").st_uid}
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        shared = False
        for item in _way(os.path.abspath(path)):
            shared = _check_item(path, item, trusted, shared)


def _way(path: str) -> Iterator[str]:
    """Yield everything from the root to *path* that decides what is found there: folders, links and their targets."""
    ahead, here, links = _parts(path), "", 0
    while ahead:
        name = ahead.pop(0)
        if name == "..":
            here = os.path.dirname(here)
            continue
        yield here or "/"
        item = f"{here}/{name}"
        try:
            target = os.readlink(item)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            here = item
            continue
        yield item
        links += 1
        if links > _MOST_LINKS:
            raise FileNotFoundError(path)
        ahead[:0] = _parts(target)
        here = "" if target.startswith("/") else here
    yield here or "/"


def _check_item(path: str, item: str, trusted: set[int], shared: bool) -> bool:
    """Check one part of the way; returns whether everybody may put something into it.

    :param shared: what this returned for the part before.
    """
    found = os.lstat(item)
    user = "root" if is_guarded() else "you"
    what = f"{item} " if item == path else f"{path} cannot be trusted: {item} "
    if (shared or is_guarded()) and found.st_uid not in trusted:
        raise SharedFile(
            f"{what}belongs to user {found.st_uid}, who could then run programs as {user} through gafferd; "
            + _REMEDY.format(f"try: chown -h {os.geteuid()} {shlex.quote(item)}")
        )
    # Where the sticky bit is set, others cannot replace what is not theirs: /tmp, for instance.
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and item != path:
        return bool(found.st_mode & (stat.S_IWOTH | stat.S_IWGRP))
    if stat.S_ISLNK(found.st_mode):
        return False
    others = stat.S_IWOTH | (stat.S_IWGRP if is_guarded() and found.st_gid != 0 else 0)
    if found.st_mode & others:
        raise SharedFile(
            f"{what}can be written by other users, who could then run programs as {user} through gafferd; "
            + _REMEDY.format(f"try: chmod go-w {shlex.quote(item)}")
        )
    return False


# -- locks ------------------------------------------------------------------------------------


def lock_path(path: str) -> str:
    """Return the name of the lock file of *path*."""
    return f"{path}.lock"


def open_lock(path: str, patience: float = 0.0) -> int:
    """Return a descriptor that holds the lock file *path*, which no other account can open and so none can hold.

    :param patience: seconds to wait for another process of ours.
    :raises LockHeld: it is held for longer. :raises OSError: it cannot be made, or another account made it.
    """
    deadline = time.monotonic() + patience
    while True:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check_lock(descriptor, path)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed it between our open and our lock.
            if is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise LockHeld(errno.EWOULDBLOCK, f"another process holds the lock {path}") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(0.01)


def close_lock(descriptor: int, path: str) -> None:
    """Remove a lock file that we hold, and give up the lock."""
    with suppress(OSError), place(path) as at:
        if is_at(descriptor, at):
            os.unlink(at)
    os.close(descriptor)


def _check_lock(descriptor: int, path: str) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
        raise OSError(errno.EPERM, f"its lock file {path} belongs to another account (uid {found.st_uid}); remove it")
    if stat.S_IMODE(found.st_mode) != 0o600:
        os.fchmod(descriptor, 0o600)


def is_at(descriptor: int, path: str) -> bool:
    """Tell whether *path* is still what *descriptor* has open."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
