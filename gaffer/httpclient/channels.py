"""Talking with one process over a websocket: bytes both ways (docs/channel.rst)."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple

from ..errors import BadRequest
from ..websocket.frames import NORMAL, TRY_AGAIN_LATER
from .errors import Disconnected, Missing, NotGafferd, Quiet, error_from_answer
from .sockets import Socket

if TYPE_CHECKING:
    from .transport import Transport

READ, WRITE, BOTH = 1, 2, 3
#: Output that is kept while an answer to a write is waited for, in bytes; beyond, the oldest is lost, and told.
MAX_KEPT_BYTES = 16 << 20


class Frame(NamedTuple):
    """A message of gafferd on a channel.

    :param type: ``message``: output; ``response``: a write is done; ``error``: it is not, or output is missing.
    :param id: of a write; of output, the position after it, for ``since``.
    :param body: output; what is wrong, as JSON.
    """

    type: str
    id: str
    body: bytes


def parse_frame(message: str | bytes) -> Frame:
    """Take a frame apart.

    :raises NotGafferd: it is none.
    """
    data = message.encode() if isinstance(message, str) else message
    head, nul, body = data.partition(b"\0")
    words = head.decode("latin-1").split(" ")
    if not nul or len(words) != 3 or words[0] != "V1":
        raise NotGafferd(f"{data[:40]!r} is no frame of a channel; does a newer gafferd answer?")
    return Frame(words[1], words[2], body)


class Conversation:
    """A websocket of one process, whose output is iterated over."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    def read(self, timeout: float | None = None) -> bytes:
        """Return the next bytes of output; ``b""`` once the process has exited.

        :param timeout: seconds to wait; None waits for ever.
        :raises Quiet: nothing came in that time. :raises Missing: bytes are missing here.
        :raises Disconnected: the connection is lost.
        """
        raise NotImplementedError

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self.read()
        if not data:
            raise StopIteration
        return data

    def _end(self) -> bytes:
        """Return what the end of the websocket means."""
        socket = self.socket
        if socket.code == TRY_AGAIN_LATER:  # it was closed because its reader was too slow
            raise Missing(f"{socket.path}: {socket.reason}", 0)
        if socket.code != NORMAL:
            raise Disconnected(f"gafferd at {socket.uri} closed {socket.path}: {socket.reason or socket.code}")
        return b""

    def close(self) -> None:
        """Hang up; the process does not notice."""
        self.socket.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Plain(Conversation):
    """``/wstreams/PID``: what is sent goes to stdin, the first redirected output comes back, nothing else."""

    def send(self, data: str | bytes) -> None:
        """Write to the process."""
        self.socket.send(_bytes(data))

    def read(self, timeout: float | None = None) -> bytes:
        message = self.socket.receive(timeout)
        return self._end() if message is None else _bytes(message)


class ProcessChannel(Conversation):
    """``/PID/channel[/STREAM]``: like :class:`Plain`, with answers to what is written, and word of what is missing.

    Not for several threads at once.
    """

    def __init__(self, socket: Socket) -> None:
        super().__init__(socket)
        #: The position after the last output that was read, for ``since`` of another channel.
        self.position = ""
        self._written = 0
        self._kept: deque[Frame] = deque()
        self._size = 0
        self._lost = 0

    def send(self, data: str | bytes) -> str:
        """Write to the process and do not wait; :meth:`frame` will return the answer with the id that is returned."""
        self._written += 1
        self.socket.send(b"V1 message %d\0%s" % (self._written, _bytes(data)))
        return str(self._written)

    def write(self, data: str | bytes, timeout: float | None = 30.0) -> None:
        """Write to the process and wait until gafferd has taken it; output that comes meanwhile is kept.

        :raises Forbidden: it cannot be written. :raises Quiet: no answer came in time.
        :raises GafferError: the process does not read.
        """
        id = self.send(data)
        deadline = None if timeout is None else time.monotonic() + timeout
        while (frame := self._receive(None if deadline is None else deadline - time.monotonic())) is not None:
            if frame.id == id and frame.type != "message" and not is_gap(frame):
                raise_problem(frame)
                return
            self._keep(frame)
        self._end()
        raise Disconnected(f"{self.socket.path}: {self.socket.reason or 'closed'}")

    def _keep(self, frame: Frame) -> None:
        self._kept.append(frame)
        self._size += len(frame.body)
        while self._size > MAX_KEPT_BYTES:
            self._forget(self._kept.popleft())

    def _forget(self, frame: Frame) -> None:
        self._size -= len(frame.body)
        self._lost += len(frame.body)

    def _receive(self, timeout: float | None) -> Frame | None:
        message = self.socket.receive(timeout)
        return None if message is None else parse_frame(message)

    def frame(self, timeout: float | None = None) -> Frame | None:
        """Return the next frame, whatever it says; None once the websocket is closed. See :meth:`read`."""
        if not self._kept:
            return self._receive(timeout)
        frame = self._kept.popleft()
        self._size -= len(frame.body)
        return frame

    def read(self, timeout: float | None = None) -> bytes:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._lost:
                lost, self._lost = self._lost, 0
                raise Missing(f"{self.socket.path}: {lost} bytes were not read in time", lost)
            frame = self.frame(None if deadline is None else deadline - time.monotonic())
            if frame is None:
                return self._end()
            if frame.type == "message":
                self.position = frame.id
                if frame.body:
                    return frame.body
            elif frame.type == "error":
                self._complain(frame)

    def _complain(self, frame: Frame) -> None:
        if not is_gap(frame):
            raise_problem(frame)
        lost = int(problem(frame).get("lost", 0))
        raise Missing(f"{self.socket.path}: {lost} bytes are missing, they were not read in time", lost)


def problem(frame: Frame) -> dict[str, Any]:
    """Return what an error says."""
    try:
        found = json.loads(frame.body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"reason": frame.body.decode("utf-8", "replace")}


def is_gap(frame: Frame) -> bool:
    """Tell whether a frame says that output is missing."""
    return frame.type == "error" and problem(frame).get("error") == "gap"


def raise_problem(frame: Frame) -> None:
    """Raise what a frame says, if it is an error."""
    if frame.type == "error":
        said = problem(frame)
        raise error_from_answer(int(said.get("errno") or 500), said, f"error {said.get('error')}")


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def open_channel(transport: Transport, pid: int, stream: str | None, mode: int, **query: Any) -> ProcessChannel:
    """Return a channel to the process *pid*."""
    if mode not in (READ, WRITE, BOTH):
        raise BadRequest(f"mode must be 1 (read), 2 (write) or 3 (both), not {mode!r}")
    path = f"/{pid}/channel" if stream is None else f"/{pid}/channel/{stream}"
    return ProcessChannel(Socket(transport, path, {"mode": mode, **query}))


__all__ = ["BOTH", "READ", "WRITE", "Conversation", "Frame", "Plain", "ProcessChannel", "Quiet", "open_channel"]
