"""A manager with the HTTP API on a free port."""

from __future__ import annotations

import json
from typing import Any

import pytest

import gaffer
from gaffer_plugins.http import HttpPlugin
from tests.kit.api_schema import described
from tests.kit.web import Answer, request, wait_until

from ..kit.webhook_receiver import Inbox

_NOTHING = object()


class Api:
    """Makes requests to a running manager; every answer has to be as the API's description says."""

    def __init__(self, manager: gaffer.Manager, http: HttpPlugin) -> None:
        self.manager, self.http = manager, http
        wait_until(lambda: http.serving)
        host, _, port = http.urls[0].removeprefix("http://").rpartition(":")
        self.address = (host, int(port))
        self.described = described(request(self.address, "GET", "/openapi.json").body)

    def __call__(self, method: str, path: str, data: Any = _NOTHING, body: bytes | None = None) -> Answer:
        if data is not _NOTHING:
            body = json.dumps(data).encode()
        answer = request(self.address, method, path, body)
        self.described.check(method, path, answer)
        return answer

    def get(self, path: str) -> Any:
        """Return the JSON at *path*."""
        answer = self("GET", path)
        assert answer.status == 200, answer
        return answer.json


@pytest.fixture
def start_api():
    """Return a function that starts a manager with these plugins and the HTTP API."""
    started = []

    def start(*plugins: Any, settings: Any = None, http: HttpPlugin | None = None) -> Api:
        http = http or HttpPlugin(["127.0.0.1:0"])
        manager = gaffer.Manager(plugins=[http, *plugins], settings=settings)
        started.append(manager)
        manager.start()
        return Api(manager, http)

    yield start
    for manager in started:
        manager.stop()


@pytest.fixture
def api(start_api):
    return start_api()


@pytest.fixture
def inbox():
    """Return a function that makes a receiver of webhooks, see :class:`tests.kit.webhook_receiver.Inbox`."""
    made = []

    def make(*script: Any, **options: Any) -> Inbox:
        made.append(Inbox(*script, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
