"""Every role, every command and route, every transport: who may is let through, who may not is refused, nothing runs.

The cells come from the tables of commands and routes, so one that is new is in here by itself; what has to come out is
worked out again here, and not by what is tested.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from gaffer.commands.authorization import TARGETS
from gaffer.errors import Conflict
from gaffer.web.application import App
from gaffer.web.live.channel_session import COMMANDS as CHANNEL
from gaffer.web.requests.routes import PERMISSIONS
from gaffer_plugins.http import collect_routes
from tests.commands.test_table import ARGS
from tests.kit.web import call
from tests.kit.websocket_client import CLOSE, PING, PONG, frame

from ..kit.accounts import Locked

RAN = "it ran"
#: What contains what: a permission everything before it, a scope the narrower ones.
LEVEL = {"read": 1, "write": 2, "manage": 3, "admin": 4}
SCOPES = {"job": ("job", "session", "all"), "session": ("session", "all"), "node": ("all",)}
TARGET = {"job": "job", "process": "job", "session": "session", None: "node"}
NAMES = {"job": "default.web", "session": "default", "all": "*", "other": "back", "sibling": "default.other"}


class Role(NamedTuple):
    """A caller: the permission it has, on what; no level is no key at all."""

    level: str | None = None
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.level}-{self.scope}" if self.scope else str(self.level)

    def may(self, permission: str | None, target: str | None) -> bool:
        """Tell what has to come out."""
        if permission is None:
            return True
        if self.level in (None, "wrong"):
            return False
        if target == "visible" or self.level == "admin":
            return True
        if self.level == "nothing":
            return False
        return LEVEL[self.level] >= LEVEL[permission] and self.scope in SCOPES[TARGET[target]]


ROLES = (
    *(Role(), Role("wrong"), Role("nothing"), Role("admin")),
    *(Role(level, scope) for level in ("read", "write", "manage") for scope in NAMES),
)


class World:
    """A manager whose commands and handlers only say that they ran, and a key for every role."""

    def __init__(self, folder: Any) -> None:
        self.node = Locked(folder)
        self.cells = 0
        self.pid = self.node.load("web")
        self.keys = {role: self._key(role) for role in ROLES}
        self.routes = collect_routes(self.node.manager)
        table = self.node.manager.commands
        self.commands = list(table)
        self.ran: list[str] = []
        table._commands = {command.name: command._replace(run=self._stub(command.name)) for command in table}
        stubbed = [
            replace(route, handler=self._stub(str(route))) if route.handler is not None else route
            for route in self.routes
        ]
        self.app = App(stubbed, table.perform, access=self.node.manager.access)

    def _key(self, role: Role) -> str | None:
        if role.level is None:
            return None
        if role.level == "wrong":
            return "gk_0123456789ab_" + "x" * 43
        if role.level == "nothing":
            return self.node.key()
        return self.node.key(**({"admin": True} if role.level == "admin" else {role.level: [NAMES[role.scope]]}))

    def _stub(self, name: str) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.ran.append(name)
            raise Conflict(RAN)

        return run

    def args(self, command: Any) -> dict[str, Any]:
        """Return arguments for *command* that are about the job default.web."""
        given = {**ARGS, "pid": self.pid, **({"config": {"name": "new", "cmd": "x"}} if command.name == "load" else {})}
        return {arg.name: given[arg.name] for arg in command.args if arg.required}

    def judge(self, role: Role, permission: str | None, target: str | None, status: int, what: str) -> None:
        """Compare an answer, 409 if it ran, with what has to come out."""
        ran, self.ran = self.ran, []
        self.cells += 1
        if role.may(permission, target):
            assert (status, len(ran)) == (409, 1), f"{role} was refused by {what}: {status}"
        else:
            assert (status, ran) == (401 if role.level in (None, "wrong") else 403, []), f"{role} used {what}: {status}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("matrix"))
    yield made
    print(f"{made.cells} cells")
    made.node.stop()


every_role = pytest.mark.parametrize("role", ROLES, ids=str)


def test_tables_that_the_matrix_is_made_from_are_complete(world):
    assert set(LEVEL) == set(PERMISSIONS) - {None} and set(TARGET) | {"visible"} == set(TARGETS)
    assert {command.target for command in world.commands} == set(TARGETS)
    reached = {route.command for route in world.routes} | set(CHANNEL.values())
    assert reached - {None} <= {command.name for command in world.commands}
    assert len(world.routes) > 80 and len(ROLES) == 19


@every_role
def test_commands_asked_for_by_a_program(world, role):
    """Below all transports; a key is looked at by them, so here those without one have no identity."""
    identity = None
    if role.level not in (None, "wrong"):
        identity = world.node.service.find(world.keys[role])
    for command in world.commands:
        try:
            world.node.manager.commands.run(command.name, world.args(command), identity)
        except Exception as error:
            status = error.status
        world.judge(role, command.permission, command.target, status, command.name)


@pytest.mark.parametrize("header", ["HTTP_X_API_KEY", "HTTP_AUTHORIZATION", "ticket"])
@every_role
def test_http(world, role, header):
    """Every route of every plugin, those of commands and those of handlers."""
    tried = 0
    for route in world.routes:
        if header == "ticket" and route.method != "GET":
            continue
        shown, query = credentials(world, role, header)
        path, body, more = request_of(world, route)
        answer = call(world.app, route.method, path + query, body, **more, **shown)
        if route.first_message and role.level is None:
            # It is let in to say who it is; what becomes of that, the sockets below tell.
            assert answer.status == 409 and world.ran == [str(route)]
            world.ran.clear()
            continue
        command = next((one for one in world.commands if one.name == route.command), None)
        permission, target = (command or route).permission, (command or route).target
        world.judge(role, permission, target, answer.status, f"{route} with {header}: {answer.text}")
        tried += 1
    assert tried > 30


def credentials(world, role, header):
    key = world.keys[role]
    if key is None:
        return {}, ""
    if header == "ticket":
        identity = None if role.level == "wrong" else world.node.service.find(key)
        ticket = "x" if identity is None else world.node.service.ticket(identity)["ticket"]
        return {}, f"?ticket={ticket}"
    return {header: f"Bearer {key}" if header == "HTTP_AUTHORIZATION" else key}, ""


def request_of(world, route):
    """Return path, body and more of the environment for a request of *route* that nothing but a key is missing from."""
    values = {**ARGS, "session": "default", "job": "web", "pid": world.pid, "count": 1, "path": "x"}
    path = route.path
    for name, kind in route.places:
        path = path.replace(f"<{name}:{kind}>" if kind else f"<{name}>", str(values.get(name, "x")))
    if route.body is None or route.method == "GET":
        return path, None, {}
    if route.raw and route.body == "state":
        return path, b"1", {}
    if isinstance(route.body, tuple):
        return path, json.dumps({name: ARGS[name] for name in route.body}).encode(), {}
    job = "new" if route.command == "load" else "web"
    return path, json.dumps({"name": job, "cmd": "x"}).encode(), {}


class Socket:
    """A client of ``/channel`` that sends commands and reads what became of them."""

    def __init__(self, world: World, role: Role, transport: str) -> None:
        self.node, self.key = world.node, world.keys[role]
        self.first = transport.endswith("AUTH")
        self.socket: Any = None

    def open(self) -> bool:
        """Open a session; returns whether there is one."""
        self.close()
        self.socket = self.node.socket("/channel/websocket", None if self.first else self.key)
        if self.socket.answer.status != 101:
            return False
        if self.first and self.key is not None:
            self.socket.say(f"AUTH:{self.key}")
        return True

    def command(self, name: str, kwargs: dict[str, Any]) -> int:
        """Send a command; returns the status of what comes back."""
        said = {"identity": "x", "name": name, "kwargs": kwargs}
        self.say(json.dumps({"event": "CMD", "data": said}))
        return self.status()

    def say(self, text: str) -> None:
        self.socket.say(text)

    def status(self) -> int:
        frame = self.socket.receive()
        assert frame.opcode != CLOSE
        data = json.loads(frame.data)["data"]
        return int(data["error"]["errno"] if "error" in data else data["errno"])

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()


class Polling(Socket):
    """The same over SockJS, asking again and again."""

    def open(self) -> bool:
        self.url, self.head = f"/channel/000/{uuid.uuid4().hex}", ""
        answer = self._poll()
        if "set-cookie" in answer.headers:
            self.head = f"Cookie: {answer.headers['set-cookie'].partition(';')[0]}\r\n"
        if answer.status == 200 and self.first and self.key is not None:
            self.say(f"AUTH:{self.key}")
        return answer.status == 200

    def _poll(self) -> Any:
        return self.node("POST", f"{self.url}/xhr", key=None if self.first else self.key, head=self.head)

    def say(self, text: str) -> None:
        answer = self.node("POST", f"{self.url}/xhr_send", [text], None if self.first else self.key, self.head)
        assert answer.status == 204, answer

    def status(self) -> int:
        frame = self._poll().text
        assert frame.startswith("a["), frame
        (text,) = json.loads(frame[1:])
        data = json.loads(text)["data"]
        return int(data["error"]["errno"] if "error" in data else data["errno"])

    def close(self) -> None:
        """It ends when its client asks no more."""


@pytest.mark.parametrize("transport", ["websocket", "websocket AUTH", "sockjs", "sockjs AUTH"])
@every_role
def test_sockets(world, role, transport):
    """Every command of ``/channel`` in one session: what one was refused opens nothing for those after it."""
    made = (Polling if transport.startswith("sockjs") else Socket)(world, role, transport)
    unidentified = role.level in (None, "wrong")
    is_open = made.open()
    # A wrong key in the head is refused before there is a session; else it is the first message that ends it.
    assert is_open or role.level == "wrong" and not made.first
    for name, command in CHANNEL.items():
        found = next(one for one in world.commands if one.name == command)
        status = made.command(name, world.args(found)) if is_open else 401
        world.judge(role, found.permission, found.target, status, f"{transport} {name}")
        if unidentified:
            made.close()
            is_open = made.open()
    made.close()


#: The sockets of a process, and what each of them needs.
PROCESS_SOCKETS = (
    *(("read", f"/{{}}/channel{more}?mode=1") for more in ("", "/out")),
    *(("write", f"/{{}}/channel{more}?mode=2") for more in ("", "/stdin")),
    *(("read", f"/{{}}/channel{mode}") for mode in ("", "?mode=3")),
    ("write", "/wstreams/{}"),
)


def test_no_socket_of_a_process_is_missing(world):
    paths = {route.path for route in world.routes if route.status == 101 and ("pid", "int") in route.places}
    asked = {path.partition("?")[0].format("<pid:int>") for _, path in PROCESS_SOCKETS}
    assert paths == {path.replace("/out", "/<stream>").replace("/stdin", "/<stream>") for path in asked}


@pytest.mark.parametrize("way", ["header", "AUTH"])
@every_role
def test_sockets_of_a_process(world, role, way):
    """Whether there is one; it is real, and so is the process."""
    for permission, path in PROCESS_SOCKETS:
        if way == "AUTH" and path.startswith("/wstreams"):
            continue
        status = opened(world, role, way, path.format(world.pid))
        if way == "header" and role.level is None and not path.startswith("/wstreams"):
            assert status == 1008  # it may still say who it is, but does not
            continue
        world.cells += 1
        may = role.may(permission, "process")
        unidentified = role.level in (None, "wrong")
        refused = 1008 if way == "AUTH" else 401 if unidentified else 403
        assert status == (101 if may else refused), f"{role} at {path} by {way}: {status}"


def opened(world, role, way, path):
    """Return 101 if there is such a websocket, or the status or close code that refuses it."""
    key = world.keys[role]
    socket = world.node.socket(path, key if way == "header" else None)
    with socket:
        if socket.answer.status != 101:
            return socket.answer.status
        if way == "AUTH":
            socket.say(f"AUTH:{key or ''}")
        elif key is None:
            socket.say("hello")
        socket.send(frame(b"here?", PING))
        while True:
            # Output of the process may come first.
            answer = socket.receive()
            if answer.opcode in (PONG, CLOSE):
                return 101 if answer.opcode == PONG else answer.code
