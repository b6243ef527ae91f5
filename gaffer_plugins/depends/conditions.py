"""Test of conditions, and the reason why one does not hold yet: functions of what a job shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterable

if TYPE_CHECKING:
    from gaffer.api import Job, JobName

_GOALS = {
    "ready": "to be ready",
    "started": "to be started",
    "completed": "to complete",
    "stopped": "to be stopped",
}
#: So many names are in a sentence.
SHOWN = 3


def holds(job: Job | None, condition: str) -> bool:
    """Return whether a start may happen that waits for *job*.

    :param job: None if it is not loaded.
    """
    if job is None:
        return condition == "stopped"
    if condition == "stopped":
        return not job.active and not job.running
    if not job.wanted:
        return False
    if condition == "completed":
        return job.completed >= job.wanted
    if condition == "started":
        return job.started >= job.wanted and (job.active or job.completed > 0)
    return job.ready >= job.wanted


def is_lost(job: Job | None, condition: str) -> bool:
    """Return whether nothing is left of what a job depends on: one of several processes that can be used will do."""
    if job is None:
        return condition != "stopped"
    return job.ready == 0 if condition == "ready" else not holds(job, condition)


def why(
    name: JobName, condition: str, job: Job | None, now: float, waits_for: Callable[[JobName], Iterable[str]]
) -> str:
    """Return what a start waits for, in a sentence.

    :param waits_for: returns the names that a job waits for itself.
    """
    if job is None:
        return f"waits for {name}, which is not loaded"
    state = job.state(now)
    if not job.active and state == "stopped" and condition != "stopped" and job.completed < max(job.wanted, 1):
        if job.last_exit is None or not job.copies:
            return f"waits for {name}, which is stopped; start it with 'gafferctl start {name}'"
        return (
            f"waits for {name} {_GOALS[condition]}: it ended with {job.last_exit}; "
            f"start it again with 'gafferctl start {name}'"
        )
    return f"waits for {name} {_GOALS[condition]}: {_obstacle(name, condition, job, state, waits_for)}"


def _obstacle(
    name: JobName, condition: str, job: Job, state: str, waits_for: Callable[[JobName], Iterable[str]]
) -> str:
    reasons = "; ".join(job.reasons())
    because = f": {reasons}" if reasons else ""
    if state == "waiting":
        names = listed(waits_for(name))
        return f"it waits for {names}" if names else f"it waits{because}"
    if state == "failed":
        return f"it failed{because}; start it again with 'gafferctl start {name}'"
    if state in ("backoff", "flapping"):
        return f"it is started again later{because}"
    if not job.wanted and condition != "stopped":
        return f"it has no processes; 'gafferctl scale {name} =1' gives it one"
    if job.completed and not job.active:
        return f"it has completed, and is ready no more; 'depends_on = {name}:completed' waits for that"
    if condition == "ready" and job.wanted > 1:
        return f"{job.ready} of {job.wanted} processes are{because}"
    return f"it is {state}{because}"


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
