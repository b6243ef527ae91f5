"""The id of a SockJS session is in URLs, and so in logs of proxies: that is not enough to be its client."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import urllib.error
import urllib.request
import uuid
from typing import Any, Iterator

import pytest

from tests.kit.gafferd import PATIENCE, gafferd_with_key
from tests.security import attack

JOBS = "[process:web]\ncmd = sleep 1000\n"
STOP = json.dumps({"event": "CMD", "data": {"identity": 1, "name": "stop_job", "args": ["web"]}})


class Browser:
    """A client of one session that keeps cookies, as every browser does."""

    def __init__(self, port: int, path: str = "") -> None:
        self.port, self.path = port, path or f"/channel/000/{uuid.uuid4().hex}"
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, method: str, what: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{self.path}/{what}"
        request = urllib.request.Request(url, body if method == "POST" else None, headers or {}, method=method)
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def poll(self, **headers: str) -> tuple[int, str]:
        return self.ask("POST", "xhr", headers=headers)

    def send(self, *texts: str, **headers: str) -> tuple[int, str]:
        return self.ask("POST", "xhr_send", json.dumps(texts).encode(), headers)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    with gafferd_with_key(tmp_path_factory.mktemp("node"), jobs=JOBS) as (gafferd, key):
        yield gafferd, key


def make_key(gafferd: Any, key: str, **permissions: Any) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", gafferd.port, timeout=PATIENCE)
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    connection.request("POST", "/keys", json.dumps({"permissions": permissions}), headers)
    made = json.loads(connection.getresponse().read())
    connection.close()
    return str(made["api_key"])


#: Every way to receive, and to send.
RECEIVE = (
    *(("POST", "xhr"), ("POST", "xhr_streaming"), ("GET", "eventsource")),
    *(("GET", "htmlfile?c=x"), ("GET", "jsonp?c=x")),
)
SEND = ("xhr_send", "jsonp_send")


@attack(
    "a network client without a key",
    "the URL of another client's SockJS session, read in the log of a proxy, after the key was sent as a message",
    "403 over every transport, to read and to command: the session has a secret of its own, in a cookie",
)
def test_url_of_a_session_is_not_enough_to_be_its_client(node: tuple[Any, str]) -> None:
    gafferd, key = node
    victim = Browser(gafferd.port)
    assert victim.poll() == (200, "o\n") and victim.send(f"AUTH:{key}")[0] == 204
    thief = Browser(gafferd.port, victim.path)
    for method, what in RECEIVE:
        assert thief.ask(method, what)[0] == 403, what
    for what in SEND:
        assert thief.ask("POST", what, json.dumps([STOP]).encode())[0] == 403, what
    forged = {"Cookie": "gaffer_session=x; gaffer_session="}
    assert thief.send(STOP, **forged)[0] == 403 and thief.poll(**forged)[0] == 403
    assert not thief.cookies
    # Its client goes on.
    assert victim.send(json.dumps({"event": "CMD", "data": {"identity": 2, "name": "jobs"}}))[0] == 204
    status, frame = victim.poll()
    assert status == 200 and "default.web" in frame and '\\"id\\": 2' in frame


@attack(
    "a network client without a key",
    "the URL of a SockJS session whose client has not sent its key yet, to wait there for what it will read",
    "403: the session is its client's from its first request on",
)
def test_no_other_client_gets_into_a_session_before_its_key(node: tuple[Any, str]) -> None:
    gafferd, key = node
    weak = make_key(gafferd, key, read=["other"])
    victim = Browser(gafferd.port)
    assert victim.poll() == (200, "o\n")
    thief = Browser(gafferd.port, victim.path)
    for headers in ({}, {"X-Api-Key": weak}):
        for method, what in RECEIVE:
            assert thief.ask(method, what, headers=headers)[0] == 403, (what, headers)
        assert thief.send(f"AUTH:{weak}", **headers)[0] == 403
    assert victim.send(f"AUTH:{key}", STOP)[0] == 204
    assert "gaffer:command_success" in victim.poll()[1]


def test_cookie_is_for_this_session_and_no_script(node: tuple[Any, str]) -> None:
    gafferd, _ = node
    first, second = Browser(gafferd.port), Browser(gafferd.port)
    connection = http.client.HTTPConnection("127.0.0.1", gafferd.port, timeout=PATIENCE)
    connection.request("POST", f"{first.path}/xhr")
    answer = connection.getresponse()
    found, body = answer.getheader("Set-Cookie"), answer.read()
    connection.close()
    assert body == b"o\n" and found is not None and found.endswith("; HttpOnly; SameSite=Strict")
    # Without a path, browsers send it to URLs of the session only, also behind a proxy with a prefix of its own.
    assert "path" not in found.lower()
    second.poll()
    value = found.partition(";")[0]
    assert second.send("AUTH:x", Cookie=value)[0] == 403
    (cookie,) = second.cookies
    assert cookie.path == second.path and cookie.value is not None and len(cookie.value) >= 43


def test_cookie_goes_to_pages_of_other_sites_over_tls_only(node: tuple[Any, str]) -> None:
    """Browsers keep it apart for each site that shows the page, and take it with ``Secure`` only."""
    from gaffer.web.sockjs.service import binding

    assert binding("s", secure=True) == "gaffer_session=s; HttpOnly; Secure; SameSite=None; Partitioned"


def test_programs_without_cookies_send_their_key_with_each_request(node: tuple[Any, str]) -> None:
    gafferd, key = node
    program, headers = Browser(gafferd.port), {"X-Api-Key": key}
    assert program.poll(**headers) == (200, "o\n") and not program.cookies
    assert program.send('{"event": "CMD", "data": {"name": "jobs"}}', **headers)[0] == 204
    assert "default.web" in program.poll(**headers)[1]
    # Whose key came as a message may show the same key in a header instead.
    late = Browser(gafferd.port)
    assert late.poll()[0] == 200 and late.send(f"AUTH:{key}")[0] == 204
    late.cookies.clear()
    status, reason = late.send("{}")
    assert status == 403 and "cookie" in reason and "X-Api-Key" in reason
    assert late.send('{"event": "NOP"}', **headers)[0] == 204
