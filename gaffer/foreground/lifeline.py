"""End all processes when gaffer is killed: children get a death signal, and a guard looks for the rest.

A parent-death signal (prctl(2), PR_SET_PDEATHSIG) must be asked for by the child, so commands are started by
``setpriv`` where the system has it; that becomes the command. It does not reach the child's own children; so a tiny
process of its own session waits for the end of our pipe, and kills every process that carries our mark.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..errors import SpawnError
from ..hookspecs.markers import hookimpl
from ..process.spawn import check_executable, find_program, identity
from .guard import Guard

if TYPE_CHECKING:
    from ..config.jobconfig import JobConfig
    from ..manager.manager import Manager
    from ..process.process import Process
    from ..process.spawn import SpawnPlan


class Lifeline:
    """A plugin that gives children a death signal and reports them to the guard."""

    name = "lifeline"
    description = "lets nothing outlive gaffer"

    def __init__(self, guard: Guard) -> None:
        self._prefix = death_signal_prefix()
        self._guard = guard

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Give the guard the mark of the processes."""
        self._guard.watch(manager.node_id)

    @hookimpl(trylast=True)
    def gaffer_before_spawn(self, job: Any, plan: Any) -> None:
        """Start the command through a helper that sets the death signal."""
        if can_start(plan, job.config):
            plan.argv = [*self._prefix, *plan.argv]

    @hookimpl
    def gaffer_spawned(self, process: Process) -> None:
        """Give the guard the leader of a process group."""
        self._guard.add(process.os_pid)

    @hookimpl
    def gaffer_reaped(self, process: Process) -> None:
        """Remove a process group from the guard."""
        self._guard.remove(process.os_pid)


def can_start(plan: SpawnPlan, config: JobConfig) -> bool:
    """Tell whether a command can be started, as far as one knows; else it fails as it is, in its own name."""
    if identity(config) and os.geteuid() != 0:
        return False
    try:
        check_executable(plan, config)
    except SpawnError:
        return False
    return True


def death_signal_prefix() -> list[str]:
    """Return the words before a command that have it killed when its parent ends; none if that is not possible."""
    found = find_program("setpriv", os.environ.get("PATH", os.defpath)) if sys.platform == "linux" else None
    # What several tools share, as in busybox, does not know the option.
    if found is None or os.path.basename(os.path.realpath(found)) != "setpriv":
        return []
    return [found, "--pdeathsig", "KILL", "--"]
