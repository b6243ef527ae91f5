"""Client objects for a job and a process; both hold a name only and request everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping
from urllib.parse import quote

from ..config.names import JobName
from ..errors import BadRequest
from ..events.patterns import ALL, normalise, problem_of

if TYPE_CHECKING:
    from .channels import Plain, ProcessChannel
    from .feeds import Feed, LogLine
    from .server import Server
    from .streaming import Answering


class _Logged:
    """Base of jobs and processes: their stored output."""

    server: Server
    _path: str

    def logs(
        self,
        n: int | None = None,
        since: str | float | None = None,
        label: str | None = None,
        follow: bool = False,
        *,
        timeout: float | None = None,
    ) -> Feed[LogLine]:
        """Return the stored output, line by line.

        :param n: the last *n* lines, at most 10,000; 1,000 unless it is said.
        :param since: lines since then: seconds since 1970, a date and time, or ``30s``, ``10m``, ``2h``, ``1d`` ago.
        :param label: of that stream only.
        :param follow: go on with what comes; of a job, also with that of processes that are started later.
        :param timeout: seconds that iterating waits for a line before it raises :class:`Quiet`; None for ever.
        """
        from .feeds import HEARTBEAT, Feed, JsonParser, log_line

        query = {"format": "json", "n": n, "since": since, "label": label, "follow": follow or None}
        beat = HEARTBEAT if follow else None
        return Feed(self.server.transport, f"{self._path}/logs", query, JsonParser(log_line), timeout, beat)

    def raw_logs(
        self, n: int | None = None, since: str | float | None = None, label: str | None = None, follow: bool = False
    ) -> Answering:
        """Return the stored output as the bytes that were written; see :meth:`logs`. Read and close it."""
        from .feeds import with_query
        from .streaming import Answering

        query = {"n": n, "since": since, "label": label, "follow": follow or None}
        return Answering(self.server.transport, with_query(f"{self._path}/logs", query), {"Accept": "*/*"})


class Job(_Logged):
    """A job of a server; made by the methods of :class:`~gaffer.httpclient.Server`.

    Methods raise NotFound once the job is gone. They return when gafferd has
    accepted the operation: starting and stopping go on meanwhile.
    """

    def __init__(self, server: Server, name: JobName) -> None:
        self.server, self.job_name = server, name
        self._transport = server.transport
        self._path = f"/jobs/{name.session}/{name.job}"

    @property
    def name(self) -> str:
        """The short name."""
        return self.job_name.short

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    def info(self) -> dict[str, Any]:
        """Return everything about the job: state, counts, pids, restarts, last exit and settings."""
        return self._transport.object("GET", self._path)

    @property
    def config(self) -> dict[str, Any]:
        """The settings."""
        return dict(self.info()["config"])

    @property
    def state(self) -> str:
        """The state: running, starting, stopping, stopped, backoff, flapping or failed."""
        return str(self.info()["state"])

    @property
    def active(self) -> bool:
        """True if the job is wanted up."""
        return self._transport.request("GET", f"{self._path}/state").text.strip() == "1"

    @property
    def running(self) -> int:
        """The number of live processes."""
        return int(self.info()["running"])

    @property
    def pids(self) -> list[int]:
        """gaffer's own pids of the live processes."""
        return list(self._transport.value("GET", f"{self._path}/pids", "pids"))

    @property
    def numprocesses(self) -> int:
        """The wanted number of processes."""
        return int(self._transport.value("GET", f"{self._path}/numprocesses", "numprocesses"))

    def start(self) -> None:
        """Start the job."""
        self._transport.request("POST", f"{self._path}/state", 1)

    def stop(self) -> None:
        """Stop the job."""
        self._transport.request("POST", f"{self._path}/state", 0)

    def reload(self) -> None:
        """Replace the processes and go back to the configured number of them."""
        self._transport.request("POST", f"{self._path}/state", 2)

    def why(self) -> dict[str, Any]:
        """Return why the job is in its state: a chain of causes."""
        return self._transport.object("GET", f"{self._path}/why")

    def restart(self, rolling: bool = False) -> None:
        """Replace the processes.

        :param rolling: one after another, each when the one before is ready.
        """
        self._transport.request("POST", f"{self._path}/restart", {"rolling": True} if rolling else None)

    def scale(self, operation: int | str) -> int:
        """Change how many processes are wanted, never below 0, and return the new number.

        :param operation: ``2`` or ``"+2"`` adds, ``"-1"`` or ``-1`` removes, ``"=3"`` sets.
        """
        path = f"{self._path}/numprocesses"
        return int(self._transport.value("POST", path, "numprocesses", {"scale": operation}))

    def add(self, count: int = 1) -> int:
        """Add *count* processes and return the new number."""
        return self.scale(f"{count:+d}")

    def sub(self, count: int = 1) -> int:
        """Remove *count* processes and return the new number."""
        return self.scale(f"{-count:+d}")

    def signal(self, signum: int | str, group: bool = False) -> None:
        """Send a signal, by number or name, to all processes.

        :param group: to all of their groups, as a stop does.
        """
        self._transport.request("POST", f"{self._path}/signal", _signal_body(signum, group))

    def stats(self) -> dict[str, Any]:
        """Return the statistics of all processes and their totals (docs/http-api.rst)."""
        return self._transport.object("GET", f"{self._path}/stats")

    def follow_stats(self, interval: float = 1.0, *, timeout: float | None = None) -> Feed[dict[str, Any]]:
        """Return the statistics of the job, measured every *interval* seconds (at least 0.1), until the job goes."""
        return _stats(self.server, f"{self._path}/stats", interval, timeout)

    def commit(self, env: Mapping[str, str] | None = None, graceful_timeout: float | None = None) -> Process:
        """Start one extra process that is neither counted nor restarted.

        :param env: variables on top of the job's.
        :param graceful_timeout: seconds between the stop signal and KILL, instead of the job's.
        """
        body: dict[str, Any] = {} if env is None else {"env": dict(env)}
        if graceful_timeout is not None:
            body["graceful_timeout"] = graceful_timeout
        return Process(self.server, int(self._transport.value("POST", f"{self._path}/commit", "pid", body)))

    def update(self, config: Mapping[str, Any], start: bool | None = None) -> None:
        """Replace all settings by *config*, which may leave out the name."""
        self.server.update({**config, "name": self.job_name.full}, start=start)

    def unload(self) -> None:
        """Stop the job and remove it."""
        self._transport.request("DELETE", self._path)

    remove = unload


