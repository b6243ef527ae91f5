"""Events and statistics of a manager for those who subscribe to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Hashable, Iterator

from gevent.event import Event

from ..config.names import parse_job_name
from ..errors import BadRequest
from ..events.emitter import EventEmitter
from ..events.event_log import Follower
from ..process.process import Process
from ..process.sampler import Find, Sampler

if TYPE_CHECKING:
    from .job_table import JobTable
    from .process_table import ProcessTable

#: The name of what listeners of a manager get; those of a process get ``stat``.
STATS = "STATS"


class Channel(Follower):
    """Events to be taken one by one: ``for name, message in manager.subscribe("proc.web")``.

    A thousand wait; a slow subscriber loses the oldest, which ``lost`` counts. The end of the manager,
    or of the subscription, ends the loop.
    """

    def __init__(self, events: EventEmitter, topic: str) -> None:
        self.closed = False
        self._more = Event()
        super().__init__(events, topic, wake=self._more.set)

    def get(self, timeout: float | None = None) -> tuple[str, dict[str, Any]] | None:
        """Return the next event as ``(name, message)``, waiting for it; None if the channel ended first.

        :param timeout: seconds to wait at the most; then it is None too.
        """
        if not self._events and not self.closed:
            self._more.clear()
            self._more.wait(timeout)
        if not self._events:
            return None
        event = self._events.popleft()
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
        super().close()
        self._more.set()


class Subscriptions:
    """Subscriptions to the events of a manager and to the statistics of its processes."""

    def __init__(self, events: EventEmitter, statistics: Sampler, jobs: JobTable, processes: ProcessTable) -> None:
        self._events = events
        self._statistics = statistics
        self._jobs = jobs
        self._processes = processes

    def subscribe(self, topic: str, listener: Callable[..., Any] | None) -> Channel | None:
        """See :meth:`Manager.subscribe`."""
        topic = _pattern(topic)
        if listener is None:
            return Channel(self._events, topic)
        self._events.subscribe(topic, listener)
        return None

    def unsubscribe(self, topic: str, channel: Channel | Callable[..., Any]) -> None:
        """See :meth:`Manager.unsubscribe`."""
        topic = _pattern(topic)
        if isinstance(channel, Channel):
            channel.close()
        else:
            self._events.unsubscribe(topic, channel)

    def monitor(self, listener: Callable[..., Any], name: Any, interval: float) -> None:
        """See :meth:`Manager.monitor`."""
        whose, find = self._target(name)
        self._statistics.subscribe(STATS, whose, listener, find, interval)

    def unmonitor(self, listener: Callable[..., Any], name: Any) -> None:
        """See :meth:`Manager.unmonitor`."""
        pid = _pid(name)
        self._statistics.unsubscribe(STATS, parse_job_name(name) if pid is None else pid, listener)

    def _target(self, name: Any) -> tuple[Hashable, Find]:
        """Return what a subscription is known by, and the way to its processes."""
        pid = _pid(name)
        if pid is not None:
            return pid, self._processes.get(pid).measurable
        jobs, job_name = self._jobs, self._jobs.get(name).name
        return job_name, lambda: [copy.process for copy in jobs.get(job_name).live()] if job_name in jobs else []


def _pattern(topic: str) -> str:
    """Return the pattern of events that a topic stands for; ``/channel`` has others, which are no events.

    :raises BadRequest: it is one of those.
    """
    kind, _, rest = topic.partition(":")
    if kind == "EVENTS":
        return rest or "."
    if kind == "JOB" and rest:
        name = parse_job_name(rest)
        return f"job.{name.session}.{name.job}"
    if kind == "PROCESS" and rest:
        return f"proc.{rest}"
    if kind in ("STATS", "STREAM", "JOB", "PROCESS"):
        raise BadRequest(
            f"{topic!r} is no topic of events; they are patterns, EVENTS, EVENTS:PATTERN, JOB:SESSION.JOB and "
            "PROCESS:PID. Statistics come from monitor(), output from Process.monitor_io()"
        )
    return topic


def _pid(name: Any) -> int | None:
    """Return the pid that *name* is or stands for; None for the name of a job."""
    if isinstance(name, Process):
        return name.pid
    if isinstance(name, int):
        return name
    return int(name) if isinstance(name, str) and name.isdecimal() else None
