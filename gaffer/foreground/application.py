"""``gaffer start``: an application until a signal, or one of its processes, ends it."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import IO, Any, Callable, Sequence

import gevent
from gevent.event import Event

from ..config.dependencies import EVERY, parse_dependency
from ..config.jobconfig import JobConfig
from ..console_output import RunConsole
from ..events.loop_pause import pause
from ..manager.manager import Manager
from ..manager.shutdown import stop_text
from ..process.reaper import Orphans
from ..service.exit_codes import BROKEN_PIPE
from ..service.rlimits import hold_standard_streams, raise_file_limit
from ..service.signals import STOP, Signals
from ..service.status_line import PATIENCE
from .exit_policy import ExitPolicy, process_names
from .guard import Guard
from .lifeline import Lifeline
from .stdin import Stdin
from .terminal import Windows

log = logging.getLogger("gaffer.foreground")

#: Signals that end the run; HUP comes from a terminal that is closed.
_STOP_SIGNALS = (*STOP, signal.SIGHUP)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run: restarts, colours, times and watched files.

    :param on_exit: what follows the end of a process: ``restart``, ``stop`` or ``ignore``.
    :param colorize: None decides by the terminal and ``NO_COLOR``.
    :param timestamps: whether lines begin with the time.
    :param watch: ``GLOB`` or ``TYPE=GLOB``: files whose change restarts all types, or one.
    """

    on_exit: str = "restart"
    colorize: bool | None = None
    timestamps: bool = True
    watch: tuple[str, ...] = ()


class CarefulHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Log to stderr unless it blocks: a stopped terminal would stop gaffer, too."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("gaffer: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if select.select([], [self.stream], [], 0)[1]:
            record.exc_info = None
            super().emit(record)


class ApplicationRun:
    """A run of an application, from the first process to the exit code.

    :param configs: its jobs.
    :param root: its folder.
    :param guard: looks after what we would leave if we were killed.
    :param stream: where output goes; a terminal gives every process one of its own.
    """

    def __init__(
        self,
        configs: Sequence[JobConfig],
        root: str,
        options: RunOptions,
        guard: Guard,
        stream: IO[str] | None = None,
    ) -> None:
        self._stream = stream or sys.stdout
        self._configs = configs
        self._terminal = self._stream.isatty()
        self._code = 0
        self._stopping = False
        names = [name for one in configs for name in process_names(one.job_name.job, one.numprocesses)]
        self.console = RunConsole(self._stream, names, options.colorize, options.timestamps, self._nobody_reads)
        self._ending = ExitPolicy(options.on_exit, self._ended)
        self._windows = Windows(self._stream, self.console.prefix_width)
        plugins: list[Any] = [self.console, Lifeline(guard)]
        if options.on_exit != "restart":
            plugins.append(self._ending)
        if any(config.redirect_input for config in configs):
            plugins.append(Stdin())
        if self._terminal:
            plugins.append(self._windows)
        if options.watch:
            from .watch import FileWatch

            plugins.append(FileWatch(configs, root, options.watch, self.console.say))
        self._here = {config.job_name for config in configs}
        builtin = ("depends",) if any(config.get("depends_on") for config in configs) else ()
        self.manager = Manager(plugins=plugins, builtin=builtin)
        self._ending.manager = self.manager

    def run(self) -> int:
        """Run the application; returns the exit code.

        :raises GafferError: it could not be started; nothing of it is left.
        """
        hold_standard_streams()
        logging.getLogger("gaffer").addHandler(CarefulHandler())
        # All plugins are ours here: on a busy machine they take their time, which a user cannot change.
        logging.getLogger("gaffer.hooks.slow").setLevel(logging.ERROR)
        manager = self.manager
        for config in self._configs:
            manager.load(self._adapted(config), origin="procfile")
        actions: dict[int, Callable[[], None]] = {number: partial(self._stop, number) for number in _STOP_SIGNALS}
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup has it: we outlive the terminal
            del actions[signal.SIGHUP]
        actions[signal.SIGWINCH] = partial(self._windows.resize, manager)
        if os.getpid() == 1:  # what lost its parent in our container is ours to reap
            died = Event()
            actions[signal.SIGCHLD] = died.set
            gevent.spawn(Orphans(self._known, rest=pause).run, died)
        signals = Signals(manager.loop, actions)
        signals.install()
        manager.engine.file_limit = raise_file_limit()
        try:
            manager.start()
            gc.freeze()
            gc.enable()
            manager.run()
        finally:
            left = self.console.close()
        if left:
            log.warning("%d bytes of output were not printed: standard output was not read in time", left)
        return self._code

    def _known(self) -> set[int]:
        return {process.os_pid for process in self.manager.running.values()}

    def _adapted(self, config: JobConfig) -> JobConfig:
        """Return the job as it runs here: one stream, so that lines stay in order, in a terminal if we have one."""
        changes: dict[str, Any] = {"redirect_output": ["stdout", "stdout"], "tty": self._terminal}
        if config.get("depends_on"):
            changes["depends_on"] = [text for text in config.depends_on if self._is_here(config, text)]
        return config.replace(**changes)

    def _is_here(self, config: JobConfig, dependency: str) -> bool:
        """Tell whether a dependency is on something that runs here: other sessions are on a gafferd."""
        one = parse_dependency(dependency)
        name = one.name(config.job_name.session)
        return name in self._here or one.job == EVERY and name.session == config.job_name.session

    def _stop(self, number: int) -> None:
        """Stop gracefully at the first signal; the second one kills."""
        if self._stopping:
            self._code = 128 + number
            self.manager.halt()
            return
        self._stopping = True
        if number == signal.SIGINT and self._terminal:
            self.console.say("gaffer", "stopping; press Ctrl-C again to kill")
            gevent.spawn(self._tell_waiting)
        self.manager.stop(lambda manager: None)

    def _tell_waiting(self) -> None:
        """Say which types are waited for, and how long until KILL: once, since what they write comes in between."""
        if not self.manager.shutdown.done.wait(PATIENCE):
            self.console.say("gaffer", stop_text(self.manager, PATIENCE, attrgetter("job")))

    def _ended(self, name: str, code: int, sentence: str) -> None:
        """End the run: :class:`ExitPolicy` decided so."""
        if not self._stopping:
            self._stopping = True
            self._code = code
            self.console.say(name, sentence)
            self.manager.stop(lambda manager: None)

    def _nobody_reads(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._code = BROKEN_PIPE
            self.manager.stop(lambda manager: None)
