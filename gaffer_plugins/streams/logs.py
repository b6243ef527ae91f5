"""Stored output of a job: lines of all its processes in the order of their times, and those that follow.

Lines come from the rings: of processes that live, and of those that ended a while ago. A follower gets what
processes say that are started later, too, so a restart is no end.
"""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, NamedTuple

from gaffer.api import BadRequest, IONotRedirected, JobName, NotFound, parse_job_name
from gaffer.api.web import COMMON_HEADERS, LINES, TEXT_MEDIA, LiveItem, Reply, TimeSlice, Wakeable, encode_json

if TYPE_CHECKING:
    from gaffer import JobConfig, Manager
    from gaffer.api import Cursor, Process, Ring
    from gaffer.api.web import Request

#: Lines that are shown unless it is said how many.
DEFAULT_LINES = 1000
#: Lines that are shown at the most: the others would have to wait while so many are sorted.
MAX_LINES = 10_000
#: A line that is longer is shown in pieces, in bytes.
MAX_LINE_BYTES = 65_536
#: Bytes of one stream that are cut into lines at a time.
MAX_PIECE_BYTES = 32_768
_AGO = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Line(NamedTuple):
    """A line of output, or the notice that some is missing.

    :param time: seconds since 1970, when its first byte was read.
    """

    time: float
    pid: int
    label: str
    data: bytes
    lost: int = 0


class LineSplitter:
    """Cuts the bytes of one stream into lines."""

    def __init__(self, pid: int, label: str) -> None:
        self._pid = pid
        self._label = label
        self._rest = b""
        self._since = 0.0

    def feed(self, data: bytes, now: float) -> Iterator[Line]:
        """Return the lines that are complete with *data*, which was read at *now*."""
        started = self._since if self._rest else now
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield Line(started, self._pid, self._label, line)
            started = now
        while len(rest) > MAX_LINE_BYTES:
            yield Line(started, self._pid, self._label, rest[:MAX_LINE_BYTES])
            rest = rest[MAX_LINE_BYTES:]
        self._rest, self._since = rest, started

    def end(self) -> Iterator[Line]:
        """Return what has no end."""
        rest, self._rest = self._rest, b""
        if rest:
            yield Line(self._since, self._pid, self._label, rest)

    def gap(self, lost: int, now: float) -> Iterator[Line]:
        """Return the notice that *lost* bytes are missing, after what came before them."""
        yield from self.end()
        yield Line(now, self._pid, self._label, b"", lost)


def as_text(line: Line) -> bytes:
    """Return a line as it was; of what is missing, a sentence."""
    if line.lost:
        return f"gaffer: {line.lost} bytes of {line.label} of process {line.pid} are missing here".encode()
    return line.data


def as_json(line: Line) -> bytes:
    """Return a line with where it is from."""
    shown: dict[str, Any] = {"pid": line.pid, "label": line.label, "time": line.time}
    shown |= {"lost": line.lost} if line.lost else {"line": line.data.decode("utf-8", "replace")}
    return encode_json(shown)


class LogSelection(NamedTuple):
    """Selection of a job's output: one process, one stream, or everything."""

    pid: int | None = None
    label: str | None = None

    def of(self, process: Process) -> list[str]:
        """Return the streams of a process that are shown."""
        if self.pid not in (None, process.pid):
            return []
        return [label for label in labels(process) if self.label in (None, label)]


