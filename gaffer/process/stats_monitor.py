"""Statistics of processes: one greenlet measures, and only while somebody is subscribed (reason 15).

What measures is a plugin: the manager's for its processes, gaffer's own ``stats``, found by its entry
point, for processes without a manager. So nothing in here knows ``/proc`` or psutil.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Callable, Hashable, Iterable, NamedTuple

import gevent
from gevent.event import Event

from ..config.fields import Seconds
from ..errors import BadRequest, GafferError, NotFound
from ..events.outbox import Outbox
from ..plugins.calling import Hooks
from ..plugins.registry import PluginSet

log = logging.getLogger("gaffer.monitor")

#: The shortest interval, in seconds; a shorter one would say little of CPU use.
MIN_STATS_INTERVAL = 0.1
#: Measurements that may wait for one slow listener.
MAX_WAITING_FIGURES = 1000
#: The name of what a process' own listeners get; those of a manager get ``STATS``.
STAT = "stat"

Figures = dict[str, Any]
#: Measures processes; those that are gone are left out.
Measure = Callable[[list[Any]], Iterable[Figures]]
#: Called with the event and the figures; None only keeps them fresh.
Listener = Callable[[str, Figures], Any] | None
#: Returns the processes to measure now, None if there can never be any again.
Find = Callable[[], "list[Any] | None"]


def make_measure() -> Measure:
    """Return a function that measures processes without a manager, with a memory of its own for CPU use.

    :raises PluginError: the plugin ``stats`` is not installed.
    """
    plugins = PluginSet()
    plugins.load_entry_points(only=["stats"])
    hooks = Hooks(plugins.pm)

    def measure(processes: list[Any]) -> Iterable[Figures]:
        return (hooks.ask_first("gaffer_sample", manager=None, processes=processes) or {}).values()

    return measure


class _StatsSubscription:
    """A subscription to figures.

    :param key: the event's name and whose figures they are.
    """

    __slots__ = ("key", "listener", "find", "interval", "once", "due", "latest", "outbox")

    def __init__(self, key: tuple[str, Hashable], listener: Listener, find: Find, interval: float, once: bool) -> None:
        self.key, self.listener, self.find, self.interval, self.once = key, listener, find, interval, once
        self.due = 0.0
        self.latest: dict[int, Figures] = {}
        self.outbox = Outbox(f"listener {getattr(listener, '__name__', listener)!s} of {key[1]}", MAX_WAITING_FIGURES)

    def tell(self, figures: Figures) -> None:
        if self.listener is not None:
            self.outbox.put(self.key[0], self.listener, (self.key[0], figures))


class Monitor:
    """A sampler of processes, at the intervals of its subscribers.

    :param measure: takes processes, returns the figures of those that live.
    """

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._watches: list[_StatsSubscription] = []
        self._greenlet: gevent.Greenlet | None = None
        self._wake = Event()
        self._failing = False

    def __bool__(self) -> bool:
        """Return True if anybody is subscribed."""
        return bool(self._watches)

    def subscribe(
        self,
        event: str,
        whose: Hashable,
        listener: Listener,
        find: Find,
        interval: float = MIN_STATS_INTERVAL,
        once: bool = False,
    ) -> None:
        """Call ``listener(event, figures)`` for every process that *find* returns; a second time changes the interval.

        :param whose: what the subscription is taken back by.
        :param interval: seconds between two measurements, at least :data:`MIN_STATS_INTERVAL`.
        :param once: only the next figures.
        :raises BadRequest: *interval* is none. :raises Unavailable: no plugin collects statistics.
        """
        try:
            interval = Seconds().check(interval)
        except ValueError as error:
            raise BadRequest(f"interval: {error}") from error
        if interval < MIN_STATS_INTERVAL:
            raise BadRequest(f"interval: {interval:g} s is too short; {MIN_STATS_INTERVAL} s is the shortest")
        self._measure([])  # whoever cannot measure says so now
        self._drop((event, whose), listener, once)
        self._watches.append(_StatsSubscription((event, whose), listener, find, interval, once))
        self._wake.set()
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def unsubscribe(self, event: str, whose: Hashable, listener: Listener, once: bool | None = None) -> None:
        """Take a subscription back; nothing happens if there is none.

        :param once: only that kind; None takes back both.
        """
        self._drop((event, whose), listener, once)
        self._wake.set()

    def forget(self, event: str, whose: Hashable) -> None:
        """Take back every subscription to *whose* figures."""
        for watch in [watch for watch in self._watches if watch.key == (event, whose)]:
            self._remove(watch)
        self._wake.set()

    def _drop(self, key: tuple[str, Hashable], listener: Listener, once: bool | None) -> None:
        for watch in list(self._watches):
            if watch.key == key and watch.listener == listener and once in (None, watch.once):
                self._remove(watch)

    def _remove(self, watch: _StatsSubscription) -> None:
        self._watches.remove(watch)
        watch.outbox.close()

    def subscribed(self, event: str, whose: Hashable, listener: Listener) -> bool:
        """Return True if *listener* is still subscribed to the figures of *whose*."""
        return any(watch.key == (event, whose) and watch.listener == listener for watch in self._watches)

    def last(self, pid: int) -> Figures | None:
        """Return the latest figures of a process that somebody watches, None for others."""
        return next((watch.latest[pid] for watch in self._watches if pid in watch.latest), None)

    def measure(self, process: Any) -> Figures | None:
        """Measure one process now; None if it does not run."""
        return next(iter(self._measure([process])), None)

    def close(self) -> None:
        """Take back all subscriptions."""
        for watch in list(self._watches):
            self._remove(watch)
        self._wake.set()

    # -- measuring ----------------------------------------------------------------
    def _run(self) -> None:
        try:
            while self._watches:
                self._wake.clear()
                now = time.monotonic()
                self._look([watch for watch in self._watches if watch.due <= now])
                if self._watches:
                    # The rest is never 0: however long measuring takes, others have their turn.
                    self._wake.wait(max(0.001, min(watch.due for watch in self._watches) - time.monotonic()))
        finally:
            self._greenlet = None

    def _look(self, due: list[_StatsSubscription]) -> None:
        """Measure, once, everything that *due* asks for, and tell it."""
        targets: list[tuple[_StatsSubscription, list[int]]] = []
        processes: dict[int, Any] = {}
        for watch in due:
            found = watch.find()
            if found is None:
                self._watches.remove(watch)  # what it was told last is still on its way
                continue
            targets.append((watch, [process.pid for process in found]))
            processes.update((process.pid, process) for process in found)
        figures = self._figures(list(processes.values()))
        for watch, pids in targets:
            if watch in self._watches:  # not taken back while plugins measured
                self._tell(watch, {pid: figures[pid] for pid in pids if pid in figures})

    def _figures(self, processes: list[Any]) -> dict[int, Figures]:
        try:
            figures = {one["pid"]: one for one in self._measure(processes)} if processes else {}
        except Exception as error:
            if not self._failing:
                log.error("processes cannot be measured: %s", error, exc_info=not isinstance(error, GafferError))
            self._failing = True
            return {}
        self._failing = False
        return figures

    def _tell(self, watch: _StatsSubscription, figures: dict[int, Figures]) -> None:
        watch.latest = figures
        watch.due = time.monotonic() + watch.interval
        for one in figures.values():
            watch.tell(one)
        if watch.outbox.muted or watch.once and figures:
            self._watches.remove(watch)


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
        monitor, pid = self.process.owner.statistics, self.process.pid
        return any(monitor.subscribed(STAT, pid, listener) for listener in self._listeners)

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
