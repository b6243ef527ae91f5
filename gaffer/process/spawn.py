"""Native start of one process: vfork through posix_spawn or subprocess, never gevent's fork.

gevent's Popen and ``preexec_fn`` fork the whole interpreter, ten times slower and
slower still as it grows. A native Popen with these arguments uses vfork; only
another user needs a real fork, which Python does by itself.
"""

from __future__ import annotations

import errno
import os
import pwd
import resource
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Iterator, Mapping

from ..config.command_template import TemplateVariable, expand_word, make_template
from ..config.fields import Account
from ..config.jobconfig import JobConfig
from ..errors import SpawnError
from ..security.inherited_environment import inherited
from . import posix_spawn
from .environment import working_folder
from .proc_scan import ID_VARIABLE

#: First descriptor of custom streams; 0 to 2 are stdin, stdout and stderr.
FIRST_EXTRA = 3
_FDEXEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_fdexec.py")
_DEVNULL = subprocess.DEVNULL
#: So many descriptors are to be free below the limit that a child inherits.
SPARE_DESCRIPTORS = 64


@dataclass
class SpawnPlan:
    """A start to come; ``gaffer_before_spawn`` may change it.

    :param argv: the command and its arguments.
    :param env: the whole environment.
    :param cwd: working directory, None for gafferd's.
    :param index: number of the copy, -1 for a committed process.
    :param pid: gaffer's id of the process to be.
    :param window: rows and columns of its terminal, where the job has ``tty``.
    :param unready: why it is not ready at its start, if a plugin will say when it is, with
        :meth:`gaffer.Manager.set_ready`; None if it is ready once it has lived ``min_uptime``.
    """

    # Neither is in the representation, which ends up in logs: they hold secrets.
    argv: list[str] = field(repr=False)
    env: dict[str, str] = field(repr=False)
    cwd: str | None
    index: int
    pid: int
    sinks: dict[str, list[Any]] = field(default_factory=dict)
    window: tuple[int, int] = (24, 80)
    unready: str | None = None


def make_plan(config: JobConfig, env: dict[str, str], index: int, pid: int) -> SpawnPlan:
    """Return the plan of a start, before plugins may change it.

    :raises SpawnError: the command uses a variable that is not in *env*.
    """
    return SpawnPlan(command(config, env), env, working_folder(config), index, pid)


def command(config: JobConfig, env: Mapping[str, str]) -> list[str]:
    """Return the words to execute, variables replaced.

    :raises SpawnError: a variable is not in *env*.
    """
    if config.shell:
        return ["/bin/sh", "-c", config.shell_line]
    template = config.template or make_template(config.cmd, config.args)
    try:
        return template.expand(env)
    except ValueError as error:
        raise SpawnError(f"{error}; use fewer or shorter variables") from None
    except KeyError as missing:
        raise SpawnError(
            f"unknown variable ${missing.args[0]} in the command; set it in env, or write $$ for a dollar"
        ) from None


def execute(
    plan: SpawnPlan,
    config: JobConfig,
    stdio: tuple[int, int, int],
    extra: tuple[int, ...] = (),
    limit: tuple[int, int] | None = None,
) -> int:
    """Start the process of *plan* in a session of its own; returns its os_pid.

    :param stdio: descriptors for 0, 1 and 2; -1 for the null device.
    :param extra: descriptors the child finds from 3 up.
    :param limit: RLIMIT_NOFILE for the child, soft and hard; None for ours.
    :raises SpawnError: one sentence with the system's reason.
    """
    try:
        if extra:
            return _execute_with_extra(plan, config, stdio, extra, limit)
        if limit is None:
            return _execute(plan, config, stdio)
        # Only while no thread here can need a descriptor above the limit: threads may open files at any time.
        if 0 <= max(stdio) < limit[0] - SPARE_DESCRIPTORS:
            return _execute_limited(plan, config, stdio, limit)
        os_pid = _execute(plan, config, stdio)
        limit_files(os_pid, limit)
        return os_pid
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SpawnError(failure(plan, config, error)) from error


def _execute(plan: SpawnPlan, config: JobConfig, stdio: tuple[int, int, int]) -> int:
    who = identity(config)
    started = None if who else _start_plainly(plan, config, stdio)
    return started or _popen(plan.argv, plan, config, stdio, env=plan.env, **who)


def _execute_limited(plan: SpawnPlan, config: JobConfig, stdio: tuple[int, int, int], limit: tuple[int, int]) -> int:
    """Let the child inherit *limit*: set from outside, a program that asks at once would see ours."""
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # our hard limit was lowered: the child has that then
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    try:
        return _execute(plan, config, stdio)
    finally:
        with suppress(ValueError, OSError):  # as above; the process has started and must not be lost for that
            resource.setrlimit(resource.RLIMIT_NOFILE, ours)


