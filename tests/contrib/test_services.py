"""The examples in contrib are what the programs that read them take."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaffer.inifile import parse_text
from gaffer.options import Options
from gaffer.settings import Settings
from gaffer_plugins.http import HttpPlugin
from tests.programs.gafferd import Gafferd, eventually, free_port
from tests.programs.tools import needs
from tests.security import attack

CONTRIB = Path(__file__).parents[2] / "contrib"
HAPROXY = CONTRIB / "haproxy" / "gafferd.cfg"
NGINX = CONTRIB / "nginx" / "gafferd.conf"


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


@pytest.fixture
def nginx(tmp_path):
    """Our example before a real gafferd; returns the port of nginx."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin") or needs("nginx")
    make_certificate(tmp_path)
    port = free_port()
    text = NGINX.read_text().replace("/run/gaffer/http.sock", f"{tmp_path}/http.sock")
    text = text.replace("/etc/ssl/certs", str(tmp_path)).replace("/etc/ssl/private", str(tmp_path))
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("    listen [::]:443 ssl;\n", "")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    user = "user root; " if os.geteuid() == 0 else ""
    main = f"{user}daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{main} http {{ access_log off; {places} {text} }}")
    command = [program, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", "stderr"]
    with before_gafferd(tmp_path, command, [*command, "-t"], port):
        yield port


@pytest.fixture
def haproxy(tmp_path):
    """Our example before a real gafferd; returns the port of haproxy."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/sbin:/bin") or needs("haproxy")
    make_certificate(tmp_path)
    both = (tmp_path / "GAFFER.pem").read_text() + (tmp_path / "GAFFER.key").read_text()
    (tmp_path / "BOTH.pem").write_text(both)
    port = free_port()
    text = HAPROXY.read_text().replace("/run/gaffer/http.sock", f"{tmp_path}/http.sock")
    text = text.replace("/etc/haproxy/GAFFER.pem", f"{tmp_path}/BOTH.pem").replace(
        "bind :443", f"bind 127.0.0.1:{port}"
    )
    (tmp_path / "haproxy.cfg").write_text(text)
    command = [program, "-db", "-f", str(tmp_path / "haproxy.cfg")]
    with before_gafferd(tmp_path, command, [*command, "-c"], port):
        yield port


def make_certificate(folder):
    command = [needs("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "GAFFER.key", "-out", "GAFFER.pem", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@contextmanager
def before_gafferd(folder, command, check, port):
    """Check the configuration of a proxy, and run it before a real gafferd."""
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "warn" not in done.stderr.lower(), done.stderr
    options = f"http_endpoints = proxy\nallow_local_users = true\n[endpoint:proxy]\nbind = unix:{folder}/http.sock\n"
    with Gafferd(folder, "[process:web]\ncmd = sleep 1000\n", options).start().ready():
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: answers(port))
            yield
        finally:
            process.terminate()
            process.wait(20)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_gafferd_behind_a_proxy(proxy, request):
    port = request.getfixturevalue(proxy)
    done = subprocess.run([sys.executable, "-c", CLIENT, str(port)], capture_output=True, text=True, timeout=60)
    jobs = '200 {"jobs": ["default.web"]}'
    assert done.stdout.splitlines() == [jobs, jobs, "200 id", '{"event": "gaffer:subscription_success",'], done.stderr


def ask(port, data):
    """Send *data* over a connection of its own, and return what comes back first."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20)) as sock:
        sock.sendall(data)
        answer = http.client.HTTPResponse(sock, method=data.split()[0].decode())
        answer.begin()
        found = answer.status, answer.read()
        answer.close()
        return found


@attack(
    "a network client without a key",
    "a body beside `Upgrade` through nginx or haproxy, as `contrib` configures them, which send everybody's requests "
    "over the same connections",
    "the next client's request is answered as it was asked",
)
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_a_body_beside_upgrade_through_a_proxy(proxy, request):
    port = request.getfixturevalue(proxy)
    host = b"Host: gaffer.example.org\r\n"
    steal = b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    for line in (b"POST /jobs/default/web/state", b"POST /nothing", b"GET /channel/websocket", b"HEAD /jobs") * 5:
        ask(port, line + b" HTTP/1.1\r\n" + host + steal + b"x" * 40)
        assert ask(port, b"GET /ping HTTP/1.1\r\n" + host + b"\r\n") == (200, b"OK")
