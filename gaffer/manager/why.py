"""The answer to "why": the chain of causes of a job's state, in sentences, down to what can be acted on.

A cause is an object with ``text``, a sentence; ``since``, in seconds since 1970; ``do``, what helps; ``job``, the full
name of the other job that it is about, and its ``state``; and ``causes``, what it follows from. Plugins add theirs with
``gaffer_why``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterable

from ..errors import GafferError
from ..plugins.answers import checks
from ..service.port_holder import holder_of
from ..supervisor.job import (
    AWAITED,
    DONE,
    FAILED,
    FLAPPING,
    HELD,
    PREPARING,
    QUEUED,
    STOPPING,
    UNREADY,
    WAITING,
    YOUNG,
    Copy,
    Job,
)

if TYPE_CHECKING:
    from .manager import Manager

log = logging.getLogger("gaffer.manager")

#: So many jobs are followed from one to the next.
DEEPEST = 20
#: So many copies of a job are spoken of.
MOST_COPIES = 5
#: Words of programs that find their port taken, in lower case.
_TAKEN = ("address already in use", "eaddrinuse", "address in use", "port is already", "only one usage of each socket")

Cause = dict[str, Any]


def cause(
    text: str,
    *,
    since: float | None = None,
    do: str | None = None,
    job: str | None = None,
    causes: Iterable[Cause] = (),
) -> Cause:
    """Return one cause as JSON shows it."""
    return {"text": text, "since": since, "do": do, "job": job, "state": None, "causes": list(causes)}


def explain(manager: Manager, job: Job) -> Cause:
    """Return why *job* is in its state."""
    return _Explanation(manager).of(job)


class _Explanation:
    """Walk along the causes, which visits no job twice."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._now = manager.engine.clock()
        self._ago = time.time() - self._now
        self._seen: set[Job] = set()

    def of(self, job: Job) -> Cause:
        self._seen.add(job)
        state = job.state(self._now)
        name = job.name.short
        causes = [*self._of_state(job, state), *self._of_plugins(job), *self._of_reload(job)]
        return cause(f"{name} is {state}", job=job.name.full, causes=causes) | {"state": state}

    def _of_state(self, job: Job, state: str) -> list[Cause]:
        if state == "stopped" or (state == "failed" and not job.active):
            return self._down(job)
        found = [
            *self._troubled(job),
            *self._not_ready(job),
            *self._stopping(job),
            *self._held(job),
            *self._queued(job),
        ]
        return found or [self._well(job)]

    # -- down -----------------------------------------------------------------------------------
    def _down(self, job: Job) -> list[Cause]:
        name = job.name.short
        again = f"gafferctl start {name}"
        given_up = [copy for copy in job.copies.values() if copy.state == FAILED]
        if given_up:
            text = f"gaffer has given it up: {given_up[0].error or 'it failed'}"
            return [cause(text, do=f"mend that, then: {again}", causes=self._last_exit(job))]
        if any(copy.state == DONE for copy in job.copies.values()):
            text = f"it ran to its end, and with restart = {job.config.restart} it is not started again"
            return [cause(text, do=again, causes=self._last_exit(job, with_stderr=False))]
        if job.active and not job.wanted:
            text = "no processes are wanted: numprocesses is 0"
            return [cause(text, do=f"gafferctl scale {name} =1", causes=[])]
        verb, who, at = job.order_given
        if verb == "loaded":
            return [cause(f"it was loaded without being started, by {who}", since=at, do=again)]
        return [cause(f"it was {verb} by {who}", since=at, do=again)]

    # -- up, or meant to be ------------------------------------------------------------------------
    def _troubled(self, job: Job) -> list[Cause]:
        found: list[Cause] = []
        for copy in _some(job, WAITING, FLAPPING, FAILED):
            history, text = copy.remembered(), copy.error or "it ended"
            if copy.state == FAILED:
                text, do = (
                    f"copy {copy.index} is given up: {text}",
                    f"mend that, then: gafferctl start {job.name.short}",
                )
            else:
                left = f"copy {copy.index} is tried again in {max(0.0, copy.due - self._now):.1f} s"
                rule = (
                    f"it died {job.config.flapping.attempts} times within {job.config.flapping.window:g} s"
                    if copy.state == FLAPPING and job.config.flapping is not None
                    else f"it did not stay up for min_uptime = {job.config.min_uptime:g} s, {_times(history.failures)}"
                )
                text, do = f"{left}, since {rule}: {text}", f"gafferctl start {job.name.short} tries at once"
            found.append(cause(text, do=do, causes=self._last_exit(job)))
        return found

    def _not_ready(self, job: Job) -> list[Cause]:
        found: list[Cause] = []
        for copy in job.live():
            if copy.readiness in (AWAITED, UNREADY) and len(found) < MOST_COPIES:
                since = copy.ready_since + self._ago
                verb = "was ready and is not any more" if copy.readiness == UNREADY else "is not ready yet"
                text = f"process {copy.process.pid} {verb}: {copy.ready_reason or 'no reason is known'}"
                found.append(cause(text, since=since, do=f"gafferctl logs {job.name.short}"))
            elif copy.readiness == YOUNG and self._now - job.last_spawn < job.config.min_uptime and not found:
                left = max(0.0, job.config.min_uptime - (self._now - copy.ready_since))
                text = f"process {copy.process.pid} counts as ready when it has run for min_uptime, in {left:.1f} s"
                found.append(cause(text, causes=self._last_exit(job) if job.restarts else ()))
        return found

    def _stopping(self, job: Job) -> list[Cause]:
        found: list[Cause] = []
        for copy in _some(job, STOPPING):
            times = self._manager.engine.termination.times(copy.process.pid)
            since = None if times is None else times.since + self._ago
            left = None if times is None or times.until is None else max(0.0, times.until - self._now)
            limit = "it is being killed" if left is None else f"KILL follows in {left:.1f} s"
            text = f"process {copy.process.pid} was told to end ({copy.reason}) and is still there; {limit}"
            found.append(cause(text, since=since))
        if found and not job.active:
            verb, who, at = job.order_given
            found.append(cause(f"it was {verb} by {who}", since=at))
        return found

    def _held(self, job: Job) -> list[Cause]:
        reasons = dict.fromkeys(copy.error for copy in _some(job, HELD))
        return [cause(reason) for reason in reasons]

    def _queued(self, job: Job) -> list[Cause]:
        manager = self._manager
        if job.blocked:
            return [cause("an unloaded job of the same name still has processes that are being stopped")]
        waiting = [copy for copy in job.copies.values() if copy.state == QUEUED]
        if manager.engine.held and (waiting or job.queued):
            return [cause(f"gafferd itself is {manager.state}: nothing is started meanwhile")]
        found: list[Cause] = []
        if any(copy.state == PREPARING for copy in job.copies.values()):
            found.append(cause("plugins are asked about the start (gaffer_before_spawn) and have not answered yet"))
        if (waiting or job.queued) and not found:
            found.append(cause("its processes wait for their turn to be started"))
        return found

    def _well(self, job: Job) -> Cause:
        verb, who, at = job.order_given
        text = f"{job.ready} of {job.wanted} processes are ready; it was {verb} by {who}"
        causes = self._last_exit(job, with_stderr=False) if job.restarts else []
        return cause(text, since=at, causes=causes)

    # -- roots ----------------------------------------------------------------------------------
    def _last_exit(self, job: Job, with_stderr: bool = True) -> list[Cause]:
        found: list[Cause] = []
        if job.last_exit_info is not None:
            text = f"process {job.last_exit_info['pid']} ended last, with {job.last_exit}"
            found.append(cause(text, since=job.last_exit_info["time"]))
        if with_stderr and job.stderr_tail:
            lines = [cause(line) for line in job.stderr_tail]
            found.append(cause("the last lines of its stderr", do=f"gafferctl logs {job.name.short}", causes=lines))
            found += _port_taken(job)
        return found

    def _of_plugins(self, job: Job) -> list[Cause]:
        found: list[Cause] = []
        for plugin, answer in self._manager.hooks.attempts("gaffer_why", job=job):
            if isinstance(answer, BaseException):
                log.error("plugin %s failed in gaffer_why: %r", plugin, answer)
                continue
            for one in answer or ():
                found.append(self._followed(one))
        return found

    def _followed(self, one: Cause) -> Cause:
        """Return a plugin's cause with what is known of the job that it names."""
        if one["job"] is None:
            return one
        with suppress(GafferError):
            other = self._manager.job(one["job"])
            one["job"] = other.name.full
            if other not in self._seen and len(self._seen) < DEEPEST:
                one["causes"] = [*one["causes"], self.of(other)]
        return one

    def _of_reload(self, job: Job) -> list[Cause]:
        roll = self._manager.rolls.get(job)
        report = None if roll is None else roll.report()
        if report is None or (report["done"] and not report["error"]):
            return []
        if report["error"]:
            return [cause(f"the last rolling reload failed: {report['error']}", do=f"gafferctl logs {job.name.short}")]
        return [cause(f"a rolling reload goes on: {report['text']}")]


