"""Log files on the side of the event loop: what waits for the threads, how much of it, and what became of it."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from gaffer.api import trusted_files

from . import rotation
from .file import DiskFile, RotationPolicy
from .lines import LineStamper
from .pool import Pool, make_lock

if TYPE_CHECKING:
    from gaffer.api import Job, SpawnPlan

log = logging.getLogger("gaffer.logfiles")

#: Bytes that may wait for one file before its process is held up a little …
HIGH = 2 << 20
#: … and before more are dropped, because the disk takes nothing.
LIMIT = 4 << 20
#: A disk that took nothing for so long is not waited for, in seconds.
STALL = 0.5
#: Seconds until a file that could not be written is tried again.
RETRY = 1.0
#: Seconds for which that is done when its processes are gone.
GIVE_UP = 60.0
#: How long the end of gafferd waits for disks, in seconds.
DISK_TIMEOUT = 3.0
#: What a thread takes at a time, in bytes.
BATCH = 1 << 20
_FAILED = "log file %s cannot be written: %s; it is tried again every second, and what exceeds %d bytes is lost"


class QueueEntry:
    """Something for a thread to write, or to do: the end of a stream, or opening the file again."""

    __slots__ = ("lines", "data", "when", "lost", "last")

    def __init__(self, lines: LineStamper | None, data: bytes = b"", lost: int = 0, last: bool = False) -> None:
        self.lines = lines
        self.data = data
        self.when = time.time()
        self.lost = lost
        self.last = last


class LogFile:
    """Log file that any number of streams are written to.

    The loop appends to a row, a thread takes from it. Who holds the token works on the row; there is no other lock
    between them, so the loop never waits.
    """

    def __init__(self, path: str, policy: RotationPolicy, files: LogFiles) -> None:
        self._names_lock = make_lock()
        self.file = DiskFile(path, policy, self._names_lock, self._rotated)
        #: Why nothing can be written at the moment.
        self.problem: str | None = None
        #: Bytes that were dropped, and how often writing failed.
        self.lost = self.errors = 0
        #: Streams that are written here.
        self.streams = 0
        #: Whether more will be, so that the first one's lines are kept whole before there are others.
        self.shared = False
        self._files = files
        self._pool = files.pool
        self._entries: deque[QueueEntry] = deque()
        self._token = make_lock()
        self._compressing = make_lock()
        self._put = self._done = self._batch = 0
        self._seen = 0
        self._seen_at = self._left_at = 0.0

    # -- in the event loop --------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Bytes that were taken and are not written yet."""
        return self._put - self._done

    @property
    def full(self) -> bool:
        """True if waiting helps: much is to be written, and the disk takes it."""
        if self.waiting <= HIGH or self.problem is not None:
            return False
        now = time.monotonic()
        if self.file.written != self._seen:
            self._seen, self._seen_at = self.file.written, now
        return now - self._seen_at < STALL

    def write(self, lines: LineStamper, data: bytes) -> None:
        """Take output, unless too much waits."""
        if self.waiting + len(data) > LIMIT or self._files.waiting + len(data) > self._files.limit:
            self.lost += len(data)
            lines.lost += len(data)
            return
        if not self.waiting:
            self._seen_at = time.monotonic()
        self._put += len(data)
        self._files.put += len(data)
        lost, lines.lost = lines.lost, 0
        self._add(QueueEntry(lines, data, lost))

    def leave(self, lines: LineStamper) -> None:
        """A stream has ended."""
        self.streams -= 1
        self._left_at = time.monotonic()
        lost, lines.lost = lines.lost, 0
        self._add(QueueEntry(lines, lost=lost, last=True))

    def reopen(self) -> None:
        """Open the file again."""
        self._add(QueueEntry(None))

    def retire(self) -> bool:
        """End, if there are no writers left and nothing is to be done; tells whether that is so."""
        return not self.streams and not self._entries and bool(self._token.acquire(False))

    def _add(self, entry: QueueEntry) -> None:
        self._entries.append(entry)
        if self._token.acquire(False):
            self._pool.give(self)

    # -- in a thread ----------------------------------------------------------------------------

    def work(self) -> None:
        """Write what waits; called with the token, which is given back when nothing does."""
        while True:
            try:
                while self._entries or self.file.pending:
                    self._next()
            except OSError as error:
                self._failed(error)
                return
            self._recovered()
            if not self.streams:
                self.file.close()
            self._token.release()
            if not self._entries or not self._token.acquire(False):
                break
        if not self.streams:
            self._pool.say(self._files.tidy, self)

    def _next(self) -> None:
        """Write one batch.

        :raises OSError: it cannot be written; it is tried again the next time.
        """
        file = self.file
        if not file.pending:
            first = self._entries[0]
            if first.data and first.lines is not None and first.lines.fresh:
                file.look()  # whether what was written before ends a line
            self._take()
        file.flush()
        batch, self._batch = self._batch, 0
        self._done += batch
        self._files.written(batch)

    def _take(self) -> None:
        size = 0
        while self._entries and size < BATCH:
            entry = self._entries.popleft()
            self._batch += len(entry.data)
            if entry.lines is None:
                self.file.reopen()
            else:
                size += self._format(entry.lines, entry)

    def _format(self, lines: LineStamper, entry: QueueEntry) -> int:
        """Give the file what an entry says; returns how many bytes that are."""
        stamp, hold = self.file.policy.timestamps, self.shared or self.streams > 1
        parts = [lines.notice(entry.lost, entry.when, stamp)] if entry.lost else []
        parts.append(lines.text(entry.data, entry.when, stamp, hold))
        if entry.last:
            parts.append(lines.end(entry.when, stamp))
        for part in filter(None, parts):
            self.file.add(part, begin=lines.fresh)
            lines.fresh = False
        return sum(map(len, parts))

    def _failed(self, error: OSError) -> None:
        self.errors += 1
        first, self.problem = self.problem is None, error.strerror or str(error)
        if first:
            self._pool.say(log.error, _FAILED, self.file.path, self.problem, LIMIT)
        self._pool.say(self._later)

    def _later(self) -> None:
        self._files.changed.set()
        if not self.streams and time.monotonic() - self._left_at > GIVE_UP:
            self._give_up()
        else:
            gevent.spawn_later(RETRY, self._pool.give, self)

    def _give_up(self) -> None:
        """Lose what waits: there are no writers left, and it cannot be written for long. No thread works on it."""
        lost = self.waiting
        log.error("%d bytes for log file %s are lost: %s", lost, self.file.path, self.problem)
        self._entries.clear()
        self.file.forget()
        self._batch, self._done, self.problem = 0, self._put, None
        self.lost += lost
        self._files.written(lost)
        self._token.release()
        self._files.tidy(self)

    def _recovered(self) -> None:
        if self.problem is not None:
            self.problem = None
            self._pool.say(
                log.warning, "log file %s can be written again; %d bytes were lost", self.file.path, self.lost
            )

    def _rotated(self) -> None:
        if self.file.policy.compress and self._compressing.acquire(False):
            self._pool.chore(self._compress)

    def _compress(self) -> None:
        self._compressing.release()
        try:
            with trusted_files.place(self.file.path) as path:
                rotation.compress(path, self._names_lock)
        except OSError as error:
            self.errors += 1
            self._pool.say(log.error, "a backup of %s cannot be compressed: %s", self.file.path, error.strerror)


