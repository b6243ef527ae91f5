"""Processes without a manager: their start, stop, end and statistics (reason 17)."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Callable

import gevent

from ..errors import NotFound
from .environment import process_environment
from .proc_scan import ID_VARIABLE, chain_id, find_node_survivors
from .ring_buffer import RingLimits
from .sampler import Figures, Sampler, make_measure
from .spawn import make_plan

if TYPE_CHECKING:
    from .process import Process

#: Called with the process, its exit code as shells tell it, and the signal that ended it, else 0.
ExitCallback = Callable[["Process", int, int], Any]
#: Pauses between searches for survivors of KILL, in seconds.
_KILL_PAUSES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class StandaloneOwner:
    """The owner of one process that no manager runs. It is never restarted.

    When the process ends, what is left of its group is killed; after a stop, so is whatever it
    started, in other sessions too.

    :param on_exit_cb: called in a greenlet of its own when the process has ended.
    """

    def __init__(self, process: Process, on_exit_cb: ExitCallback | None = None) -> None:
        self._process = process
        self._on_exit_cb = on_exit_cb
        self._node_id = os.urandom(6).hex()
        self._deadline: gevent.Greenlet | None = None
        self._statistics: Sampler | None = None

    def start(self) -> None:
        """Start the process.

        :raises SpawnError: one sentence with the system's reason, or what is missing.
        """
        process, config = self._process, self._process.config
        gaffer_id = chain_id(os.environ.get(ID_VARIABLE), f"{self._node_id}.{process.pid}")
        env = process_environment(config, process.index, gaffer_id, extra=process.env_extra)
        process.start(make_plan(config, env, process.index, process.pid), rings=RingLimits())

    # -- its end --------------------------------------------------------------------
    def stop_process(self, pid: int) -> None:
        """Ask the process to stop; after the graceful timeout it is killed. Does not wait."""
        process, config = self._process, self._process.config
        if self._deadline is not None:
            return
        seconds = config.graceful_timeout if process.graceful_timeout is None else process.graceful_timeout
        if seconds > 0:
            process.signal_group(config.stop_signal)
            process.signal_group(signal.SIGCONT)  # a stopped process acts on no other signal
        self._deadline = gevent.spawn_later(seconds, process.signal_group, signal.SIGKILL)

    def exited(self, process: Process) -> None:
        """Handle the exit in a greenlet; called by the loop."""
        gevent.spawn(self._finish)

    def _finish(self) -> None:
        process, stopped = self._process, self._deadline is not None
        if stopped or not process.config.detach:
            # The dead leader is not waited for yet, so its group id cannot be reused (reasons 3 and 11).
            process.signal_group(signal.SIGKILL)
        status = process.collect()
        if status is None:
            process.watch()
            return
        if self._deadline is not None:
            self._deadline.kill()
            self._kill_survivors()
        process.close()
        if self._on_exit_cb is not None:
            self._on_exit_cb(process, status.exit_code, status.signal or 0)

    def _kill_survivors(self) -> None:
        for pause in _KILL_PAUSES:
            gevent.sleep(pause)
            left = [os_pid for found in find_node_survivors(self._node_id).values() for os_pid in found]
            if not left:
                return
            for os_pid in left:
                try:
                    os.kill(os_pid, signal.SIGKILL)
                except OSError:
                    pass  # it has gone meanwhile, or changed to another user

    def signalled(self, process: Process, signum: int) -> None:
        """Ignore a signal that was sent: there is no manager to notify."""

    # -- its statistics -------------------------------------------------------------
    @property
    def statistics(self) -> Sampler:
        """The sampler that measures the process while there are subscribers."""
        if self._statistics is None:
            self._statistics = Sampler(make_measure())
        return self._statistics

    def process_stats(self, pid: int) -> Figures:
        """Return the statistics of the process.

        :raises NotFound: it has exited, or is not started.
        """
        found = self.statistics.measure(self._process)
        if found is None:
            raise NotFound(f"process {pid} of {self._process.name} does not run")
        return found
