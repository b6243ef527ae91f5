"""Webhooks of a real gafferd, and the examples."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.kit.webhook_receiver import complaints

from ..kit.ports import free_port

EXAMPLES = Path(__file__).parents[2] / "examples" / "webhooks"
GAFFERD = [sys.executable, "-m", "gaffer.daemon.main"]
GAFFERCTL = [sys.executable, "-c", "from gaffer.cli.ctl.gafferctl import main; main()"]
PATIENCE = 30.0
SECRET = "whsec_bm90IHRoaXMgb25lLCBtYWtlIHlvdXIgb3duIQ=="


def eventually(condition, what="it never came"):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    """A receiver in threads; ``got`` has paths and messages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.got, server.status = [], 200
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def environment(**more):
    return {**{key: value for key, value in os.environ.items() if not key.startswith("GAFFER")}, **more}


class Gafferd:
    """A gafferd on a unix socket in a folder of its own."""

    def __init__(self, folder, text):
        self.ini, self.log = folder / "g.ini", folder / "log"
        self.unix = f"unix:{folder}/s"
        self.configure(text)
        with self.log.open("wb") as log:
            command = [*GAFFERD, "-c", str(self.ini)]
            home = environment(HOME=str(folder))
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=home)
        eventually(lambda: self.ctl("ping").returncode == 0, self.log.read_text)

    def configure(self, text):
        self.ini.write_text(f"[gaffer]\nbind = {self.unix}\n{text}")

    def ctl(self, *words):
        return subprocess.run([*GAFFERCTL, "--connect", self.unix, *words], capture_output=True, text=True)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def gafferd(tmp_path):
    started = []

    def start(text):
        started.append(Gafferd(tmp_path, text))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def url(receiver, path=""):
    return f"http://127.0.0.1:{receiver.server_port}/{path}"


def test_a_gafferds_life(gafferd, receiver):
    job = "[job:web]\ncmd = sleep 1000\nmin_uptime = 1000\n"  # it does not become ready meanwhile
    daemon = gafferd(f"[webhooks]\ncreate = {url(receiver, 'a')}\n. = {url(receiver, 'all')}\n{job}")
    # URLs do not wait for each other, so either may be the last.
    eventually(lambda: sorted(path for path, _ in receiver.got) == ["/a", *["/all"] * 9])
    assert [message["event"] for path, message in receiver.got if path == "/a"] == ["create"]

    daemon.configure(f"[webhooks]\nproc(web) = {url(receiver, 'b')}\n{job}")
    assert daemon.ctl("reload-config").returncode == 0
    del receiver.got[:]
    assert daemon.ctl("stop", "web").returncode == 0
    eventually(lambda: len(receiver.got) == 4)
    names = ["proc.web.stop_pid", "proc.web.exit", "proc.web.reap", "proc.web.stop"]
    assert [(path, message["event"]) for path, message in receiver.got] == [("/b", name) for name in names]


def test_the_stop_sends_what_is_queued(gafferd, receiver):
    daemon = gafferd(f"[webhooks]\ndelete = {url(receiver)}\nexit = {url(receiver)}\n[job:web]\ncmd = sleep 1000\n")
    assert daemon.ctl("wait", "web", "--for", "running").returncode == 0
    assert daemon.end() == 0
    assert [message["event"] for _, message in receiver.got] == ["exit"]
    assert "not delivered" not in daemon.log.read_text()


def test_a_receiver_that_is_gone(gafferd):
    target = f"http://me:hush@127.0.0.1:{free_port()}/x?token=hush"
    # The second attempt is far away, so that the event is still queued when gafferd stops.
    slow = "[plugin:webhooks]\nbackoff = 60\n"
    daemon = gafferd(f"[webhooks]\nspawn = {target}\n{slow}[job:web]\ncmd = sleep 1000\n")
    assert daemon.ctl("wait", "web", "--for", "running").returncode == 0
    eventually(lambda: "Connection refused" in daemon.ctl("webhooks").stdout)
    assert daemon.ctl("health").returncode == 0
    shown = daemon.ctl("webhooks", "-o", "json").stdout + daemon.ctl("health").stdout
    assert daemon.end() == 0
    log = daemon.log.read_text()
    assert log.count("1 events were not delivered") == 1
    assert "Traceback" not in log
    assert "hush" not in shown + log


def test_a_reload_with_a_problem_changes_nothing(gafferd, receiver):
    daemon = gafferd(f"[webhooks]\ncreate = {url(receiver)}\n")
    daemon.configure("[webhooks]\ncreate = http://u:hush@h:x/\n[plugin:webhooks]\ntimeout = soon\n")
    refused = daemon.ctl("reload-config")
    assert refused.returncode == 2
    assert "g.ini:4: create: 'http://***@h:x/' cannot be read as a URL" in refused.stderr
    assert "g.ini:6: timeout: expected a number of seconds" in refused.stderr
    assert "hush" not in refused.stderr
    assert daemon.ctl("add_process", "new", "sleep 1").returncode == 0
    eventually(lambda: receiver.got)


@pytest.fixture
def example():
    """The receiver of the examples; returns its process and its URL."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "receiver.py"), "0"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(WEBHOOK_SECRET=SECRET))
    port = running.stdout.readline().split()[-1]
    yield running, f"http://127.0.0.1:{port}/"
    running.kill()
    running.communicate()


def test_the_examples_understand_each_other(example):
    running, target = example
    command = [sys.executable, "-W", "error", str(EXAMPLES / "embedded.py"), target]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment(WEBHOOK_SECRET=SECRET)
    )
    assert complaints(ended.stderr) == ""
    sent = int(ended.stdout.removeprefix("sent "))
    lines = [running.stdout.readline().strip() for _ in range(sent)]
    assert [line for line in lines if line.startswith("create")] == ["create clock", "create other"]
    assert [line for line in lines if "other" in line] == ["create other", "proc.other.stop other"]
    clock = [line.split()[0].removeprefix("proc.clock.") for line in lines if line.startswith("proc.clock.")]
    assert (clock[0], clock[-1]) == ("start", "stop")
    assert len(lines) == 3 + len(clock)


def test_the_example_refuses_what_is_forged(example):
    running, target = example
    for headers in ({}, {"webhook-id": "x", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,ü"}):
        encoded = {key: value.encode().decode("latin-1") for key, value in headers.items()}
        request = urllib.request.Request(target, b'{"event": "exit", "name": "web"}', encoded)
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(request, timeout=PATIENCE)
        refused.value.close()
