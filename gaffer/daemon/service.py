"""gafferd while it serves: one manager, its signals, its pidfile and its log."""

from __future__ import annotations

import logging
import os
import select
import sys
from functools import partial
from operator import attrgetter
from typing import Any, Callable

import gevent
from gevent.event import Event

from ..config.settings import Settings
from ..errors import ConfigError, GafferError
from ..events.loop_pause import pause
from ..manager.manager import Manager
from ..manager.shutdown import stop_text
from ..pidfile import Pidfile
from ..plugins.calling import Killed
from ..plugins.registry import PluginSet
from ..process import posix_spawn
from ..process.proc_scan import SubreaperScan
from ..process.reaper import Orphans, become_subreaper
from ..service.daemonize import Starter
from ..service.logging import Log, log_failures
from ..service.rlimits import inherit_nothing, raise_file_limit
from ..service.signals import STOP, Signals
from ..service.status_line import PERIOD, StatusLine
from ..supervisor.hunt import hunt
from ..version import __version__
from .checks import find_job_problems, find_problems, warn_of_unused
from .recovery import Leftovers, stops_of_jobs
from .reload import ConfigReload
from .signals import gafferd_actions

log = logging.getLogger("gafferd")

#: How long a start that was overtaken by a stop may take to end, in seconds.
BREAK_OFF = 1.0


