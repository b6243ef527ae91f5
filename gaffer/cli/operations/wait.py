"""Wait until jobs are as requested: a judge decides by a job's info, :func:`watch` polls until all have decided."""

from __future__ import annotations

import time
from typing import Any, Callable, Collection, Iterator, Mapping, NamedTuple

from ...config.names import JobName, parse_job_name
from ...errors import NotFound
from ...httpclient import Server

#: Seconds between two polls: the first, the longest, and the factor of growth.
FIRST_PAUSE, LONGEST_PAUSE, PAUSE_GROWTH = 0.01, 0.2, 1.5
#: So many jobs are looked at by one request, unless that answers about so many times more than are wanted.
FEWEST_AT_ONCE, MOST_UNWANTED = 3, 10
#: Granted on top of the job's own settings when no timeout is given, in seconds.
EXTRA_SECONDS = 30.0
#: How long a process of a rolling reload may take to become ready, in seconds.
ROLLING_READY_SECONDS = 60.0

Info = Mapping[str, Any]
#: States of jobs that say why.
TROUBLED = ("waiting", "unready", "backoff", "flapping", "failed")


class Outcome(NamedTuple):
    """The result for one job: success or not, and a sentence."""

    good: bool
    text: str


#: Decides by a job's info (None: there is no such job); returns None to be asked again.
Judge = Callable[["Info | None"], "Outcome | None"]


def has_started(old: Collection[int] = ()) -> Judge:
    """Return the judge of a start: every process is ready, or the job is in trouble.

    :param old: pids that have to be gone, for a restart.
    """

    def judge(info: Info | None) -> Outcome | None:
        if info is None:
            return Outcome(False, "there is no such job any more")
        roll = info.get("rolling")
        if roll is not None and roll["error"]:
            return Outcome(False, roll["error"])
        if roll is not None and not roll["done"]:
            return None
        # Committed processes are not replaced, so as many old pids may stay.
        if len(set(old).intersection(info["processes"])) > info["running_out"]:
            return None
        if info["state"] in ("backoff", "flapping", "failed"):
            return Outcome(False, f"{info['state']}: {trouble(info)}")
        if info["state"] == "running":
            return Outcome(True, f"running, {processes(info)}")
        return _ended(info) if info["state"] == "stopped" else None

    return judge


def _ended(info: Info) -> Outcome:
    """Judge a job that needs no process: none is wanted, it was stopped, or it ran to its end."""
    if not info["max_processes"]:
        return Outcome(True, "started, no processes wanted")
    ending = info.get("last_exit")
    if not ending:
        return Outcome(False, "stopped meanwhile")
    good = info["config"].get("exit_codes") or (0,)
    return Outcome(ending.get("exit_status") in good, f"ended with {exit_text(ending)}")


def has_stopped(info: Info | None) -> Outcome | None:
    """Judge a stop: no process is left."""
    if info is None:
        return Outcome(True, "gone")
    return Outcome(True, "stopped") if not info["running"] and info["state"] == "stopped" else None


def has_gone(server: Server, pids: Collection[int], done: str) -> Judge:
    """Return the judge of a removal: none of the job's processes is left, though gafferd knows the job no more.

    :param pids: those it had.
    :param done: the word for a job that is gone.
    """

    def judge(info: Info | None) -> Outcome | None:
        return None if set(pids).intersection(server.running()) else Outcome(True, done)

    return judge


def was_stopped() -> Judge:
    """Return the judge of ``wait --for stopped``: a job that is unknown from the start is misspelt, not gone."""
    known = False

    def judge(info: Info | None) -> Outcome | None:
        nonlocal known
        if info is None and not known:
            return Outcome(False, "there is no such job")
        known = True
        return has_stopped(info)

    return judge


def is_running(info: Info | None) -> Outcome | None:
    """Judge ``wait --for running``: all wanted processes live."""
    if info is None:
        return Outcome(False, "there is no such job")
    if info["state"] == "failed":
        return Outcome(False, f"failed: {trouble(info)}")
    live = info["running"] - info["running_out"]
    up = info["state"] in ("running", "starting") and live >= info["max_processes"] > 0
    return Outcome(True, f"running, {processes(info)}") if up else None


