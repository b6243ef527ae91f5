"""Keys that end while what they began goes on: nothing is done, shown or changed for them from then on."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

import pytest

from gaffer.commands.identity import LOCAL
from gaffer.errors import Conflict, Unauthorized
from gaffer_plugins.auth.store import Store
from tests.kit.accounts import Locked
from tests.kit.gafferd import PATIENCE, Gafferd, gafferd_with_key
from tests.kit.under_attack import masked, upgrade
from tests.kit.web import parse
from tests.security import attack

PASSWORD = "correct horse"
#: Reads its stdin and says so.
ECHO = "[process:echo]\ncmd = cat\nredirect_output = out\nredirect_input = true\n"


class Node:
    """A real gafferd that wants keys, and who owns it."""

    def __init__(self, gafferd: Gafferd, key: str) -> None:
        self.gafferd, self.port, self.key = gafferd, gafferd.port, key

    def ask(self, method: str, path: str, data: Any = None, key: str | None = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            headers["X-Api-Key"] = self.key if key is None else key
            if data is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, None if data is None else json.dumps(data), headers)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body else None
        finally:
            connection.close()

    def login(self, name: str, password: str) -> int:
        basic = base64.b64encode(f"{name}:{password}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("POST", "/auth", headers={"Authorization": f"Basic {basic}"})
            return connection.getresponse().status
        finally:
            connection.close()

    def make_key(self, **permissions: Any) -> tuple[str, str]:
        status, made = self.ask("POST", "/keys", {"permissions": permissions or {"admin": True}})
        assert status == 201, made
        return made["id"], made["api_key"]

    def delete_key(self, id: str) -> None:
        assert self.ask("DELETE", f"/keys/{id}")[0] == 200

    @property
    def pid(self) -> int:
        return int(self.ask("GET", "/jobs/default/echo/pids")[1]["pids"][0])

    @contextmanager
    def begun(self, method: str, path: str, key: str, length: int, kind: str = "application/json") -> Iterator[Any]:
        """Begin a request: gafferd has let it in and waits for its body, which is shown by what it answers first."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock:
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\nContent-Type: {kind}\r\n"
            head += f"Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
            sock.sendall(head.encode())
            assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
            yield sock


def rest(sock: socket.socket) -> Any:
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return parse(data)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with gafferd_with_key(tmp_path_factory.mktemp("node"), jobs=ECHO) as (gafferd, key):
        yield Node(gafferd, key)


# -- slow bodies -------------------------------------------------------------------------------


