"""Keys with the real gafferd: the first user, a login, and all of it after a restart."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from ..kit.gafferd import COMMAND, PATIENCE, Gafferd, environment, run

PASSWORD = "correct horse"


def gafferd(folder: Path, *args: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run gafferd to its end, with *said* on its standard input."""
    return subprocess.run(
        [*COMMAND, *args],
        cwd=folder,
        env=environment(folder),
        input=said,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def ask(node: Gafferd, method: str, path: str, data: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
    try:
        body = None if data is None else json.dumps(data)
        if body:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_from_the_first_user_to_a_key_that_outlives_a_restart(tmp_path):
    made = gafferd(tmp_path, "--create-admin-user", "--username", "ann", said=f"{PASSWORD}\n")
    assert (made.returncode, made.stderr) == (0, "") and "user 'ann' is made" in made.stdout
    database = tmp_path / ".gaffer" / "auth.db"
    assert database.stat().st_mode & 0o777 == 0o600
    assert run(tmp_path, "--list-admins").stdout == "ann\n"

    jobs, options = "[process:web]\ncmd = sleep 1000\n", "require_key = true\n"
    with Gafferd(tmp_path, jobs, options).start().ready() as node:
        assert ask(node, "GET", "/jobs")[0] == 401
        basic = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
        status, login = ask(node, "POST", "/auth", Authorization=basic)
        assert status == 200
        assert ask(node, "GET", "/jobs", X_Api_Key=login["api_key"]) == (200, {"jobs": ["default.web"]})
        wanted = {"label": "look", "permissions": {"read": ["default.web"]}}
        status, look = ask(node, "POST", "/keys", wanted, X_Api_Key=login["api_key"])
        assert status == 201
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
    # It does not leave gafferd: neither its log nor its children's environment has ever seen it.
    assert PASSWORD not in node.log.read_text() and login["api_key"] not in node.log.read_text()

    with Gafferd(tmp_path, jobs, options).start().ready() as node:
        assert ask(node, "GET", "/jobs/default/web", X_Api_Key=look["api_key"])[0] == 200
        assert ask(node, "DELETE", "/jobs/default/web", X_Api_Key=look["api_key"])[0] == 403
        assert ask(node, "GET", f"/keys/{look['id']}", X_Api_Key=login["api_key"])[1]["last_used"] is not None
        # A user who is made meanwhile can log in at once.
        assert gafferd(tmp_path, "--create-admin-user", "--username", "bob", said=f"{PASSWORD}\n").returncode == 0
        basic = "Basic " + base64.b64encode(f"bob:{PASSWORD}".encode()).decode()
        assert ask(node, "POST", "/auth", Authorization=basic)[0] == 200


def test_what_cannot_be_done_is_said_and_nothing_is_made(tmp_path):
    for args, said, status, says in (
        (("--username", "a b"), "", 2, "a user name has"),
        (("--username", "ann"), "short\n", 2, "a password must have 8 to 1024 characters"),
        (("--username", "ann"), "", 2, "no password came"),
        ((), "", 2, "give --username"),
        (("--username", "ann", "--password", PASSWORD), "", 0, ""),
        (("--username", "ann", "--password", PASSWORD), "", 1, "user 'ann' exists already"),
    ):
        done = gafferd(tmp_path, "--create-admin-user", *args, said=said)
        assert done.returncode == status and says in done.stderr and "Traceback" not in done.stderr
        if status == 2:
            assert not os.path.exists(tmp_path / ".gaffer" / "auth.db")


def test_a_database_that_cannot_be_read_stops_the_start(tmp_path):
    (tmp_path / "keys").write_text("this is no database, and it is long enough to say so" * 100)
    options = f"require_key = true\nauth_database = {tmp_path}/keys\n"
    with Gafferd(tmp_path, "", options).start() as node:
        assert node.wait() == 1
    assert "file is not a database" in node.log.read_text()
