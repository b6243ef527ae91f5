"""The record of who did what."""

from __future__ import annotations

import json
import os
import stat
from types import SimpleNamespace

import pytest

import gaffer
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.errors import PluginError
from gaffer_plugins.audit import AuditPlugin, is_read
from gaffer_plugins.audit.writer import AuditWriter
from gaffer_plugins.http import HttpPlugin
from tests.kit.web import parse, talk, wait_until


class Doorman:
    """Knows two keys: one may do everything, one may read."""

    @gaffer.hookimpl
    def gaffer_identify(self, credentials):
        if credentials.key in ("boss", "guest"):
            return gaffer.Identity(credentials.key, label="a key")
        return None

    @gaffer.hookimpl
    def gaffer_permit(self, identity, permission):
        return identity.name == "boss" or permission == "read" or None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.log"


def settings(tmp_path, text):
    options = Options()
    for plugin in (AuditPlugin(), HttpPlugin()):
        plugin.gaffer_add_options(options)
    (tmp_path / "g.ini").write_text("[gaffer]\nbind = 127.0.0.1:0\n" + text)
    found = read_settings(str(tmp_path / "g.ini"), options, environ={})
    assert found.problems == []
    return found


@pytest.fixture
def api(tmp_path, path):
    http = HttpPlugin()
    found = settings(tmp_path, f"audit_log = {path}\nrequire_key = true\n")
    with gaffer.Manager(plugins=[http, AuditPlugin(), Doorman()], settings=found):
        wait_until(lambda: http.serving)
        host, _, port = http.urls[0].removeprefix("http://").rpartition(":")
        yield SimpleNamespace(address=(host, int(port)))


def ask(api, method, path, key=None, body=b"", **headers):
    said = {"X-Api-Key": key, "Content-Length": str(len(body)), "Content-Type": body and "application/json", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said.items() if value)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
    return parse(talk(api.address, head.encode() + body))


def lines(path, count):
    def read():
        return [json.loads(line) for line in path.read_text().splitlines()]

    wait_until(lambda: len(read()) >= count)
    found = read()
    assert len(found) == count, found
    return found


def test_who_did_what_when_from_where_with_which_result(api, path):
    body = b'{"name": "web", "cmd": "sleep 1000", "env": {"TOKEN": "sesame-4711"}}'
    assert ask(api, "POST", "/jobs/default", "boss", body).status == 200
    assert ask(api, "POST", "/jobs/default", "guest", body).status == 403
    assert ask(api, "POST", "/jobs/default", "boss", body).status == 409
    assert ask(api, "POST", "/shutdown", "stranger").status == 401
    assert ask(api, "POST", "/shutdown").status == 401
    assert ask(api, "GET", "/jobs", "guest").status == 200
    done, refused, conflict, unknown, keyless = lines(path, 5)
    assert done.pop("time").endswith("Z") and done.pop("from").startswith("127.0.0.1:")
    config = {"name": "web", "cmd": "sleep 1000", "env": {"TOKEN": "***"}}
    assert done == {
        "who": {"kind": "key", "name": "boss", "label": "a key"},
        "what": "load",
        "args": {"config": config, "sessionid": "default"},
        "result": "done",
    }
    assert (refused["who"]["name"], refused["what"], refused["result"], refused["errno"]) == (
        "guest",
        "load",
        "forbidden",
        403,
    )
    assert (conflict["result"], conflict["reason"]) == (
        "conflict",
        "job web exists already; update it, or unload it first",
    )
    assert unknown["result"] == keyless["result"] == "unauthorized" and unknown["who"] is keyless["who"] is None
    assert "sesame" not in path.read_text() and "stranger" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_keys_it_says_whose_process_it_was(start_api, tmp_path, path):
    found = settings(tmp_path, f"audit_log = {path}\n")
    api = start_api(AuditPlugin(), http=HttpPlugin(), settings=found)
    api("DELETE", "/jobs/default/none")
    (line,) = lines(path, 1)
    address, _, uid = line["from"].partition(" ")
    assert address.startswith("127.0.0.1:") and uid == f"uid={os.geteuid()}"


def test_what_the_outermost_layer_refuses_is_recorded_too(api, path):
    assert ask(api, "POST", "/shutdown", "boss", Origin="https://evil.example").status == 403
    (line,) = lines(path, 1)
    assert (line["what"], line["result"]) == ("POST /shutdown", "forbidden")
    assert line["args"] == {"host": "localhost", "origin": "https://evil.example"}


