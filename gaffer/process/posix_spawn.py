"""Start by posix_spawn(3), which is faster than Popen where it can do all there is to do (reason 33).

It knows neither directories nor users, and closes no descriptors. So those of this program are marked to be
closed by exec, all that there are in one call before every start (close_range(2)). Popen does that in the child.
A program may mean its descriptors to be inherited by others it starts, so nothing is done here before it calls
:func:`allow`, as gafferd does.
"""

from __future__ import annotations

import os
import signal
from typing import Callable, Mapping, Sequence

#: close_range(2): set FD_CLOEXEC instead of closing.
_CLOSE_RANGE_CLOEXEC = 4
_MAX_DESCRIPTOR = 0xFFFF_FFFF
#: Signals that are ignored here, or by Python, are not ignored by the child, as with Popen and its ``restore_signals``.
_DEFAULT_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGTERM,
    signal.SIGCHLD,
    signal.SIGXFSZ,
)

_close_range: Callable[[int, int, int], int] | None = None


def allow() -> bool:
    """Mark the descriptors of this program above 2, now and with each start; return False if the system cannot."""
    global _close_range
    try:
        import ctypes

        _close_range = ctypes.CDLL(None).close_range if hasattr(os, "posix_spawn") else None
    except (ImportError, OSError, AttributeError):
        _close_range = None
    if not _mark():
        _close_range = None
    return allowed()


def allowed() -> bool:
    """Return True if :func:`start` can be used."""
    return _close_range is not None


def _mark() -> bool:
    return _close_range is not None and _close_range(3, _MAX_DESCRIPTOR, _CLOSE_RANGE_CLOEXEC) == 0


def start(program: str | None, argv: list[str], env: Mapping[str, str], stdio: Sequence[int]) -> int | None:
    """Start *program* in a session of its own; returns its os_pid.

    :param stdio: descriptors above 2 for 0, 1 and 2; -1 for the null device.
    :returns: None if nothing was started: Popen can do it, or says why it cannot be done.
    """
    if program is None or not _mark():
        return None
    actions = [
        (os.POSIX_SPAWN_OPEN, place, os.devnull, os.O_RDWR, 0) if fd < 0 else (os.POSIX_SPAWN_DUP2, fd, place)
        for place, fd in enumerate(stdio)
    ]
    try:
        return os.posix_spawn(program, argv, env, file_actions=actions, setsid=True, setsigdef=_DEFAULT_SIGNALS)
    except (OSError, ValueError, TypeError, NotImplementedError):
        return None