class Process(_Logged):
    """A process of a server, known by gaffer's own pid."""

    def __init__(self, server: Server, pid: int) -> None:
        self.server, self.pid = server, pid
        self._transport = server.transport
        self._path = f"/{pid}"

    def __repr__(self) -> str:
        return f"Process({self.pid})"

    def info(self) -> dict[str, Any]:
        """Return os_pid, name, command, environment and streams of the process.

        :raises NotFound: it has gone.
        """
        return self._transport.object("GET", f"/{self.pid}")

    def stats(self) -> dict[str, Any]:
        """Return the statistics of the process (docs/http-api.rst)."""
        return dict(self._transport.value("GET", f"/{self.pid}/stats", "stats"))

    def signal(self, signum: int | str, group: bool = False) -> None:
        """Send a signal, by number or name.

        :param group: to all of the process' group, as a stop does.
        """
        self._transport.request("POST", f"/{self.pid}/signal", _signal_body(signum, group))

    def stop(self) -> None:
        """Stop the process; its job replaces it."""
        self._transport.request("DELETE", f"/{self.pid}")

    def write(self, data: str | bytes, stream: str = "stdin", eof: bool = False) -> None:
        """Write to the process, which takes a while if it does not read.

        :param stream: stdin, or one of its custom streams.
        :param eof: close the stream after that: the process reads an end of file.
        :raises Forbidden: it is not redirected. :raises Unavailable: the process does not read.
        :raises Conflict: it has closed the stream.
        """
        path = f"/streams/{self.pid}/{quote(stream, safe='')}{'?eof=true' if eof else ''}"
        self._transport.request("POST", path, data.encode() if isinstance(data, str) else bytes(data))

    def writelines(self, lines: Iterable[str | bytes], stream: str = "stdin") -> None:
        """Write several texts; nothing is put between them."""
        self.write(b"".join(line.encode() if isinstance(line, str) else line for line in lines), stream)

    def follow_stats(self, interval: float = 1.0, *, timeout: float | None = None) -> Feed[dict[str, Any]]:
        """Return the statistics of the process, measured every *interval* seconds (at least 0.1), until it exits."""
        return _stats(self.server, f"/{self.pid}/stats", interval, timeout, lambda found: dict(found["stats"]))

    def channel(
        self, stream: str | None = None, mode: int = 3, *, since: str | None = None, tail: int | None = None
    ) -> ProcessChannel:
        """Return a websocket that reads and writes the process, byte by byte.

        :param stream: of that stream; by default it reads the first redirected output and writes stdin.
        :param mode: 1 reads, 2 writes, 3 does both.
        :param since: a position to read from, as ``position`` of another channel had it.
        :param tail: begin with so many of the last lines that gafferd keeps.
        :raises NotFound: there is no such process or stream. :raises Forbidden: it cannot be written.
        """
        from .channels import open_channel

        return open_channel(self._transport, self.pid, stream, mode, since=since, tail=tail)

    def socket(self, *, since: str | None = None, tail: int | None = None) -> Plain:
        """Return a websocket of bytes alone: what is sent goes to stdin, the first redirected output comes back."""
        from .channels import Plain
        from .sockets import Socket

        return Plain(Socket(self._transport, f"/wstreams/{self.pid}", {"since": since, "tail": tail}))


def event_path(pattern: str) -> str:
    """Return the path of the events that *pattern* selects.

    :raises BadRequest: no event can have such a name; the nearest one is told.
    """
    pattern = normalise(pattern)
    if problem := problem_of(pattern):
        raise BadRequest(problem)
    parts = [] if pattern == ALL else pattern.split(".")
    if len(parts) > 4 or not all(parts):
        raise BadRequest(f"'{pattern}' is no pattern of events; write ., spawn, proc.web, proc(web).exit, job.shop.web")
    return "/".join(["/watch", *(quote(part, safe="") for part in parts)])


def _stats(
    server: Server,
    path: str,
    interval: float,
    timeout: float | None,
    make: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Feed[dict[str, Any]]:
    from .feeds import Feed, JsonParser

    query = {"feed": "continuous", "interval": float(interval)}
    return Feed(server.transport, path, query, JsonParser(make), timeout)


def _signal_body(signum: int | str, group: bool) -> dict[str, Any]:
    return {"signal": _signal(signum), **({"group": True} if group else {})}


def _signal(signum: int | str) -> int | str:
    return int(signum) if isinstance(signum, int) else signum  # a member of signal.Signals is sent as its number
