"""A manager that asks for keys, and clients that have some."""

from __future__ import annotations

import base64
import json
from typing import Any

import gaffer
from gaffer.commands.identity import LOCAL
from gaffer.web.requests.access_rules import AccessRules
from gaffer_plugins.auth import AuthPlugin
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.sockjs import SockjsPlugin
from gaffer_plugins.stats import StatsPlugin
from gaffer_plugins.streams import StreamsPlugin
from gaffer_plugins.websocket import WebsocketPlugin
from tests.kit.web import Answer, parse, talk, wait_until
from tests.kit.websocket_client import HANDSHAKE, Client

#: Every plugin with routes.
LIVE = (StreamsPlugin, StatsPlugin, WebsocketPlugin, SockjsPlugin)


class Locked:
    """A running manager with keys; *auth* is its plugin."""

    def __init__(self, folder: Any, *plugins: Any, keys: bool = True) -> None:
        self.path = str(folder / "keys" / "auth.db")
        self.auth = AuthPlugin(self.path)
        self.http = HttpPlugin(["127.0.0.1:0"], AccessRules(keys=keys))
        self.manager = gaffer.Manager(plugins=[self.http, self.auth, *(kind() for kind in LIVE), *plugins])
        self.manager.start()
        wait_until(lambda: self.http.serving)
        host, _, port = self.http.urls[0].removeprefix("http://").rpartition(":")
        self.address = (host, int(port))

    @property
    def service(self) -> Any:
        return self.auth.service

    def key(self, label: str = "", expires_in: float | None = None, **permissions: Any) -> str:
        """Return a new key that allows this."""
        return str(self.service.create_key(LOCAL, label, permissions, expires_in)["api_key"])

    def __call__(
        self, method: str, path: str, data: Any = None, key: str | None = None, head: str = "", raw: bytes | None = None
    ) -> Answer:
        """Make a request, with *data* as JSON."""
        body = raw if raw is not None else b"" if data is None else json.dumps(data).encode()
        text = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}"
        if key is not None:
            text += f"X-Api-Key: {key}\r\n"
        if body:
            text += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return parse(talk(self.address, text.encode() + b"\r\n" + body))

    def login(self, name: str, password: str, data: Any = None) -> Answer:
        """Log in."""
        return self("POST", "/auth", data, head=f"Authorization: Basic {encoded(name, password)}\r\n")

    def get(self, path: str, key: str | None = None) -> Any:
        answer = self("GET", path, key=key)
        assert answer.status == 200, answer
        return answer.json

    def socket(self, path: str, key: str | None = None) -> Client:
        """Open a websocket."""
        headers = HANDSHAKE if key is None else f"{HANDSHAKE}X-Api-Key: {key}\r\n"
        return Client(self.address, path, headers)

    def load(self, name: str, cmd: str = "cat", **settings: Any) -> int:
        """Load a job and return the pid of its process."""
        redirected = {"redirect_output": ["out"], "redirect_input": True, "env": {"PASSWORD": "x"}}
        self.manager.load({"name": name, "cmd": cmd, **redirected, **settings})
        wait_until(lambda: self.manager.pids(name))
        return int(self.manager.pids(name)[0])

    def stop(self) -> None:
        self.manager.stop()


def encoded(name: str, password: str) -> str:
    """Return what Basic sends."""
    return base64.b64encode(f"{name}:{password}".encode()).decode()


def id_of(key: str) -> str:
    """Return the id in a key."""
    return key.split("_")[1]


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
