"""``--daemon``: the caller gets its prompt back when the program is ready, and its exit status if it is not."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ..util import daemonize


class Starter:
    """The process that waits in the foreground, seen from the daemon.

    Until it is told something, standard output and error are still its own, so
    that what goes wrong is read where the program was started.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        """We serve: the waiting process ends with status 0 and we leave the terminal."""
        sys.stdout.flush()
        sys.stderr.flush()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)
        self.ended(0)

    def ended(self, status: int) -> None:
        """The waiting process ends with *status*; what is said later is not heard."""
        if self._descriptor >= 0:
            try:
                os.write(self._descriptor, bytes([status]))
            except BrokenPipeError:
                pass  # our parent did not wait
            os.close(self._descriptor)
            self._descriptor = -1


def detach(umask: int, program: str = "gafferd") -> Starter:
    """Go on as a daemon; the calling process waits for :meth:`Starter.ready` or :meth:`Starter.ended`.

    :param umask: the daemon's file mode mask.
    :param program: how it is named when it dies without a word.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    receiver, sender = os.pipe()
    daemonize(umask, in_parent=lambda: _wait(receiver, sender, program), keep=(1, 2, sender))
    return Starter(sender)


def _wait(receiver: int, sender: int, program: str) -> NoReturn:
    os.close(sender)
    status = os.read(receiver, 1)
    if not status:
        os.write(2, f"{program}: the daemon died while it started; run it in the foreground to see why\n".encode())
    os._exit(status[0] if status else 1)
