"""Our standard input for the types that ``GAFFER_REDIRECT_INPUT`` names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gevent

from ..errors import Conflict, Unavailable
from ..hookspecs.markers import hookimpl

if TYPE_CHECKING:
    from ..manager.manager import Manager
    from ..process.process import Process

_READ_SIZE = 65_536
#: Seconds for which a process that does not read its input delays the others.
_WRITE_TIMEOUT = 60.0


class Stdin:
    """A plugin that copies standard input to every process that has an input."""

    name = "stdin"
    description = "passes standard input on"

    def __init__(self) -> None:
        self._manager: Manager | None = None
        self._over = False

    @hookimpl
    def gaffer_ready(self, manager: Manager) -> None:
        """Start to read at the first process with an input."""
        self._manager = manager
        gevent.spawn(self._pass_on)

    @hookimpl
    def gaffer_spawned(self, process: Process) -> None:
        """Close the input of a process that starts after the end of standard input."""
        if self._over and process.stdin is not None:
            process.stdin.finish()

    def _pass_on(self) -> None:
        hub = gevent.get_hub()
        watcher = hub.loop.io(0, 1, ref=False)
        while True:
            hub.wait(watcher)
            try:
                data = os.read(0, _READ_SIZE)
            except OSError:  # the terminal is closed, or not ours any more
                data = b""
            if not data:
                break
            for process in self._takers():
                try:
                    process.stdin.deliver(data, _WRITE_TIMEOUT)  # type: ignore[union-attr]
                except (Unavailable, Conflict):
                    pass  # it reads no more, or ended
        self._over = True
        for process in self._takers():
            process.stdin.finish()  # type: ignore[union-attr]

    def _takers(self) -> list[Process]:
        assert self._manager is not None
        return [one for one in list(self._manager.running.values()) if one.stdin is not None and one.active]