class GafferdService:
    """Runs a manager from the first signal handler to the last log line.

    :param read: reads the settings again, for a reload.
    :param starter: the process that waits until we are ready, if we are a daemon.
    """

    def __init__(
        self, settings: Settings, plugin_set: PluginSet, read: Callable[[], Settings], starter: Starter | None
    ) -> None:
        self.settings = settings
        self.manager = Manager(settings=settings, plugin_set=plugin_set)
        self.stopping = False
        self._starter = starter
        self._log: Log | None = None
        self._reload = ConfigReload(self.manager, read, self._take_over)
        self.manager.reader = self._reload
        self._leftovers: Leftovers | None = None
        self._child_died = Event()
        self._started = Event()
        #: We were told to stop, and the manager has.
        self._stopped = Event()
        self._line: StatusLine | None = None

    def instead(self) -> int | None:
        """Do what the command line asks for instead of starting; returns the exit status of that, None to start."""
        status = self.manager.hooks.ask_first("gaffer_run_instead", settings=self.settings)
        return None if status is None else int(status)

    def check(self) -> None:
        """Find everything that is wrong.

        :raises ConfigError: lists it.
        """
        problems = find_problems(self.settings, self.manager)
        if problems:
            raise ConfigError(problems)

    def check_jobs(self) -> None:
        """Compare all jobs, as a start does.

        :raises ConfigError: lists the jobs that would get a port of another one, and what else does not fit together.
        """
        problems = find_job_problems(self.manager)
        if problems:
            raise ConfigError(problems)

    def run(self) -> None:
        """Serve until a signal or a command stops us.

        :raises GafferError: we could not start; nothing is left running.
        """
        if not posix_spawn.allow():
            inherit_nothing()
        if become_subreaper():
            scan, termination = SubreaperScan(self._known, self._unreaped), self.manager.engine.termination
            termination.find, termination.find_node = scan.find_survivors, scan.find_node_survivors
            termination.hunt, termination.cheap = partial(hunt, listing=scan.strangers), True
        self._log = Log(self.settings.get("error_log"), self.settings.get("log_level"))
        log_failures(gevent.get_hub())
        warn_of_unused(self.settings, self.manager)
        actions = gafferd_actions(self._stop, self._reread, self._reopen, self._child_died.set)
        signals = Signals(self.manager.loop, actions)
        signals.install()
        pidfile = Pidfile(self.settings.get("pidfile"))
        try:
            if pidfile.fname:
                pidfile.create(os.getpid())
                self._end_leftovers(pidfile.fname)
            self.manager.engine.file_limit = raise_file_limit()
            if not signals.arrived(*STOP):
                self._serve()
        finally:
            if self._leftovers is not None:
                self._leftovers.forget()
            pidfile.unlink()
            signals.finish()

    def _end_leftovers(self, pidfile: str) -> None:
        self._leftovers = Leftovers(pidfile, self.manager.node_id, stops_of_jobs(self.settings))
        if self.settings.get("orphans") == "stop":
            self._leftovers.end()
        else:
            self._leftovers.warn()

    def _serve(self) -> None:
        self._start()
        if self.manager.active:
            self._ready()
        self.manager.run()
        if self._line is not None:
            self._line.clear()
        log.info("stopped")

    def _start(self) -> None:
        """Start the manager; a plugin that waits in there for ever does not keep us from being stopped meanwhile.

        :raises BaseException: what the start raised, unless we were told to stop in the middle of it.
        """
        starting = gevent.spawn(_outcome, self.manager.start)
        gevent.wait([starting, self._stopped], count=1)
        starting.join(BREAK_OFF)
        if not starting.ready():
            log.warning("a plugin did not finish its start, which is broken off")
            starting.kill(Killed, timeout=BREAK_OFF)
        error = starting.value if starting.ready() else None
        if error is not None and not (self.stopping and isinstance(error, (GafferError, gevent.GreenletExit))):
            raise error

    def _ready(self) -> None:
        count = len(self.manager.jobs())
        jobs = "1 job" if count == 1 else f"{count} jobs"
        log.info("gafferd %s is ready with %s; process id %d", __version__, jobs, os.getpid())
        self._started.set()
        if self._starter is not None:
            if self.settings.get("error_log") is None:
                log.warning("nothing is logged from now on: a daemon needs --error-log FILE for that")
            self._starter.ready()
        from ..util import setproctitle_

        setproctitle_(f"gafferd: master [{self.settings.path or 'no configuration'}]")
        gevent.spawn(Orphans(self._known, rest=pause).run, self._child_died)

    # -- signals ----------------------------------------------------------------
    def _stop(self) -> None:
        if self.stopping:
            log.warning("second stop request: everything is killed now")
            self.manager.halt()
            return
        log.info("stopping; a second signal kills at once")
        self.stopping = True
        self.manager.stop(lambda manager: self._stopped.set())
        if sys.stderr is not None and sys.stderr.isatty():
            gevent.spawn(self._show_waiting)

    def _show_waiting(self) -> None:
        """Say on the terminal which jobs are waited for, and how long until KILL."""

        def text(seconds: float) -> str:
            return stop_text(self.manager, seconds, attrgetter("short"))

        self._line = line = StatusLine(text, sleep=self._stopped.wait)
        for handler in logging.getLogger().handlers:
            handler.addFilter(partial(_cleared, line))  # the log may be on the terminal, too
        while not self._stopped.is_set():
            if select.select([], [sys.stderr], [], 0)[1]:
                line.sleep(PERIOD)
            else:  # the terminal is held, by Ctrl-S say
                self._stopped.wait(PERIOD)
        line.clear()

    def _reread(self) -> None:
        # What is being loaded cannot be compared with anything yet.
        self._started.wait()
        self._reload.quietly()

    def _reopen(self) -> None:
        if self._log is not None:
            self._log.reopen()
            log.info("log opened again")
        self.manager.hooks.tell("gaffer_reopen_logs", manager=self.manager)

    def _take_over(self, settings: Settings) -> None:
        self.settings = settings
        if self._log is not None:
            self._log.set_level(settings.get("log_level"))

    def _known(self) -> set[int]:
        return {process.os_pid for process in self.manager.running.values()}

    def _unreaped(self) -> int:
        return sum(process.status is None for process in self.manager.running.values())


def _cleared(line: StatusLine, record: logging.LogRecord) -> bool:
    """Remove *line* before a record is printed."""
    line.clear()
    return True


def _outcome(function: Callable[[], Any]) -> BaseException | None:
    """Return what *function* raises: gevent would log what is raised in a greenlet."""
    try:
        function()
    except BaseException as error:
        return error
    return None
