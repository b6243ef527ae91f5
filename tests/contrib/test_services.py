"""The examples in contrib are what the programs that read them take."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import pytest

from gaffer.config.ini_reader import parse_text
from gaffer.config.options import Options
from gaffer.config.settings import Settings
from gaffer_plugins.http import HttpPlugin
from tests.contrib.proxies import CONTRIB, HAPROXY, NGINX, PROXIES, Client
from tests.kit.gafferd import eventually
from tests.kit.needed_programs import needs
from tests.security import attack


def test_the_unit_is_one(tmp_path):
    """systemd looks whether the programs exist, so they are ours here."""
    analyze = needs("systemd-analyze")
    unit = (CONTRIB / "systemd" / "gafferd.service").read_text()
    assert "KillMode=mixed" in unit
    (tmp_path / "gafferd.service").write_text(unit.replace("/usr/local/bin/gafferd", "/bin/true"))
    command = [analyze, "verify", "--man=no", str(tmp_path / "gafferd.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = (done.stdout + done.stderr).splitlines()
    ours = [line for line in said if "gafferd.service" in line]
    assert ours == [] and done.returncode == 0, done.stderr


def test_manual_page_of_the_unit_exists():
    page = re.search(r"^Documentation=man:(\w+)\((\d)\)$", (CONTRIB / "systemd" / "gafferd.service").read_text(), re.M)
    assert page and (CONTRIB / "man" / f"{page[1]}.{page[2]}").exists()


@pytest.mark.parametrize("example", [NGINX, HAPROXY], ids=["nginx", "haproxy"])
def test_what_a_proxy_is_told_to_find_is_a_configuration(example):
    lines = re.findall(r"^#   (.*)$", example.read_text(), re.MULTILINE)
    text = re.sub("group = .*", "group = 0", "\n".join(lines))
    options = Options()
    HttpPlugin().gaffer_add_options(options)
    settings = Settings(options, parse_text(text, "proxy"))
    (endpoint,) = settings.endpoints
    assert not settings.problems
    assert (endpoint.mode, endpoint.require_key) == (0o660, True)
    assert example.read_text().count(endpoint.bind[0].removeprefix("unix:")) == 2


@pytest.fixture(params=PROXIES)
def proxy(request, tmp_path):
    with PROXIES[request.param](tmp_path) as one:
        yield one


CLIENT = """
import http.client, ssl, sys
import websocket
port = int(sys.argv[1])
context = ssl._create_unverified_context()
client = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
for _ in range(2):
    client.request("GET", "/jobs", headers={"Host": "gaffer.example.org"})
    answer = client.getresponse()
    print(answer.status, answer.read().decode())
client.request("GET", "/watch?feed=eventsource&tail=1", headers={"Host": "gaffer.example.org"})
answer = client.getresponse()
print(answer.status, answer.readline().split(b":")[0].decode())
client.close()
ws = websocket.create_connection(
    f"wss://127.0.0.1:{port}/channel/websocket", timeout=20, sslopt={"cert_reqs": ssl.CERT_NONE},
    origin=f"https://127.0.0.1:{port}",
)
ws.send('{"event": "SUB", "data": {"topic": "EVENTS"}}')
print(ws.recv()[:40])
ws.close()
"""


def test_gafferd_behind_a_proxy(proxy):
    done = subprocess.run([sys.executable, "-c", CLIENT, str(proxy.port)], capture_output=True, text=True, timeout=60)
    jobs = '200 {"jobs": ["default.web"]}'
    assert done.stdout.splitlines() == [jobs, jobs, "200 id", '{"event": "gaffer:subscription_success",'], done.stderr


@attack(
    "a network client without a key",
    "a body beside `Upgrade` through nginx or haproxy, as `contrib` configures them, which send all clients' requests "
    "over the same connections",
    "the next client's request is answered as it was asked",
)
def test_a_body_beside_upgrade_through_a_proxy(proxy):
    host = b"Host: gaffer.example.org\r\n"
    ping = b"GET /ping HTTP/1.1\r\n" + host + b"\r\n"
    # haproxy takes Upgrade away where there is a body, unless Connection does not name it.
    connection = [b"Connection: Upgrade\r\n", b""]
    steal = b"Upgrade: websocket\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n" + b"x" * 40
    lines = [b"POST /jobs/default/web/numprocesses", b"POST /nothing", b"GET /channel/websocket"]
    with Client(proxy.port) as attacker, Client(proxy.port) as victim:
        # haproxy gives the first request of each client a connection of its own.
        assert [one.ask(ping)[:2] for one in (attacker, victim)] == [(200, b"OK")] * 2
        eventually(lambda: len(proxy.upstream()) == 1)
        for line, asks in itertools.product(lines, connection * 2):
            attacker.ask(line + b" HTTP/1.1\r\n" + host + asks + steal)
            shared = proxy.upstream()
            assert victim.ask(ping)[:2] == (200, b"OK")
            assert proxy.upstream() == shared and len(shared) == 1
