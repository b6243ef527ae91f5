"""Questions to plugins on behalf of a job: about a start, a stop and a restart.

The caller waits for the answers, so the engine asks in greenlets of their own (reason 9).
"""

from __future__ import annotations

import logging
import os
from typing import Any

from ..config.fields import Seconds, parse_signal
from ..errors import PluginError
from ..plugins.answers import checks
from ..plugins.calling import Hooks
from ..process.proc_scan import ID_VARIABLE
from ..process.sink_worker import SinkWorker
from ..process.spawn import SpawnPlan
from . import restart_policy
from .job import Job
from .messages import Decide

log = logging.getLogger("gaffer.engine")

#: Asked before a start.
_ABOUT_STARTS = ("gaffer_before_spawn", "gaffer_open_sinks")


def any_about_starts(hooks: Hooks) -> bool:
    """Return True if any plugin implements a question about starts."""
    return any(hooks.implemented(name) for name in _ABOUT_STARTS)


def about_start(hooks: Hooks, job: Job, plan: SpawnPlan) -> None:
    """Let plugins change *plan*, open sinks for its outputs, or refuse the start.

    :raises Exception: a plugin refused, or failed.
    """
    mark = plan.env[ID_VARIABLE]
    hooks.ask("gaffer_before_spawn", job=job, plan=plan)
    words = plan.argv if isinstance(plan.argv, (list, tuple)) else ()
    right = words and all(isinstance(word, (str, bytes, os.PathLike)) for word in words)
    if not right or not isinstance(plan.env, dict):
        raise PluginError("a plugin's gaffer_before_spawn left a plan without a list of words or an environment")
    plan.argv = [os.fsdecode(word) for word in plan.argv]  # paths and bytes will do
    plan.env = {**plan.env, ID_VARIABLE: mark}  # without it a daemon would not be found at the stop
    for label in dict.fromkeys([*_labels(job), *job.config.custom_streams]):
        answers = hooks.collect("gaffer_open_sinks", job=job, process=plan, label=label)
        if answers:
            plan.sinks[label] = [_worker(hooks, job, label, plugin, sink) for plugin, sink in answers]


def _worker(hooks: Hooks, job: Job, label: str, plugin: str, sink: Any) -> SinkWorker:
    return SinkWorker(sink, f"plugin {plugin}'s sink for {label} of {job.name}", hooks.passing)


def _labels(job: Job) -> list[str]:
    labels = list(job.config.redirect_output)
    if job.config.tty:
        return labels[:1] or ["stdout"]
    return labels + ["stdout", "stderr"][len(labels) :]


def about_stop(hooks: Hooks, job: Job, process: Any) -> list[tuple[int, float]] | None:
    """Return the signals that a plugin wants sent, with the seconds that each may take; None for the job's own."""
    try:
        steps: list[tuple[int, float]] | None = hooks.ask_first("gaffer_stop_steps", job=job, process=process)
        return steps
    except Exception as error:
        log.error("%s; the job's own settings are used", error)
        return None


def about_restart(hooks: Hooks, job: Job, death: Decide) -> restart_policy.Decision | None:
    """Return the restart decision of a plugin; None leaves it to the built-in policy."""
    try:
        decision: restart_policy.Decision | None = hooks.ask_first(
            "gaffer_restart_decision",
            job=job,
            process=death.process,
            status=death.status,
            history=death.copy.remembered(),
        )
    except Exception as error:
        log.error("%s; the built-in policy decides", error)
        return None
    return decision


@checks("gaffer_stop_steps")
def _steps(answer: Any) -> list[tuple[int, float]]:
    return [(int(parse_signal(name)), Seconds().check(after)) for name, after in answer]


@checks("gaffer_restart_decision")
def _decision(answer: Any) -> restart_policy.Decision:
    if isinstance(answer, restart_policy.After):
        return answer._replace(seconds=Seconds().check(answer.seconds))
    if isinstance(answer, restart_policy.GiveUp):
        return answer._replace(reason=str(answer.reason))
    if isinstance(answer, (restart_policy.Now, restart_policy.Done)):
        return answer
    raise ValueError("it must be Now(), After(seconds), GiveUp(reason) or Done()")
