"""Nothing stays behind when we are killed: children get a death signal, and a guard looks for the rest.

A parent-death signal (prctl(2), PR_SET_PDEATHSIG) must be asked for by the child, so commands are started by
``setpriv`` where the system has it; that becomes the command. It reaches nobody whom the child starts; so a tiny
process of its own session waits for the end of our pipe, and kills every process that carries our mark.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ..errors import SpawnError
from ..hookspecs.markers import hookimpl
from ..spawn import check_executable, find_program, identity

if TYPE_CHECKING:
    from ..jobconfig import JobConfig
    from ..manager import Manager
    from ..process import Process
    from ..spawn import SpawnPlan

_GUARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_guard.py")


class Lifeline:
    """Starts the guard and has children die with us."""

    name = "lifeline"
    description = "lets nothing outlive gaffer"

    def __init__(self) -> None:
        self._prefix = death_signal_prefix()
        self._guard: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._node_id = ""

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Remember whose processes they are."""
        self._node_id = manager.node_id

    def _start_guard(self) -> None:
        """Start the guard, before the first child; it may be ready later, and will find its input ended."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._pipe = writer
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", _GUARD, self._node_id],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reader)

    @hookimpl(trylast=True)
    def gaffer_before_spawn(self, job: Any, plan: Any) -> None:
        """Have the command started by what asks for the death signal."""
        if self._guard is None:
            self._start_guard()
        if can_start(plan, job.config):
            plan.argv = [*self._prefix, *plan.argv]

    @hookimpl
    def gaffer_spawned(self, process: Process) -> None:
        """Tell the guard whom it need not look for."""
        self._tell(f"+{process.os_pid}\n")

    @hookimpl
    def gaffer_reaped(self, process: Process) -> None:
        """Its number may be somebody else's soon."""
        self._tell(f"-{process.os_pid}\n")

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            pass  # somebody killed the guard; it finds by their mark whom it was not told of

    def close(self) -> None:
        """Nothing is left to guard."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            os.close(self._pipe)
            self._guard = None


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
