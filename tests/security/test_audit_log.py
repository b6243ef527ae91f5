"""What the audit log must not miss, and what must not fill it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

import gaffer
from gaffer.web.application import App
from gaffer_plugins.audit import is_read
from gaffer_plugins.audit.refusals import EVERY, MOST, Refusals
from gaffer_plugins.http import collect_routes
from tests.kit.gafferd import PATIENCE, Gafferd, eventually, gafferd_with_key
from tests.plugins.test_get_changes_nothing import BUILTIN
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


@attack(
    "a network client without a key",
    "requests that are refused, as many as possible, where an audit log is written",
    "the first of a kind has its line, the others are counted in one line a minute; lines of key holders are all there",
)
def test_refusals_without_an_identity_are_summarised(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with gafferd_with_key(tmp_path, f"audit_log = {path}\n") as (node, key):
        for number in range(50):
            assert ask(node, "POST", "/shutdown")[0] == 401
            assert ask(node, "GET", f"/jobs?{number}")[0] == 401
            assert ask(node, "DELETE", "/jobs/default/none", key=key)[0] == 404
        health = ask(node, "GET", "/health", key=key)[1]["plugins"]["audit"]
        assert health["summarised"] == 98
    found = lines(path)
    refused = [one for one in found if one["result"] == "unauthorized"]
    assert sorted(one["what"] for one in refused) == ["jobs", "jobs", "shutdown", "shutdown"]
    assert [one["count"] for one in refused if "count" in one] == [49, 49]
    assert refused[-1]["from"] == "127.0.0.1"
    assert len([one for one in found if one["what"] == "unload" and one["who"]]) == 50


def refusal(what: str, result: str = "unauthorized", origin: str = "10.0.0.1:5") -> dict[str, Any]:
    return {"time": "", "who": None, "from": origin, "what": what, "args": {}, "result": result, "reason": "x" * 9000}


def test_refusals_of_made_up_requests_are_bounded() -> None:
    now = [0.0]
    written: list[dict[str, Any]] = []
    refusals = Refusals(written.append, lambda: now[0])
    for number in range(1000):
        refusals.add(refusal(f"GET /{number}", "misdirected", f"10.0.0.{number % 250}:5"))
        refusals.add(refusal(f"POST /{number}/<name>"))
    assert len(written) == MOST + 1 and max(len(json.dumps(one)) for one in written) < 2000
    now[0] += EVERY
    assert refusals.flush("later")
    counted = [one for one in written if "count" in one]
    assert len(written) - len(counted) + sum(one["count"] for one in counted) == 2000
    assert counted[0]["from"].endswith("…") and len(counted[0]["from"]) < 200
    # It goes on without another one in full, and is forgotten when it is over.
    del written[:]
    refusals.add(refusal("GET /", "misdirected"))
    assert not written
    now[0] += EVERY
    assert refusals.flush("later") and [one["count"] for one in written] == [1]
    now[0] += EVERY
    assert not refusals.flush("later")


def test_local_accounts_are_told_apart() -> None:
    written: list[dict[str, Any]] = []
    refusals = Refusals(written.append)
    for origin in ("127.0.0.1:1 uid=1", "127.0.0.1:2 uid=2", "unix:uid=3", "unix:uid=4", "127.0.0.1:9 uid=1"):
        refusals.add(refusal("jobs", "forbidden", origin))
    assert [one["from"] for one in written] == ["127.0.0.1:1 uid=1", "127.0.0.1:2 uid=2", "unix:uid=3", "unix:uid=4"]
