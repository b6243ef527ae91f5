"""Probes of running processes: made at the start of a process, ended with it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Mapping, NamedTuple

from gaffer import Veto, hookimpl
from gaffer.api import Hooks

from .network import MAX_IDLE, HttpCheck, accepts, http_request, to_address, to_path
from .syntax import Probe, expand, http_address, ranges, read_probe, tcp_address
from .watch import Check, Counters, Failure, ProbeWatch

if TYPE_CHECKING:
    from gaffer import JobConfig, Manager
    from gaffer.api import ExitStatus, Job, Process, SpawnPlan

    from .notify import Notices, NotifySocket
    from .output import LineMatch, LineSink

QUESTIONS = ("ready", "alive")

#: Probes that fail and are named among the causes of a job's state.
MOST_CAUSES = 3

#: Makes a check for a process that was started.
MakeCheck = Callable[["Process"], Check]


class _Start(NamedTuple):
    """A start to come: its pid, what makes the checks, and what hears of the process without asking."""

    pid: int
    checks: dict[str, MakeCheck]
    lines: LineMatch | None
    notices: Notices | None


class ProbeService:
    """Registered once there is a job with a probe: being asked costs a little at every start of a process.

    Committed processes are not probed: they have a task of their own, and end.
    """

    description = "asks processes whether they are ready and alive"

    def __init__(self, manager: Manager, hooks: Hooks) -> None:
        self.counters = Counters()
        self._manager, self._hooks = manager, hooks
        #: The latest start of each copy, until it is told that the process runs.
        self._starts: dict[tuple[Job, int], _Start] = {}
        self._watches: dict[Job, dict[int, ProbeWatch]] = {}
        #: The latest process of each job that was restarted because of a probe.
        self._failures: dict[Job, Failure] = {}
        #: Made for the first process that speaks for itself.
        self._socket: NotifySocket | None = None

    # -- the life of a process ------------------------------------------------------
    @hookimpl(trylast=True)  # so that the environment is what other plugins made of it
    def gaffer_before_spawn(self, job: Job, plan: SpawnPlan) -> None:
        texts = probes_of(job.config)
        if not texts or plan.index < 0:
            return
        env = dict(plan.env)
        lines, notices = self._hearing(job.config, texts, plan)
        checks = {}
        for word, text in texts.items():
            try:
                checks[word] = self._maker(word, text, job.config, plan, env, lines, notices)
            except ValueError as error:
                raise Veto(f"{word}: {error}") from None
        if "ready" in checks:
            plan.unready = "its ready probe has not answered yet"
        self._starts[job, plan.index] = _Start(plan.pid, checks, lines, notices)

    def sink(self, job: Job, plan: SpawnPlan, label: str) -> LineSink | None:
        """Return what takes an output of a process to come, if a line of it is waited for."""
        start = self._starts.get((job, plan.index))
        if start is None or start.pid != plan.pid or start.lines is None or label in job.config.custom_streams:
            return None
        from .output import LineSink

        return LineSink(start.lines)

    @hookimpl
    def gaffer_spawned(self, job: Job, process: Process) -> None:
        start = self._starts.get((job, process.index))
        if start is None or start.pid != process.pid:
            return
        del self._starts[job, process.index]
        if process.status is not None:
            return  # it has ended meanwhile
        checks = {word: make(process) for word, make in start.checks.items()}
        watch = ProbeWatch(self._manager, process, checks, self.counters)
        self._watches.setdefault(job, {})[process.pid] = watch
        if start.notices is not None and self._socket is not None:
            start.notices.restart = partial(watch.fail, "it asked to be restarted: WATCHDOG=trigger")
            self._socket.add(process.os_pid, start.notices)
        watch.start()

    @hookimpl
    def gaffer_exited(self, job: Job, process: Process, status: ExitStatus) -> None:
        watches = self._watches.get(job, {})
        watch = watches.pop(process.pid, None)
        if watch is not None:
            watch.stop()
            if watch.failed is not None:
                self._failures[job] = watch.failed
        if self._socket is not None:
            self._socket.remove(process.os_pid)
        if not watches:
            self._watches.pop(job, None)

    @hookimpl
    def gaffer_job_unloaded(self, job: Job) -> None:
        self._failures.pop(job, None)
        for place in [place for place in self._starts if place[0] is job]:
            del self._starts[place]

    # -- reports ----------------------------------------------------------------------
    @hookimpl
    def gaffer_job_info(self, job: Job) -> dict[str, Any] | None:
        watches = self._watches.get(job)
        return {"processes": [watch.report() for watch in watches.values()]} if watches else None

    @hookimpl
    def gaffer_why(self, job: Job) -> list[dict[str, str]]:
        now, found = time.time(), []
        failing = [(watch, probe) for watch in self._watches.get(job, {}).values() for probe in watch.failing()]
        for watch, (shown, last) in failing[:MOST_CAUSES]:
            text = f"process {watch.process.pid} was asked {now - last.at:.1f} s ago: {shown}: {last.message}"
            found.append({"text": text, "do": _remedy(shown, job)})
        failure = self._failures.get(job)
        if failure is not None:
            text = f"process {failure.pid} was restarted {now - failure.at:.0f} s ago: {failure.reason}"
            found.append({"text": text, "do": f"gafferctl logs {job.name.short}"})
        return found

    def report(self) -> dict[str, Any]:
        """Return the counters."""
        counters, sock = self.counters, self._socket
        return {
            "watched": sum(map(len, self._watches.values())),
            "checks": counters.checks,
            "failed": counters.failed,
            "restarts": counters.restarts,
            "notifications": 0 if sock is None else sock.received,
            "ignored_notifications": 0 if sock is None else sock.ignored,
            "notification_pauses": 0 if sock is None else sock.pauses,
        }

    def close(self) -> None:
        """End what is still asked."""
        for watches in self._watches.values():
            for watch in watches.values():
                watch.stop()
        self._watches.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- kinds ------------------------------------------------------------------------
    def further(self) -> dict[str, Callable[..., Any]]:
        """Return the kinds that other plugins bring."""
        return further_kinds(self._hooks)

    def _hearing(
        self, config: JobConfig, texts: Mapping[str, str], plan: SpawnPlan
    ) -> tuple[LineMatch | None, Notices | None]:
        """Return what hears of a process to come without asking; its environment tells it where to speak."""
        kinds = {word: read_probe(text, self.further) for word, text in texts.items()}
        lines = notices = None
        for word, probe in kinds.items():
            if probe.kind == "log":
                from .output import LineMatch

                lines = LineMatch(probe.rest)
            elif probe.kind == "notify":
                notices = notices or self._open(plan)
                if word == "alive":
                    plan.env["WATCHDOG_USEC"] = str(round(config.alive_interval * 1e6))
        return lines, notices

    def _open(self, plan: SpawnPlan) -> Notices:
        """Return what takes the messages of a process to come."""
        from .notify import Notices, NotifySocket

        if self._socket is None:
            self._socket = NotifySocket()
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):  # gafferd's own, under systemd
            plan.env.pop(name, None)
        plan.env["NOTIFY_SOCKET"] = self._socket.address
        return Notices()

    def _maker(
        self,
        word: str,
        text: str,
        config: JobConfig,
        plan: SpawnPlan,
        env: dict[str, str],
        lines: LineMatch | None,
        notices: Notices | None,
    ) -> MakeCheck:
        """Return what makes the check of a process.

        :raises ValueError: a variable is not set, or its value does not fit.
        """
        further = self.further()
        probe = read_probe(text, lambda: further)
        if probe.kind in further:
            function, rest = further[probe.kind], expand(probe.rest, env)
            return lambda process: Check(text, partial(function, rest, process, env))
        if probe.kind == "log" and lines is not None:
            check = Check(text, lines.ask, lines.wake, once=True)
        elif probe.kind == "notify" and notices is not None:
            ready = word == "ready"
            check = Check(text, notices.ready, notices.wake) if ready else Check(text, notices.alive)
        elif probe.kind == "exec":
            from .command import CommandCheck

            check = Check(text, CommandCheck(probe.rest, config, plan.index, env, plan.cwd))
        else:
            check = _connecting(word, probe, config, plan, env)
        return lambda process: check


class OutputSinks:
    """Registered once a job waits for a line: it makes gafferd read outputs that are not redirected."""

    description = "looks for a line in the output of processes"

    def __init__(self, service: ProbeService) -> None:
        self._service = service

    @hookimpl
    def gaffer_open_sinks(self, job: Job, process: SpawnPlan, label: str) -> LineSink | None:
        return self._service.sink(job, process, label)


def _connecting(word: str, probe: Probe, config: JobConfig, plan: SpawnPlan, env: Mapping[str, str]) -> Check:
    """Return a check that connects."""
    rest = expand(probe.rest, env)
    if probe.kind == "unix":
        return Check(f"unix:{rest}", partial(accepts, to_path(rest, plan.cwd)))
    seconds = config.get(f"{word}_check_timeout")
    if probe.kind == "tcp":
        return Check(rest, partial(accepts, to_address(tcp_address(rest), seconds)))
    address, tls = http_address(rest), probe.kind == "https"
    headers = [expand(one, env) for one in config.get(f"{word}_header")]
    request = http_request(address, headers, tls, keep=config.get(f"{word}_interval") <= MAX_IDLE)
    good = ranges(config.get(f"{word}_status"))
    check = HttpCheck(to_address(address, seconds), request, good, address.host if tls else None)
    # What follows a question mark may hold a token, and sentences end up in logs.
    return Check(rest.partition("?")[0], check, close=check.close)


def _remedy(shown: str, job: Job) -> str:
    """Return how a person looks at a probe that fails."""
    kind, _, rest = shown.partition(" ")
    if kind == "exec":
        return f"run it by hand: {rest}"
    if kind == "notify":
        return "let the program send READY=1 to $NOTIFY_SOCKET, as sd_notify does"
    if shown.startswith(("http:", "https:")):
        return f"curl -i {shown}"
    return f"gafferctl logs {job.name.short}"


def probes_of(config: Any) -> dict[str, str]:
    """Return the probes of a job by question."""
    found = {word: config.get(word) for word in QUESTIONS}
    return {word: text for word, text in found.items() if text}


def further_kinds(hooks: Hooks) -> dict[str, Callable[..., Any]]:
    """Return the kinds of probes that plugins bring; the built-in ones cannot be replaced."""
    return {word: function for _, kinds in hooks.collect("gaffer_probe_kinds") for word, function in kinds.items()}
