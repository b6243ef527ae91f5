"""Processes, as programs that use gaffer see them (as in gaffer 0.5)."""

from __future__ import annotations

import shlex
from typing import Any, Callable, Iterable, Mapping, Protocol, Sequence

from gevent import get_hub

from ..config.jobconfig import CORE_FIELDS, JobConfig
from ..errors import Conflict, IONotRedirected, NotFound
from ..events.outbox import Outbox
from .child import Child
from .exit_status import ExitStatus
from .ring_buffer import Cursor, Ring
from .sampler import MIN_STATS_INTERVAL, STAT, Figures, Listener, ProcessWatcher, Sampler, get_process_stats
from .standalone import ExitCallback, StandaloneOwner

__all__ = ["ExitStatus", "Process", "ProcessConfig", "ProcessWatcher", "get_process_stats"]


#: Called with the label and the message; see :class:`OutputListener`.
OutputCallback = Callable[[str, dict[str, Any]], Any]


class OutputListener:
    """Calls ``listener(label, message)`` with the output of one stream, in a greenlet of its own.

    A message is ``{"event": label, "name": job, "pid": gaffer's pid, "data": bytes, "lost": n}``; *lost* counts
    the bytes that are missing before *data*, because the listener was too slow for them. Bytes come as they
    were read, so a line or a character may be split between two messages.

    :param process: names the job and the pid; it may be about to start.
    """

    __slots__ = ("label", "listener", "_process", "_cursor", "_outbox", "_queued")

    def __init__(self, process: Any, label: str, listener: OutputCallback) -> None:
        self.label = label
        self.listener = listener
        self._process = process
        self._cursor: Cursor | None = None
        self._outbox = Outbox(f"listener {getattr(listener, '__name__', listener)!s} of {label} of {process.name}")
        self._queued = False

    def follow(self, ring: Ring) -> None:
        """Pass on what comes into *ring* from now on."""
        self._cursor = ring.follow(wake=self._wake)

    def _wake(self) -> None:
        """Queue a call; the ring does this in the hub."""
        if not self._queued:
            self._queued = self._outbox.put(self.label, self._pass_on)

    def _pass_on(self) -> None:
        self._queued = False
        cursor = self._cursor
        if cursor is None:
            return
        lost, data = cursor.read()
        if cursor.ended:
            cursor.close()
        elif cursor.position < cursor.ring.end:
            self._wake()
        if data or lost:
            process = self._process
            message = {"event": self.label, "name": process.name.short, "pid": process.pid, "data": data, "lost": lost}
            self.listener(self.label, message)

    def close(self) -> None:
        """Pass on nothing more, not even what was read already."""
        self._outbox.close()
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


class ProcessOwner(Protocol):
    """The runner of a process: a manager, or :class:`~gaffer.process.standalone.StandaloneOwner`."""

    @property
    def statistics(self) -> Sampler: ...

    def stop_process(self, pid: int) -> None: ...

    def process_stats(self, pid: int) -> Figures: ...

    def signalled(self, process: Process, signum: int) -> None: ...


