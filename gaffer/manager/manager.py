"""The manager: the public face of supervision (docs/python.rst).

A manager keeps the processes of its jobs alive. Its methods post messages to the
engine and wait for the answer, so they may be called from any greenlet, from
other threads where it says so, and from hooks; never from a callback of the hub.
"""

from __future__ import annotations

import builtins
import logging
import os
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Sequence

import gevent
from gevent.event import AsyncResult

from ..config.fields import Environment, Kind, Seconds, parse_signal
from ..config.jobconfig import JobConfig, JobFields
from ..config.names import JobName
from ..config.settings import option
from ..errors import BadRequest, Conflict, GafferError, NotFound, PluginError, Unavailable, described
from ..events.caller import CALLER
from ..events.emitter import EventEmitter, thread_id
from ..events.unpatched import native
from ..plugins.calling import Hooks
from ..plugins.registry import PluginSet
from ..process.process import Process
from ..process.ring_buffer import RingLimits
from ..process.sampler import MIN_STATS_INTERVAL, Sampler
from ..supervisor import messages
from ..supervisor.engine import Engine
from ..supervisor.job import FAILED, Job
from .compat import OldSpellings, listener_first
from .hub_check import HubCheck
from .job_table import JobTable
from .notifier import Notifier
from .process_table import ProcessTable
from .reconcile import FROM_CONFIGURATION, Reconciler, check_ports, parse, prepare
from .reports import Reports
from .rolling import LastGood, Roll
from .shutdown import Shutdown, in_stop_order, stop_in_order
from .strays import Strays
from .subscriptions import Channel, Subscriptions

if TYPE_CHECKING:
    from ..commands.authorization import Authorization
    from ..commands.table import CommandTable
    from ..plugins.registry import Site

log = logging.getLogger("gaffer.manager")

#: The most processes a job may be scaled to.
MAX_PROCESSES = 100_000