class LogFileSink:
    """Sink of one stream into a log file."""

    __slots__ = ("_lines", "_log", "write")

    def __init__(self, log_file: LogFile, about: str) -> None:
        self._log = log_file
        self._lines = LineStamper(about)
        self.write = partial(log_file.write, self._lines)

    @property
    def full(self) -> bool:
        """True if the stream should be read a little later."""
        return self._log.full

    def close(self) -> None:
        """The stream has ended."""
        self._log.leave(self._lines)


class LogFiles:
    """The log files of one manager.

    :param limit: bytes that may wait for all of them together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pool = Pool()
        #: Bytes taken; only the loop counts here.
        self.put = 0
        self._done = 0
        self._lock = make_lock()
        self._open: dict[str, LogFile] = {}
        self._jobs: dict[str, str] = {}
        self._totals = dict.fromkeys(("written", "lost", "errors", "rotations"), 0)
        #: Set when a file was forgotten, or could not be written.
        self.changed = Event()

    @property
    def waiting(self) -> int:
        """Bytes that wait for all files."""
        return self.put - self._done

    def written(self, count: int) -> None:
        """Count what a thread wrote."""
        with self._lock:
            self._done += count

    def sink(self, path: str, job: Job, label: str, process: SpawnPlan, shared: bool = False) -> LogFileSink:
        """Return what takes the output of one stream.

        :param shared: other processes of the job write to the same file.
        """
        one = self._open.get(path)
        if one is None:
            one = self._open[path] = LogFile(path, policy_of(job), self)
        one.file.policy = policy_of(job)
        one.shared = shared
        self._jobs[path] = job.name.full
        one.streams += 1
        return LogFileSink(one, f"{label} of process {process.pid}")

    def adopt(self, job: Job) -> None:
        """Keep the files of *job* as it says now."""
        for path, one in self._open.items():
            if self._jobs.get(path) == job.name.full:
                one.file.policy = policy_of(job)

    def reopen(self) -> None:
        """Open all files again."""
        for one in self._open.values():
            one.reopen()

    def tidy(self, one: LogFile) -> None:
        """Forget a file without writers, but for what it counts."""
        if self._open.get(one.file.path) is not one or not one.retire():
            return
        del self._open[one.file.path]
        self._jobs.pop(one.file.path, None)
        for key, count in counts(one).items():
            self._totals[key] += count
        self.changed.set()

    def report(self) -> dict[str, Any]:
        """Return what health pages show."""
        report: dict[str, Any] = {"files": len(self._open), "waiting": self.waiting, **self._totals}
        for one in self._open.values():
            for key, count in counts(one).items():
                report[key] += count
        bad = [(os.path.basename(path), one.problem) for path, one in self._open.items() if one.problem is not None]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            report["reason"] = f"log file {bad[0][0]} cannot be written: {bad[0][1]}{more}"
        return {"ok": not bad, **report}

    def finish(self) -> None:
        """Wait a moment until all is written that can be, and end the threads."""
        deadline = time.monotonic() + DISK_TIMEOUT
        while any(one.problem is None for one in self._open.values()) and time.monotonic() < deadline:
            self.changed.clear()
            self.changed.wait(max(0.0, deadline - time.monotonic()))
        lost = self.waiting
        if lost:
            log.error("%d bytes of output could not be written to log files", lost)
        self.pool.close()


def counts(one: LogFile) -> dict[str, int]:
    """Return what a file counts."""
    file = one.file
    return {
        "written": file.written,
        "lost": one.lost,
        "errors": one.errors + file.failures,
        "rotations": file.rotations,
    }


def policy_of(job: Job) -> RotationPolicy:
    """Return how the files of *job* are kept."""
    return RotationPolicy(*(getattr(job.config, f"logfile_{name}") for name in RotationPolicy._fields))
