"""The manager over a websocket: subscriptions and commands in JSON (docs/channel.rst)."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Iterator

from ..errors import BadRequest
from .errors import Disconnected, NotGafferd, error_from_answer
from .sockets import Socket

if TYPE_CHECKING:
    from .transport import Transport

#: Messages that are kept while an answer is waited for; beyond, the oldest are lost, and told.
MAX_KEPT_MESSAGES = 10_000
CHANNEL_PATH = "/channel/websocket"
_ABOUT = ("gaffer:subscription_success", "gaffer:subscription_error")
_DONE = ("gaffer:command_success", "gaffer:command_error")


class ManagerChannel:
    """A channel to subscribe to topics, iterate over their messages, and run commands.

    :param timeout: seconds to wait for each answer.

    Messages are dicts with ``event`` and ``topic``: the events of :doc:`events`, ``stats`` with ``stats``, ``stream``
    with ``pid``, ``label`` and ``data``, ``end`` when a topic has ended, and ``gap`` with ``lost`` where something
    was not read in time. Not for several threads at once.
    """

    def __init__(self, transport: Transport, timeout: float | None = 30.0) -> None:
        self.timeout = timeout
        self.socket = Socket(transport, CHANNEL_PATH)
        self._kept: deque[dict[str, Any]] = deque()
        self._lost = 0
        self._asked = 0

    def subscribe(self, topic: str, **options: Any) -> None:
        """Subscribe to a topic.

        :param topic: ``EVENTS[:pattern]``, ``JOB:s.j``, ``PROCESS:pid``, ``STATS:pid|s.j`` or ``STREAM:pid[.label]``.
        :param options: ``since`` or ``tail`` say where to begin; ``interval`` how often to measure, in seconds.
        :raises BadRequest: there is no such topic, or nothing that it could be about.
        """
        self._say("SUB", {"topic": topic, **options})
        answer = self._answer(lambda said: said["event"] in _ABOUT and said.get("topic") == topic)
        if answer["event"] != _ABOUT[0]:
            raise BadRequest(str(answer.get("reason") or f"gafferd refuses the topic {topic}"))

    def unsubscribe(self, topic: str) -> None:
        """Unsubscribe from *topic*; messages on their way still arrive."""
        self._say("UNSUB", {"topic": topic})

    def command(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Run a command and return its result: ``command("scale", "web", "+1")``.

        :param args: in the order of :ref:`commands`. :param kwargs: by name.
        :raises GafferError: the class that gafferd's error stands for.
        """
        self._asked += 1
        id = self._asked
        self._say("CMD", {"identity": id, "name": name, "args": list(args), "kwargs": kwargs})
        data = self._answer(lambda said: said["event"] in _DONE and said["data"].get("id") == id)["data"]
        if "error" in data:
            error = data["error"]
            raise error_from_answer(int(error.get("errno") or 500), error, f"{name} failed")
        return data.get("result")

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """Return the next message.

        :param timeout: seconds to wait; None waits for ever.
        :raises Quiet: nothing came in that time. :raises Disconnected: the connection has ended.
        """
        if self._lost:
            lost, self._lost = self._lost, 0
            return {"event": "gap", "topic": "", "lost": lost}
        if self._kept:
            return self._kept.popleft()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            message = _message(self._hear(deadline))
            if message is not None:
                return message

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self.receive()

    def _say(self, event: str, data: dict[str, Any]) -> None:
        self.socket.send(json.dumps({"event": event, "data": data}))

    def _hear(self, deadline: float | None) -> dict[str, Any]:
        """Return the next message, unchanged."""
        text = self.socket.receive(None if deadline is None else deadline - time.monotonic())
        if text is None:
            reason = self.socket.reason or self.socket.code
            raise Disconnected(f"gafferd at {self.socket.uri} closed {CHANNEL_PATH}: {reason}")
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("event"), str):
            raise NotGafferd(f"what answers {CHANNEL_PATH} at {self.socket.uri} is not gafferd; check the address")
        return said

    def _answer(self, is_it: Any) -> dict[str, Any]:
        """Wait for the answer to a request; keep the messages before it."""
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while True:
            said = self._hear(deadline)
            if is_it(said):
                return said
            message = _message(said)
            if message is not None:
                self._keep(message)

    def _keep(self, message: dict[str, Any]) -> None:
        self._kept.append(message)
        if len(self._kept) > MAX_KEPT_MESSAGES:
            self._kept.popleft()
            self._lost += 1

    def fileno(self) -> int:
        """Return the descriptor that is readable when something comes."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close the channels."""
        self.socket.close()

    def __enter__(self) -> ManagerChannel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _message(said: dict[str, Any]) -> dict[str, Any] | None:
    """Return the message for a subscriber, None if it has no news.

    :raises BadRequest: it says that it did not understand.
    """
    kind, data = said["event"], said.get("data") or {}
    if kind == "gaffer:event":
        return dict(data)
    if kind == "gaffer:gap":
        return {"event": "gap", **data}
    if kind == "gaffer:error":
        raise BadRequest(str(data.get("reason") or data))
    return None
