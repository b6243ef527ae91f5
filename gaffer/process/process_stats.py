"""Statistics of one process: gaffer 0.5's ``ProcessWatcher`` and ``get_process_stats``."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import gevent

from ..errors import BadRequest, NotFound
from .sampler import MIN_STATS_INTERVAL, STAT, Figures, Listener, make_measure


class ProcessWatcher:
    """Watches the statistics of one process.

    :param loop: accepted as in gaffer 0.5.
    :param process: a :class:`gaffer.process.Process`.
    """

    def __init__(self, loop: Any, process: Any) -> None:
        self.loop = loop
        self.process = process
        self._listeners: list[Listener] = []

    @property
    def active(self) -> bool:
        """True while a listener that subscribed here is subscribed to the process."""
        sampler, pid = self.process.owner.statistics, self.process.pid
        return any(sampler.subscribed(STAT, pid, listener) for listener in self._listeners)

    def refresh(self, interval: float = 0) -> Figures:
        """Measure the process now.

        :param interval: seconds over which CPU use is measured; 0 takes it since the last measurement.
        :raises NotFound: it has exited, or is not started. :raises Unavailable: no plugin measures.
        """
        process = self.process
        figures: Figures = process.owner.process_stats(process.pid)
        if interval:
            gevent.sleep(max(interval, MIN_STATS_INTERVAL))
            figures = process.owner.process_stats(process.pid)
        return figures

    def subscribe(self, listener: Listener, interval: float = MIN_STATS_INTERVAL) -> None:
        """Call ``listener("stat", statistics)`` every *interval* seconds until the process ends."""
        self._subscribe(listener, interval, once=False)

    def subscribe_once(self, listener: Listener) -> None:
        """Call ``listener("stat", statistics)`` once."""
        self._subscribe(listener, MIN_STATS_INTERVAL, once=True)

    def _subscribe(self, listener: Listener, interval: float, once: bool) -> None:
        process = self.process
        process.owner.statistics.subscribe(STAT, process.pid, listener, process.measurable, interval, once)
        if listener not in self._listeners:
            self._listeners.append(listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Take a subscription back; nothing happens if there is none."""
        self.process.owner.statistics.unsubscribe(STAT, self.process.pid, listener)

    def stop(self, all_events: bool = False) -> None:
        """Take back the subscriptions made here.

        :param all_events: those that others made to this process too.
        """
        for listener in self._listeners:
            self.unsubscribe(listener)
        self._listeners.clear()
        if all_events:
            self.process.owner.statistics.forget(STAT, self.process.pid)


class _ForeignProcess(NamedTuple):
    """A process known only by the system's id."""

    pid: int
    os_pid: int


def get_process_stats(process: Any = None, interval: float = 0) -> Figures:
    """Measure one process and its children.

    :param process: a :class:`gaffer.process.Process`, a system's process id, or None for this program.
    :param interval: seconds over which CPU use is measured; 0 takes it since the start of the process.
    :returns: the statistics of docs/http-api.rst; ``pid`` is None for a process that is not gaffer's.
    :raises NotFound: there is no such process. :raises PluginError: the plugin ``stats`` is not installed.
    """
    os_pid = getattr(process, "os_pid", os.getpid() if process is None else process)
    if not isinstance(os_pid, int) or isinstance(os_pid, bool) or os_pid < 0:
        raise BadRequest(f"expected a process or a process id, not {process!r}")
    ours = hasattr(process, "os_pid")
    target, measure = process if ours else _ForeignProcess(os_pid, os_pid), make_measure()
    found = list(measure([target]))
    if found and interval:
        gevent.sleep(max(interval, MIN_STATS_INTERVAL))
        found = list(measure([target]))
    if not found:
        raise NotFound(f"there is no process with the id {os_pid}" if os_pid else f"{process!r} is not started")
    return found[0] if ours else {**found[0], "pid": None}