def _start_plainly(plan: SpawnPlan, config: JobConfig, stdio: tuple[int, int, int]) -> int | None:
    """Start the process the fastest way, if nothing stands against it; else return None."""
    if not posix_spawn.allowed() or plan.cwd is not None or config.umask is not None:
        return None
    if any(0 <= fd < FIRST_EXTRA for fd in stdio):
        return None  # one would be closed before it is used
    name = plan.argv[0]
    program = name if os.sep in name else find_program(name, plan.env.get("PATH", os.defpath))
    return posix_spawn.start(program, plan.argv, plan.env, stdio)


def _popen(argv: list[str], plan: SpawnPlan, config: JobConfig, stdio: tuple[int, int, int], **arguments: Any) -> int:
    with _default_signals():
        popen = subprocess.Popen(
            argv,
            cwd=plan.cwd,
            stdin=_DEVNULL if stdio[0] < 0 else stdio[0],
            stdout=_DEVNULL if stdio[1] < 0 else stdio[1],
            stderr=_DEVNULL if stdio[2] < 0 else stdio[2],
            start_new_session=True,
            umask=-1 if config.umask is None else config.umask,
            **arguments,
        )
    # Status and end are the engine's business, by pidfd; Popen must not think of it any more.
    popen.returncode = 0
    return popen.pid


#: Signals that a shell or nohup may have made us ignore.
_OFTEN_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD)


@contextmanager
def _default_signals() -> Iterator[None]:
    """Have a child react to signals as usual: what is ignored stays so after exec, what has a handler does not.

    So signals that this program ignores get a handler for that moment, which ignores them too (execve(2)).
    """
    ignored = [signum for signum in _OFTEN_IGNORED if signal.getsignal(signum) is signal.SIG_IGN]
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield  # other threads cannot change it
        return
    for signum in ignored:
        signal.signal(signum, lambda number, frame: None)
    try:
        yield
    finally:
        for signum in ignored:
            signal.signal(signum, signal.SIG_IGN)


def _execute_with_extra(
    plan: SpawnPlan,
    config: JobConfig,
    stdio: tuple[int, int, int],
    extra: tuple[int, ...],
    limit: tuple[int, int] | None,
) -> int:
    """Start the process by way of ``_fdexec.py``, which runs in our environment until it becomes the command."""
    check_executable(plan, config)
    who = identity(config)
    if who and os.geteuid() != 0:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    become = ""
    if who:
        become = f"{who['user']}:{who['group']}:{','.join(map(str, who['extra_groups']))}"
    entries = [os.fsencode(f"{name}={value}") for name, value in plan.env.items()]
    if any(b"\0" in entry for entry in entries):
        raise ValueError("embedded null byte")
    with _unnamed_file() as file:
        file.write(b"".join(entry + b"\0" for entry in entries))
        file.flush()
        passed = ",".join(map(str, extra))
        bounds = f"{limit[0]}:{limit[1]}" if limit else ""
        argv = [sys.executable, "-I", "-S", _FDEXEC, str(file.fileno()), passed, bounds, become, *plan.argv]
        env = {**inherited(), ID_VARIABLE: plan.env.get(ID_VARIABLE, "")}
        return _popen(argv, plan, config, stdio, env=env, pass_fds=(*extra, file.fileno()))


def _unnamed_file() -> IO[bytes]:
    """Return a file in memory where the system has that (memfd_create(2)), else a temporary one without a name."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("gaffer-environment"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def identity(config: JobConfig) -> dict[str, Any]:
    """Return Popen's user, group and extra_groups; nothing when they are ours already."""
    if config.uid is None and config.gid is None:
        return {}
    uid = os.geteuid() if config.uid is None else Account().lookup(config.uid)
    account = pwd.getpwuid(uid)
    gid = account.pw_gid if config.gid is None else Account(group=True).lookup(config.gid)
    if os.geteuid() != 0 and (uid, gid) == (os.geteuid(), os.getegid()):
        return {}
    return {"user": uid, "group": gid, "extra_groups": os.getgrouplist(account.pw_name, gid)}


def check_executable(plan: SpawnPlan, config: JobConfig) -> None:
    """Find out beforehand what exec would say, for what is started by a wrapper: its own failure comes too late.

    :raises SpawnError: the command is not there, or no program.
    """
    name = plan.argv[0]
    if plan.cwd is not None and not os.path.isdir(plan.cwd):
        return  # Popen says it better
    if os.sep in name:
        name = os.path.join(plan.cwd or "", name)
    program = find_program(name, plan.env.get("PATH", os.defpath))
    if program is None:
        raise SpawnError(f"cannot execute {shown_program(plan, config)!r}: not found or not executable")
    who = identity(config)
    if who and os.geteuid() == 0 and not _may_execute(program, who):
        raise SpawnError(f"cannot execute {shown_program(plan, config)!r}: {os.strerror(errno.EACCES)}")