def is_ready(info: Info | None) -> Outcome | None:
    """Judge ``wait --for ready``: all wanted processes live and can be used."""
    outcome = is_running(info)
    if outcome is None or not outcome.good or info is None or info["state"] == "running":
        return outcome
    return None


def trouble(info: Info) -> str:
    """Return why a job is in trouble: gafferd's reason, and the last line of stderr."""
    words = [str(info["reason"])] if info.get("reason") else []
    if not words and info.get("last_exit"):
        words.append(f"ended with {exit_text(info['last_exit'])}")
    if info.get("stderr"):
        words.append(f"last line of stderr: {info['stderr'][-1]}")
    return "; ".join(words) or "see 'gafferctl status'"


def exit_text(ending: Info | None) -> str:
    """Return an exit status in words: ``code 3`` or ``signal KILL``."""
    if not ending:
        return "-"
    number = ending.get("term_signal")
    if not number:
        return f"code {ending.get('exit_status')}"
    from ...config.fields import signal_name

    note = f", {ending['note']}" if ending.get("note") else ""
    return f"signal {signal_name(number).removeprefix('SIG')}{note}"


def processes(info: Info) -> str:
    """Return the processes of a job in words."""
    pids = info["processes"]
    word = "process" if len(pids) == 1 else "processes"
    listed = f" (pid {', '.join(map(str, pids))})" if 0 < len(pids) < 10 else ""
    return f"{len(pids)} {word}{listed}"


def look(server: Server, name: JobName) -> dict[str, Any] | None:
    """Return a job's info, None if there is no such job."""
    try:
        return server.info(name)
    except NotFound:
        return None


class Looks:
    """Infos of several jobs, by one request where that is less work for gafferd, too."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: Jobs that the last answer was about.
        self._last = 0

    def at(self, names: Collection[JobName]) -> Iterator[tuple[JobName, dict[str, Any] | None]]:
        """Yield the info of each job, None if there is no such job."""
        found = self._all(names)
        for name in list(names):
            # Jobs that may not be read are not among them either: gafferd tells the difference.
            yield name, found[name] if name in found else look(self._server, name)

    def _all(self, names: Collection[JobName]) -> dict[JobName, dict[str, Any]]:
        if len(names) < FEWEST_AT_ONCE or self._last > MOST_UNWANTED * len(names):
            return {}
        sessions = {name.session for name in names}
        try:
            infos = self._server.infos(sessions.pop() if len(sessions) == 1 else None)
        except NotFound:
            infos = []
        self._last = len(infos)
        return {parse_job_name(info["name"]): info for info in infos}


def default_timeout(info: Info) -> float:
    """Return how long a job's start or stop may take by its settings, in seconds."""
    config = info["config"]
    if config.get("reload") == "rolling":
        ready = float(config.get("ready_timeout") or ROLLING_READY_SECONDS)
        return EXTRA_SECONDS + (float(config["graceful_timeout"]) + ready) * (1 + len(info["processes"]))
    return EXTRA_SECONDS + float(config.get("graceful_timeout") or 0) + float(config.get("min_uptime") or 0)


def watch(
    server: Server,
    judges: Mapping[JobName, Judge],
    timeout: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[JobName, Outcome]]:
    """Yield each job with its outcome as soon as it is known.

    :param timeout: seconds for all of them; None waits for ever.
    """
    waiting, pause, looks = dict(judges), FIRST_PAUSE, Looks(server)
    deadline = None if timeout is None else clock() + timeout
    while waiting:
        for name, info in looks.at(waiting):
            judge = waiting[name]
            outcome = judge(info)
            if outcome is None and deadline is not None and clock() >= deadline:
                outcome = _too_late(info, timeout)
            if outcome is not None:
                del waiting[name]
                yield name, outcome
        if waiting:
            left = pause if deadline is None else min(pause, max(deadline - clock(), 0))
            sleep(left)
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)


def _too_late(info: Info | None, timeout: float | None) -> Outcome:
    if info is None:
        return Outcome(False, f"removed, but its processes are still stopping after {timeout:g} s")
    why = f": {info['reason']}" if info.get("reason") else ""
    return Outcome(False, f"still {info['state']} after {timeout:g} s, {processes(info)}{why}")
