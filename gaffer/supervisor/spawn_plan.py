"""What is started for a copy of a job: its command and its environment."""

from __future__ import annotations

import os

from ..config.jobconfig import JobConfig
from ..process.proc_scan import VARIABLE, chain_id
from ..process.spawn import DETACHED, SpawnPlan, command, copy_variables, job_environment
from .job import Copy, Job


class Planner:
    """Makes plans; those of one burst share the environment of their job.

    :param node_id: first part of every child's GAFFER_ID.
    """

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._inherited = os.environ.get(VARIABLE)
        self._environments: dict[Job, tuple[JobConfig, dict[str, str]]] = {}

    def forget(self) -> None:
        """Make environments anew from now on: others may have changed ours, or an environment file."""
        self._environments.clear()

    def plan(self, job: Job, copy: Copy, pid: int) -> SpawnPlan:
        """Return what would be started for *copy*.

        :raises SpawnError: the environment file or a variable is missing.
        """
        # First of all, where the sweep finds it soonest.
        env = {VARIABLE: chain_id(self._inherited, f"{self._node_id}.{pid}")}
        env.update(self._environment(job))
        env.update(copy_variables(job.config, copy.index))
        if copy.committed and copy.committed.env:
            env.update(copy.committed.env)
        env["GAFFER_JOB"] = job.name.short
        env["GAFFER_INDEX"] = str(max(copy.index, 0))
        if job.config.detach:
            env[DETACHED] = "1"
        return SpawnPlan(command(job.config, env), env, job.config.cwd, copy.index, pid)

    def _environment(self, job: Job) -> dict[str, str]:
        config, env = self._environments.get(job, (None, {}))
        if config is not job.config:
            env = job_environment(job.config)
            env.pop(VARIABLE, None)
            self._environments[job] = (job.config, env)
        return env
