"""The plugins in ``contrib/plugins`` with the real gafferd: other ways to identify a client."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gafferd import PATIENCE, Gafferd, eventually, run

PLUGINS = Path(__file__).parents[2] / "contrib" / "plugins"
JOBS = "[process:web]\ncmd = sleep 1000\n[process:back:db]\ncmd = sleep 1000\n"
NOBODY = 65534
KEYS = {"deploy": "d" * 64, "look": "e" * 64}


def plugin(folder: Path, name: str) -> str:
    """Return a folder that has one of the plugins."""
    place = folder / "plugins"
    place.mkdir()
    shutil.copy(PLUGINS / f"{name}.py", place)
    return str(place)


def ask(node: Gafferd, method: str, path: str, key: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={} if key is None else {"X-Api-Key": key})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


#: Asks for the jobs over a unix socket as another account, whose id is the first argument.
STRANGER = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
sock.connect(sys.argv[2])
sock.sendall(f"{sys.argv[3]} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
data = b""
while piece := sock.recv(65536):
    data += piece
print(data.decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several accounts")
def test_accounts_that_the_kernel_knows():
    # Not below pytest's folder, which others may not enter.
    folder = Path("/tmp") / f"gaffer-peers-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        sections = f"[endpoint:sock]\nbind = unix:{folder}/s\nmode = 0666\n"
        more = f"[plugin:unix_peers]\n{NOBODY} = read:default\nroot = admin\n"
        node = Gafferd(folder, f"{sections}{JOBS}{more}", "require_key = true\nhttp_endpoints = sock\n")
        with node.start("-p", plugin(folder, "unix_peers")).ready():
            assert ask(node, "GET", "/jobs") == (200, {"jobs": ["back.db", "default.web"]})

            def stranger(uid: int, request: str) -> str:
                command = [sys.executable, "-c", STRANGER, str(uid), f"{folder}/s", request]
                return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout

            assert '{"jobs": ["default.web"]}' in stranger(NOBODY, "GET /jobs")
            assert " 403 " in stranger(NOBODY, "POST /jobs/default/web/restart")
            assert " 401 " in stranger(12345, "GET /jobs")
            assert '"back.db"' in stranger(0, "GET /jobs")
            # Taken back while it runs.
            node.ini.write_text(node.ini.read_text().replace(f"{NOBODY} = ", "daemon = "))
            node.signal(signal.SIGHUP)
            eventually(lambda: " 401 " in stranger(NOBODY, "GET /jobs"))
    finally:
        shutil.rmtree(folder)


def test_accounts_that_are_not_there_are_found_by_check(tmp_path):
    (tmp_path / "g.ini").write_text("[plugin:unix_peers]\nnosuchaccount = read:*\nroot = everything\n")
    checked = run(tmp_path, "--check", "-p", plugin(tmp_path, "unix_peers"), "g.ini")
    assert checked.returncode == 2
    assert "g.ini:2: nosuchaccount: there is no such account" in checked.stderr
    assert "g.ini:3: root: there is no permission 'everything'" in checked.stderr


def test_keys_from_a_file(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"# who\n{KEYS['deploy']} deploy manage:default\n{KEYS['look']} look read:*\n")
    keys.chmod(0o600)
    jobs = f"{JOBS}[plugin:token_file]\npath = {keys}\n"
    with Gafferd(tmp_path, jobs, "require_key = true\n").start("-p", plugin(tmp_path, "token_file")).ready() as node:
        assert ask(node, "GET", "/jobs")[0] == 401 and ask(node, "GET", "/jobs", "f" * 64)[0] == 401
        assert ask(node, "GET", "/jobs", KEYS["look"]) == (200, {"jobs": ["back.db", "default.web"]})
        assert ask(node, "POST", "/jobs/default/web/restart", KEYS["look"])[0] == 403
        assert ask(node, "POST", "/jobs/default/web/restart", KEYS["deploy"])[0] == 202
        feed = socket.create_connection(("127.0.0.1", node.port), PATIENCE)
        feed.sendall(f"GET /watch?feed=continuous HTTP/1.0\r\nX-Api-Key: {KEYS['look']}\r\n\r\n".encode())
        assert feed.recv(15).startswith(b"HTTP/1.1 200")
        keys.write_text(f"{KEYS['deploy']} deploy manage:default\n")
        assert ask(node, "GET", "/jobs", KEYS["look"])[0] == 401
        while feed.recv(65536):
            pass
        feed.close()
        assert ask(node, "GET", "/jobs", KEYS["deploy"])[0] == 200
        # What cannot be used lets no client in.
        keys.chmod(0o644)
        keys.write_text(f"{KEYS['look']} look read:*\n{KEYS['deploy']} deploy manage:default\n")
        assert ask(node, "GET", "/jobs", KEYS["deploy"])[0] == 401


def test_a_file_of_keys_that_cannot_be_used_is_found_by_check(tmp_path):
    keys, place = tmp_path / "keys", plugin(tmp_path, "token_file")
    (tmp_path / "g.ini").write_text(f"[plugin:token_file]\npath = {keys}\n")
    for content, mode, says in (
        (None, 0o600, "No such file"),
        ("", 0o644, "can be read by others"),
        ("short name read:*\n", 0o600, "keys:1: a line is a key of 32 characters"),
        (f"\n{'x' * 40} name reed:*\n", 0o600, "keys:2: there is no permission 'reed'"),
    ):
        if content is not None:
            keys.write_text(content)
            keys.chmod(mode)
        checked = run(tmp_path, "--check", "-p", place, "g.ini")
        assert checked.returncode == 2 and says in checked.stderr and "Traceback" not in checked.stderr
