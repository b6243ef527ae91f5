"""Attacks of web pages on identities that a request has without showing anything: browsers add those by themselves."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.certificates import make_certificates
from tests.kit.gafferd import PATIENCE, Gafferd
from tests.kit.ports import free_port
from tests.kit.web import parse
from tests.security import attack

PLUGINS = Path(__file__).parents[2] / "contrib" / "plugins"
JOB = json.dumps({"name": "evil", "cmd": "sleep 600"}).encode()
#: An identity that is found without the kernel, as an account that a proxy names would be.
AMBIENT = """
import gaffer


class Ambient(gaffer.Plugin):
    name = "ambient"
    known = gaffer.Identity("me", "account", permissions=gaffer.Permissions(admin=True))

    @gaffer.hookimpl
    def gaffer_identify(self, credentials):
        return None if credentials.shown else self.known


__all__ = ["Ambient"]
"""


def talk(sock: Any, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    """Send a request of a browser and return the answer."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}"] if body else []
    sock.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return parse(data)


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        return talk(sock, method, path, body, **headers)


def ambient(folder: Path, name: str) -> tuple[str, list[str]]:
    """Return options and arguments for a gafferd that wants keys and knows us without one."""
    place = folder / "plugins"
    place.mkdir(mode=0o755)
    (place / f"{name}.py").write_text(AMBIENT if name == "ambient" else (PLUGINS / f"{name}.py").read_text())
    section = f"[plugin:unix_peers]\n{os.geteuid()} = admin\n" if name == "unix_peers" else ""
    return f"require_key = true\n{section}", ["-p", str(place)]


@pytest.fixture(params=["unix_peers", "ambient"])
def knowing(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "unix_peers" and not sys.platform.startswith("linux"):
        pytest.skip("sock_diag is Linux's")
    options, args = ambient(tmp_path, request.param)
    with Gafferd(tmp_path, options=options) as gafferd:
        gafferd.start(*args)
        gafferd.ready()
        yield gafferd


@attack(
    "a web page",
    "a request by a name that was made to point to gafferd (DNS rebinding), where a plugin knows accounts without keys",
    "421: a client that shows no key must call gafferd by one of its names",
)
def test_rebound_name_is_not_the_account_of_the_browser(knowing: Gafferd) -> None:
    name = f"page.example:{knowing.port}"
    said = {"Host": name, "Origin": f"http://{name}", "Content_Type": "application/json"}
    refused = ask(knowing.port, "POST", "/jobs/default", JOB, **said)
    assert "allowed_hosts" in refused.assert_problem(421, "misdirected")
    ask(knowing.port, "GET", "/jobs", Host=name).assert_problem(421, "misdirected")
    # Under our own name it is the account; what needs no key is open under any name.
    assert ask(knowing.port, "GET", "/jobs", Host=f"localhost:{knowing.port}").json == {"jobs": []}
    assert ask(knowing.port, "GET", "/ping", Host=name).status == 200


@attack(
    "a web page",
    "an image, script or frame whose address is gafferd's, where a plugin knows accounts without keys",
    "403, since the browser says that the page is another site's (Fetch Metadata)",
)
def test_image_of_another_site_is_refused_for_ambient_identities(knowing: Gafferd) -> None:
    said = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}
    refused = ask(knowing.port, "GET", "/jobs", Host=f"localhost:{knowing.port}", **said)
    assert "pages of other sites" in refused.assert_problem(403, "forbidden")


def test_socket_whose_page_is_refused_may_still_show_a_key(knowing: Gafferd) -> None:
    """A first message with a key counts under any name, so the handshake is answered; else there is no identity."""
    said = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    said |= {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Host": f"page.example:{knowing.port}"}
    lines = ["GET /channel/websocket HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in said.items())]
    with socket.create_connection(("127.0.0.1", knowing.port), PATIENCE) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        assert sock.recv(12) == b"HTTP/1.1 101"
        command = b'{"event": "publish"}'
        sock.sendall(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)
        data = b""
        while b"needed" not in data and (chunk := sock.recv(65536)):
            data += chunk
        assert b"a key is needed" in data


# -- certificates of clients -------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path) -> Any:
    """A gafferd whose clients need a certificate and no key, and what connects to it with one."""
    make_certificates(tmp_path, "tls")
    port = free_port()
    section = "certfile = tls.pem\nkeyfile = tls.key\ncacert = tls.pem\nallow_anonymous = true\n"
    options = f"http_hsts = 3600\nhttp_endpoints = safe\n[endpoint:safe]\nbind = 127.0.0.1:{port}\n{section}"
    context = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    context.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")

    def browse(method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as sock:
                return talk(sock, method, path, body, Host=f"localhost:{port}", **headers)

    with Gafferd(tmp_path, options=options) as gafferd:
        gafferd.start().ready()
        yield gafferd, port, browse


@attack(
    "a web page",
    "a page of the same host that came without TLS, so that any machine on its way may have written it, and the "
    "browser's client certificate",
    "403: at an address with TLS, only pages that came by https are gafferd's own",
)
def test_page_without_tls_may_not_use_the_certificate_of_the_browser(certified: Any) -> None:
    _, port, browse = certified
    said = {"Content_Type": "application/json"}
    refused = browse("POST", "/jobs/default", JOB, Origin=f"http://localhost:{port}", **said)
    refused.assert_problem(403, "forbidden")
    handshake = {"Upgrade": "websocket", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert browse("GET", "/channel/websocket", Origin=f"http://localhost:{port}", **handshake).status == 403
    own = browse("POST", "/jobs/default", JOB, Origin=f"https://localhost:{port}", **said)
    assert own.status in (200, 201), own


def test_strict_transport_security_is_told_with_tls_only(certified: Any) -> None:
    gafferd, port, browse = certified
    for answer in (
        browse("GET", "/ping"),
        browse("GET", "/nothing"),
        browse("GET", "/jobs", Origin="http://x.example"),
    ):
        assert answer.headers["strict-transport-security"] == "max-age=3600"
    plain = ask(gafferd.port, "GET", "/ping", Host="localhost")
    assert plain.status == 200 and "strict-transport-security" not in plain.headers