def _may_execute(program: str, who: dict[str, Any]) -> bool:
    """Return True if another user may execute a file; asked as that user, since only the kernel knows all rules."""
    command = ["/bin/sh", "-c", 'test -x "$0"', os.path.abspath(program)]
    return subprocess.run(command, stdin=_DEVNULL, stdout=_DEVNULL, stderr=_DEVNULL, env={}, **who).returncode != 1


def find_program(name: str, path: str) -> str | None:
    """Return the file that *name* means, as shutil.which does; that one imports half of all archive formats.

    :param path: folders, as in the variable PATH; of no meaning for a name with a slash.
    """
    folders = [""] if os.sep in name else path.split(os.pathsep)
    for file in (os.path.join(folder, name) for folder in folders):
        if os.access(file, os.X_OK) and not os.path.isdir(file):
            return file
    return None


def shown_program(plan: SpawnPlan, config: JobConfig) -> str:
    """Return the name of the program as sentences may say it: with ``$TOKEN``, and not with its value.

    Everyone with ``read`` on the job sees its events, but ``manage`` is needed to see its environment.
    """
    program = plan.argv[0]
    if config.shell:
        return program
    template = config.template or make_template(config.cmd, config.args)
    if template.fixed is not None:
        return program
    first = template.words[0]
    with suppress(KeyError):
        if program == expand_word(first, plan.env):
            return "".join(f"${part.name}" if isinstance(part, TemplateVariable) else part for part in first)
    return program


#: Bytes of a script's first line that are read for an explanation.
MAX_FIRST_LINE = 256


def failure(plan: SpawnPlan, config: JobConfig, error: Exception) -> str:
    """Return the sentence that says why a process could not be started."""
    name = shown_program(plan, config)
    if not isinstance(error, OSError):
        return f"cannot execute {name!r}: {error}"
    reason = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"cannot execute {name!r}: {reason}; raise the limit of open files"
    if plan.cwd is not None and not os.path.isdir(plan.cwd):
        return f"cannot enter directory {plan.cwd!r}: {reason}"
    if isinstance(error, PermissionError) and identity(config) and os.geteuid() != 0:
        return f"cannot execute {name!r} as another user: {reason}; uid and gid need root"
    if isinstance(error, PermissionError) and plan.cwd is not None and error.filename == plan.cwd:
        return f"cannot enter directory {plan.cwd!r}: {reason}; let the job's user enter it, or choose another cwd"
    return f"cannot execute {name!r}: {_explained(_program_path(plan), error) or reason}"


def _program_path(plan: SpawnPlan) -> str:
    word = plan.argv[0]
    if os.sep in word:
        return os.path.join(plan.cwd or "", word)
    return find_program(word, plan.env.get("PATH", os.defpath)) or word


def _explained(path: str, error: OSError) -> str:
    """Return why a program that is there cannot be executed, and what to do; nothing if that cannot be seen."""
    try:
        mode = os.stat(path).st_mode
        if isinstance(error, PermissionError) and stat.S_ISREG(mode) and not mode & 0o111:
            return f"it is not executable; chmod +x {path}"
        if isinstance(error, PermissionError) and stat.S_ISDIR(mode):
            return f"{path} is a directory"
        if not isinstance(error, FileNotFoundError):
            return ""
        with open(path, "rb") as file:
            first = file.readline(MAX_FIRST_LINE)
    except OSError:
        return ""
    if first.startswith(b"#!") and first.rstrip(b"\n").endswith(b"\r"):
        return f"the first line of {path} ends with a carriage return; save it with line ends of Unix"
    return "the interpreter named in its first line does not exist" if first.startswith(b"#!") else ""


def limit_files(os_pid: int, limit: tuple[int, int]) -> None:
    """Give a child the limit of open files that gafferd had before it raised its own (prlimit(2)).

    It may have asked for its limit before that, and seen ours.
    """
    if not hasattr(resource, "prlimit"):
        return
    try:
        resource.prlimit(os_pid, resource.RLIMIT_NOFILE, limit)
    except (OSError, ValueError):
        pass  # gone already, another user's, or ours is lower by now: it keeps what it has


__all__ = [
    "SpawnPlan",
    "check_executable",
    "command",
    "execute",
    "failure",
    "find_program",
    "identity",
    "limit_files",
    "make_plan",
    "shown_program",
]