def test_handlers_of_plugins_are_recorded(start_api, tmp_path, path):
    class Hello:
        @gaffer.hookimpl
        def gaffer_routes(self):
            from gaffer.web.requests.routes import Route

            def answer(request, name):
                if name == "wrong":
                    raise ValueError("sesame-4711")
                request.fields(optional=("password", "greeting"))
                request.note(by="hand")
                return {"hello": name}

            return [Route("POST", "/hello/<name>", handler=answer, permission="manage")]

    api = start_api(AuditPlugin(), Hello(), http=HttpPlugin(), settings=settings(tmp_path, f"audit_log = {path}\n"))
    said = b'{"password": "sesame-4711", "greeting": "hi"}'
    assert ask(api, "POST", "/hello/me", body=said).status == 200
    assert ask(api, "POST", "/hello/wrong").status == 500
    done, failed = lines(path, 2)
    args = {"name": "me", "by": "hand", "body": {"password": "***", "greeting": "hi"}}
    assert (done["what"], done["args"], done["who"]["kind"]) == ("POST /hello/<name>", args, "local")
    assert failed["errno"] == 500 and "sesame" not in path.read_text()


def test_reads_are_recorded_if_wanted(start_api, tmp_path, path):
    text = f"audit_log = {path}\naudit_reads = true\n"
    api = start_api(AuditPlugin(), http=HttpPlugin(), settings=settings(tmp_path, text))
    assert ask(api, "GET", "/jobs").status == 200
    wait_until(lambda: "jobs" in {json.loads(line)["what"] for line in path.read_text().splitlines()})


def test_what_only_looks():
    assert is_read("jobs", "read") and is_read("ping", None) and is_read("GET /_plugin/<name>/", None)
    assert not is_read("load", "manage") and not is_read("POST /auth", None)


def test_it_is_off_by_default(start_api, tmp_path, path):
    api = start_api(AuditPlugin(), http=HttpPlugin(), settings=settings(tmp_path, ""))
    assert ask(api, "POST", "/jobs/default", body=b'{"name": "x", "cmd": "x", "start": false}').status == 200
    assert "path" not in api.get("/health")["plugins"].get("audit", {})
    assert os.listdir(tmp_path) == ["g.ini"]


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path, path):
    path.symlink_to(tmp_path / "elsewhere")
    manager = gaffer.Manager(plugins=[AuditPlugin()], settings=settings(tmp_path, f"audit_log = {path}\n"))
    with pytest.raises(PluginError, match="audit_log: cannot write to .*audit.log: Too many levels of symbolic links"):
        manager.start()
    assert not (tmp_path / "elsewhere").exists()


# -- the writer ---------------------------------------------------------------------------------


def test_a_file_that_was_moved_away_is_made_again(tmp_path):
    path = tmp_path / "a"
    writer = AuditWriter(str(path))
    writer.open()
    writer.write(b"one\n")
    wait_until(lambda: writer.written == 1)
    path.rename(tmp_path / "a.1")
    writer.write(b"two\n")
    wait_until(lambda: writer.written == 2)
    writer.close()
    assert (path.read_bytes(), (tmp_path / "a.1").read_bytes()) == (b"two\n", b"one\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_disk_loses_lines_and_counts_them(tmp_path):
    path = tmp_path / "a"
    writer = AuditWriter(str(path))
    writer.open()
    writer.write(b"one\n")
    wait_until(lambda: writer.written == 1)
    path.unlink()
    path.mkdir()
    writer.write(b"two\n")
    wait_until(lambda: writer.dropped == 1)
    assert writer.trouble == "Is a directory"
    path.rmdir()
    writer.write(b"three\n")
    wait_until(lambda: writer.written == 2)
    assert writer.trouble == "" and path.read_bytes() == b"three\n"
    writer.close()


def test_a_disk_that_hangs_holds_up_no_caller(tmp_path):
    """The queue is bounded, and a caller that is recorded does not wait."""
    path = tmp_path / "a"
    writer = AuditWriter(str(path), limit=100)
    writer._append = lambda lines: in_other_thread_wait()

    from gevent.monkey import get_original

    gate = get_original("threading", "Event")()

    def in_other_thread_wait():
        gate.wait(10)

    for _ in range(20):
        writer.write(b"0123456789")
    assert writer.dropped == 10
    gate.set()
    writer.close()


def test_a_stop_writes_what_waits(tmp_path):
    path = tmp_path / "a"
    writer = AuditWriter(str(path))
    for number in range(1000):
        writer.write(b"%d\n" % number)
    writer.close()
    assert len(path.read_bytes().splitlines()) == 1000
    writer.write(b"late\n")
    assert b"late" not in path.read_bytes()
