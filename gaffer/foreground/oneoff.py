"""``gaffer run``: one command with the application's environment, as if typed in the terminal.

It runs in our own process group and so in the terminal's foreground: it reads the terminal, Ctrl-C and Ctrl-Z
reach it as they reach us. Signals that were sent to us alone are passed on. No event loop is needed for that.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from typing import Callable, Sequence

from ..config.jobconfig import JobConfig
from ..errors import SpawnError
from ..process.environment import process_environment
from ..process.proc_scan import ID_VARIABLE
from ..process.reaper import reap_all_but
from ..process.spawn import failure, identity, make_plan
from ..procfile.application import ProcfileApplication
from ..procfile.parser import job_settings

#: The name of a command in the environment: PS is ``run.1``.
PROCESS_NAME = "run"
#: Signals that are forwarded to the command instead of ending gaffer.
_FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def one_off(application: ProcfileApplication, words: Sequence[str], number: int = 1) -> JobConfig:
    """Return a command as a job of an application: what it runs, where, and with what environment.

    :param words: the command; a single word may be a type of the Procfile, or a line as it has them.
    :param number: how many copies.
    :raises InvalidConfig: it cannot be used.
    """
    known = next((one for one in application.types if [one.name] == list(words)), None)
    line = words[0] if len(words) == 1 else shlex.join(words)
    port = None
    if known is not None:
        line, port = known.command, known.port
    settings = job_settings(PROCESS_NAME, line, application.env, application.root, number, port)
    return JobConfig.from_dict({**settings, "redirect_input": False, "stdin": "null"})


def run(config: JobConfig) -> int:
    """Run the command of a job in the terminal until it ends; returns its exit code, 128 + n after signal n.

    :raises SpawnError: one sentence with the system's reason.
    """
    env = process_environment(config, 0, os.environ.get(ID_VARIABLE))  # a gaffer that runs us must find it
    plan = make_plan(config, env, 0, 0)
    passed = {number for number in _FORWARDED_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    # From before there is a command, so that none is lost between its start and our waiting.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed, signal.SIGCHLD})
    try:
        child = subprocess.Popen(
            plan.argv, env=plan.env, cwd=plan.cwd, preexec_fn=_in_child(passed, before), **identity(config)
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise SpawnError(failure(plan, config, error)) from error
    _wait(child, passed)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wait(child: subprocess.Popen[bytes], passed: set[signal.Signals]) -> None:
    """Wait for the end of *child* and pass signals on, which are blocked."""
    expected = {*passed, signal.SIGCHLD}
    while child.poll() is None:
        number, sent = _next_signal(expected)
        if number != signal.SIGCHLD and sent:
            child.send_signal(number)
        if number == signal.SIGCHLD and os.getpid() == 1:
            reap_all_but(child.pid)


def _next_signal(expected: set[signal.Signals]) -> tuple[int, bool]:
    """Return the next signal, and whether a process sent it; the terminal sends its own to the command, too."""
    if sys.platform == "linux":
        info = signal.sigwaitinfo(expected)
        return info.si_signo, info.si_code <= 0  # above, it is the kernel's (sigaction(2))
    number = signal.sigwait(expected)
    return number, number not in (signal.SIGINT, signal.SIGQUIT)


def _in_child(passed: set[signal.Signals], mask: set[int]) -> Callable[[], None]:
    """Return the function that the child calls before it executes the command.

    There is no second thread here that could hold a lock at the fork.
    """
    ask = _death_signal(os.getpid())

    def prepare() -> None:
        if ask is not None:
            ask()
        for number in passed:  # Python's handler of SIGINT would take one that came meanwhile
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return prepare


def _death_signal(parent: int) -> Callable[[], None] | None:
    """Return the call that sets the death signal of the child."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)

    return ask
