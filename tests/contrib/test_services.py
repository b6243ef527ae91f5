"""The examples in contrib are what the programs that read them take."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gaffer.config.ini_reader import parse_text
from gaffer.config.options import Options
from gaffer.config.settings import Settings
from tests.kit.gafferd import Gafferd, eventually
from tests.kit.needed_programs import needs

CONTRIB = Path(__file__).parents[2] / "contrib"
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


def test_what_nginx_is_told_to_find_is_a_configuration():
    lines = re.findall(r"^#   (.*)$", NGINX.read_text(), re.MULTILINE)
    text = "\n".join(lines).replace("group = www-data", "group = 0")
    settings = Settings(Options(), parse_text(text, "nginx"))
    (endpoint,) = settings.endpoints
    assert not settings.problems
    assert (endpoint.mode, endpoint.require_key) == (0o660, True)
    assert f"server {endpoint.bind[0]};" in NGINX.read_text()


@pytest.fixture
def nginx(tmp_path):
    """Our example before a real gafferd; returns the port of nginx."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin") or needs("nginx")
    openssl = needs("openssl")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "GAFFER.key", "-out", "GAFFER.pem", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = NGINX.read_text().replace("/run/gaffer/http.sock", f"{tmp_path}/http.sock")
    text = text.replace("/etc/ssl/certs", str(tmp_path)).replace("/etc/ssl/private", str(tmp_path))
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("    listen [::]:443 ssl;\n", "")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    user = "user root; " if os.geteuid() == 0 else ""
    main = f"{user}daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{main} http {{ access_log off; {places} {text} }}")
    command = [program, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", "stderr"]
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "warn" not in done.stderr, done.stderr
    options = f"http_endpoints = proxy\nallow_local_users = true\n[endpoint:proxy]\nbind = unix:{tmp_path}/http.sock\n"
    with Gafferd(tmp_path, "[process:web]\ncmd = sleep 1000\n", options).start().ready():
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: answers(port))
            yield port
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


def test_gafferd_behind_nginx(nginx):
    done = subprocess.run([sys.executable, "-c", CLIENT, str(nginx)], capture_output=True, text=True, timeout=60)
    jobs = '200 {"jobs": ["default.web"]}'
    assert done.stdout.splitlines() == [jobs, jobs, "200 id", '{"event": "gaffer:subscription_success",'], done.stderr
