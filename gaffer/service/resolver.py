"""Resolving names of hosts in threads of their own: names that hang do not occupy gevent's pool, which others need."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable

import gevent
from gevent import socket
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from ..events.unpatched import native
from .thread_writer import start_thread

#: Names that are resolved at the same time; others wait for one of those.
MAX_LOOKUPS = 16

Addresses = list[tuple[Any, ...]]
_getaddrinfo: Callable[..., Addresses] = native("socket", "getaddrinfo")


class Resolver:
    """Resolves names and connects to them; each user has one, so that its names hold up no other.

    A name is resolved once for all that ask for it meanwhile, so one that hangs takes one thread. The C library cannot
    be interrupted: a thread goes on after the last that waited has given up.

    :param limit: threads at the same time, at most.
    :param getaddrinfo: resolves a name, and blocks its thread.
    """

    def __init__(self, limit: int = MAX_LOOKUPS, getaddrinfo: Callable[..., Addresses] | None = None) -> None:
        self._getaddrinfo = getaddrinfo or _getaddrinfo
        self._slots = BoundedSemaphore(limit)
        self._running: dict[tuple[str, int], AsyncResult] = {}

    def resolve(self, host: str, port: int) -> Addresses:
        """Return the addresses of a host, as ``getaddrinfo`` does; waits without a limit of its own.

        :raises OSError: there are none.
        """
        with suppress(OSError):
            # What is an address already needs no thread: the C library asks no server for it.
            numeric: Addresses = _getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            return numeric
        result = self._running.get((host, port))
        if result is None:
            self._slots.acquire()
            # Another may have begun while this one waited.
            result = self._running.get((host, port))
            if result is None:
                result = self._begin(host, port)
            else:
                self._slots.release()
        found: Addresses = result.get()
        return found

    def _begin(self, host: str, port: int) -> AsyncResult:
        result = self._running[host, port] = AsyncResult()
        answers: list[Addresses | BaseException] = []
        awake = gevent.get_hub().loop.async_()

        def finish() -> None:
            awake.stop()
            awake.close()
            del self._running[host, port]
            self._slots.release()
            (answer,) = answers
            if isinstance(answer, BaseException):
                result.set_exception(answer)
            else:
                result.set(answer)

        def run() -> None:
            try:
                answers.append(self._getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except BaseException as error:
                answers.append(error)
            try:
                awake.send()
            except ValueError:
                pass  # the loop has ended meanwhile

        awake.start(finish)
        if not start_thread(run):
            answers.append(OSError(f"the system gives no thread to resolve {host}"))
            finish()
        return result

    def connect(self, host: str, port: int, seconds: float) -> Any:
        """Return a connection to the first of a host's addresses that answers.

        Each gets its share of the time: an IPv6 address that swallows packets shall not hide the IPv4 one. The last of
        them has no limit of its own: the caller limits the whole.

        :raises OSError: there is none.
        """
        found = self.resolve(host, port)
        for place, (family, kind, protocol, _, address) in enumerate(found, 1):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(seconds / len(found) if place < len(found) else None)
                sock.connect(address)
                sock.settimeout(None)
                return sock
            except OSError:
                sock.close()
                if place == len(found):
                    raise
            except BaseException:
                sock.close()
                raise
        raise OSError(f"the name {host} has no address")