class LogTail:
    """Follower of one stream of one process."""

    def __init__(self, process: Process, label: str) -> None:
        self.lines = LineSplitter(process.pid, label)
        self.ring: Ring = process.reader(label).ring
        self.cursor: Cursor | None = None

    def stored(self, since: float, most: int) -> list[Line]:
        """Return the last *most* lines that the ring holds, those before *since* left out."""
        start = self.ring.tail(most)
        found: list[Line] = []
        for chunk in self.ring.chunks:
            if chunk.offset + len(chunk.data) > start:
                found += self.lines.feed(chunk.data[max(0, start - chunk.offset) :], chunk.time)
        if self.ring.ended:
            found += self.lines.end()
        return [line for line in found if line.time >= since]

    def follow(self, wake: Callable[[], None], position: int | None = None) -> None:
        """Follow from *position* on, by default from the end."""
        self.cursor = self.ring.follow(position, wake)

    def take(self, now: float) -> Iterator[Line]:
        """Return the lines that are complete now; what has no end with the last of them."""
        assert self.cursor is not None
        lost, data = self.cursor.read(MAX_PIECE_BYTES)
        if lost:
            yield from self.lines.gap(lost, now)
        yield from self.lines.feed(data, now)
        if self.cursor.ended:
            yield from self.lines.end()

    def close(self) -> None:
        if self.cursor is not None:
            self.cursor.close()


class Logs(Wakeable):
    """A source: lines of processes of a job, stored ones first.

    :param form: makes bytes of a line.
    :param wanted: what of the job is shown.
    """

    raw = False

    def __init__(
        self, manager: Manager, name: JobName, form: Callable[[Line], bytes], wanted: LogSelection | None = None
    ) -> None:
        self.wake: Callable[[], None] | None = None
        self._manager = manager
        self._name = name
        self._form = form
        self._wanted = wanted or LogSelection()
        self._taps: list[LogTail] = []
        self._known: set[int] = set()
        self._ready: list[bytes] = []
        self._follower: Any = None

    def stored(self, since: float, most: int) -> list[bytes]:
        """Return the last *most* lines that are kept; begin to follow if :meth:`follow` was called before."""
        found: list[Line] = []
        turn = TimeSlice()
        for tap in self._new_taps():
            found += tap.stored(since, most)
            if self._follower is not None and not tap.ring.ended:
                tap.follow(self.notify)
                self._taps.append(tap)
            else:
                found += [line for line in tap.lines.end() if line.time >= since]
            if len(found) > 2 * most:
                found = _last(found, most)
            turn.give_way()
        return [self._form(line) for line in _last(found, most)]

    def follow(self) -> None:
        """Go on with what comes after what is stored."""
        self._follower = self._manager.events.follow(f"job.{self._name.full}", wake=self.notify)

    def _new_taps(self) -> Iterator[LogTail]:
        running = [process for process in self._manager.running.values() if process.name == self._name]
        for process in [*self._manager.past.of(self._name), *running]:
            if process.pid not in self._known:
                self._known.add(process.pid)
                for label in self._wanted.of(process):
                    yield LogTail(process, label)

    def begin(self, lines: list[bytes]) -> None:
        """Give out *lines* first."""
        self._ready = lines

    def take(self) -> list[LiveItem]:
        """Return the lines that came since the last time."""
        ready, self._ready = self._ready, []
        if not ready:
            ready = [self._form(line) for line in sorted(self._taken(), key=lambda line: line.time)]
        return [LiveItem("", "line", line) for line in ready]

    def _taken(self) -> Iterable[Line]:
        self._look_for_others()
        now = time.time()
        found = [line for tap in self._taps for line in tap.take(now)]
        for tap in self._taps:
            if tap.cursor is not None and tap.cursor.ended:
                tap.close()
        self._taps = [tap for tap in self._taps if tap.cursor is not None and not tap.cursor.ended]
        return found

    def _look_for_others(self) -> None:
        """Follow processes that were started meanwhile, from their first byte on."""
        if self._follower.take()[1]:
            for tap in self._new_taps():
                tap.follow(self.notify, 0)
                self._taps.append(tap)

    @property
    def ended(self) -> bool:
        """True if the job and its processes are gone, or the selected process is."""
        if self._taps or self._ready:
            return False
        return self._wanted.pid is not None or not self._manager.has_job(self._name)

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()
        for tap in self._taps:
            tap.close()


def _last(lines: list[Line], most: int) -> list[Line]:
    """Return the last *most* lines in the order of their times; those of one stream are in order already."""
    return sorted(lines, key=lambda line: line.time)[-most:] if most else []


def labels(process: Process) -> list[str]:
    """Return the outputs of a process that are lines: those that were redirected or have a log file."""
    return [label for label in configured_labels(process.config) if label in process.readers]


