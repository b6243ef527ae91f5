"""The protocol of ``/channel`` (docs/channel.rst): subscriptions and commands in JSON, whatever carries them.

A :class:`ChannelSession` knows nothing of sockets. A transport gives it the messages of
its client and takes what there is to send when it can: what a subscription has
waits in a ring, or in a bounded row of events, and never in a queue of the client's.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

import gevent
from gevent.event import Event

from ...errors import BadRequest, GafferError, NotFound, Unauthorized, nearest
from ..requests.authentication import ACCESS, late_key, origin_of
from ..requests.replies import INTERNAL_ERROR, encode_json
from ..requests.request import MAX_DEPTH, MAX_VALUES, has_too_many_values, is_too_deep
from ..websocket.late_auth import KEY_NEEDED, KEY_TIMEOUT, key_in
from .channel_topics import TopicSubscription, subscribe

if TYPE_CHECKING:
    from ...commands.identity import Identity
    from ...commands.table import Command
    from ...manager.manager import Manager
    from .stats_board import Board

log = logging.getLogger("gaffer.web")

#: What may be commanded, by the name that clients use, and the command that it is.
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
#: Topics that one client may follow.
MAX_TOPICS = 500
#: A message may have this many characters.
MAX_MESSAGE_CHARACTERS = 1 << 20
#: Characters of answers that may wait to be sent; who does not read them is not heard any more.
MAX_UNSENT_CHARACTERS = 1 << 20
#: How much one :meth:`ChannelSession.take` returns before it lets the transport send it, in characters.
MAX_BATCH_CHARACTERS = 262_144


class ChannelSession:
    """One client: what it subscribed to, and the answers to what it said.

    :param manager: what it commands.
    :param board: measures for everybody who subscribed to statistics.
    :param identity: who it is. None is nobody yet, where keys are needed: its first message has to be ``AUTH:<key>``.
    :param environ: of the request that began it; whose key comes late is found out with what that shows.
    :param waiting: characters of answers that may wait to be sent; by default :data:`MAX_UNSENT_CHARACTERS`.

    A transport calls :meth:`hear` with each message, :meth:`take` for what is to be sent, and :meth:`close` at
    the end. ``wake`` is called when there is something to take.
    """

    def __init__(
        self,
        manager: Manager,
        board: Board,
        identity: Identity | None = None,
        environ: dict[str, Any] | None = None,
        waiting: int = 0,
    ) -> None:
        self.wake: Callable[[], None] | None = None
        #: Whether nothing more is to be heard from or said to it: what there is still has to be taken.
        self.ended = False
        self._manager = manager
        self._board = board
        self._identity: Identity | None = None
        self._environ = environ
        self._first = True
        self._late: gevent.Greenlet | None = None
        self._most_waiting = waiting
        self._closed = False
        self._answers: deque[str] = deque()
        self._waiting = 0
        self._room = Event()
        self._room.set()
        self._subscriptions: dict[str, TopicSubscription] = {}
        self._become(identity)
        if self.nobody:
            self._late = gevent.spawn_later(KEY_TIMEOUT, self._refuse, Unauthorized(KEY_NEEDED))

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
        self._refuse(Unauthorized("the key is no longer valid"))

    # -- what is to be sent -----------------------------------------------------------------------

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

    def _say(self, message: dict[str, Any]) -> None:
        text = encode_json(message).decode()
        self._answers.append(text)
        self._waiting += len(text)
        if self._waiting > (self._most_waiting or MAX_UNSENT_CHARACTERS):
            self._room.clear()
        self._woken()

    def _woken(self) -> None:
        if self.wake is not None:
            self.wake()

    # -- what is heard ----------------------------------------------------------------------------

    def hear(self, text: str | bytes) -> None:
        """Take a message of the client; waits while it does not read the answers to others."""
        self._room.wait()
        if self._closed or self.ended:
            return
        first, self._first = self._first, False
        key = key_in(text)
        try:
            if key is not None and first:
                self._admit(key)
                return
            if self.nobody:
                raise Unauthorized(KEY_NEEDED)
            event, data = parse(text)
            _HEARERS[event](self, data)
        except Unauthorized as error:
            self._refuse(error)
        except GafferError as error:
            self._say({"event": "gaffer:error", "data": _problem(error)})

    @property
    def nobody(self) -> bool:
        """Whether it has not said who it is, but has to."""
        return self._identity is None and self._manager is not None and self._manager.access.strict

    @property
    def identity(self) -> Identity | None:
        """Who it is, None as long as that is nobody."""
        return self._identity

    def _admit(self, key: str) -> None:
        """Take the key that is the first message; who has shown one before stays who it is."""
        environ = self._environ if self._environ is not None else {}
        if self._identity is None or self._identity.trusted:
            environ.setdefault(ACCESS, self._manager.access)
            self._become(late_key(environ, key))
        if self._late is not None:
            self._late.kill(block=False)

    def _refuse(self, error: GafferError) -> None:
        """Say why, and end."""
        self._say({"event": "gaffer:error", "data": _problem(error)})
        self.ended = True
        self._woken()

    def _nothing(self, data: dict[str, Any]) -> None:
        """It only wanted to be heard."""

    def _subscribe(self, data: dict[str, Any]) -> None:
        topic = data.get("topic")
        try:
            if not isinstance(topic, str):
                raise BadRequest("data must have a topic, which is text")
            if topic in self._subscriptions:
                self._say(_about("gaffer:subscription_success", topic))
            else:
                self._add(topic, data)
        except GafferError as error:
            self._say(_about("gaffer:subscription_error", topic, reason=str(error)))

    def _add(self, topic: str, data: dict[str, Any]) -> None:
        if len(self._subscriptions) >= MAX_TOPICS:
            raise BadRequest(f"one client may follow {MAX_TOPICS} topics")
        subscription = subscribe(self._manager, self._board, topic, data, self._identity)
        # What it is told first is that it is heard.
        self._say(_about("gaffer:subscription_success", topic))
        self._subscriptions[topic] = subscription
        subscription.follow(self._woken)

    def _unsubscribe(self, data: dict[str, Any]) -> None:
        topic = data.get("topic")
        subscription = self._subscriptions.pop(topic, None) if isinstance(topic, str) else None
        if subscription is None:
            self._say(_about("gaffer:subscription_error", topic, reason="this topic is not subscribed to"))
        else:
            subscription.close()

    def _command(self, data: dict[str, Any]) -> None:
        id = data.get("identity")
        try:
            result = self._run(data.get("name"), data.get("args"), data.get("kwargs"))
        except GafferError as error:
            self._say({"event": "gaffer:command_error", "data": {"id": id, "error": _problem(error)}})
        except Exception as error:
            log.error("command %r failed: %r", data.get("name"), error, exc_info=error)
            failed = {"errno": 500, "reason": INTERNAL_ERROR}
            self._say({"event": "gaffer:command_error", "data": {"id": id, "error": failed}})
        else:
            self._say({"event": "gaffer:command_success", "data": {"id": id, "result": result}})

    def _run(self, name: Any, args: Any, kwargs: Any) -> Any:
        if not isinstance(name, str) or name not in COMMANDS:
            raise NotFound(f"no command {str(name)[:100]!r}{nearest(str(name), COMMANDS)}")
        commands = self._manager.commands
        command = commands.get(COMMANDS[name])
        return commands.run(command.name, _arguments(command, args, kwargs), self._identity, origin_of(self._environ))

    def close(self) -> None:
        """The client is gone."""
        self._closed, self.wake = True, None
        if self._late is not None:
            self._late.kill(block=False)
        if self._identity is not None:
            self._identity.endings.discard(self._end)
        self._drop()
        self._room.set()

    def _drop(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()


_HEARERS: dict[str, Callable[[ChannelSession, dict[str, Any]], None]] = {
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
    if message["event"] not in _HEARERS:
        raise BadRequest(f"there is no event {message['event'][:40]!r}; there are {', '.join(_HEARERS)}")
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
