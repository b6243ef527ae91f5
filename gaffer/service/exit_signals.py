"""The last moments of a program that serves. Nothing of gaffer is imported here: it comes before patching."""

from __future__ import annotations

import atexit
import os
import signal
from typing import NoReturn

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def keep_status() -> None:
    """Have the program end with its own status, even if it is told to stop once more while Python takes itself down.

    Python gives its signals back to the system at the very end, and one of them would kill a program that has
    stopped as it should. Until there are other handlers, a signal to stop ends it at once. To be called first of all:
    what is registered first at ``atexit`` runs last, so that what else may hold up the end can still be interrupted.
    """
    atexit.register(_ignore_handled)
    signal.signal(signal.SIGINT, _interrupt)
    if os.getpid() == 1:
        # The kernel ignores signals to process 1 that have no handler, and nothing is started yet.
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, _leave)


def _interrupt(number: int, frame: object) -> NoReturn:
    signal.signal(number, _leave)  # one more would be a traceback of whatever this one has begun
    raise KeyboardInterrupt


def _leave(number: int, frame: object) -> NoReturn:
    os._exit(128 + number)


def _ignore_handled() -> None:
    for number in _STOP:
        if callable(signal.getsignal(number)):  # neither SIG_DFL nor SIG_IGN is
            signal.signal(number, signal.SIG_IGN)
