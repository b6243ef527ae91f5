"""The protocol of ``/channel`` (docs/channel.rst): subscriptions and commands in JSON, whatever carries them.

A :class:`ChannelSession` knows nothing of sockets. A transport passes the
messages of its client on and takes what there is to send when it can: output waits
in its ring and events in a bounded outbox, never in an unbounded queue of the client.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from gevent.event import Event

from ...errors import BadRequest, GafferError, NotFound, Unauthorized, nearest
from ..requests.authentication import ACCESS, origin_of
from ..requests.replies import INTERNAL_ERROR, encode_json
from ..requests.request import MAX_DEPTH, MAX_VALUES, has_too_many_values, is_too_deep
from ..websocket.late_auth import KEY_ENDED, LateAuth, key_in
from .channel_topics import TopicSubscription, subscribe
from .sources import Wakeable

if TYPE_CHECKING:
    from ...commands.command import Command
    from ...commands.identity import Identity
    from ...manager.manager import Manager

log = logging.getLogger("gaffer.web")

#: Commands that clients may run, by the name that the protocol gives them.
COMMANDS = {
    name: name
    for name in (
        "sessions",
        "jobs",
        "pids",
        "load",
        "unload",
        "update",
        "start_job",
        "stop_job",
        "stopall",
        "scale",
        "info",
        "stats",
        "killall",
        "commit",
        "process_info",
        "process_stats",
        "stop_process",
        "kill",
        "send",
    )
} | {"reload": "reload_job"}
#: Topics that one client may subscribe to.
MAX_TOPICS = 500
#: Characters of one message of a client.
MAX_MESSAGE_CHARACTERS = 1 << 20
#: Characters of answers that may be unsent; beyond, no more messages of the client are read.
MAX_UNSENT_CHARACTERS = 1 << 20
#: Characters that one :meth:`ChannelSession.take` returns at most, so that the transport can send them.
MAX_BATCH_CHARACTERS = 262_144


class ChannelSession(Wakeable):
    """Subscriptions and commands of one client of ``/channel``, and the messages that wait for it.

    :param manager: whose commands it runs.
    :param identity: of the client. Where keys are needed, None means that its first message has to be ``AUTH:<key>``.
    :param environ: of the request that began it; a key that comes as a message is checked with its address.
    :param waiting: characters of answers that may wait to be sent; by default :data:`MAX_UNSENT_CHARACTERS`.

    A transport calls :meth:`receive` with each message, :meth:`take` for what is to be sent, and :meth:`close` at
    the end. ``wake`` is called when there is something to take.
    """

    def __init__(
        self,
        manager: Manager,
        identity: Identity | None = None,
        environ: dict[str, Any] | None = None,
        waiting: int = 0,
    ) -> None:
        self.wake: Callable[[], None] | None = None
        #: True when no more messages are accepted or produced; those that wait can still be taken.
        self.ended = False
        self._manager = manager
        self._identity: Identity | None = None
        self._environ = {} if environ is None else environ
        self._first = True
        self._most_waiting = waiting
        self._closed = False
        self._answers: deque[str] = deque()
        self._waiting = 0
        self._room = Event()
        self._room.set()
        self._subscriptions: dict[str, TopicSubscription] = {}
        self._become(identity)
        self._late = LateAuth(self._environ, self._refuse if self.unauthenticated else None)

    def _become(self, identity: Identity | None) -> None:
        """Act for *identity* as long as that is valid."""
        if self._identity is not None:
            self._identity.endings.discard(self._end)
        self._identity = identity
        if identity is not None:
            identity.endings.add(self._end)
            if identity.ended:
                self._end()

    def _end(self) -> None:
        """The key was deleted, or has expired: nothing that waits is sent any more."""
        self._drop()
        self._refuse(Unauthorized(KEY_ENDED))

    # -- sending ---------------------------------------------------------------------------------

    def take(self) -> list[str]:
        """Return messages to send, each of them JSON; never waits."""
        taken, self._waiting = list(self._answers), 0
        self._answers.clear()
        self._room.set()
        size = 0
        for topic, subscription in list(self._subscriptions.items()):
            messages = subscription.take()
            if messages:
                taken += messages
                size += sum(map(len, messages))
                # The others come first the next time.
                self._subscriptions[topic] = self._subscriptions.pop(topic)
            if subscription.ended:
                self._subscriptions.pop(topic).close()
            if size > MAX_BATCH_CHARACTERS:
                break
        return taken

    def _send(self, message: dict[str, Any]) -> None:
        text = encode_json(message).decode()
        self._answers.append(text)
        self._waiting += len(text)
        if self._waiting > (self._most_waiting or MAX_UNSENT_CHARACTERS):
            self._room.clear()
        self.notify()

    # -- receiving --------------------------------------------------------------------------------

    def receive(self, text: str | bytes) -> None:
        """Act on a message of the client; waits while too many answers are unsent."""
        self._room.wait()
        if self._closed or self.ended:
            return
        first, self._first = self._first, False
        try:
            if first and key_in(text) is not None:
                self._admit(text)
                return
            if self.unauthenticated:
                self._late.identify(text)  # raises
            event, data = parse(text)
            _HANDLERS[event](self, data)
        except Unauthorized as error:
            self._refuse(error)
        except GafferError as error:
            self._send({"event": "gaffer:error", "data": _problem(error)})

    @property
    def unauthenticated(self) -> bool:
        """True if a key is needed and the client has shown none."""
        return self._identity is None and self._manager is not None and self._manager.access.strict

    @property
    def identity(self) -> Identity | None:
        """Identity of the client; None until it is authenticated."""
        return self._identity

    def _admit(self, text: str | bytes) -> None:
        """Authenticate with the key in the first message, unless the request showed one."""
        if self._identity is None or self._identity.trusted:
            self._environ.setdefault(ACCESS, self._manager.access)
            self._become(self._late.identify(text))
        self._late.close()

    def _refuse(self, error: GafferError) -> None:
        """Send the reason, and end."""
        self._send({"event": "gaffer:error", "data": _problem(error)})
        self.ended = True
        self.notify()

    def _nothing(self, data: dict[str, Any]) -> None:
        """NOP: do nothing, a sign of life."""

    def _subscribe(self, data: dict[str, Any]) -> None:
        topic = data.get("topic")
        try:
            if not isinstance(topic, str):
                raise BadRequest("data must have a topic, which is text")
            if topic in self._subscriptions:
                self._send(_about("gaffer:subscription_success", topic))
            else:
                self._add(topic, data)
        except GafferError as error:
            self._send(_about("gaffer:subscription_error", topic, reason=str(error)))

    def _add(self, topic: str, data: dict[str, Any]) -> None:
        if len(self._subscriptions) >= MAX_TOPICS:
            raise BadRequest(f"one client may follow {MAX_TOPICS} topics")
        subscription = subscribe(self._manager, topic, data, self._identity)
        # The success is sent before the first event.
        self._send(_about("gaffer:subscription_success", topic))
        self._subscriptions[topic] = subscription
        subscription.follow(self.notify)

    def _unsubscribe(self, data: dict[str, Any]) -> None:
        topic = data.get("topic")
        subscription = self._subscriptions.pop(topic, None) if isinstance(topic, str) else None
        if subscription is None:
            self._send(_about("gaffer:subscription_error", topic, reason="this topic is not subscribed to"))
        else:
            subscription.close()

    def _command(self, data: dict[str, Any]) -> None:
        id = data.get("identity")
        try:
            result = self._run(data.get("name"), data.get("args"), data.get("kwargs"))
        except GafferError as error:
            self._send({"event": "gaffer:command_error", "data": {"id": id, "error": _problem(error)}})
        except Exception as error:
            log.error("command %r failed: %r", data.get("name"), error, exc_info=error)
            failed = {"errno": 500, "reason": INTERNAL_ERROR}
            self._send({"event": "gaffer:command_error", "data": {"id": id, "error": failed}})
        else:
            self._send({"event": "gaffer:command_success", "data": {"id": id, "result": result}})

    def _run(self, name: Any, args: Any, kwargs: Any) -> Any:
        if not isinstance(name, str) or name not in COMMANDS:
            raise NotFound(f"no command {str(name)[:100]!r}{nearest(str(name), COMMANDS)}")

        def parse(command: Command) -> dict[str, Any]:
            return _arguments(command, args, kwargs)

        return self._manager.commands.run(COMMANDS[name], {}, self._identity, origin_of(self._environ), parse)

    def close(self) -> None:
        """Release everything; the client has left."""
        self._closed, self.wake = True, None
        self._late.close()
        if self._identity is not None:
            self._identity.endings.discard(self._end)
        self._drop()
        self._room.set()

    def _drop(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()


_HANDLERS: dict[str, Callable[[ChannelSession, dict[str, Any]], None]] = {
    "NOP": ChannelSession._nothing,
    "SUB": ChannelSession._subscribe,
    "UNSUB": ChannelSession._unsubscribe,
    "CMD": ChannelSession._command,
}


def parse(text: str | bytes) -> tuple[str, dict[str, Any]]:
    """Return the event and the data of a client's message.

    :raises BadRequest: it is none.
    """
    if len(text) > MAX_MESSAGE_CHARACTERS:
        raise BadRequest(f"a message may have {MAX_MESSAGE_CHARACTERS} characters")
    if has_too_many_values(text):
        raise BadRequest(f"a message may hold {MAX_VALUES} values")
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadRequest("a message must be JSON") from None
    if is_too_deep(text, message):
        raise BadRequest(f"a message may be nested {MAX_DEPTH} levels deep")
    if not isinstance(message, dict) or not isinstance(message.get("event"), str):
        raise BadRequest('a message must be an object with an event: {"event": "SUB", "data": {"topic": "EVENTS"}}')
    if message["event"] not in _HANDLERS:
        raise BadRequest(f"there is no event {message['event'][:40]!r}; there are {', '.join(_HANDLERS)}")
    data = message.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise BadRequest("data must be an object")
    return message["event"], data


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _arguments(command: Command, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the arguments by name: *args* in the order of the command's table, then *kwargs*."""
    args, kwargs = [] if args is None else args, {} if kwargs is None else kwargs
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise BadRequest("args must be a list, and kwargs an object")
    if len(args) > len(command.args):
        raise BadRequest(f"{command.name} takes {len(command.args)} arguments, not {len(args)}")
    named = {arg.name: value for arg, value in zip(command.args, args)}
    twice = named.keys() & kwargs.keys()
    if twice:
        raise BadRequest(f"{command.name} got {', '.join(sorted(twice))} twice")
    return {**named, **kwargs}


def _problem(error: GafferError) -> dict[str, Any]:
    return {"errno": error.status, "reason": str(error)}


def _about(event: str, topic: Any, **more: Any) -> dict[str, Any]:
    """Return a message about a topic; what it says is in its data like everything, and beside it as in gaffer 0.5."""
    said = {"topic": topic, **more}
    return {"event": event, **said, "data": said}
