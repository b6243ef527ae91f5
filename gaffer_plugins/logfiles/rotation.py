"""Old log files beside the current one: ``web.log.1`` the newest, ``.gz`` behind it when compressed."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import Any, Iterator, NamedTuple

_BLOCK = 1 << 20


class Backup(NamedTuple):
    """An old file."""

    number: int
    path: str

    @property
    def compressed(self) -> bool:
        return self.path.endswith(".gz")


def backups(path: str) -> list[Backup]:
    """Return the old files of *path*, the newest first."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.([1-9][0-9]{0,8})(\.gz)?\Z")
    found = [(pattern.match(entry), entry) for entry in os.listdir(folder)]
    return sorted(Backup(int(match.group(1)), os.path.join(folder, entry)) for match, entry in found if match)


def shift(path: str, keep: int) -> None:
    """Make *path* the newest of its old files, of which *keep* stay.

    :raises OSError: it cannot; what was renamed until then stays renamed.
    """
    for old in reversed(backups(path)):
        if old.number >= keep:
            os.unlink(old.path)
        else:
            os.rename(old.path, f"{path}.{old.number + 1}" + (".gz" if old.compressed else ""))
    if keep:
        os.rename(path, f"{path}.1")
    else:
        os.unlink(path)


def trim(path: str, most: int) -> None:
    """Remove the oldest of the old files until they have at most *most* bytes together."""
    size = 0
    for old in backups(path):
        with suppress(FileNotFoundError):
            size += os.stat(old.path).st_size
            if size > most:
                os.unlink(old.path)


def compress(path: str, lock: Any) -> None:
    """Compress the old files of *path* that are not yet, while new ones may come.

    :param lock: held while they are renamed.
    :raises OSError: the disk is full, most likely; those that are left stay as they are.
    """
    for old in reversed([old for old in backups(path) if not old.compressed]):
        with suppress(FileNotFoundError), _source(old.path) as source:
            if source is None:
                continue
            part = f"{path}.gz-part"
            try:
                _gzip(source, part)
                with lock:
                    _replace(path, os.fstat(source.fileno()), part)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part)


@contextmanager
def _source(path: str) -> Iterator[Any]:
    """Open a file; None for what is none.

    An account that may write to the folder could put a link there, to get a copy of what it must not read, or a pipe
    without a writer.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        yield file if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _gzip(source: Any, part: str) -> None:
    mode = os.fstat(source.fileno()).st_mode & 0o777
    # Never through a link that another account put there.
    with suppress(FileNotFoundError):
        os.unlink(part)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as target, gzip.GzipFile("", "wb", 6, target) as packed:
        shutil.copyfileobj(source, packed, _BLOCK)


def _replace(path: str, source: os.stat_result, part: str) -> None:
    """Put *part* where the file that it was made of is by now; it may have been removed meanwhile."""
    for old in backups(path):
        with suppress(FileNotFoundError):
            if not old.compressed and os.path.samestat(os.lstat(old.path), source):
                os.rename(part, f"{old.path}.gz")
                os.unlink(old.path)
                return
