"""Attacks on where a request ends: what gafferd reads of one is what its head says, and the next one stays whole."""

from __future__ import annotations

import socket

import pytest

from tests.kit.gafferd import PATIENCE, Gafferd
from tests.kit.lookupd import Lookupd
from tests.kit.web_app import answers
from tests.security import attack

JOBS = "[process:web]\ncmd = sleep 1000\nredirect_input = true\nnumprocesses = 1\n"
#: The request of another client, which comes after on the same connection.
NEXT = b"GET /ping?next HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: another-clients-key\r\nConnection: close\r\n\r\n"
UPGRADES = [
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
]
BODY = b'{"config": {"name": "stolen", "cmd": "true"}}'


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory):
    with Gafferd(tmp_path_factory.mktemp("framing"), JOBS).start().ready() as one:
        yield one


def exchange(port: int, data: bytes) -> bytes:
    """Send *data* at once; return all that comes back until the connection ends."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(data)
        while chunk := sock.recv(65536):
            found += chunk
    return found


def framed(body: bytes, chunked: bool) -> bytes:
    """Return the header that announces *body*, and the body."""
    if chunked:
        return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@attack(
    "a network client without a key",
    "a body beside `Upgrade`, so that it is taken from the connection twice, and with it a part of another client's "
    "next request that a proxy sends over the same connection",
    "the body is read once and as long as its head says; with a body the wish to upgrade is ignored, and a websocket "
    "is refused with 426",
)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("line", [b"POST /jobs/default/web/state", b"GET /channel/websocket", b"POST /nothing"])
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_a_body_beside_upgrade(gafferd, upgrade, line, chunked):
    head = line + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + upgrade
    first, *others = answers(exchange(gafferd.port, head + framed(BODY, chunked) + NEXT))
    refusals = {b"GET /channel/websocket": 426, b"POST /nothing": 404}
    assert first.status == refusals.get(line, first.status) != 101
    # Chunks that were not read cost the connection.
    assert others or first.headers["connection"] == "close"
    assert [(other.status, other.body) for other in others] in ([], [(200, b"OK")])
    assert others or chunked


HEADS = {
    "another name": b"HEAD /jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "another page": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
    "an image of another page": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    "two keys": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: a\r\nAuthorization: Bearer b\r\n\r\n",
    "a wrong key": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: a\r\n\r\n",
    "nothing there": b"HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not with this method": b"HEAD /signal HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no websocket": b"HEAD /channel/websocket HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a feed": b"HEAD /watch?feed=eventsource HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a session": b"HEAD /channel/0/a/xhr_streaming HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a page": b"HEAD /channel/iframe.html HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a site": b"HEAD /_plugin/nothing/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no host": b"HEAD /jobs HTTP/1.1\r\n\r\n",
    "a line that is too long": b"HEAD /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header that is too long": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    "a head that is too long": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\n" + b"A: bbbbbbbbbbbb\r\n" * 3000 + b"\r\n",
    "too many headers": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 101 + b"\r\n",
    "an empty line before it": b"\r\nHEAD /jobs HTTP/1.1\r\n\r\n",
    "another type": b"HEAD /jobs/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/html\r\n"
    b"Content-Length: 1\r\n\r\nx",
    "a bad length": b"HEAD /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
}


@attack(
    "a network client without a key",
    "`HEAD` where it is refused, whose answer had a body that the next request's client took for its own answer",
    "no answer to `HEAD` has a body, whichever part of gafferd gives it",
)
@pytest.mark.parametrize("what", HEADS)
def test_head_has_no_body_whichever_part_refuses_it(gafferd, what):
    assert_no_body(gafferd.port, HEADS[what])


def assert_no_body(port: int, data: bytes) -> bytes:
    """Check that the answer to HEAD has no body; returns its head."""
    head, _, rest = exchange(port, data + NEXT).partition(b"\r\n\r\n")
    if b"\r\nConnection: close" in head:
        assert rest == b""
    else:
        (after,) = answers(rest)
        assert (after.status, after.body) == (200, b"OK")
    return head


PLUGIN = """
import gaffer, gevent
from gaffer.errors import Unavailable, UnsupportedMediaType
from gaffer.web.requests.routes import Route

def fail(error):
    def handler(request):
        raise error("for a reason")
    return handler

def stubborn(request):
    while True:
        try:
            gevent.sleep(100)
        except BaseException:
            pass

