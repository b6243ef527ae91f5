"""Spawn plans: command and environment of the next process of a copy."""

from __future__ import annotations

import os

from ..config.jobconfig import JobConfig
from ..process.environment import job_environment, process_environment
from ..process.proc_scan import ID_VARIABLE, chain_id
from ..process.spawn import SpawnPlan, make_plan
from .job import Copy, Job


class Planner:
    """A maker of plans; those of one burst share the environment of their job.

    :param node_id: first part of every child's GAFFER_ID.
    """

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._inherited = os.environ.get(ID_VARIABLE)
        self._environments: dict[Job, tuple[JobConfig, dict[str, str]]] = {}

    def forget(self) -> None:
        """Make environments anew from now on: others may have changed ours, or an environment file."""
        self._environments.clear()

    def plan(self, job: Job, copy: Copy, pid: int) -> SpawnPlan:
        """Return the plan of the next start of *copy*.

        :raises SpawnError: the environment file or a variable is missing.
        """
        committed = copy.committed is not None
        env = process_environment(
            job.config,
            _free_number(job, copy) if committed else copy.index,
            chain_id(self._inherited, f"{self._node_id}.{pid}"),
            self._environment(job),
            copy.committed.env if copy.committed else None,
            committed,
        )
        return make_plan(job.config, env, copy.index, pid)

    def _environment(self, job: Job) -> dict[str, str]:
        config, env = self._environments.get(job, (None, {}))
        if config is not job.config:
            env = job_environment(job.config)
            self._environments[job] = (job.config, env)
        return env


def _free_number(job: Job, copy: Copy) -> int:
    """Return the number of a committed process: the first after those of copies that no other committed one has."""
    others = {extra.number for extra in job.extras.values() if extra is not copy}
    number = max([job.wanted, *(index + 1 for index in job.copies)])
    while number in others:
        number += 1
    copy.number = number
    return number
