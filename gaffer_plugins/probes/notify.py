"""Messages of processes about themselves, in the protocol of systemd (sd_notify(3)).

One datagram socket for all of them, in the abstract namespace: it has no file, so none is left behind, and processes of
any user reach it. Who sends is told by the kernel: a message counts for the process that leads the sender's session.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any, Callable, NamedTuple

import gevent
from gevent.event import Event

from gaffer.api import native

from .network import ProbeFailed

#: Bytes of a message; longer ones are ignored.
MAX_MESSAGE = 4096
#: Messages read in one turn of the loop, and the pause after so many, in seconds: a flood waits in its senders.
SLICE, PAUSE = 64, 0.005
#: Messages kept that came before it was told that their process runs, and for how long, in seconds.
MAX_EARLY, EARLY_AGE = 64, 10.0
#: Characters of a status.
_MAX_STATUS = 300
_CREDENTIALS = struct.Struct("3i")
#: Room for the credentials and one descriptor, which is how a sender waits until its message was read.
_ANCILLARY = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4)


class Notices:
    """The notices of one process about itself."""

    def __init__(self) -> None:
        self.wake = Event()
        #: Called when it asks to be restarted; it may before that is known.
        self.restart: Callable[[], None] | None = None
        self._ready = False
        self._beat = False
        self._status = self._why = ""

    def take(self, fields: dict[str, str]) -> None:
        """Take the fields of one message over."""
        if fields.get("RELOADING") == "1":
            self._ready, self._why = False, "it reloads"
        if fields.get("READY") == "1":
            self._ready = True
        if fields.get("STOPPING") == "1":
            self._ready, self._why = False, "it stops"
        if "STATUS" in fields:
            self._status = "".join(char for char in fields["STATUS"] if char.isprintable())[:_MAX_STATUS]
        if fields.get("WATCHDOG") == "1":
            self._beat = True
        elif fields.get("WATCHDOG") == "trigger" and self.restart is not None:
            self.restart()
        self.wake.set()

    def ready(self) -> str:
        """Return its status.

        :raises ProbeFailed: it is not ready.
        """
        if self._ready:
            return self._status or "READY=1"
        why = self._why or "READY=1 has not come yet"
        raise ProbeFailed(f"{why}; it says: {self._status}" if self._status else why)

    def alive(self) -> str:
        """Check that it said so since the last check.

        :raises ProbeFailed: it did not.
        """
        if not self._beat:
            raise ProbeFailed("WATCHDOG=1 did not come in time")
        self._beat = False
        return self._status or "WATCHDOG=1"


class _Early(NamedTuple):
    """A message whose process is not known yet."""

    session: int
    fields: dict[str, str]
    at: float


class NotifySocket:
    """The socket that processes write to."""

    def __init__(self) -> None:
        name = f"gaffer-notify-{os.urandom(8).hex()}"
        #: The value of NOTIFY_SOCKET.
        self.address = f"@{name}"
        self.received = self.ignored = self.pauses = 0
        self._notices: dict[int, Notices] = {}
        self._early: deque[_Early] = deque()
        make = native("socket", "socket")  # gevent's would wait, which the loop cannot
        self._socket: socket.socket = make(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(f"\0{name}")
        loop = gevent.get_hub().loop
        self._watcher: Any = loop.io(self._socket.fileno(), 1)
        self._timer: Any = loop.timer(PAUSE)
        self._watcher.start(self._readable)

    def add(self, os_pid: int, notices: Notices) -> None:
        """Take messages of a process that was started, and those that it has sent already."""
        self._notices[os_pid] = notices
        for early in [early for early in self._early if early.session == os_pid]:
            self._early.remove(early)
            if time.monotonic() - early.at < EARLY_AGE:
                notices.take(early.fields)

    def remove(self, os_pid: int) -> None:
        """Forget a process that has ended."""
        self._notices.pop(os_pid, None)

    def close(self) -> None:
        """Close the socket; what is sent then is an error of the sender's."""
        for watcher in (self._watcher, self._timer):
            watcher.stop()
            watcher.close()
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(SLICE):
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(MAX_MESSAGE, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                self.ignored += 1
                return
            descriptors, sender = _ancillary(ancillary)
            try:
                self._take(data, flags, sender)
            finally:
                for descriptor in descriptors:  # not before: the sender may be waiting for that, and end then
                    os.close(descriptor)
        self.pauses += 1
        self._watcher.stop()
        self._timer.start(lambda: self._watcher.start(self._readable))

    def _take(self, data: bytes, flags: int, sender: int) -> None:
        self.received += 1
        session = self._session(sender)
        if flags & socket.MSG_TRUNC or session is None:
            self.ignored += 1
            return
        lines = data.decode("utf-8", "replace").split("\n")
        fields = {key: value for key, is_field, value in (line.partition("=") for line in lines) if is_field}
        notices = self._notices.get(session)
        if notices is not None:
            notices.take(fields)
            return
        if len(self._early) >= MAX_EARLY:
            self._early.popleft()
            self.ignored += 1
        self._early.append(_Early(session, fields, time.monotonic()))

    def _session(self, sender: int) -> int | None:
        """Return the process that leads the sender's session; None if the sender has gone."""
        if sender in self._notices:
            return sender
        with suppress(OSError):
            return os.getsid(sender) if sender > 0 else None
        return None


def _ancillary(received: list[tuple[int, int, bytes]]) -> tuple[list[int], int]:
    """Return the descriptors and the sender's process id that came with a message."""
    descriptors: list[int] = []
    sender = 0
    for level, kind, data in received:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            descriptors += struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4])
        elif kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            sender = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
    return descriptors, sender
