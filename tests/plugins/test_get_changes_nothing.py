"""GET, HEAD and OPTIONS never change state: every one of them, of every plugin, with all there is compared."""

from __future__ import annotations

import hashlib
from importlib.metadata import entry_points
from typing import Any

import pytest

import gaffer
from gaffer.commands.identity import LOCAL
from gaffer_plugins.auth import AuthPlugin
from gaffer_plugins.http import HttpPlugin
from tests.commands.test_table import ARGS
from tests.kit.web import connect, wait_until
from tests.kit.websocket_client import HANDSHAKE

#: Parts of what is shown that go on by themselves.
_MOVING = ("uptime", "uptimes", "last_used")
BUILTIN = sorted(one.name for one in entry_points(group="gaffer.plugins") if one.value.startswith("gaffer_plugins."))
QUICK = {"min_uptime": 0}
#: An end to answers that have none.
QUERY = "?feed=eventsource&heartbeat=0.1&tail=1&c=callback&follow=false"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A manager with every plugin of gaffer's own, two jobs, a user and a key."""
    monkeypatch.setenv("HOME", str(tmp_path))
    site = tmp_path / "plugins" / "manual" / "_site"
    site.mkdir(parents=True)
    (site / "index.html").write_text("hello")
    http, auth = HttpPlugin(["127.0.0.1:0"]), AuthPlugin()
    others = [name for name in BUILTIN if name not in ("http", "auth")]
    manager = gaffer.Manager(plugins=[http, auth], builtin=others)
    manager.plugins.load_folder(str(tmp_path / "plugins"))
    with manager:
        wait_until(lambda: http.serving)
        for name in ("web", "back.db"):
            manager.load(
                {"name": name, "cmd": "cat", "min_uptime": 0, "redirect_output": ["out"], "redirect_input": True}
            )
        wait_until(lambda: len(manager.running) == 2)
        auth.service.create_user(LOCAL, "ann", "correct horse", 1)
        auth.service.create_key(LOCAL, "key", {"read": ["*"]})
        yield manager, http, auth, tmp_path


def still(value: Any) -> Any:
    """Return JSON without what moves."""
    if isinstance(value, dict):
        return {key: still(one) for key, one in value.items() if key not in _MOVING}
    return [still(one) for one in value] if isinstance(value, list) else value


def state(manager: Any, auth: Any, folder: Any) -> dict[str, Any]:
    """Return everything that a request could have changed."""
    return {
        "jobs": [still(manager.info(name)) for name in manager.jobs()],
        "processes": {pid: still(process.info) for pid, process in manager.running.items()},
        "events": manager.events.last,
        "node": (manager.state, len(manager.plugins.list()), manager.access.strict),
        "keys": still(auth.service.keys(LOCAL)),
        "users": auth.service.users(LOCAL),
        "files": {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
        },
    }


def urls(manager: Any, http: Any, key_id: str) -> list[str]:
    """Return every URL that GET is for, about what is there."""
    pid = manager.pids("web")[0]
    places = {"session": "default", "job": "web", "pid": pid, "username": "ann", "id": key_id}
    parts = {"label": "out", "stream": "out", "path": "index.html", "version": "-1.6.1"}
    values = {**ARGS, **places, **parts, "pa": "proc", "pb": "web", "pc": "spawn", "pd": "x"}
    found = []
    for route in http._routes:
        if route.method == "GET":
            path = route.path
            for name, kind in route.places:
                value = "manual" if "_plugin" in path and name == "name" else values.get(name, "x")
                path = path.replace(f"<{name}:{kind}>" if kind else f"<{name}>", str(value))
            found.append(path)
    return found


def test_every_get_leaves_everything_as_it_is(world):
    manager, http, auth, folder = world
    host, _, port = http.urls[0].removeprefix("http://").rpartition(":")
    address = (host, int(port))
    paths = urls(manager, http, auth.service.keys(LOCAL)["keys"][0]["id"])
    assert len(paths) > 45
    before, statuses = state(manager, auth, folder), {}
    for path in paths:
        for method in ("GET", "HEAD", "OPTIONS", "GET upgrade"):
            head = HANDSHAKE if method == "GET upgrade" else "Connection: close\r\n"
            # What a body would say, or another method in its clothes, is of no use either.
            more = "X-HTTP-Method-Override: DELETE\r\nContent-Type: application/json\r\nContent-Length: 15\r\n"
            body = "" if method == "GET upgrade" else more
            sock = connect(address)
            text = f"{method.split()[0]} {path}{QUERY} HTTP/1.1\r\nHost: localhost\r\n{head}{body}\r\n"
            sock.sendall(text.encode() + (b'{"scale": "+1"}' if body else b""))
            answer = sock.recv(15)
            sock.close()
            statuses[method, path] = int(answer[9:12])
    # They were answered, and not only refused.
    gets = [status for (method, _), status in statuses.items() if method == "GET"]
    assert sum(status in (200, 302, 426) for status in gets) >= len(paths) * 0.9, statuses
    assert max(statuses.values()) < 500 or {status for status in statuses.values() if status >= 500} == {503}
    assert manager.hooks.flush() == []
    after = state(manager, auth, folder)
    for part in before:
        assert after[part] == before[part], part
