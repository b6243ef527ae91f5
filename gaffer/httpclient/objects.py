"""A job and a process, seen from a client; both are names only and fetch what they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from ..names import JobName

if TYPE_CHECKING:
    from .server import Server


class Job:
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
        """One word: running, starting, stopping, stopped, backoff, flapping or failed."""
        return str(self.info()["state"])

    @property
    def active(self) -> bool:
        """Whether the job is wanted up."""
        return self._transport.request("GET", f"{self._path}/state").text.strip() == "1"

    @property
    def running(self) -> int:
        """How many processes live."""
        return int(self.info()["running"])

    @property
    def pids(self) -> list[int]:
        """gaffer's own pids of the live processes."""
        return list(self._transport.value("GET", f"{self._path}/pids", "pids"))

    @property
    def numprocesses(self) -> int:
        """How many processes are wanted."""
        return int(self._transport.value("GET", f"{self._path}/numprocesses", "numprocesses"))

    def start(self) -> None:
        """Want the job up."""
        self._transport.request("POST", f"{self._path}/state", 1)

    def stop(self) -> None:
        """Want the job down."""
        self._transport.request("POST", f"{self._path}/state", 0)

    def reload(self) -> None:
        """Replace the processes and go back to the configured number of them."""
        self._transport.request("POST", f"{self._path}/state", 2)

    def restart(self) -> None:
        """Replace the processes."""
        self._transport.request("POST", f"{self._path}/restart")

    def scale(self, operation: int | str) -> int:
        """Change how many processes are wanted, never below 0, and return the new number.

        :param operation: ``2`` or ``"+2"`` adds, ``"-1"`` or ``-1`` removes, ``"=3"`` sets.
        """
        path = f"{self._path}/numprocesses"
        return int(self._transport.value("POST", path, "numprocesses", {"scale": operation}))

    def add(self, count: int = 1) -> int:
        """Want *count* processes more and return the new number."""
        return self.scale(f"{count:+d}")

    def sub(self, count: int = 1) -> int:
        """Want *count* processes less and return the new number."""
        return self.scale(f"{-count:+d}")

    def signal(self, signum: int | str) -> None:
        """Send a signal, by number or name, to all processes."""
        self._transport.request("POST", f"{self._path}/signal", {"signal": _signal(signum)})

    def stats(self) -> dict[str, Any]:
        """Return the statistics of all processes and their totals (CONTRACT §4)."""
        return self._transport.object("GET", f"{self._path}/stats")

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


class Process:
    """A process of a server, known by gaffer's own pid."""

    def __init__(self, server: Server, pid: int) -> None:
        self.server, self.pid = server, pid
        self._transport = server.transport

    def __repr__(self) -> str:
        return f"Process({self.pid})"

    def info(self) -> dict[str, Any]:
        """Return os_pid, name, command, environment and streams of the process.

        :raises NotFound: it has gone.
        """
        return self._transport.object("GET", f"/{self.pid}")

    def stats(self) -> dict[str, Any]:
        """Return the statistics of the process (CONTRACT §4)."""
        return dict(self._transport.value("GET", f"/{self.pid}/stats", "stats"))

    def signal(self, signum: int | str) -> None:
        """Send a signal, by number or name."""
        self._transport.request("POST", f"/{self.pid}/signal", {"signal": _signal(signum)})

    def stop(self) -> None:
        """Stop the process; its job replaces it."""
        self._transport.request("DELETE", f"/{self.pid}")


def _signal(signum: int | str) -> int | str:
    return int(signum) if isinstance(signum, int) else signum  # a member of signal.Signals is sent as its number
