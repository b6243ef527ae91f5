"""What the audit log must not miss, and what must not fill it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

import gaffer
from gaffer.web.app import App
from gaffer_plugins.audit import is_read
from gaffer_plugins.http import collect_routes
from tests.plugins.test_get_changes_nothing import BUILTIN
from tests.programs.gafferd import PATIENCE, Gafferd, eventually, gafferd_with_key
from tests.security import attack

#: Requests that leave no line, since they only carry messages whose commands leave one each.
CARRIERS = {"xhr", "xhr_streaming", "xhr_send", "jsonp_send"}


def ask(node: Gafferd, method: str, path: str, body: Any = None, key: str = "", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
    said = {"X-Api-Key": key} if key else {}
    if body is not None:
        said["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {**said, **headers})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@attack(
    "a holder of a key",
    "keys and users made, changed and deleted where an audit log is written",
    "a line for each, without passwords and keys",
)
def test_keys_and_users_leave_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with gafferd_with_key(tmp_path, f"audit_log = {path}\n") as (node, key):
        status, made = ask(node, "POST", "/keys", {"permissions": {"admin": True}, "label": "back door"}, key)
        assert status == 201
        user = {"username": "eve", "password": "sesame-4711", "user_type": 0}
        assert ask(node, "POST", "/users", user, key)[0] == 201
        assert ask(node, "PUT", "/users/eve/password", {"password": "sesame-4712"}, key)[0] == 200
        assert ask(node, "POST", "/auth/ticket", None, key)[0] == 200
        assert ask(node, "GET", "/keys", None, key)[0] == 200
        assert ask(node, "DELETE", f"/keys/{made['id']}", None, key)[0] == 200
        expected = ["POST /keys", "POST /users", "PUT /users/<username>/password"]
        expected += ["POST /auth/ticket", "DELETE /keys/<id>"]
        found = eventually(lambda: lines(path)[1:] if len(lines(path)) > 5 else [])  # the first is a login
        assert [one["what"] for one in found] == expected
        assert found[0]["args"]["made"] == made["id"] and found[0]["who"]["kind"] == "user"
        text = path.read_text()
        assert "sesame" not in text and made["api_key"] not in text and key not in text


def test_every_route_that_changes_something_leaves_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    manager = gaffer.Manager(builtin=BUILTIN)
    with manager:
        routes = collect_routes(manager)
    told: list[tuple[str, str | None]] = []

    class Access:
        strict = False

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **more: None

        def note(self, command: str, permission: str | None, *more: Any) -> None:
            told.append((command, permission))

    app = App(routes, lambda *args: None, access=Access())  # type: ignore[arg-type]
    carriers = set()
    for route in routes:
        if route.command is not None:
            permission = manager.commands.get(route.command).permission
            assert is_read(route.command, permission) == (route.method == "GET"), route
            continue
        told.clear()
        environ = {"REQUEST_METHOD": route.method, "gaffer.max_body": 0}
        app._answered(environ, route, lambda request, parameters: None, {})
        written = [one for one in told if not is_read(*one)]
        if route.carries:
            carriers.add(route.path.rpartition("/")[2])
        elif route.method == "GET":
            assert not written or route.permission not in (None, "read"), route
        else:
            assert written == [(str(route), route.permission)], route
    assert carriers - {"eventsource", "htmlfile", "jsonp"} == CARRIERS
