"""What tests of HTTP need: calling WSGI applications, serving them on loopback, talking to them in bytes."""

from __future__ import annotations

import io
import json
import socket
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NamedTuple
from urllib.parse import unquote

import gevent
from gevent import socket as green

from gaffer.config.addresses import bind_sockets
from gaffer.web.requests.access_rules import EndpointPolicy
from gaffer.web.server.connection import ClientConnection, ConnectionLimits
from gaffer.web.server.server import HttpServer


class Answer(NamedTuple):
    """An answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; the declared type has to agree."""
        assert self.headers["content-type"] == "application/json", self
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def assert_problem(self, status: int, code: str) -> str:
        """Check that this is the JSON of an error; returns its sentence."""
        assert self.status == status, self
        problem = self.json
        assert set(problem) == {"error", "reason", "errno"}
        assert (problem["error"], problem["errno"]) == (code, status)
        return str(problem["reason"])


def call(app: Any, method: str, path: str, body: bytes | None = None, **environ: Any) -> Answer:
    """Call a WSGI application; *body* is sent as JSON unless CONTENT_TYPE says otherwise."""
    path, _, query = path.partition("?")
    request = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.url_scheme": "http",
    }
    if body is not None:
        request |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
    seen: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        seen.update(status=status, headers=headers)

    chunks = list(app({**request, **environ}, start_response))
    headers = {name.lower(): value for name, value in seen["headers"]}
    return Answer(int(seen["status"].split()[0]), headers, b"".join(chunks))


@contextmanager
def served(app: Any, bind: str = "127.0.0.1:0", tls: Any = None, **limits: Any) -> Iterator[tuple[Any, HttpServer]]:
    """Serve *app*; gives the address of its (first) socket and the server."""
    server = HttpServer(app, ConnectionLimits(**limits))
    sockets = bind_sockets(bind, allows_unix_socket=True)
    for sock in sockets:
        server.add(sock, tls)
    address = sockets[0].getsockname()
    server.start()
    try:
        yield address, server
    finally:
        server.stop(timeout=1)


def connect(address: Any, timeout: float = 10.0) -> Any:
    """Return a cooperative client socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    sock = green.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def everything(sock: Any) -> bytes:
    """Read until the server closes the connection."""
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except ConnectionError:
        pass
    return data


def talk(address: Any, data: bytes, timeout: float = 10.0) -> bytes:
    """Send *data*, say that this was all, and return everything that comes back."""
    sock = connect(address, timeout)
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return everything(sock)
    finally:
        sock.close()


def parse(data: bytes) -> Answer:
    """Take the first answer in *data* apart."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") != "chunked":
        body = body[: int(headers.get("content-length", 0))]
    return Answer(int(lines[0].split()[1]), headers, body)


def request(address: Any, method: str, path: str, body: bytes | None = None, host: str = "localhost") -> Answer:
    """Make one request on a connection of its own."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return parse(talk(address, head.encode("latin-1") + b"\r\n" + (body or b"")))


def wait_until(condition: Callable[[], Any]) -> None:
    """Let other greenlets run until *condition* holds, at most a minute."""
    with gevent.Timeout(60):
        while not condition():
            gevent.sleep(0.001)


def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call something that blocks, such as a child's end, while greenlets go on."""
    return gevent.get_hub().threadpool.apply(function, args, kwargs)


def connection(family: int = socket.AF_INET, peer: Any = ("127.0.0.1", 40000), local: Any = ("127.0.0.1", 5000)) -> Any:
    """Return a connection that never was."""
    made = ClientConnection.__new__(ClientConnection)
    made.sock, made.family, made.peer, made.local = None, family, peer, local
    made.secure, made.permitted, made.permitted_by, made.policy = False, None, None, EndpointPolicy()
    made.uid = None
    return made
