"""Sampling: figures are measured at intervals while they are followed, and at no other time (reason 15).

What measures processes is a plugin: the manager's for its processes, gaffer's own ``stats``, found by its
entry point, for processes without a manager. So nothing in here knows ``/proc`` or psutil.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
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
#: Who is due within this part of an interval is served together with others.
TOGETHER = 0.25
#: Measurements that may wait for one slow listener.
MAX_WAITING_FIGURES = 1000
#: The name of what a process' own listeners get; those of a manager get ``STATS``.
STAT = "stat"

Figures = dict[str, Any]
#: Measures processes; those that are gone are left out.
MeasureProcesses = Callable[[list[Any]], Iterable[Figures]]
#: Returns figures; None when there will never be any again.
Measure = Callable[[], Any]
#: Called with the event and the figures; None only keeps them fresh.
Listener = Callable[[str, Figures], Any] | None
#: Returns the processes to measure now, None if there can never be any again.
Find = Callable[[], "list[Any] | None"]


def make_measure() -> MeasureProcesses:
    """Return a function that measures processes without a manager, with a memory of its own for CPU use.

    :raises PluginError: the plugin ``stats`` is not installed.
    """
    plugins = PluginSet()
    plugins.load_entry_points(only=["stats"])
    hooks = Hooks(plugins.pm)

    def measure(processes: list[Any]) -> Iterable[Figures]:
        return (hooks.ask_first("gaffer_sample", manager=None, processes=processes) or {}).values()

    return measure


class SampleFollower:
    """Base of those that follow figures; each gets them from the next measurement on.

    :param key: what they are of; all followers of one key share its measurements.
    :param interval: seconds between two measurements.
    """

    __slots__ = ("key", "measure", "interval", "due", "_sampler")

    def __init__(self, sampler: Sampler, key: Hashable, measure: Measure, interval: float) -> None:
        self.key, self.measure, self.interval = key, measure, interval
        self.due = 0.0
        self._sampler = sampler
        sampler.add(self)

    def put(self, figures: Any) -> None:
        """Take new figures; None says that there will never be any more, and nothing comes after it."""
        raise NotImplementedError

    def close(self) -> None:
        """Follow no longer."""
        self._sampler.remove(self)


class StatsSubscription(SampleFollower):
    """Follower of processes that calls a listener with the figures of each, from an outbox.

    :param whose: what the subscription is known by.
    """

    __slots__ = ("event", "whose", "listener", "once", "latest", "outbox")

    def __init__(
        self,
        sampler: Sampler,
        event: str,
        whose: Hashable,
        listener: Listener,
        measure: Measure,
        interval: float,
        once: bool,
    ) -> None:
        self.event, self.whose, self.listener, self.once = event, whose, listener, once
        self.latest: dict[int, Figures] = {}
        self.outbox = Outbox(f"listener {getattr(listener, '__name__', listener)!s} of {whose}", MAX_WAITING_FIGURES)
        super().__init__(sampler, (event, whose), measure, interval)

    def put(self, figures: list[Figures] | None) -> None:
        """Call the listener for each process, soon; what it was called with last is still on its way at the end."""
        if figures is None:
            return
        self.latest = {one["pid"]: one for one in figures}
        if self.listener is not None:
            for one in figures:
                self.outbox.put(self.event, self.listener, (self.event, one))
        if self.outbox.muted or self.once and figures:
            self._sampler.remove(self)

    def close(self) -> None:
        """Follow no longer; calls that wait are not made any more."""
        super().close()
        self.outbox.close()


class Sampler:
    """Measures what is followed, each thing once for all its followers, at the shortest interval that any wants.

    :param measure: takes processes, returns the figures of those that live.
    """

    def __init__(self, measure: MeasureProcesses) -> None:
        self._measure = measure
        self._followers: dict[SampleFollower, None] = {}
        self._greenlet: gevent.Greenlet | None = None
        self._changed = Event()
        #: What could not be measured the last time.
        self._failing: set[Hashable] = set()

    def __bool__(self) -> bool:
        """Return True if anything is followed."""
        return bool(self._followers)

    # -- following ----------------------------------------------------------------
    def add(self, follower: SampleFollower) -> None:
        """Measure for *follower* from now on, for the first time at once."""
        self._followers[follower] = None
        self._changed.set()
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def remove(self, follower: SampleFollower) -> None:
        """Measure for *follower* no longer; nothing happens if that is so already."""
        if follower in self._followers:
            del self._followers[follower]
            self._changed.set()

    def close(self) -> None:
        """End all following."""
        for follower in list(self._followers):
            follower.close()

    # -- listeners of processes -----------------------------------------------------
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
        self._measure([])  # raises now where measuring is impossible
        for found in self._subscriptions(event, whose, listener):
            if found.once == once:
                found.close()
        StatsSubscription(self, event, whose, listener, partial(self._measure_found, find), interval, once)

    def unsubscribe(self, event: str, whose: Hashable, listener: Listener) -> None:
        """Take subscriptions back; nothing happens if there is none."""
        for found in self._subscriptions(event, whose, listener):
            found.close()

    def forget(self, event: str, whose: Hashable) -> None:
        """Take back every subscription to *whose* figures."""
        for found in self._subscriptions():
            if found.key == (event, whose):
                found.close()

    def subscribed(self, event: str, whose: Hashable, listener: Listener) -> bool:
        """Return True if *listener* is still subscribed to the figures of *whose*."""
        return bool(self._subscriptions(event, whose, listener))

    def last(self, pid: int) -> Figures | None:
        """Return the latest figures of a process with subscribers, None for others."""
        return next((found.latest[pid] for found in self._subscriptions() if pid in found.latest), None)

    def measure(self, process: Any) -> Figures | None:
        """Measure one process now; None if it does not run."""
        return next(iter(self._measure([process])), None)

    def _subscriptions(self, *wanted: Any) -> list[StatsSubscription]:
        """Return all subscriptions, or those with an event, target and listener."""
        found = [one for one in self._followers if isinstance(one, StatsSubscription)]
        return [one for one in found if not wanted or (one.event, one.whose, one.listener) == wanted]

    def _measure_found(self, find: Find) -> list[Figures] | None:
        found = find()
        return list(self._measure(found)) if found else found

    # -- measuring ----------------------------------------------------------------
    def _run(self) -> None:
        try:
            while self._followers:
                self._changed.clear()
                self._serve(time.monotonic())
                if self._followers:
                    # Never 0, so that others have their turn however long measuring takes.
                    first = min(follower.due for follower in self._followers)
                    self._changed.wait(max(0.001, first - time.monotonic()))
        finally:
            self._greenlet = None

    def _serve(self, now: float) -> None:
        """Measure what is due, and tell those who are due now or soon."""
        groups: dict[Hashable, list[SampleFollower]] = {}
        for follower in self._followers:
            groups.setdefault(follower.key, []).append(follower)
        self._failing &= groups.keys()
        for key, group in groups.items():
            due = [follower for follower in group if follower.due <= now and follower in self._followers]
            if due:
                self._tell(now, group, *self._figures(key, due[0].measure))

    def _figures(self, key: Hashable, measure: Measure) -> tuple[Any, bool]:
        """Return the figures, and whether there are any."""
        try:
            figures = measure()
        except Exception as error:
            if key not in self._failing:
                log.error("processes cannot be measured: %s", error, exc_info=not isinstance(error, GafferError))
            self._failing.add(key)
            return None, False
        self._failing.discard(key)
        return figures, True

    def _tell(self, now: float, group: list[SampleFollower], figures: Any, measured: bool) -> None:
        after = time.monotonic()
        for follower in group:
            if follower not in self._followers:
                continue  # closed while it was measured
            ended = measured and figures is None
            if ended:
                del self._followers[follower]
            elif follower.due > now + follower.interval * TOGETHER:
                continue
            follower.due = after + follower.interval
            if measured:
                follower.put(figures)


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
