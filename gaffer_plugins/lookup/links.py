"""Links to lookupds, one each: connect, register, send heartbeats, reconnect after a loss.

Whatever a lookupd does, it costs its own link and nothing else: what is to be told is remembered by the name of
the job, and supervision never waits for a lookupd.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from gaffer import __version__
from gaffer.api import Bounded, GafferError, Resolver

from .config import LookupConfig, LookupdAddress
from .connection import LinkError, LookupConnection, shown
from .state import Desk, Told

if TYPE_CHECKING:
    from gaffer import Manager

log = logging.getLogger("gaffer.lookup")

#: Seconds before the first new try; each further one waits twice as long, up to the longest. Random, so that not
#: all nodes come back at once. A lookupd that was started anew knows nothing until its nodes come back: no longer ones.
FIRST, LONGEST = 0.5, 5.0
#: A link that lived this long, in seconds, begins with the shortest pause again.
GOOD = 10.0
#: Seconds within which an answer has to come.
ANSWER_TIMEOUT = 10.0
#: Messages that may wait for their answer.
WINDOW = 200
#: Seconds that saying good-bye may take.
FAREWELL = 1.0


class Links:
    """All links of this node."""

    def __init__(self, manager: Manager, config: LookupConfig) -> None:
        self.desk = Desk()
        self.resolver = Resolver()
        self._manager = manager
        self._config = config
        self._links = [Link(place, self) for place in config.places]

    @property
    def config(self) -> LookupConfig:
        """Configuration of the links."""
        return self._config

    def start(self) -> None:
        """Begin to connect."""
        origin = self._config.origin or self._own_address()
        if _is_here(origin) and not all(_is_here(place.text) for place in self._config.places):
            log.warning("this gafferd registers at lookupds as %s, an address that other machines cannot use", origin)
            log.warning("set the address that others reach it at: broadcast_address = URL, or --broadcast-address URL")
        for link in self._links:
            link.start()

    def stop(self) -> None:
        """Say good-bye, which takes a second at most."""
        gevent.joinall([gevent.spawn(link.stop) for link in self._links], timeout=FAREWELL + 0.5)

    def identity(self) -> dict[str, Any]:
        """Return who this node is."""
        labels: dict[str, str] = {}
        for plugin, said in reversed(self._manager.hooks.collect("gaffer_node_info", manager=self._manager)):
            if isinstance(said, dict):
                labels |= {str(name): str(value) for name, value in said.items()}
            else:
                log.error("plugin %s: gaffer_node_info must return labels, not %r", plugin, said)
        return {
            "name": self._config.name or socket.gethostname(),
            "origin": self._config.origin or self._own_address(),
            "version": __version__,
            "labels": labels | self._config.labels,
            "life": self._manager.node_id,
        }

    def _own_address(self) -> str:
        """Return the first address of our API; where it is every address, the machine's name stands for it."""
        report = self._manager.health()["plugins"].get("http", {})
        url = str((report.get("urls") or [f"node:{self._manager.node_id}"])[0])
        for every in ("://0.0.0.0:", "://[::]:"):
            url = url.replace(every, f"://{socket.gethostname()}:")
        return url

    def health(self) -> dict[str, Any]:
        """Return how each link is."""
        return {"lookupds": {link.place.text: link.state() for link in self._links}}