def configured_labels(config: JobConfig) -> list[str]:
    """Return the outputs of a job that are lines.

    What goes to a log file passes through gafferd, too. The file itself is not read: it may have been replaced by one
    that the reader of the logs must not see.
    """
    redirected = list(config.redirect_output)
    others = [] if config.tty and redirected else ["stdout", "stderr"][len(redirected) :]
    filed = [label for label in others if getattr(config, f"{label}_logfile", None)]
    return list(dict.fromkeys([*redirected, *filed]))


def show_job(manager: Manager, request: Request, name: str) -> Reply:
    """Answer with the stored output of a job, and with what follows if that is wanted."""
    config, job = manager.get(name), parse_job_name(name)
    wanted = LogSelection(label=wanted_label(request, configured_labels(config), f"job {job}"))
    return _show(manager, request, job, wanted)


def show_process(manager: Manager, request: Request, pid: int) -> Reply:
    """Answer with the stored output of one process, which may have ended a while ago."""
    process = manager.find_process(pid)
    wanted = LogSelection(pid, wanted_label(request, labels(process), f"process {pid} of {process.name}"))
    return _show(manager, request, process.name, wanted)


def wanted_label(request: Request, there: list[str], what: str) -> str | None:
    """Return the stream that a request is about, None for all that are *there*.

    :raises IONotRedirected: there is none. :raises NotFound: not this one.
    """
    if not there:
        raise IONotRedirected(f"the output of {what} is not redirected; set redirect_output")
    label = request.query.get("label") or None
    if label is not None and label not in there:
        raise NotFound(f"{what} has no stream {label[:40]!r}; it has {', '.join(there)}")
    return label


def _show(manager: Manager, request: Request, job: JobName, wanted: LogSelection) -> Reply:
    from gaffer.api.web import FeedRequest, follow, read_count, read_feed_request

    from .routes import flag

    most = read_count(request.query.get("n"), "n")
    since = read_since(request.query.get("since"), time.time())
    form, media = read_format(request.query.get("format"))
    going_on, wish = flag(request, "follow"), read_feed_request(request)
    logs = Logs(manager, job, form, wanted)
    try:
        if going_on:
            logs.follow()
        lines = logs.stored(since, DEFAULT_LINES if most is None else min(most, MAX_LINES))
        if not going_on:
            body = b"".join(line + b"\n" for line in lines)
            return Reply(
                "200 OK", [("Content-Type", media), ("Content-Length", str(len(body))), *COMMON_HEADERS], (body,)
            )
        logs.begin(lines)
    except BaseException:
        logs.close()
        raise
    return follow(request, logs, FeedRequest("continuous", wish.heartbeat), media)


def read_format(text: str | None) -> tuple[Callable[[Line], bytes], str]:
    """Return what makes bytes of a line, and the type of the answer.

    :raises BadRequest: there is no such format.
    """
    if text in (None, "text"):
        return as_text, TEXT_MEDIA
    if text == "json":
        return as_json, LINES
    raise BadRequest(f"format must be text or json, not {text!r}")


def read_since(text: str | None, now: float) -> float:
    """Return a time in seconds since 1970: of a number, a date and time, or ``10m`` before *now*.

    :raises BadRequest: it is none of these.
    """
    if text is None:
        return -math.inf
    ago = _AGO.match(text)
    if ago is not None:
        return now - float(ago.group(1)) * _UNITS[ago.group(2)]
    for read in (float, _date):
        try:
            seconds = read(text)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(seconds):
            return seconds
    raise BadRequest(f"since must be seconds since 1970, a date and time, or 30s, 10m, 2h or 1d ago, not {text[:40]!r}")


def _date(text: str) -> float:
    # Python before 3.11 does not know the Z; and the plus of a time zone, as it is in a URL, is a space.
    return datetime.fromisoformat(re.sub(r"(?<=:\d\d) (?=\d\d:\d\d\Z)", "+", text.replace("Z", "+00:00"))).timestamp()
