"""A chat at ``/chat``: what one client says is heard by all."""

from collections import deque

import gaffer
from gaffer.api.web import lazy_service, sockjs_routes


class Chat(gaffer.Plugin):
    name = "chat"

    def __init__(self):
        self.guests = set()
        self.service = lazy_service(lambda request: Guest(self.guests))

    @gaffer.hookimpl
    def gaffer_routes(self, manager):
        return sockjs_routes("/chat", self.service, permission="read", tag="Chat")

    @gaffer.hookimpl
    def gaffer_manager_stopped(self):
        self.service.close()


class Guest:
    """One session: what it is to receive waits here, the latest hundred messages at most."""

    ended = False

    def __init__(self, guests):
        self.wake = None
        self.guests = guests
        self.waiting = deque(maxlen=100)
        guests.add(self)

    def receive(self, text):
        for guest in self.guests:
            guest.waiting.append(text)
            if guest.wake is not None:
                guest.wake()

    def take(self):
        texts = list(self.waiting)
        self.waiting.clear()
        return texts

    def close(self):
        self.guests.discard(self)
