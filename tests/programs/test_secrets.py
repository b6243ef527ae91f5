"""A secret is planted in the environment of jobs, and looked for everywhere that is not its own place."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest

from ..kit.gafferd import Gafferd, eventually

SECRET = "sesame-4711-planted"
FROM_FILE = "sesame-0815-in-a-file"

#: A test's own keys: who shows ``reader`` may read, who shows ``boss`` may do everything.
DOORMAN = """
import gaffer

@gaffer.hookimpl
def gaffer_identify(credentials):
    return gaffer.Identity(credentials.key) if credentials.key in ("reader", "boss") else None

@gaffer.hookimpl
def gaffer_permit(identity, permission):
    return identity.name == "boss" or permission == "read" or None
"""
JOBS = f"""
[process:web]
cmd = sh -c "sleep 1000" $TOKEN $FILED
env_file = secret.env
numprocesses = 2
[env:web]
token = {SECRET}
[process:broken]
cmd = /nowhere/at/all $TOKEN
[env:broken]
token = {SECRET}
[process:failing]
cmd = sh -c "exit 1"
[env:failing]
token = {SECRET}
[webhooks]
. = {{hook}}
"""
#: What a reader looks at; every GET that takes no key of more.
LOOKED_AT = (
    "/jobs", "/jobs/default", "/jobs/default/web", "/jobs/default/web/stats", "/jobs/default/web/pids",
    "/jobs/default/broken", "/jobs/default/failing", "/pids", "/PID", "/PID/stats", "/processes", "/processes/web",
    "/processes/PID", "/status/web", "/stats", "/stats/web", "/stats/web/PID",
    "/watch?tail=100&heartbeat=true&feed=longpoll",
    "/health", "/plugins", "/openapi.json", "/groups", "/webhooks",
)  # fmt: skip


class Inbox(BaseHTTPRequestHandler):
    """Keeps what webhooks bring."""

    seen: list[bytes] = []

    def do_POST(self) -> None:
        self.seen.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hook() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory, hook: str) -> Iterator[Gafferd]:
    folder = tmp_path_factory.mktemp("gafferd")
    (folder / "plugins").mkdir(mode=0o700)
    (folder / "plugins" / "doorman.py").write_text(DOORMAN)
    (folder / "secret.env").write_text(f"FILED={FROM_FILE}\n")
    options = "require_key = true\nlog_level = debug\naudit_log = audit.log\naudit_reads = true\nplugin_dir = plugins\n"
    with Gafferd(folder, JOBS.format(hook=hook), options) as gafferd:
        gafferd.start("-vv").ready()
        eventually(lambda: json.loads(ask(gafferd, "/jobs/default/failing", "boss"))["restarts"])
        yield gafferd


def ask(gafferd: Gafferd, path: str, key: str, method: str = "GET", data: Any = None) -> str:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", gafferd.port, timeout=20)
    try:
        body = None if data is None else json.dumps(data)
        connection.request(method, path, body, {"X-Api-Key": key, "Content-Type": "application/json"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def with_pid(gafferd: Gafferd, text: str) -> str:
    """Put the process of ``web`` where the text says ``PID``: some tests replace it."""

    def running() -> Any:
        job = json.loads(ask(gafferd, "/jobs/default/web", "boss"))
        return job["processes"][:1] if job["state"] == "running" else None

    return text.replace("PID", str(eventually(running)[0]))


def hidden(text: str) -> bool:
    return SECRET not in text and FROM_FILE not in text


def test_who_may_manage_a_job_sees_its_environment(gafferd: Gafferd) -> None:
    """So the planted secret is there, and what is not found elsewhere was hidden."""
    assert SECRET in ask(gafferd, "/jobs/default/web", "boss")
    assert SECRET in ask(gafferd, with_pid(gafferd, "/PID"), "boss")
    stats = ask(gafferd, "/jobs/default/web/stats", "boss")
    assert SECRET in stats and FROM_FILE in stats


@pytest.mark.parametrize("path", LOOKED_AT)
def test_who_may_only_read_does_not(path: str, gafferd: Gafferd) -> None:
    answer = ask(gafferd, with_pid(gafferd, path), "reader")
    assert not answer.startswith('{"error"') and hidden(answer)


@pytest.mark.parametrize("topic", ["STATS:PID", "STATS:default.web", "EVENTS", "JOB:default.web"])
def test_neither_in_a_subscription(topic: str, gafferd: Gafferd) -> None:
    import websocket

    client = websocket.create_connection(
        f"ws://127.0.0.1:{gafferd.port}/channel/websocket", header=["X-Api-Key: reader"], timeout=20
    )
    try:
        client.send(
            json.dumps({"event": "SUB", "data": {"topic": with_pid(gafferd, topic), "tail": 100, "interval": 0.1}})
        )
        assert "success" in client.recv()
        ask(gafferd, "/jobs/default/web/restart", "boss", "POST")
        for _ in range(2):
            assert hidden(client.recv())
    finally:
        client.close()


def test_neither_in_what_gafferd_writes_and_sends(gafferd: Gafferd) -> None:
    config = {"name": "more", "cmd": "sleep 1000", "env": {"TOKEN": SECRET}}
    for key in ("boss", "reader", "boss"):  # done, refused, failed: it exists
        ask(gafferd, "/jobs/default", key, "POST", config)
    ask(gafferd, "/jobs/default", "boss", "POST", {**config, "name": "wrong", "env": {"TOKEN": [SECRET]}})
    ask(gafferd, "/jobs/default/more/commit", "boss", "POST", {"env": {"TOKEN": SECRET}})
    ask(gafferd, "/jobs/default/more", "boss", "PUT", {**config, "cmd": "sleep 1001"})
    eventually(lambda: b'"event": "update"' in b"".join(Inbox.seen) or b'"event":"update"' in b"".join(Inbox.seen))
    assert hidden(b"".join(Inbox.seen).decode())
    record = eventually(lambda: text if "commit" in (text := (gafferd.folder / "audit.log").read_text()) else "")
    assert '"what": "load"' in record and hidden(record)
    assert "/nowhere/at/all" in gafferd.log.read_text() and hidden(gafferd.log.read_text())


def test_neither_in_what_every_account_of_the_machine_sees(gafferd: Gafferd) -> None:
    """gafferd's own title, and its environment, which is that of its start."""
    assert gafferd.process is not None
    for name in ("cmdline", "comm", "environ"):
        assert hidden(Path(f"/proc/{gafferd.process.pid}/{name}").read_bytes().decode())
    for entry in os.listdir(gafferd.folder):
        path = gafferd.folder / entry
        if path.is_file() and entry not in ("g.ini", "secret.env"):
            assert hidden(path.read_text()), path