def _some(job: Job, *states: str) -> list[Copy]:
    found = [copy for copy in [*job.copies.values(), *job.extras.values()] if copy.state in states]
    return found[:MOST_COPIES]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times in a row"


def _port_taken(job: Job) -> list[Cause]:
    said = "\n".join(job.stderr_tail).lower()
    if job.config.port is None or not any(words in said for words in _TAKEN):
        return []
    for port in range(job.config.port, min(job.config.port + job.wanted, 65_536)):
        holder = holder_of(port)
        if holder is not None:
            text = f"port {port} is held by os_pid {holder.os_pid}, {holder.name}"
            return [cause(text, do=f"stop that program, or give {job.name.short} another port")]
    return []


@checks("gaffer_why")
def _causes(answer: Any) -> list[Cause]:
    if not isinstance(answer, (list, tuple)):
        raise ValueError("it must be a list of sentences, or of {'text': …, 'do': …, 'job': …}")
    found = []
    for one in answer:
        said = {"text": one} if isinstance(one, str) else one
        if not isinstance(said, Mapping) or not isinstance(said.get("text"), str):
            raise ValueError("each must be a sentence, or {'text': …, 'do': …, 'job': …}")
        found.append(cause(said["text"], do=_text(said.get("do")), job=_text(said.get("job"))))
    return found


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