def routes_with_body(node: Node) -> list[tuple[str, str]]:
    """Return methods and paths of all routes that need a key and take a body, with something in each place."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
    connection.request("GET", "/openapi.json", headers={"X-Api-Key": node.key})
    described = json.loads(connection.getresponse().read())
    connection.close()
    places = {"pid": str(node.pid), "session": "default", "job": "echo", "stream": "stdin", "label": "stdin"}
    found = []
    for path, methods in described["paths"].items():
        for method, what in methods.items():
            if method in ("post", "put") and "requestBody" in what and path != "/auth":
                filled = re.sub(r"{(\w+)}", lambda name: places.get(name[1], "x"), path)
                found.append((method.upper(), filled))
    return found


@attack(
    "a holder of a key",
    "a request that is begun with a key and whose body is sent after the key was deleted, at every URL with a body",
    "401, and nothing is done: whose request it is, is asked again once its body has come",
)
def test_body_that_comes_after_the_end_of_its_key_does_nothing(node: Node) -> None:
    routes = routes_with_body(node)
    assert len(routes) > 15, routes
    late = []
    for method, path in routes:
        if path.endswith("_send"):
            continue  # they need a session; see below
        id, key = node.make_key()
        with node.begun(method, path, key, 2) as sock:
            node.delete_key(id)
            sock.sendall(b"{}")
            answer = rest(sock)
            if answer.status != 401:
                late.append((method, path, answer.status))
    assert late == []


@attack(
    "a holder of a key",
    "`POST /users` with a new admin, begun before and finished after the key is deleted",
    "401, and there is no such user",
)
def test_no_admin_is_made_by_a_key_that_has_ended(node: Node) -> None:
    id, key = node.make_key()
    body = json.dumps({"username": "eve", "password": PASSWORD, "user_type": 0}).encode()
    with node.begun("POST", "/users", key, len(body)) as sock:
        node.delete_key(id)
        sock.sendall(body)
        rest(sock).assert_problem(401, "unauthorized")
    assert node.ask("GET", "/users/eve")[0] == 404 and node.login("eve", PASSWORD) == 401


def test_stdin_gets_nothing_from_a_key_that_has_ended(node: Node) -> None:
    id, key = node.make_key(write=["default.echo"])
    with node.begun("POST", f"/streams/{node.pid}/stdin", key, 4, "application/octet-stream") as sock:
        node.delete_key(id)
        sock.sendall(b"evil")
        rest(sock).assert_problem(401, "unauthorized")


# -- keys that end while something is worked out ------------------------------------------------


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    node = Locked(tmp_path)
    yield node
    node.stop()


def by(node: Locked, key: str) -> Any:
    """Return who has a key."""
    return node.service.find(key)


CHANGES = {
    "create_user": lambda service, who: service.create_user(who, "eve", PASSWORD, 0),
    "set_password": lambda service, who: service.set_password(who, "bob", "stolen account"),
    "set_permissions": lambda service, who: service.set_permissions(who, "bob", {"manage": ["*"]}),
    "delete_user": lambda service, who: service.delete_user(who, "bob"),
    "create_key": lambda service, who: service.create_key(who, "more", {"admin": True}),
    "delete_key": lambda service, who: service.delete_key(who, who.name),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
@attack(
    "a holder of a key",
    "a change of keys or users during which the key is deleted, while a password is hashed or others write, also by "
    "another gafferd with the same database",
    "401, and nothing is changed: a key must be there in the same transaction",
)
def test_change_of_the_database_needs_a_key_that_is_in_it(locked: Locked, change: str, elsewhere: bool) -> None:
    service = locked.service
    service.create_user(LOCAL, "bob", PASSWORD)
    admin, before = by(locked, locked.key(admin=True)), service.user(LOCAL, "bob")
    bob = locked.login("bob", PASSWORD).json["api_key"]
    keyring, ask = service._keyring, service._keyring.ask

    def late(question: Any) -> Any:
        """The database has other things to do before each change; the last of them is to delete the key."""
        if question.__name__ == "act":
            if elsewhere:
                with closing(Store(locked.path)) as other:
                    other.delete_key(admin.name)
            else:
                keyring.forget(ask(lambda store: store.delete_key(admin.name)))
        return ask(question)

    keyring.ask = late
    with pytest.raises(Unauthorized):
        CHANGES[change](service, admin)
    keyring.ask = ask
    assert [user["username"] for user in service.users(LOCAL)["users"]] == ["bob"]
    assert service.user(LOCAL, "bob") == before and by(locked, bob) is not None
    assert locked.login("bob", PASSWORD).status == 200
    assert [key["label"] for key in service.keys(LOCAL)["keys"]] == ["", ""]


@attack(
    "a holder of a key",
    "a new password for a user who is deleted, and made again as an admin, while it is hashed",
    "409: a user must be what it was when the key was allowed to change it",
)
def test_password_is_for_the_user_who_was_looked_at(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    service = locked.service
    service.create_user(LOCAL, "bob", PASSWORD)
    manager, make = by(locked, locked.key(create_user=True, read=["*"])), service._hash

    def replaced(password: str) -> str:
        monkeypatch.undo()
        service.delete_user(LOCAL, "bob")
        service.create_user(LOCAL, "bob", PASSWORD, 0)
        return str(make(password))

    monkeypatch.setattr(service, "_hash", replaced)
    with pytest.raises(Conflict):
        service.set_password(manager, "bob", "stolen account")
    assert locked.login("bob", "stolen account").status == 401 and locked.login("bob", PASSWORD).status == 200


# -- what is open for a key --------------------------------------------------------------------

#: What is open for a key: how it begins, and what is sent on it.
STOP = json.dumps({"event": "CMD", "data": {"name": "stop_job", "args": ["echo"]}})
SOCKETS = {
    "/channel/websocket": STOP.encode(),
    "/wstreams/PID": b"evil",
    "/PID/channel": b"V1 message 1\0evil",
    "/channel/000/IDENTITY/websocket": json.dumps([STOP]).encode(),
}
FEEDS = ("/watch?feed=continuous", "/streams/PID/out?feed=continuous", "/channel/000/FEED/xhr_streaming")


def until_the_end(sock: socket.socket) -> bytes:
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except ConnectionError:
        pass  # what was sent too late
    return data


def opened(node: Node, path: str, key: str, id: str) -> socket.socket:
    """Open a socket or a feed with a key; its answer has begun."""
    path = path.replace("PID", str(node.pid)).replace("IDENTITY", id).replace("FEED", id)
    sock = socket.create_connection(("127.0.0.1", node.port), PATIENCE)
    if path.endswith("/xhr_streaming"):
        sock.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n".encode()
        )
    elif "feed=" in path:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n".encode()
        )
    else:
        sock.sendall(upgrade(path, f"X-Api-Key: {key}\r\n"))
    assert sock.recv(12) in (b"HTTP/1.1 101", b"HTTP/1.1 200")
    return sock


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
@pytest.mark.parametrize("path", [*SOCKETS, *FEEDS])
@attack(
    "a holder of a key",
    "a socket or a feed that stays open after its key was deleted, also by another gafferd with the same database",
    "it ends, within seconds where another program deleted the key; what is said on it afterwards does nothing",
)
def test_what_is_open_ends_with_its_key(node: Node, path: str, elsewhere: bool) -> None:
    id, key = node.make_key()
    with opened(node, path, key, id) as sock:
        if elsewhere:
            with closing(Store(str(node.gafferd.folder / ".gaffer" / "auth.db"))) as other:
                assert other.delete_key(id) == [id]
        else:
            node.delete_key(id)
            if path in SOCKETS:
                with suppress(ConnectionError):
                    sock.sendall(masked(1, SOCKETS[path]))
        until_the_end(sock)
    assert node.ask("GET", "/jobs/default/echo")[1]["active"] is True
    read = node.ask("GET", "/jobs/default/echo/pids")
    assert read[0] == 200 and read[1]["pids"] == [node.pid]
