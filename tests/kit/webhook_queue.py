"""The queue of one URL on a bench: a client from a script, pauses that only are written down."""

from __future__ import annotations

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from gaffer_plugins.webhooks.config import check_tuning
from gaffer_plugins.webhooks.receiver import Delivery, Receiver, Shared
from gaffer_plugins.webhooks.retry import ReceiverAnswer
from gaffer_plugins.webhooks.trust import Trust
from gaffer_plugins.webhooks.urls import parse_url
from tests.kit.web import wait_until


class Client:
    """Answers from a script, then with 200; keeps what was posted."""

    def __init__(self, script=()):
        self.script = list(script)
        self.posts = []
        self.opened = self.closed = 0

    def open(self, target, tuning, trust):
        self.opened += 1
        return self

    def post(self, headers, body):
        self.posts.append((headers, body))
        gevent.sleep(0)
        reply = self.script.pop(0) if self.script else 200
        if isinstance(reply, Event):
            reply.wait()
            reply = 200
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, ReceiverAnswer) else ReceiverAnswer(reply)

    def close(self):
        self.closed += 1

    @property
    def bodies(self):
        return [body.decode() for _, body in self.posts]

    def header(self, name):
        return [headers.get(name) for headers, _ in self.posts]


class Bench:
    """A receiver with everything around it."""

    def __init__(self, *script, slots=None, pause=None, **options):
        self.client = Client(script)
        self.pauses = []
        self.dead = []
        tuning = check_tuning(options)
        self.shared = Shared(
            tuning,
            slots or BoundedSemaphore(tuning.concurrency),
            Trust(None),
            self.dead.append,
            self.client.open,
            pause or self._pause,
            lambda: 1.0,
        )
        self.receiver = Receiver(1, parse_url("http://u:pw@h/x"), self.shared)

    def _pause(self, event, seconds):
        self.pauses.append(seconds)
        gevent.sleep(0)

    def put(self, *names):
        return [self.receiver.put(Delivery.of(name, b'"%s"' % name.encode())) for name in names]

    def wait_sent(self, count):
        wait_until(lambda: self.receiver.sent == count)

    def info(self, *keys):
        found = self.receiver.info()
        return tuple(found[key] for key in keys)
