"""``/PID/channel``: frames that say what they answer and what went wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable

from gaffer.api import BadRequest, Forbidden, GafferError, NotFound, Unauthorized
from gaffer.api.web import FollowerSource, WebSocket, run_duplex

from .channel_frames import ERROR, MESSAGE, RESPONSE, encode, parse

if TYPE_CHECKING:
    from gaffer.api import EventLog, Process, Writer

#: Seconds that a writer waits for a process that does not read.
WRITE_TIMEOUT = 10.0
#: The id in the answer to a frame whose id cannot be read.
NO_ID = "0"
_CODES: tuple[tuple[type[GafferError], str, int], ...] = (
    (BadRequest, "EINVAL", 400),
    (Unauthorized, "EPERM", 401),
    (Forbidden, "EPERM", 403),
    (NotFound, "ENOENT", 404),
)
_FAILED = ("EIO", 500)
_GAP = ("gap", 416)


class ExitSource(FollowerSource):
    """A source without items that ends when its process has exited."""

    raw = True

    def __init__(self, events: EventLog, process: Process) -> None:
        super().__init__(events.follow(f"proc.{process.pid}.exit"))
        self.ended = process.status is not None

    def take(self) -> list[Any]:
        """Return nothing; notice the exit."""
        self.ended = self.ended or bool(self._follower.take()[1])
        return []


class FirstFrame:
    """The frame ``V1 message ID``, NUL, ``AUTH:<key>`` with which the client of gaffer 0.5 begins.

    ``id`` is set once one was taken, and has to be answered.
    """

    def __init__(self) -> None:
        self.id = ""

    def unwrap(self, message: str | bytes) -> str | bytes:
        """Return what such a frame holds; any other message as it is."""
        try:
            frame = parse(message)
        except BadRequest:
            return message
        if frame.type != MESSAGE or not frame.body.startswith(b"AUTH:"):
            return message
        self.id = frame.id
        return frame.body


class FramedChannel:
    """Framed channel to one process.

    :param source: what is read.
    :param writer: what is written; None if nothing is, and *refused* says why.
    :param check_write: raises once the peer may not write any more.
    :param first: the first frame, if it was read already.
    """

    def __init__(
        self,
        source: Any,
        writer: Writer | None,
        refused: GafferError | None,
        pid: int,
        check_write: Callable[[], None] = lambda: None,
        first: FirstFrame | None = None,
    ) -> None:
        self._first = first
        self._check_write = check_write
        self._source = source
        self._writer = writer
        self._refused = refused
        self._pid = pid

    def serve(self, websocket: WebSocket) -> None:
        """Talk until the process or the websocket ends."""
        if self._first is not None and self._first.id:
            websocket.send(encode(RESPONSE, self._first.id, b"OK"))
            self._first = None
        run_duplex(
            websocket,
            self._source,
            lambda items: websocket.send_all(map(_shown, items)),
            lambda message: websocket.send(self.answer(message)),
            f"process {self._pid} has exited",
        )

    def answer(self, message: str | bytes) -> bytes:
        """Write what a frame says; returns the frame that answers it."""
        id = NO_ID
        try:
            frame = parse(message)
            id = frame.id
            first, self._first = self._first, None
            if first is not None and first.unwrap(message) is not message:
                # The client is known already. Its key must not reach the process.
                return encode(RESPONSE, id, b"OK")
            if frame.type != MESSAGE:
                raise BadRequest(f"a client sends frames of type {MESSAGE}, not {frame.type}")
            self._write(frame.body)
        except GafferError as error:
            return encode(ERROR, id, _problem(error))
        return encode(RESPONSE, id, b"OK")

    def _write(self, data: bytes) -> None:
        if self._writer is None:
            assert self._refused is not None
            raise self._refused
        self._check_write()
        if data:
            self._writer.deliver(data, WRITE_TIMEOUT, self._check_write)


def _problem(error: GafferError) -> bytes:
    word, number = next(((word, number) for kind, word, number in _CODES if isinstance(error, kind)), _FAILED)
    return json.dumps({"error": word, "errno": number, "reason": str(error)}).encode()


def _shown(item: Any) -> bytes:
    """Return the frame for an item of a stream; its id is the position after it, for ``?since=``."""
    if item.lost:
        return encode(ERROR, item.id, json.dumps({"error": _GAP[0], "errno": _GAP[1], "lost": item.lost}).encode())
    frame: bytes = item.encode_once("channel", lambda: encode(MESSAGE, item.id, item.data))
    return frame