class Link:
    """The link to one lookupd."""

    def __init__(self, place: LookupdAddress, links: Links, jitter: Callable[[], float] = random.random) -> None:
        self.place = place
        self._links = links
        self._jitter = jitter
        self._log = Bounded(log)
        self._greenlet: gevent.Greenlet | None = None
        self._connection: LookupConnection | None = None
        self._bell = Event()
        self._told = Told(links.desk)
        self._failures = 0
        self._losses = self._refused = 0
        self._reason = ""
        self._registered = False
        links.desk.tell(self._changed)

    def start(self) -> None:
        """Connect, and do so again whenever the connection is lost."""
        self._greenlet = gevent.spawn(self._run)

    def _changed(self, name: str) -> None:
        self._told.mark(name)
        self._bell.set()

    def stop(self) -> None:
        """Leave."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        connection = self._connection
        if connection is not None:
            with gevent.Timeout(FAREWELL, False):
                connection.leave()

    def state(self) -> dict[str, Any]:
        """Return how it is, for health pages."""
        shown: dict[str, Any] = {"registered": self._registered, "losses": self._losses, "refused": self._refused}
        return {**shown, "reason": self._reason} if self._reason else shown

    # -- life -----------------------------------------------------------------------------------
    def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self._talk()
            except (GafferError, OSError) as error:
                self._lost(str(error))
            except GreenletExit:
                raise
            except BaseException as error:  # supervision goes on, and so do we
                self._log.write(logging.ERROR, "the link to %s failed: %r", self.place.text, error, exc_info=error)
                self._lost(f"{type(error).__name__}: {error}")
            if time.monotonic() - began > GOOD:
                self._failures = 0
            gevent.sleep(self._pause())

    def _pause(self) -> float:
        """Return how long to wait, in seconds: between a half and the whole of what doubles each time."""
        whole = min(LONGEST, FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return whole * (0.5 + self._jitter() / 2)

    def _lost(self, reason: str) -> None:
        if self._registered:
            self._losses += 1
        if reason != self._reason:
            self._log.write(logging.WARNING, "lookupd %s: %s; trying again", self.place.text, reason)
        else:
            log.debug("lookupd %s: %s; trying again", self.place.text, reason)
        self._registered, self._reason = False, reason

    def _talk(self) -> None:
        """Register, and tell what changes, until the connection is lost."""
        connection = LookupConnection(self.place, self._links.config, ANSWER_TIMEOUT, self._links.resolver)
        try:
            answer = connection.ask({"type": "IDENTIFY", "state": 0, **self._links.identity()})
            ping = _interval(answer)
            self._connection = connection
            # A lookupd of gaffer 0.5 says no interval.
            self._told = Told(self._links.desk, one_pid="ping_interval" not in answer)
            self._converse(connection, ping)
        finally:
            self._connection = None
            connection.close()

    def _converse(self, connection: LookupConnection, ping: float) -> None:
        waiting: deque[dict[str, Any]] = deque()
        reader = gevent.spawn(self._read, connection, waiting)
        due = time.monotonic() + ping
        try:
            while True:
                self._bell.clear()
                self._tell(connection, waiting)
                if not self._told and not waiting and not self._registered:
                    self._registered, self._reason = True, ""
                    self._log.write(logging.INFO, "registered with lookupd %s", self.place.text)
                now = time.monotonic()
                if now >= due:
                    _send(connection, waiting, self._told.ping())
                    due = now + ping
                self._check(reader, waiting, now)
                self._bell.wait(max(0.0, min(due - now, ANSWER_TIMEOUT if waiting else due - now)))
        finally:
            reader.kill(block=False)

    def _tell(self, connection: LookupConnection, waiting: deque[dict[str, Any]]) -> None:
        for message in self._told.messages():
            _send(connection, waiting, message)
            if len(waiting) >= WINDOW:
                self._drain(waiting)

    def _drain(self, waiting: deque[dict[str, Any]]) -> None:
        """Wait until half of the answers have come; who never sends them is found out by their age."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while len(waiting) > WINDOW // 2:
            self._bell.clear()
            if not self._bell.wait(max(0.0, deadline - time.monotonic())):
                raise LinkError(f"no answer within {ANSWER_TIMEOUT:g} s")

    def _check(self, reader: gevent.Greenlet, waiting: deque[dict[str, Any]], now: float) -> None:
        if reader.dead:
            raise reader.value if isinstance(reader.value, GafferError) else LinkError("the connection was closed")
        if waiting and now - waiting[0]["sent"] > ANSWER_TIMEOUT:
            raise LinkError(f"no answer within {ANSWER_TIMEOUT:g} s")

    def _read(self, connection: LookupConnection, waiting: deque[dict[str, Any]]) -> GafferError:
        """Take answers, which come in order; returns why there are no more."""
        try:
            while True:
                answer = connection.receive()
                if not waiting or answer.get("msgid") != waiting[0]["msgid"]:
                    return LinkError(f"it answered message {shown(answer.get('msgid'))[:40]}, which was not asked")
                asked = waiting.popleft()
                if not answer.get("ok"):
                    self._was_refused(asked, answer)
                self._bell.set()
        except (GafferError, OSError) as error:
            return error if isinstance(error, GafferError) else LinkError(str(error))
        finally:
            self._bell.set()

    def _was_refused(self, asked: dict[str, Any], answer: dict[str, Any]) -> None:
        self._refused += 1
        sentence = "lookupd %s refused %s of %s: %s"
        if self._refused in (1, 10, 100) or self._refused % 1000 == 0:
            told = (self.place.text, asked["type"], asked.get("job_name", "-"), shown(answer.get("reason")))
            self._log.write(logging.ERROR, sentence, *told)
        if asked["type"] == "REGISTER_JOB":
            self._told.forget(asked["job_name"])


def _is_here(url: str) -> bool:
    """Tell whether a URL names the machine that reads it."""
    host = url.partition("://")[2] or url
    return host.startswith(("127.", "localhost", "[::1]", "unix:", "node:")) or url.startswith(("unix:", "node:"))


def _send(connection: LookupConnection, waiting: deque[dict[str, Any]], message: dict[str, Any]) -> None:
    msgid = connection.next_id()
    about = {"type": message["type"], "job_name": message.get("job_name"), "msgid": msgid, "sent": time.monotonic()}
    waiting.append(about)
    connection.send({"msgid": msgid, **message})


def _interval(answer: dict[str, Any]) -> float:
    interval = answer.get("ping_interval")
    return float(interval) if isinstance(interval, (int, float)) and 0.1 <= interval <= 86_400 else 15.0