class Process(Child):
    """A process that is to be started, runs or ran.

    A manager makes those of its jobs. A program that makes one calls :meth:`spawn`, and *on_exit_cb* tells of its
    end; it is not restarted.

    :param loop: gevent's hub loop; None will do.
    :param pid: gaffer's own id, never reused.
    :param name: the job's name; the settings after it are those of a job (docs/configuration.rst).
    :param on_exit_cb: called with the process, its exit code as shells tell it (128 + n after signal n), and
        the signal that ended it or 0; in a greenlet of its own.
    :raises InvalidConfig: lists what is wrong with the settings.
    """

    __slots__ = ("owner", "_listeners")

    #: Its manager, if it has one.
    owner: ProcessOwner
    _listeners: list[OutputListener]

    def __init__(
        self,
        loop: Any,
        pid: int,
        name: str,
        cmd: str,
        args: str | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        uid: int | str | None = None,
        gid: int | str | None = None,
        cwd: str | None = None,
        detach: bool = False,
        shell: bool = False,
        redirect_output: Sequence[str] = (),
        redirect_input: bool = False,
        custom_streams: Sequence[str] = (),
        custom_channels: Sequence[Any] = (),
        on_exit_cb: ExitCallback | None = None,
    ) -> None:
        config = JobConfig(
            name,
            cmd,
            args=args or (),
            env=env or {},
            uid=uid,
            gid=gid,
            cwd=cwd,
            detach=detach,
            shell=shell,
            redirect_output=redirect_output,
            redirect_input=redirect_input,
            custom_streams=custom_streams,
            custom_channels=custom_channels,
        )
        super().__init__(get_hub().loop if loop is None else loop, pid, config)
        self.owner = StandaloneOwner(self, on_exit_cb)

    @classmethod
    def from_config(cls, loop: Any, pid: int, config: JobConfig, on_exit_cb: ExitCallback | None = None) -> Process:
        """Return a process with the settings of a job, not started yet."""
        process = cls.__new__(cls)
        Child.__init__(process, get_hub().loop if loop is None else loop, pid, config)
        process.owner = StandaloneOwner(process, on_exit_cb)
        return process

    @property
    def cmd(self) -> str:
        """Command, as the settings have it."""
        cmd: str = self.config.cmd
        return cmd

    @property
    def args(self) -> list[str]:
        """Arguments, as the settings have them."""
        args = self.config.args
        return shlex.split(args) if isinstance(args, str) else list(args)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that it was given beside the system's."""
        return {**self.config.env, **(self.env_extra or {})}

    def spawn(
        self,
        once: bool = False,
        graceful_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        index: int = 0,
    ) -> None:
        """Start the process.

        :param once: it shows as committed.
        :param graceful_timeout: seconds between the stop signal and KILL; by default (or 0) 30.
        :param env: more environment variables.
        :param index: the number of the copy that it is about, for its environment.
        :raises Conflict: it was started already. :raises SpawnError: one sentence with the system's reason.
        """
        owner = self.owner
        if self.os_pid or not isinstance(owner, StandaloneOwner):
            raise Conflict(f"process {self.pid} of {self.name} was started already; make another one")
        self.index = -1 if once else index
        self.graceful_timeout = graceful_timeout or None
        self.env_extra = dict(env) if env else None
        self._on_exit = owner.exited
        owner.start()
        for heard in self._heard:
            heard.follow(self.reader(heard.label).ring)

    def stop(self) -> None:
        """Stop the process; nothing happens if it does not run. A manager replaces it. Does not wait for its end."""
        if self.active:
            self.owner.stop_process(self.pid)

    def kill(self, signum: int, group: bool = False) -> None:
        """Send a signal to the process.

        :param group: send it to all of its group, as a stop does.
        :raises NotFound: it does not run.
        """
        super().kill(signum, group)
        self.owner.signalled(self, signum)

    @property
    def streams(self) -> dict[str, Any]:
        """The custom streams by label, once it was started; each has ``reader`` and ``writer``."""
        return dict(self.duplexes or {})

    def writeln(self, data: bytes | str, stream: str | None = None) -> None:
        """Write a line; its end is added where it is missing."""
        line = _encode(data)
        self.write(line if line.endswith(b"\n") else line + b"\n", stream)

    def writelines(self, data: Iterable[bytes | str], stream: str | None = None) -> None:
        """Write the lines of *data* in one go; as with files, nothing is put between them."""
        self.write(b"".join(map(_encode, data)), stream)

    def monitor_io(self, io_label: str, listener: OutputCallback) -> None:
        """Call ``listener(label, message)`` with output as it comes.

        :param io_label: a label of ``redirect_output`` or ``custom_streams``; ``""`` for all of them.
        :raises IONotRedirected: that output is not redirected. :raises NotFound: no such stream.
        """
        for label in self.labels(io_label):
            if not self._listening(label, listener):
                heard = OutputListener(self, label, listener)
                if self.os_pid:
                    heard.follow(self.reader(label).ring)
                self._listeners = [*self._heard, heard]

    def unmonitor_io(self, io_label: str, listener: OutputCallback) -> None:
        """Take back what :meth:`monitor_io` did; nothing happens if it did nothing."""
        gone = [heard for label in self.labels(io_label) for heard in self._listening(label, listener)]
        for heard in gone:
            heard.close()
        self._listeners = [heard for heard in self._heard if heard not in gone]

    @property
    def _heard(self) -> list[OutputListener]:
        """Listeners to its output; of a thousand processes most have none, and keep no list."""
        return getattr(self, "_listeners", [])

    def _listening(self, label: str, listener: OutputCallback) -> list[OutputListener]:
        return [heard for heard in self._heard if (heard.label, heard.listener) == (label, listener)]

    def labels(self, io_label: str = "") -> list[str]:
        """Return the labels of outputs and custom streams that *io_label* means: one, or all for ``""``.

        :raises IONotRedirected: that output is not redirected. :raises NotFound: no such stream.
        """
        config = self.config
        known = list(dict.fromkeys((*config.redirect_output, *config.custom_streams)))
        if io_label in known:
            return [io_label]
        if io_label == "" and known:
            return known
        if io_label in ("", "stdout", "stderr"):
            raise IONotRedirected(f"{io_label or 'the output'} of {self.name} is not redirected; set redirect_output")
        raise NotFound(f"process {self.pid} of {self.name} has no stream {io_label!r}")

    # -- statistics ---------------------------------------------------------------
    @property
    def stats(self) -> Figures:
        """Its statistics (docs/http-api.rst): the latest ones if it is monitored, else measured now.

        :raises NotFound: it does not run. :raises Unavailable: its manager has no plugin that measures.
        """
        return self.owner.statistics.last(self.pid) or self.owner.process_stats(self.pid)

    def monitor(self, listener: Listener = None, interval: float = MIN_STATS_INTERVAL) -> None:
        """Call ``listener("stat", statistics)`` every *interval* seconds until the process ends.

        :param listener: None only keeps :attr:`stats` fresh.
        :param interval: seconds, at least 0.1.
        """
        self.owner.statistics.subscribe(STAT, self.pid, listener, self.measurable, interval)

    def unmonitor(self, listener: Listener = None) -> None:
        """Take back what :meth:`monitor` did; nothing happens if it did nothing."""
        self.owner.statistics.unsubscribe(STAT, self.pid, listener)

    def measurable(self) -> list[Process] | None:
        """Return the process in a list if it runs; an empty one before that, None after it."""
        if self.status is not None:
            return None
        return [self] if self.os_pid else []


class ProcessConfig(JobConfig):
    """The settings of a job, under gaffer 0.5's name; it can make a process too."""

    #: The settings that need not be given, as JSON shows them, with their defaults.
    DEFAULT_PARAMS = {
        field.name: field.kind.to_json(field.default) for field in CORE_FIELDS if field.name not in ("name", "cmd")
    }

    def make_process(
        self,
        loop: Any,
        pid: int,
        label: str,
        env: Mapping[str, str] | None = None,
        on_exit: ExitCallback | None = None,
    ) -> Process:
        """Return a process of these settings, not started yet.

        :param label: its name.
        :param env: more environment variables.
        :param on_exit: see :class:`Process`.
        """
        config = self.replace(name=label, env={**self.env, **(env or {})})
        return Process.from_config(loop, pid, config, on_exit)


def _encode(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data
