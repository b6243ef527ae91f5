"""The last moments of a program that serves. Nothing of gaffer is imported here: it comes before patching."""

from __future__ import annotations

import atexit
import signal

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def keep_status() -> None:
    """Have the program end with its own status, even if it is told to stop once more while Python takes itself down.

    Python gives its signals back to the system at the very end, and one of them would kill a program that has
    stopped as it should. To be called first of all: what is registered first at ``atexit`` runs last, so that
    whatever else may hold up the end can still be interrupted.
    """
    atexit.register(_ignore_handled)


def _ignore_handled() -> None:
    for number in _STOP:
        if callable(signal.getsignal(number)):  # neither SIG_DFL nor SIG_IGN is
            signal.signal(number, signal.SIG_IGN)