class Manager(OldSpellings):
    """Keeps the processes of jobs alive.

    :param loop: gevent's hub loop; accepted as in gaffer 0.5.
    :param apps: applications: objects with any of ``start(loop, manager)``, ``stop()``, ``restart()``.
    :param plugins: plugins of any kind.
    :param hookspecs: modules with hook specifications of your own.
    :param builtin: names of gaffer's own plugins to load: ``("stats", "http")``.
    :param settings: gafferd's settings; None when embedded.
    :param plugin_set: a set of plugins made already; gafferd makes its own.
    :param reaper: how ends of processes are noticed: ``pidfd``, or ``loop`` in a program that
        uses child watchers of gevent's loop itself (they take every status).
    :raises PluginError: a plugin cannot be used.
    """

    def __init__(
        self,
        loop: Any = None,
        apps: Iterable[Any] = (),
        plugins: Iterable[Any] = (),
        hookspecs: Iterable[Any] = (),
        builtin: Iterable[str] = (),
        *,
        settings: Any = None,
        plugin_set: PluginSet | None = None,
        reaper: str = "pidfd",
    ) -> None:
        self.loop = loop or gevent.get_hub().loop
        self.settings = settings
        self.node_id = os.urandom(6).hex()
        self.plugins = plugin_set or PluginSet(hookspecs)
        self.hooks = Hooks(self.plugins.pm)
        self.job_fields = JobFields()
        self.job_table = JobTable()
        self.process_table = ProcessTable()
        self.reports = Reports(self)
        self.events = EventEmitter(self.loop)
        #: Measures processes while their statistics are followed.
        self.statistics = Sampler(self.reports.measure)
        self.subscriptions = Subscriptions(self.events, self.statistics, self.job_table, self.process_table)
        #: How much output of processes is kept.
        self.rings = RingLimits()
        #: Processes that ended a while ago, for their output.
        self.past = self.process_table.ended
        #: Processes that live, and those just ending, by pid.
        self.running: dict[int, Process] = self.process_table.live
        self.state = "new"
        #: The exit code of the essential job that ended everything; None if none did.
        self.essential_code: int | None = None
        #: The latest rolling reload of jobs that had one.
        self.rolls: dict[Job, Roll] = {}
        #: Made at the start in programs other than gafferd.
        self.hub_check: HubCheck | None = None
        self._access: Authorization | None = None
        self._commands: CommandTable | None = None
        self.engine = Engine(
            self.loop,
            self.hooks,
            Notifier(self),
            self.node_id,
            launch=partial(Process.launch, reaper=reaper, rings=self.rings),
        )
        #: Finds descendants of processes that have exited.
        self.strays = Strays(self.engine)
        self.reconciler = Reconciler(self)
        self.shutdown = Shutdown(self)
        self._thread = thread_id()
        self.apps: list[tuple[str, Any]] = []
        #: How gafferd reads its configuration again; None when embedded, where :meth:`reload_config` does.
        self.reader: Callable[[bool], dict[str, Any]] | None = None
        self._made_at = time.monotonic()
        if builtin:
            self.plugins.load_entry_points(only=builtin)
        for plugin in plugins:
            self.plugins.add(plugin)
        for app in apps:
            self.plugins.add(app, app=True)
        self.hooks.historic("gaffer_job_settings", fields=self.job_fields)

    # -- life -----------------------------------------------------------------
    @property
    def active(self) -> bool:
        """True from its start until it is told to stop."""
        return self.state == "running"

    @property
    def access(self) -> Authorization:
        """Authentication and authorization; imported when first used."""
        if self._access is None:
            from ..commands.authorization import Authorization

            self._access = Authorization(self.hooks, self.process_table.job_of)
        return self._access

    @property
    def commands(self) -> CommandTable:
        """The table of all operations, for plugins that offer them to clients; imported when first asked for."""
        if self._commands is None:
            from ..commands.table import CommandTable

            self._commands = CommandTable(self)
        return self._commands

    def start(self, apps: Iterable[Any] = (), applications: Iterable[Any] | None = None) -> None:
        """Start: plugins get ready, jobs are loaded, processes start.

        :param apps: more applications.
        :param applications: gaffer 0.5's name for *apps*.
        :raises Conflict: it was started before. :raises GafferError: a plugin refused; nothing runs.
        """
        if self.state != "new":
            raise Conflict(f"the manager cannot be started: it is {self.state}")
        for app in [*apps, *(applications or ())]:
            self.plugins.add(app, app=True)
        self.plugins.check_mandatory()
        self.state = "starting"
        self.engine.start()
        try:
            self.plugins.configure(self.settings)
            self.hooks.ask_in_order("gaffer_manager_start", manager=self)
            for name, app in self.plugins.apps:
                self.apps.append((name, app))
                _call_app(name, app, "start", self.loop, self)
            self.reconciler.load()
        except BaseException:
            self.stop()
            raise
        if self.state != "starting":
            return  # it was stopped meanwhile
        self.state = "running"
        if self.settings is None:
            self.hub_check = HubCheck(self.loop)
        self.engine.release()
        self.hooks.tell("gaffer_ready", manager=self)

    def run(self) -> None:
        """Wait until the manager has stopped.

        :raises RuntimeError: it was never started.
        """
        if self.state == "new":
            raise RuntimeError("the manager is not started; call start() first")
        self.wait_stopped()

    def stop(self, callback: Callable[[Manager], Any] | None = None) -> None:
        """Stop gracefully: every job in reverse order of its start, then apps and plugins. From any thread.

        Waits until all is gone, unless *callback* is given, to be called then.
        A second call while it stops waits with the first.
        """
        if self.state == "stopped":
            if callback:
                callback(self)
            return
        if thread_id() != self._thread:
            self._from_thread(self.stop, callback)
            return
        if self.state != "stopping":
            self.state = "stopping"
            self.shutdown.start()
        if callback is not None:
            self.shutdown.callbacks.append(callback)
        elif gevent.getcurrent() is not gevent.get_hub():
            self.hooks.excuse(gevent.getcurrent())
            self.events.excuse(gevent.getcurrent())
            self.shutdown.done.wait()

    def halt(self) -> None:
        """Stop at once: KILL for every process and all it started, and no waiting for applications that do not stop.

        Does not wait itself; :meth:`run` does. From any thread.
        """
        if thread_id() != self._thread:
            self.later(self.halt)
            return
        self.stop(lambda manager: None)
        self.shutdown.hurry()

    def restart(self, callback: Callable[[Manager], Any] | None = None) -> None:
        """Replace the processes of every active job and call every app's ``restart``. From any thread.

        :raises GafferError: an app failed to restart; all others, and the jobs, were restarted.
        """
        if thread_id() != self._thread:
            self._from_thread(self.restart, callback)
            return
        for job in self.job_table.in_order():
            if job.active:
                self.engine.submit(job, messages.Restart())
        errors: list[GafferError] = []
        for name, app in self.apps:
            try:
                _call_app(name, app, "restart")
            except GafferError as error:
                errors.append(error)
        if callback is not None:
            callback(self)
        if errors:
            raise errors[0]

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped, at most *timeout* seconds; tells whether it has."""
        # Without jobs nothing is left that could wake the loop, so gevent would end it; other threads still can.
        awake = gevent.get_hub().loop.async_()
        awake.start(lambda: None)
        try:
            return bool(self.shutdown.done.wait(timeout))
        finally:
            awake.stop()
            awake.close()

    def __enter__(self) -> Manager:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def later(self, function: Callable[..., Any], *args: Any) -> None:
        """Call *function* in a greenlet of its own: the way to use the manager from a callback, or any thread."""
        if thread_id() != self._thread:
            self.loop.run_callback_threadsafe(gevent.spawn, function, *args)
        else:
            gevent.spawn(function, *args)

    def _from_thread(self, call: Callable[..., Any], callback: Callable[[Manager], Any] | None) -> None:
        """Run *call* with *callback* in the manager's thread; without one, wait until it is done."""
        if callback is not None:
            self.later(call, callback)
            return
        done = native("threading", "Event")()
        errors = []

        def run() -> None:
            try:
                call(lambda manager: done.set())
            except Exception as error:
                errors.append(error)
            finally:
                if errors:
                    done.set()

        self.later(run)
        # Two may call at once, and the manager's thread may end before it comes to the second.
        while not done.wait(1.0) and self.state != "stopped":
            pass
        if errors:
            raise errors[0]

    # -- jobs -----------------------------------------------------------------
    def load(
        self,
        config: JobConfig | Mapping[str, Any],
        sessionid: str | None = None,
        env: Mapping[str, str] | None = None,
        start: bool | None = None,
        *,
        origin: str = "api",
    ) -> Job:
        """Load a job.

        :param config: its settings.
        :param sessionid: its session; by default what its name says.
        :param env: more environment variables.
        :param start: start it now; by default its own ``start`` setting.
        :raises Conflict: it is loaded already, or a plugin refused.
        :raises InvalidConfig: lists what is wrong.
        """
        self.engine.check_may_wait()
        config = prepare(self, parse(self.job_fields, config, sessionid, env), origin)
        self._refuse_if_stopping("loaded")
        if origin not in FROM_CONFIGURATION:
            check_ports(self, config, config.numprocesses)
        job = self.job_table.add(config)
        start = config.start if start is None else start
        self._ordered(job, "started" if start else "loaded", origin)
        self.engine.observer.notify(job, messages.Notify("create"), time.time())
        if start:
            self.engine.submit(job, messages.Start())
        return job

    @staticmethod
    def _ordered(job: Job, verb: str, origin: str = "api") -> None:
        """Remember who had a job started or stopped."""
        who = "the configuration" if origin in FROM_CONFIGURATION else CALLER.get()
        job.order_given = (verb, who, time.time())

    def _refuse_if_stopping(self, what: str) -> None:
        if self.state in ("stopping", "stopped"):
            raise Unavailable(f"gaffer is stopping; no job can be {what}")

    def update(
        self,
        config: JobConfig | Mapping[str, Any],
        sessionid: str | None = None,
        env: Mapping[str, str] | None = None,
        start: bool | None = None,
        *,
        origin: str = "api",
    ) -> None:
        """Give a job a new configuration; its number is reset, processes are replaced if it matters to them.

        :param config: settings that a mapping leaves out get their defaults, except ``start``, which is kept.
        :param start: True starts, False stops; by default the job stays up or down as it is.
        :raises NotFound: no such job. :raises InvalidConfig: lists what is wrong.
        """
        self.engine.check_may_wait()
        new = parse(self.job_fields, config, sessionid, env)
        job = self.job(new)
        if not isinstance(config, JobConfig) and "start" not in config:
            new = new.replace(start=job.config.start)
        new = prepare(self, new, origin, previous=job.config)
        if origin not in FROM_CONFIGURATION:
            check_ports(self, new, new.numprocesses)
        if start:
            self._refuse_if_stopping("started")
        job = self.job(job.name)
        previous, new = job.config, new.replace(name=job.name.full)
        if start is not None:
            self._ordered(job, "started" if start else "stopped", origin)
        good = LastGood(previous, job.wanted)
        overtaken = self._end_roll(job)
        replacing = previous.needs_restart(new)
        if overtaken is not None and not overtaken.done and overtaken.good is not None:
            good, replacing = overtaken.good, True  # some processes may still have the configuration before that
        rolling = new.reload == "rolling" and job.active and start is not False and replacing
        self.engine.submit(job, messages.Update(new, start, replace=not rolling))
        if rolling:
            self._roll(job, good)
        elif replacing and not previous.needs_restart(new):
            self.engine.submit(job, messages.StopAll())  # what the overtaken reload has not replaced

    def _end_roll(self, job: Job) -> Roll | None:
        """Let a rolling reload know that another order came; returns it."""
        roll = self.rolls.pop(job, None)
        if roll is not None:
            roll.changed.set()
        return roll

    def _roll(self, job: Job, good: LastGood | None = None) -> None:
        roll = self.rolls[job] = Roll(self, job, good)
        roll.start()

    def unload(self, name_or_process: Any, sessionid: str | None = None) -> None:
        """Remove a job; its processes are stopped.

        :param name_or_process: its name or its configuration.
        :raises NotFound: no such job. :raises Conflict: a plugin refused.
        """
        self.engine.check_may_wait()
        job = self.job(name_or_process, sessionid)
        self.hooks.ask("gaffer_before_unload", job=job)
        if self.job_table.unload(job):
            self.engine.submit(job, messages.Unload())

    def reload(self, name: Any, sessionid: str | None = None) -> None:
        """Reset a job's number to the configured one and replace all its processes, as its ``reload`` settings say."""
        job = self.job(name, sessionid)
        self._end_roll(job)
        if job.config.reload_signal is not None or (job.config.reload == "rolling" and job.active):
            self.engine.submit(job, messages.Scale(job.config.numprocesses))
            if job.config.reload_signal is not None:
                self.killall(job.name, job.config.reload_signal)
            else:
                self._roll(job)
        else:
            self.engine.submit(job, messages.Reload())

    def start_job(self, name: Any) -> None:
        """Start a job; one that failed or waits is tried at once."""
        job = self.job(name)
        self._refuse_if_stopping("started")
        self._ordered(job, "started")
        self.engine.submit(job, messages.Start())

    def stop_job(self, name: Any) -> None:
        """Stop a job: all its processes, none comes back. Does not wait for their end."""
        job = self.job(name)
        self._end_roll(job)
        self._ordered(job, "stopped")
        self.engine.submit(job, messages.Stop())

    def stop_in_order(self, jobs: Sequence[Job], stop: Callable[[JobName], Any]) -> None:
        """Stop some jobs as the end of the manager does: those of one priority when those of the next have ended.

        Plugins may part them further, as a job ends before what it depends on. The end of the last ones is not waited
        for, so jobs that stop together are stopped without waiting.

        :param jobs: in the order of their start.
        :param stop: :meth:`stop_job` or :meth:`unload`.
        """
        self.engine.check_may_wait()
        stop_in_order(self, jobs, stop)

    def stop_groups(self, jobs: Sequence[Job]) -> builtins.list[builtins.list[Job]]:
        """Return the groups in which :meth:`stop_in_order` stops jobs: each when the one before it has ended.

        :param jobs: in the order of their start.
        """
        return in_stop_order(self.hooks, jobs)

    def essential_ended(self, job: Job) -> None:
        """Stop everything, since an essential job has ended by itself for good. Does not wait."""
        if self.state not in ("starting", "running") or self.essential_code is not None:
            return
        status = job.last_exit
        failed = any(copy.state == FAILED for copy in job.copies.values())
        self.essential_code = (status.exit_code if status is not None else 0) or int(failed)
        log.error(
            "job %s is essential and has ended with %s: everything is stopped", job.name, status or "a failed start"
        )
        self.later(self.stop)

    def restart_job(self, name: Any, rolling: bool = False) -> None:
        """Replace all processes of a job; a stopped one is started.

        :param rolling: one after another, each when the one before is ready.
        """
        job = self.job(name)
        self._refuse_if_stopping("started")
        self._end_roll(job)
        self._ordered(job, "restarted")
        if rolling and job.active:
            self._roll(job)
        else:
            self.engine.submit(job, messages.Restart())

    def stopall(self, name: Any) -> None:
        """Stop all processes of a job; they are replaced."""
        self.engine.submit(self.job(name), messages.StopAll())

    def scale(self, name: Any, n: int | str) -> int:
        """Change the wanted number of processes; returns it.

        :param n: ``2`` and ``"+2"`` add, ``-1`` and ``"-1"`` remove, ``"=3"`` sets. Never below 0.
        """
        job = self.job(name)
        while True:
            before = job.wanted
            count = self._agreed(job, max(0, _scaled(before, n)))
            if self.engine.submit(None, partial(self._scale, job, before, count)):
                return count

    def _agreed(self, job: Job, count: int) -> int:
        """Return the number of processes that plugins agree to."""
        answer = self.hooks.ask_first("gaffer_before_scale", job=job, count=count)
        if answer is not None:
            if isinstance(answer, bool) or not isinstance(answer, int):
                raise PluginError(f"a plugin answered gaffer_before_scale with {answer!r}, which is no number")
            count = max(0, answer)
        if count > MAX_PROCESSES:
            raise BadRequest(f"a job may have up to {MAX_PROCESSES} processes, not {count}")
        if count > job.wanted:
            check_ports(self, job.config, count)
        return count

    def _scale(self, job: Job, before: int, count: int) -> bool:
        """Called in the engine: take the new number, unless the old one was changed meanwhile."""
        if job.wanted != before:
            return False
        self.engine.submit(job, messages.Scale(count))
        return True

    def commit(self, name: Any, graceful_timeout: float | None = None, env: Mapping[str, str] | None = None) -> int:
        """Start one extra process that is not counted and not replaced; returns its pid.

        :param graceful_timeout: seconds between the stop signal and KILL; by default (or 0) the job's.
        :param env: more environment variables.
        :raises Unavailable: it could not be started. :raises Conflict: a plugin refused.
        :raises BadRequest: *env* or *graceful_timeout* cannot be.
        """
        job = self.job(name)
        more: dict[str, str] = dict(_checked("env", Environment(), dict(env or {})))
        patience = _checked("graceful_timeout", Seconds(), graceful_timeout or 0)
        if not self.active:
            raise Unavailable(f"gaffer is {self.state}; nothing can be committed")
        pid, started = self.engine.next_pid(), AsyncResult()
        job.asked.add(pid)
        try:
            self.hooks.ask("gaffer_before_commit", job=job)
            self.engine.submit(job, messages.Commit(pid, more or None, patience or None, answer=started.set))
            error = started.get()
        finally:
            job.asked.discard(pid)
        if error is not None:
            raise error if isinstance(error, Conflict) else Unavailable(str(error))
        return pid

    def get(self, name: Any) -> JobConfig:
        """Return a job's configuration."""
        return self.job(name).config

    def jobs(self, sessionid: str | None = None) -> list[str]:
        """Return the full names of all jobs, or of one session's.

        :raises NotFound: no such session.
        """
        return [name.full for name in self.job_table.names(sessionid)]

    @property
    def sessions(self) -> list[str]:
        """The sessions that have jobs."""
        return self.job_table.sessions

    def job(self, name: Any, sessionid: str | None = None) -> Job:
        """Return a job by any spelling of its name, or by its configuration.

        :raises NotFound: no such job.
        """
        return self.job_table.get(name, sessionid)

    def has_job(self, name: JobName) -> bool:
        """Tell whether a job is loaded."""
        return name in self.job_table

    def info(self, name: Any) -> dict[str, Any]:
        """Return a job with its state, as ``GET /jobs/S/J`` shows it."""
        return self.reports.job(self.job(name))

    def why(self, name: Any) -> dict[str, Any]:
        """Return why a job is in its state: a chain of causes, as ``GET /jobs/S/J/why`` shows it.

        :raises NotFound: no such job.
        """
        from .why import explain

        return explain(self, self.job(name))

    def all_jobs(self) -> list[Job]:
        """Return every job in start order, those that are leaving last."""
        return self.job_table.all()

    # -- processes ----------------------------------------------------------------
    def pids(self, name: Any = None) -> builtins.list[int]:
        """Return the pids of all processes, or of one job's."""
        if name is None:
            return sorted(self.running)
        return [copy.process.pid for copy in self.job(name).live()]

    def list(self, name: Any = None) -> builtins.list[Process]:
        """Return the processes, all or one job's."""
        return [self.running[pid] for pid in self.pids(name) if pid in self.running]

    def get_process_id(self) -> int:
        """Return a new pid, never used before or after: for a process of your own beside the manager's."""
        return self.engine.next_pid()

    def get_process(self, pid: int) -> Process:
        """Return a live process.

        :raises NotFound: no such process, or it is gone.
        """
        return self.process_table.get(pid)

    def any_process(self, pid: int) -> Process | None:
        """Return a process that lives, or ended a short while ago; None if there is none."""
        return self.process_table.find(pid)

    def find_process(self, pid: int) -> Process:
        """Return a process that lives, or ended a short while ago.

        :raises NotFound: there is none, or it ended too long ago.
        """
        return self.any_process(pid) or self.get_process(pid)

    def process_info(self, pid: int) -> dict[str, Any]:
        """Return what ``GET /PID`` shows (docs/http-api.rst)."""
        return self.get_process(pid).info

    def kill(self, pid: int, sig: int | str, group: bool = False) -> None:
        """Send a signal to a process.

        :param group: send it to all of its group, as a stop does.
        :raises BadRequest: no such signal. :raises NotFound: no such process.
        """
        self.get_process(pid).kill(_parse_signal(sig), group)

    def killall(self, name: Any, sig: int | str, group: bool = False) -> int:
        """Send a signal to every process of a job; returns how many got it.

        :param group: send it to all of their groups.
        """
        signum, sent = _parse_signal(sig), 0
        for copy in self.job(name).live():
            with suppress(NotFound):
                copy.process.kill(signum, group)
                sent += 1
        return sent

    def signalled(self, process: Process, signum: int) -> None:
        """Called by a process that was sent a signal."""
        owned = self.engine.termination.owned(process.pid)
        if owned is not None:
            self.engine.observer.signalled(owned.job, process, signum)

    def stop_process(self, pid: int) -> None:
        """Stop one process; its job replaces it. Does not wait for its end."""
        self.get_process(pid)
        owned = self.engine.termination.owned(pid)
        if owned is not None:
            self.engine.submit(owned.job, messages.StopPid(pid))

    def set_ready(self, pid: int, ready: bool = True, reason: str = "") -> None:
        """Say whether a process can be used; nothing happens if it is gone or being stopped.

        Does not wait. A process is ready once it has lived ``min_uptime``, unless ``gaffer_before_spawn`` gave its
        plan a reason why it is not (``plan.unready``).

        :param reason: why, in a sentence: what ``status`` shows of one that is not ready.
        """
        self._post(pid, messages.SetReady(pid, ready, reason))

    def fail_process(self, pid: int, reason: str) -> None:
        """Stop a process that does not work; nothing happens if it is gone or being stopped.

        Does not wait. It counts as a death: the job's restart policy decides what follows, and shows the reason.

        :param reason: what is wrong, in a sentence.
        """
        self._post(pid, messages.Fail(pid, reason))

    def _post(self, pid: int, message: Any) -> None:
        owned = self.engine.termination.owned(pid)
        if owned is not None:
            self.engine.post(owned.job, message)

    def release(self, name: Any) -> None:
        """Ask plugins again about the starts of a job that they hold; see :class:`gaffer.errors.Hold`. Does not wait.

        :raises NotFound: no such job.
        """
        self.engine.post(self.job(name), messages.Release())

    def send(self, pid: int, lines: Any, stream: str | None = None) -> None:
        """Write to a process' stdin, or to one of its custom streams.

        :param lines: bytes, text, or a list of them.
        """
        self.get_process(pid).writelines([lines] if isinstance(lines, (bytes, str)) else lines, stream)

    # -- statistics, events, health ----------------------------------------------
    def stats(self, name: Any) -> dict[str, Any]:
        """Return the statistics of a job's processes with their sums (docs/http-api.rst).

        :raises Unavailable: no plugin collects statistics.
        """
        return self.reports.stats([self.job(name)])[0]

    def all_stats(self) -> builtins.list[dict[str, Any]]:
        """Return the statistics of every job, all measured at once.

        :raises Unavailable: no plugin collects statistics.
        """
        return self.reports.stats([self.job(name) for name in self.job_table.names()])

    def process_stats(self, pid: int) -> dict[str, Any]:
        """Return the statistics of one process."""
        return self.reports.process_stats(self.get_process(pid))

    def sites(self) -> builtins.list[Site]:
        """Return all sites, those of folders before those that plugins name; they may change at any time."""
        return self.reports.sites()

    def health(self) -> dict[str, Any]:
        """Return whether all is well, with the counters of every plugin."""
        return self.reports.health()

    def uptime(self) -> float:
        """Return the seconds since the manager was made."""
        return time.monotonic() - self._made_at

    def reload_config(self, settings: Any = None, force: bool = True) -> dict[str, builtins.list[str]]:
        """Take a new configuration and touch only the jobs that it changes.

        Jobs that did not come from the configuration stay as they are.

        :param settings: gafferd's new settings; None asks the job sources again.
        :param force: if false, more than half of the jobs of the configuration are never unloaded at once.
        :returns: full names of jobs under ``loaded``, ``unloaded``, ``updated``, ``unchanged``.
        :raises GafferError: a job cannot be loaded; everything stays as it was.
        """
        return self.reconciler.reload(settings, force)

    def option(self, name: str, default: Any = None) -> Any:
        """Return an option of gafferd, or *default*, as ``gaffer.api.option`` does."""
        return option(self.settings, name, default)

    def subscribe(self, topic: str, listener: Callable[..., Any] | None = None) -> Channel | None:
        """Call ``listener(event, message)`` for the events that *topic* selects (docs/events.rst).

        :returns: without a listener, a :class:`~gaffer.manager.subscriptions.Channel` to take them from.
        """
        return self.subscriptions.subscribe(topic, listener)

    def unsubscribe(self, topic: str, channel: Channel | Callable[..., Any]) -> None:
        """Take a subscription back; nothing happens if there is none.

        :param channel: the listener, or what :meth:`subscribe` returned.
        """
        self.subscriptions.unsubscribe(topic, channel)

    def monitor(self, listener: Any, name: Any, interval: float = MIN_STATS_INTERVAL) -> None:
        """Call ``listener("STATS", statistics)`` for each process of a job, every *interval* seconds.

        Both orders of the first two arguments will do: the listener is the one that can be called.

        :param name: a job, also one that is unloaded and loaded again meanwhile; or the pid of a process.
        :param interval: seconds, at least 0.1.
        :raises NotFound: no such job or process. :raises Unavailable: no plugin collects statistics.
        """
        self.subscriptions.monitor(*listener_first(listener, name), interval)

    def unmonitor(self, listener: Any, name: Any) -> None:
        """Take back what :meth:`monitor` did, with its arguments in either order; nothing happens if it did nothing."""
        self.subscriptions.unmonitor(*listener_first(listener, name))


