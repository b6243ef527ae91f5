"""Turning what the engine tells into hooks and events (docs/events.rst).

Nothing is built without a listener: neither a plugin nor a subscriber.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from ..config.names import DEFAULT_SESSION
from ..process.process import ExitStatus, Process
from ..supervisor.job import Copy, Job
from ..supervisor.messages import Notify

if TYPE_CHECKING:
    from .manager import Manager

#: Events whose data is the reason.
_WITH_REASON = frozenset(("reap", "waiting", "ready", "unready", "stop_failed"))
#: Events of jobs in the default session that the classic family ``proc.<name>`` has too.
_CLASSIC = frozenset(("start", "stop", "spawn", "exit", "stop_pid", "reap", "flap", "ready", "unready"))
_HOOKS = {
    "create": "gaffer_job_loaded",
    "update": "gaffer_job_updated",
    "delete": "gaffer_job_unloaded",
    "start": "gaffer_job_started",
    "stop": "gaffer_job_stopped",
    "scale": "gaffer_job_scaled",
    "spawn": "gaffer_spawned",
    "spawn_failed": "gaffer_spawn_failed",
    "exit": "gaffer_exited",
    "reap": "gaffer_reaped",
    "flap": "gaffer_flapping",
    "waiting": "gaffer_job_waiting",
    "ready": "gaffer_process_ready",
    "unready": "gaffer_process_unready",
}


class Notifier:
    """The engine's observer: tells plugins and subscribers, keeps the manager's table of processes."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def notify(self, job: Job, what: Notify, at: float) -> None:
        """Something happened to *job*, in the second *at* since 1970."""
        roll = self._manager.rolls.get(job)
        if roll is not None:
            roll.changed.set()
        if what.event == "stop" and job.config.essential and job.ended_by_itself:
            self._manager.essential_ended(job)
        if what.event == "exit":
            job.last_exit_info = exit_info(what.process, what.data, at)
        hook = _HOOKS.get(what.event)
        hooks = self._manager.hooks
        if hook is not None and hooks.implemented(hook):
            hooks.tell(hook, **_arguments(job, what))
        if what.event != "scale":
            self._publish(job, what, at)
        elif what.data[2]:
            self._publish(job, what._replace(event="update"), at)

    def _publish(self, job: Job, what: Notify, at: float) -> None:
        hooks, events = self._manager.hooks, self._manager.events
        heard = hooks.implemented("gaffer_event")
        if not heard and not events:
            return
        published = events.record(event_names(job, what), _message(job, what, at))
        if heard:
            for event in published:
                hooks.tell("gaffer_event", event=event.message)

    def signalled(self, job: Job, process: Process, signum: int) -> None:
        # Real-time signals have no names in Python, and a stop may use one.
        named = signal.Signals(signum) if signum in signal.Signals.__members__.values() else signum
        self._manager.hooks.tell("gaffer_signalled", job=job, process=process, signum=named)

    def removed(self, job: Job) -> None:
        self._manager.rolls.pop(job, None)
        successor = self._manager.job_table.remove(job)
        if successor is not None:
            self._manager.engine.unblock(successor)

    def process_started(self, process: Process) -> None:
        process.owner = self._manager
        self._manager.process_table.add(process)

    def process_gone(self, process: Process) -> None:
        self._manager.process_table.end(process)


def event_names(job: Job, what: Notify) -> list[str]:
    """Return every name under which an event is published, the plain one first."""
    event, name = what.event, job.name
    names = [event, f"job.{name.session}.{name.job}.{event}"]
    if name.session == DEFAULT_SESSION and event in _CLASSIC:
        names.append(f"proc.{name.job}.{event}")
    if what.process is not None:
        names.append(f"proc.{what.process.pid}.{event}")
    return names


def exit_info(process: Any, status: ExitStatus, at: float) -> dict[str, Any]:
    """Return how a process ended, as JSON shows it."""
    return {
        "pid": process.pid,
        "os_pid": process.os_pid,
        "exit_status": status.exit_code,
        "exit_code": status.exit_code,
        "term_signal": status.signal or 0,
        "note": status.note or None,
        "time": at,
    }


def _message(job: Job, what: Notify, at: float) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": job.name.short,
        "session": job.name.session,
        "job": job.name.job,
        "time": at,
    }
    process: Any = what.process
    if process is not None:
        message |= {"pid": process.pid, "os_pid": process.os_pid, "once": process.committed}
        message["detach"] = process.config.detach
    if what.event == "exit":
        message |= exit_info(process, what.data, at)
    elif what.event in _WITH_REASON:
        message["reason"] = what.data
    elif what.event == "spawn_failed":
        message["reason"] = str(what.data[1])
    elif what.event == "flap":
        message["retry_in"] = what.data[1].seconds
    return message


def _arguments(job: Job, what: Notify) -> dict[str, Any]:
    """Return the hook's arguments; implementations take those they name."""
    event, data = what.event, what.data
    if event == "update":
        return {"job": job, "previous": data}
    if event == "scale":
        return {"job": job, "before": data[0], "after": data[1]}
    if event == "spawn_failed":
        return {"job": job, "index": data[0].index, "error": data[1]}
    if event == "exit":
        return {"job": job, "process": what.process, "status": data}
    if event == "waiting":
        return {"job": job, "reason": data}
    if event in _WITH_REASON:
        return {"job": job, "process": what.process, "reason": data}
    if event == "flap":
        copy: Copy = data[0]
        return {"job": job, "decision": data[1], "history": copy.remembered()}
    return {"job": job, "process": what.process} if event == "spawn" else {"job": job}
