"""A receiver of webhooks on loopback, and what it answers."""

from __future__ import annotations

import json
import re
import socket
import ssl as native_ssl
from pathlib import Path
from typing import Any, NamedTuple

from gevent import ssl
from gevent.event import Event
from gevent.server import StreamServer

from gaffer.config.ini_reader import parse_text
from gaffer.config.settings import Options, Settings
from tests.kit.web import wait_until

#: Read the request and answer nothing until the receiver is released or the sender leaves.
HANG = object()
#: Read the request and close the connection.
CLOSE = object()


class Post(NamedTuple):
    """One request that a receiver got.

    :param connection: the number of the connection it came over.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event(self) -> str:
        """The name of the event that was posted."""
        return str(self.json["event"])


class Inbox:
    """An HTTP server that keeps what is posted to it.

    :param script: what is answered in order: a status, ``(status, headers)``, raw bytes, :data:`HANG` or :data:`CLOSE`.
        Afterwards everything is answered with 200.
    """

    def __init__(self, *script: Any, tls: Any = None) -> None:
        self.script = list(script)
        self.posts: list[Post] = []
        self.connections = 0
        self.released = Event()
        options = {} if tls is None else {"ssl_context": tls}
        self._server = StreamServer(("127.0.0.1", 0), self._serve, **options)
        self._server.start()
        self._server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._scheme = "http" if tls is None else "https"

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self._scheme == "http" else "localhost"
        return f"{self._scheme}://{host}:{self._server.server_port}/hook"

    @property
    def events(self) -> list[str]:
        """The names of the events that came, in order."""
        return [post.event for post in self.posts]

    def wait(self, count: int) -> list[Post]:
        """Wait until so many posts came."""
        wait_until(lambda: len(self.posts) >= count)
        return self.posts

    def close(self) -> None:
        self.released.set()
        self._server.stop(timeout=0)

    def _serve(self, sock: Any, address: Any) -> None:
        self.connections += 1
        number = self.connections
        reader = sock.makefile("rb")
        try:
            while self._answer(sock, reader, number):
                pass
        except OSError:
            pass  # the sender left
        finally:
            reader.close()
            sock.close()

    def _answer(self, sock: Any, reader: Any, number: int) -> bool:
        line = reader.readline().decode()
        if not line:
            return False
        headers = {}
        while (header := reader.readline().decode().rstrip("\r\n")) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers["content-length"]))
        reply = self.script.pop(0) if self.script else 200
        self.posts.append(Post(line.split()[1], headers, body, number))
        if reply is HANG:
            self.released.wait()
            return False
        if reply is CLOSE:
            return False
        if not isinstance(reply, bytes):
            status, extra = reply if isinstance(reply, tuple) else (reply, {})
            lines = [f"HTTP/1.1 {status} X", "Content-Length: 2", *(f"{key}: {value}" for key, value in extra.items())]
            reply = "\r\n".join([*lines, "", "ok"]).encode()
        sock.sendall(reply)
        return True


def complaints(stderr: str) -> str:
    """Return what a program said on standard error, but for plugins that a busy machine made slow."""
    return re.sub(r"plugin \S+: gaffer_\w+ took \d+ ms\n", "", stderr)


def settings(text: str) -> Settings:
    """Return the settings that an ini file of that text makes."""
    return Settings(Options(), parse_text(text, "g.ini"))


def server_tls(folder: Path, name: str) -> Any:
    """Return TLS settings of a server with one of these certificates."""
    context = ssl.SSLContext(native_ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context
