"""The part of a manager that others watch by: events and statistics as they come."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Hashable, Iterator

from gevent.event import Event

from ..config.names import parse_job_name
from ..errors import BadRequest
from ..events.emitter import EventEmitter
from ..events.event_log import Hub, HubEvent
from ..process.process import Process
from ..process.stats_monitor import MIN_STATS_INTERVAL, Find, Monitor

if TYPE_CHECKING:
    from ..supervisor.job import Job

#: The name of what listeners of a manager get; those of a process get ``stat``.
STATS = "STATS"


class Channel:
    """Events to be taken one by one: ``for name, message in manager.subscribe("proc.web")``.

    A thousand wait; whoever takes them too slowly loses the oldest, which ``lost`` counts. The end of the manager,
    or of the subscription, ends the loop.
    """

    def __init__(self, hub: Hub, topic: str) -> None:
        #: How many events were dropped.
        self.lost = 0
        self.closed = False
        self._waiting: deque[HubEvent] = deque()
        self._more = Event()
        self._follower = hub.follow(topic, wake=self._more.set)

    def get(self, timeout: float | None = None) -> tuple[str, dict[str, Any]] | None:
        """Return the next event as ``(name, message)``, waiting for it; None if the channel ended first.

        :param timeout: seconds to wait at the most; then it is None too.
        """
        if not self._waiting and not self._more.is_set() and not self.closed:
            self._more.wait(timeout)
        self._more.clear()
        lost, events = self._follower.take()
        self.lost += lost
        self._waiting.extend(events)
        if not self._waiting:
            return None
        event = self._waiting.popleft()
        return event.name, event.message

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            event = self.get()
            if event is not None:
                yield event
            elif self.closed:
                return

    def close(self) -> None:
        """Take no more events; those that wait can still be taken."""
        self.closed = True
        self._follower.close()
        self._more.set()


class Watching:
    """Base of the manager."""

    events: EventEmitter
    hub: Hub
    statistics: Monitor
    _channels: list[Channel]
    job: Callable[..., Job]
    has_job: Callable[..., bool]
    get_process: Callable[[int], Process]

    def subscribe(self, topic: str, listener: Callable[..., Any] | None = None) -> Channel | None:
        """Call ``listener(event, message)`` for the events that *topic* selects (docs/events.rst).

        :returns: without a listener, a :class:`~gaffer.manager.subscriptions.Channel` to take them from.
        """
        if listener is not None:
            self.events.subscribe(topic, listener)
            return None
        channel = Channel(self.hub, topic)
        self._channels.append(channel)
        return channel

    def unsubscribe(self, topic: str, channel: Channel | Callable[..., Any]) -> None:
        """Take a subscription back; nothing happens if there is none.

        :param channel: the listener, or what :meth:`subscribe` returned.
        """
        if not isinstance(channel, Channel):
            self.events.unsubscribe(topic, channel)
        elif channel in self._channels:
            self._channels.remove(channel)
            channel.close()

    def close_channels(self) -> None:
        """Called at the end of the manager."""
        for channel in self._channels:
            channel.close()
        self._channels.clear()

    def monitor(self, listener: Any, name: Any, interval: float = MIN_STATS_INTERVAL) -> None:
        """Call ``listener("STATS", statistics)`` for each process of a job, every *interval* seconds.

        Both orders of the first two arguments will do: the listener is the one that can be called.

        :param name: a job, also one that is unloaded and loaded again meanwhile; or the pid of a process.
        :param interval: seconds, at least 0.1.
        :raises NotFound: no such job or process. :raises Unavailable: no plugin collects statistics.
        """
        listener, name = _listener_first(listener, name)
        whose, find = self._target(name)
        self.statistics.subscribe(STATS, whose, listener, find, interval)

    def unmonitor(self, listener: Any, name: Any) -> None:
        """Take back what :meth:`monitor` did, with its arguments in either order; nothing happens if it did nothing."""
        listener, name = _listener_first(listener, name)
        pid = _pid(name)
        self.statistics.unsubscribe(STATS, parse_job_name(name) if pid is None else pid, listener)

    def _target(self, name: Any) -> tuple[Hashable, Find]:
        """Return what a subscription is known by, and the way to its processes."""
        pid = _pid(name)
        if pid is not None:
            return pid, self.get_process(pid).measurable
        job_name = self.job(name).name
        return job_name, lambda: [copy.process for copy in self.job(job_name).live()] if self.has_job(job_name) else []


def _pid(name: Any) -> int | None:
    """Return the pid that *name* is or stands for; None for the name of a job."""
    if isinstance(name, Process):
        return name.pid
    if isinstance(name, int):
        return name
    return int(name) if isinstance(name, str) and name.isdecimal() else None


def _listener_first(listener: Any, name: Any) -> tuple[Callable[..., Any], Any]:
    if not callable(listener):
        listener, name = name, listener
    if not callable(listener):
        raise BadRequest(f"a listener must be callable, not {listener!r}")
    return listener, name
