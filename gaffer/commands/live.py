"""The commands that sockets need beside those of the HTTP routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import BadRequest
from .catalogue import JOB, PROCESS, Arg, Command
from .operations import done
from .schemas import BOOLEAN, OK, STRING, Schema

if TYPE_CHECKING:
    from ..manager.manager import Manager

#: How long a writer waits for a process that does not read, in seconds.
STDIN_TIMEOUT = 10.0
_LINES: Schema = {"type": ["string", "array"], "items": STRING, "examples": ["hello\n"]}


def send(
    manager: Manager, pid: int, lines: str | list[Any], stream: str | None = None, eof: bool = False, check: Any = None
) -> dict[str, bool]:
    """Write text to a process; wait while it leaves too much unread.

    :param check: called after each wait; raises if whoever asks may not any more.
    """
    parts = [lines] if isinstance(lines, str) else lines
    if not all(isinstance(part, str) for part in parts):
        raise BadRequest("lines must be text, or a list of texts")
    writer = manager.get_process(pid).writer(stream)
    data = "".join(parts).encode("utf-8", "replace")
    if data:
        writer.deliver(data, STDIN_TIMEOUT, check or (lambda: None))
    if eof:
        writer.finish()
    return {"ok": True}


LIVE: tuple[Command, ...] = (
    Command(
        "stopall",
        "stop all processes of a job; they are replaced",
        "manage",
        "job",
        (JOB,),
        done("stopall"),
        OK,
    ),
    Command(
        "send",
        "write to a process: stdin, or one of its custom streams",
        "write",
        "process",
        (
            PROCESS,
            Arg("lines", _LINES, "text, or a list of texts; nothing is put between them"),
            Arg("stream", STRING, "a custom stream instead of stdin", required=False),
            Arg("eof", BOOLEAN, "close the stream after that", required=False),
        ),
        send,
        OK,
        (403, 503),
        waits=True,
    ),
)