class Heads(gaffer.Plugin):
    name = "heads"

    @gaffer.hookimpl
    def gaffer_routes(self, manager):
        given = {"415": fail(UnsupportedMediaType), "503": fail(Unavailable), "500": fail(KeyError)}
        given |= {"text": lambda request: "text", "late": lambda request: gevent.sleep(100), "stubborn": stubborn}
        return [Route("GET", f"/heads/{name}", handler=handler, permission=None) for name, handler in given.items()]

    @gaffer.hookimpl
    def gaffer_wrap_wsgi(self, app, manager):
        def middleware(environ, start_response):
            kind = environ["PATH_INFO"].removeprefix("/middle/")
            if kind == environ["PATH_INFO"]:
                return app(environ, start_response)
            if kind == "raises":
                raise KeyError("for a reason")
            length = [("Content-Length", "6")] if kind == "length" else []
            write = start_response("403 Forbidden", [("Content-Type", "text/plain"), *length])
            if kind == "writes":
                write(b"abc")
            return [b"abc", b"def"] if kind != "iterates" else iter([b"abc", b"def"])
        return middleware
"""


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A gafferd whose plugin answers in many ways."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "plugins" / "heads" / "_site").mkdir(parents=True)
    (folder / "plugins" / "heads" / "heads.py").write_text(PLUGIN)
    (folder / "plugins" / "heads" / "_site" / "index.html").write_text("<p>a page</p>")
    with Gafferd(folder, "", f"plugin_dir = {folder}/plugins\nhttp_request_timeout = 1").start().ready() as one:
        yield one


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/heads/415", 415), ("/heads/503", 503), ("/heads/500", 500), ("/heads/text", 200)),
        *(("/heads/late", 503), ("/heads/stubborn", 503)),
        *(("/middle/list", 403), ("/middle/iterates", 403), ("/middle/writes", 403), ("/middle/length", 403)),
        *(("/middle/raises", 500), ("/_plugin/heads/", 200), ("/_plugin/heads/index.html", 200)),
        *(("/_plugin/heads/nothing", 404), ("/_plugin/heads/../../etc/passwd", 404)),
    ],
)
def test_head_has_no_body_whichever_part_answers_it(heads, path, status):
    head = assert_no_body(heads.port, b"HEAD %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
    assert head.startswith(b"HTTP/1.1 %d " % status)


def test_head_has_no_body_at_a_lookupd(tmp_path):
    with Lookupd(tmp_path) as lookupd:
        for data in HEADS.values():
            head, _, rest = exchange(lookupd.port, data + NEXT).partition(b"\r\n\r\n")
            assert (b"\r\nConnection: close" in head and rest == b"") or len(answers(rest)) == 1


ROUTES = """
import gaffer
from gaffer.web.requests.replies import Reply
from gaffer.web.requests.routes import Route

def answer(length, body):
    headers = [("Content-Type", "text/plain"), ("Content-Length", length)]
    reply = lambda request: Reply("200 OK", headers, iter(body))
    return Route("GET", f"/wrong/{length}", handler=reply, permission=None)

class Wrong(gaffer.Plugin):
    name = "wrong"

    @gaffer.hookimpl
    def gaffer_routes(self, manager):
        return [answer("2", [b"HTTP", b"/1.1"]), answer("200", [b"HTTP"])]
"""


@attack(
    "a network client without a key",
    "a plugin's handler that says another length than it sends, so that a part of its answer is taken for the next "
    "client's, or the next client's for a part of it",
    "what is too long is cut, and the connection ends after it; the log names the route, in a line a minute",
)
def test_an_answer_that_is_not_as_long_as_it_says(tmp_path):
    (tmp_path / "plugins" / "wrong").mkdir(parents=True)
    (tmp_path / "plugins" / "wrong" / "__init__.py").write_text(ROUTES)
    with Gafferd(tmp_path, "", f"plugin_dir = {tmp_path}/plugins").start().ready() as node:
        for length, body in (("2", b"HT"), ("200", b"HTTP")) * 2:
            asked = f"GET /wrong/{length} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            assert exchange(node.port, asked + NEXT).partition(b"\r\n\r\n")[2] == body
        assert node.get("/health")["plugins"]["http"]["miscounted_answers"] == 4
        said = [line for line in node.log.read_text().splitlines() if "Content-Length" in line]
        assert ["/wrong/2 " in said[0], "/wrong/200 " in said[1], len(said)] == [True, True, 2]