def _call_app(name: str, app: Any, method: str, *args: Any) -> None:
    """Call one of an application's methods, each of which is optional; what it raises gets its name."""
    function = getattr(app, method, None)
    if not callable(function):
        return
    try:
        function(*args)
    except GafferError:
        raise
    except (Exception, SystemExit) as error:
        log.error("application %s failed to %s: %r", name, method, error, exc_info=error)
        raise PluginError(f"application {name} failed to {method}: {described(error)}") from error


def _parse_signal(value: Any) -> int:
    try:
        return parse_signal(value)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _scaled(current: int, n: Any) -> int:
    """Return the new number for the operation *n* on *current*."""
    if isinstance(n, bool) or not isinstance(n, (int, str)):
        raise BadRequest(f"scale takes a number, '+N', '-N' or '=N', not {n!r}")
    text = str(n).strip()
    digits = text[1:] if text[:1] in ("+", "-", "=") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise BadRequest(f"scale takes a number, '+N', '-N' or '=N', not {n!r}")
    if text[0] == "=":
        return int(digits)
    return current - int(digits) if text[0] == "-" else current + int(digits)


def _checked(name: str, kind: Kind, value: Any) -> Any:
    """Return the value of argument *name*, if it is of that kind."""
    try:
        return kind.check(value)
    except ValueError as wrong:
        raise BadRequest(f"{name}: {wrong}") from wrong
