"""The services that the protocol's own tests are made for, behind the guard, and requests to them."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from typing import Any, Iterator

from gaffer.web.application import App
from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.requests.routes import check_routes
from gaffer.web.sockjs import SockJSLimits
from gaffer.web.sockjs.routes import lazy_service, sockjs_routes
from tests.kit.feed_client import Reader
from tests.kit.web import Answer, connect, parse, served

FRIEND = "http://friend.example"
_ids = itertools.count()


class Echo:
    """Says what it hears."""

    ended = False
    made: list[Echo] = []

    def __init__(self, request: Any = None) -> None:
        self.wake: Any = None
        self.closed = 0
        self._texts: list[str] = []
        Echo.made.append(self)

    def take(self) -> list[str]:
        taken, self._texts = self._texts, []
        return taken

    def receive(self, text: str) -> None:
        self._texts.append(text)
        if self.wake is not None:
            self.wake()

    def close(self) -> None:
        self.closed += 1


class Close(Echo):
    """Ends at once."""

    ended = True


#: As the published tests have them: answers of ``/echo`` end after 4 KiB.
SERVICES = {
    "/echo": (Echo, SockJSLimits(response=4096)),
    "/close": (Close, SockJSLimits()),
    "/disabled_websocket_echo": (Echo, SockJSLimits(websocket=False)),
    "/cookie_needed_echo": (Echo, SockJSLimits(cookies=True)),
    "/lively_echo": (Echo, SockJSLimits(heartbeat=0.05)),
    "/impatient_echo": (
        Echo,
        SockJSLimits(heartbeat=0.05, timeout=0.05, sessions=3, client="https://cdn.example/s.js"),
    ),
}


class Site:
    """All services on one port."""

    def __init__(self, address: Any, services: dict[str, Any]) -> None:
        self.address = address
        self.services = services

    def sessions(self, prefix: str = "/echo") -> Any:
        """Return the sessions of a service; none before its first request."""
        made = self.services[prefix].made
        return () if made is None else made.sessions

    def __call__(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        """Make one request on a connection of its own."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {len(data or b'')}")
        sock = connect(self.address)
        try:
            sock.sendall("\r\n".join([*lines, "", ""]).encode() + (data or b""))
            found = b""
            while chunk := sock.recv(65536):
                found += chunk
            return parse(found)
        finally:
            sock.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)

    def post(self, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        return self("POST", path, body, **headers)

    def stream(self, path: str, method: str = "POST", headers: str = "") -> Reader:
        """Begin a streamed answer."""
        return Reader(self.address, path, headers + ("Content-Length: 0\r\n" if method == "POST" else ""), method)


def session(prefix: str = "/echo", server: str = "000") -> str:
    """Return the URL of a new session."""
    return f"{prefix}/{server}/{os.getpid()}_{next(_ids)}"


@contextmanager
def site(**more: Any) -> Iterator[Site]:
    """Serve all services."""
    services = {prefix: lazy_service(make, limits, lambda: [FRIEND]) for prefix, (make, limits) in SERVICES.items()}
    offers = [("test", sockjs_routes(prefix, service)) for prefix, service in services.items()]
    guard = AccessGuard(App(check_routes(offers)), AccessRules(origins=(FRIEND,), local_users=True))
    with served(guard, **more) as (address, _):
        yield Site(address, services)
    for service in services.values():
        service.close()
