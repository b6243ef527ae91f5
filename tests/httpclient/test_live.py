"""Feeds and channels of the client, against a manager with real processes: over HTTP, a unix socket and TLS."""

from __future__ import annotations

import functools
import socket
import threading
import time

import gevent
import pytest

import gaffer
from gaffer.errors import BadRequest, Conflict, Forbidden, GafferError, IONotRedirected, NotFound, Unavailable
from gaffer.http_handler import HttpEndpoint, HttpHandler
from gaffer.httpclient import Disconnected, Missing, NotGafferd, Quiet, Server
from tests.kit.certificates import make_certificates
from tests.kit.web import in_thread, wait_until

EVERY = bytes(range(256))
#: How long a client waits for what will come, in seconds.
SOON = 20.0
CAT = "sh -c 'echo ready; exec cat'"


def outside(test):
    """Run a test in a thread of its own, as a program that knows nothing of gevent."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with gevent.Timeout(45):
            in_thread(test, *args, **kwargs)

    return run


class Node:
    """A manager that serves, and how a client reaches it."""

    def __init__(self, folder, kind="http"):
        bind, tls = "127.0.0.1:0", None
        self.options = {}
        if kind == "unix":
            bind = f"unix:{folder}/s"
        if kind == "https":
            make_certificates(folder, "node")
            self.options["cacert"] = str(folder / "node.pem")
            tls = {"certfile": self.options["cacert"], "keyfile": str(folder / "node.key")}
        self.http = HttpHandler([HttpEndpoint(bind, ssl_options=tls)])
        self.manager = gaffer.Manager(apps=[self.http], builtin=("streams", "websocket", "stats"))
        self.manager.start()
        wait_until(lambda: self.http.serving)
        self.uri = self.http.urls[0].replace("https://127.0.0.1", "https://localhost")

    def load(self, cmd, name="web", **settings):
        settings = {"restart": "never", "redirect_output": ["out", "err"], "redirect_input": True, **settings}
        here = threading.current_thread() is threading.main_thread()
        (in_thread if here else lambda load, *args: load(*args))(self._load, {"name": name, "cmd": cmd, **settings})

    def _load(self, settings):
        with self.client() as server:
            job = server.load(settings)
            deadline = time.monotonic() + SOON
            while job.state == "starting" and not job.pids:
                assert time.monotonic() < deadline

    def client(self, **options):
        return Server(self.uri, timeout=SOON, **self.options, **options)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.manager.stop()


@pytest.fixture(params=["http", "unix", "https"])
def each_node(tmp_path, request):
    node = Node(tmp_path, request.param)
    node.load(CAT)
    (process,) = node.manager.running.values()
    # What it says first comes before listeners that come from now on.
    wait_until(lambda: process.reader("out").ring.end == len("ready\n"))
    yield node
    node.manager.stop()


@pytest.fixture
def cat(node):
    node.load(CAT)
    return node


def everything(read, size):
    data = b""
    while len(data) < size:
        data += read(SOON)
    return data


def hang_up(feed):
    """Break the connection of a feed, as a network does."""
    feed._answering._connection.sock.shutdown(socket.SHUT_RDWR)


# -- every kind of address ----------------------------------------------------------------------


@outside
def test_every_byte_over_every_kind_of_address(each_node):
    with each_node.client() as server:
        (pid,) = server.pids("web")
        process = server.get_process(pid)
        with process.channel() as channel, process.socket() as plain:
            channel.write(EVERY)
            assert everything(channel.read, 256) == everything(plain.read, 256) == EVERY
            plain.send(b"x\n")
            assert channel.read(SOON) == b"x\n"
        with server.channel() as manager, server.events("spawn", timeout=SOON) as events:
            manager.subscribe("EVENTS:spawn")
            assert manager.command("scale", "web", "+1") == {"numprocesses": 2}
            assert next(events)["event"] == manager.receive(SOON)["event"] == "spawn"


# -- events -------------------------------------------------------------------------------------


@outside
def test_events_as_they_happen(cat):
    with cat.client() as server, server.events("proc(web)", timeout=SOON) as events:
        server.get_job("web").stop()
        names = [next(events)["event"] for _ in range(4)]
        assert names == [f"proc.web.{event}" for event in ("stop_pid", "exit", "reap", "stop")]


@outside
def test_events_that_were_before(cat):
    with cat.client() as server:
        with server.events("spawn", tail=1, timeout=SOON) as events:
            assert (spawn := next(events))["name"] == "web" and spawn["pid"] == 1
        with server.events("spawn", since="0", timeout=SOON) as events:
            assert next(events) == spawn


@outside
def test_feed_comes_back_after_a_loss_and_misses_nothing(cat):
    with cat.client() as server, server.events("update", timeout=SOON) as events:
        for number in range(3):
            server.update_process("web", f"sleep {number}")
            assert next(events)["event"] == "update"
            hang_up(events)
            server.update_process("web", f"sleep 1{number}")
            assert next(events)["event"] == "update"
        server.update_process("web", "sleep 5", start=False)
        assert next(events)["event"] == "update"
        with pytest.raises(Quiet):
            events.take(0.05)


@outside
def test_feed_that_must_not_come_back_says_so(cat):
    with cat.client() as server, server.events(patience=0) as events:
        hang_up(events)
        with pytest.raises(Disconnected):
            next(events)
        assert list(events) == []


def test_gaffer_stops(cat):
    def program():
        with cat.client() as server, server.events("proc.none", patience=0) as events, server.channel() as channel:
            started.set()
            with pytest.raises(Disconnected, match="closed the connection|it stops"):
                next(events)
            with pytest.raises(Disconnected, match="gaffer stops"):
                channel.receive(SOON)

    started = threading.Event()
    ended = gevent.get_hub().threadpool.spawn(program)
    wait_until(started.is_set)
    cat.manager.stop()
    ended.get(timeout=SOON)


@outside
def test_waiting_has_an_end(cat):
    with cat.client() as server, server.events("proc.none", timeout=0.05, heartbeat=0.1) as events:
        for _ in range(2):
            before = time.monotonic()
            with pytest.raises(Quiet, match="within 0.05 s"):
                next(events)
            assert time.monotonic() - before >= 0.05
        with pytest.raises(Quiet):
            events.take(0.3)  # beats are no events


@pytest.mark.parametrize("pattern", ["a.b.c.d.e", "a..b"])
def test_what_is_no_pattern(pattern):
    with pytest.raises(BadRequest, match="no pattern of events"):
        Server("http://127.0.0.1:1").events(pattern)


@outside
def test_any_feed(cat):
    with cat.client() as server:
        with server.eventsource("/streams/1/out", tail=1, timeout=SOON) as feed:
            assert next(feed)[1:] == ("out", "ready")
        with pytest.raises(NotFound, match="no process 99"):
            server.eventsource("/streams/99/out")


# -- figures ------------------------------------------------------------------------------------


@outside
def test_figures_come_again_and_again(cat):
    with cat.client() as server:
        with server.follow_stats(0.1, timeout=SOON) as feed:
            assert [[job["name"] for job in next(feed)] for _ in range(2)] == [["web"], ["web"]]
        with server.get_job("web").follow_stats(0.1, timeout=SOON) as feed:
            assert [next(feed)["name"] for _ in range(2)] == ["default.web"] * 2
        with server.get_process(1).follow_stats(0.1, timeout=SOON) as feed:
            assert next(feed)["mem_info1"] > 0
            server.get_job("web").stop()
            for _ in feed:  # it ends with the process
                pass
        with pytest.raises(BadRequest, match="interval"):
            server.follow_stats(0)


# -- stored output ------------------------------------------------------------------------------


@outside
def test_logs(node):
    node.load("sh -c 'echo one; echo two >&2; echo three; exec cat'", restart="always")
    with node.client() as server:
        job, process = server.get_job("web"), server.get_process(1)
        with job.logs(follow=True, timeout=SOON) as feed:
            assert sorted(next(feed).line for _ in range(3)) == ["one", "three", "two"]
            process.write("four\nfive", eof=True)
            assert (next(feed).line, next(feed).line) == ("four", "five")
            again = [next(feed) for _ in range(3)]
            assert {line.pid for line in again} == {2}
        assert [line.line for line in job.logs(label="err")] == ["two", "two"]
        assert [line.line for line in job.logs(n=1, label="out")] == ["three"]
        assert [line.line for line in process.logs(label="out")] == ["one", "three", "four", "five"]
        assert [line.line for line in process.logs(since=again[0].time)] == []
        assert len(list(process.logs(follow=True))) == 5  # it has exited: nothing follows
        with pytest.raises(NotFound, match="no stream 'nope'; it has out, err"):
            job.logs(label="nope")
        with pytest.raises(NotFound):
            server.get_process(2).logs(label="nope")


@outside
def test_nothing_is_stored_of_what_is_not_redirected(node):
    node.load("sleep 1000", redirect_output=[])
    with node.client() as server:
        for one in (server.get_job("web"), server.get_process(1)):
            with pytest.raises(IONotRedirected):
                one.logs()


# -- a process ----------------------------------------------------------------------------------


@outside
def test_writing(node):
    node.load("sh -c 'cat; exec cat <&3'", custom_streams=["extra"])
    with node.client() as server, server.get_process(1).channel(mode=1) as channel:
        process = server.get_process(1)
        process.writelines(["a", b"b\n"])
        assert channel.read(SOON) == b"ab\n"
        process.write("more\n", stream="extra")
        process.write(b"", eof=True)
        assert channel.read(SOON) == b"more\n"
        process.write(b"", "extra", eof=True)
        assert list(channel) == [] and channel.socket.reason == "process 1 has exited"
        # It may be known for a moment still, with its closed stdin.
        with pytest.raises((NotFound, Unavailable, Conflict)):
            process.write("x")


@outside
def test_channel_goes_on_where_another_ended(cat):
    with cat.client() as server:
        process = server.get_process(1)
        with process.channel(tail=5) as channel:
            assert channel.read(SOON) == b"ready\n"
        process.write("more\n")
        with process.channel(mode=1, since=channel.position) as again:
            assert again.read(SOON) == b"more\n"


@outside
def test_what_comes_while_an_answer_is_waited_for_is_kept(cat):
    with cat.client() as server, server.get_process(1).channel() as channel:
        for number in range(5):
            channel.write(f"{number}\n")
        assert everything(channel.read, 10) == b"0\n1\n2\n3\n4\n"
        with pytest.raises(Quiet):
            channel.read(0.05)


@outside
def test_what_a_channel_refuses(node):
    node.load("sh -c 'echo ready; sleep 1000'", redirect_input=False)
    with node.client() as server:
        process = server.get_process(1)
        for refused, error in [
            (lambda: server.get_process(1).channel("nope"), NotFound),
            (lambda: process.channel("out", 2), Forbidden),
            (lambda: process.channel(mode=2), Forbidden),
            (lambda: process.channel(mode=4), BadRequest),
            (lambda: process.write("x"), Forbidden),
        ]:
            with pytest.raises(error):
                refused()
        with process.channel(tail=1) as channel:
            with pytest.raises(Forbidden):
                channel.write("x", SOON)
            assert channel.read(SOON) == b"ready\n"  # it was kept


@outside
def test_output_that_is_missing(node):
    node.load("sh -c 'read a; head -c 30000000 /dev/zero; exec cat'")
    with node.client() as server, server.get_process(1).channel() as channel:
        channel.send("go\n")
        wait_until_written(server, 30_000_000)
        got = lost = 0
        while got + lost < 30_000_000:
            try:
                got += len(channel.read(SOON))
            except Missing as missing:
                lost += missing.lost
        assert lost > 0 and got + lost == 30_000_000


def wait_until_written(server, size):
    """Wait until the process has written so much; a channel at the end tells the position."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        with server.eventsource("/streams/1/out", tail=1, timeout=SOON) as feed:
            if int(feed.take(SOON).id.rstrip("+").rpartition("-")[2]) >= size:
                return
    raise AssertionError("it never wrote so much")


@outside
def test_process_that_does_not_read(node, monkeypatch):
    monkeypatch.setattr("gaffer_plugins.websocket.process_channel.WRITE_TIMEOUT", 0.05)
    node.load("sleep 1000")
    with node.client() as server, server.get_process(1).channel(mode=2) as channel:
        with pytest.raises(GafferError, match="full"):
            for _ in range(20):
                channel.write(b"x" * 1_000_000, SOON)


# -- the manager --------------------------------------------------------------------------------


@outside
def test_manager_channel(cat):
    with cat.client() as server, server.channel(SOON) as channel:
        channel.subscribe("STREAM:1.out", tail=1)
        assert channel.command("send", 1, "hello\n") == {"ok": True}
        heard = ""
        while not heard.endswith("hello\n"):
            message = channel.receive(SOON)
            assert (message["topic"], message["label"]) == ("STREAM:1.out", "out")
            heard += message["data"]
        channel.subscribe("STREAM:1.out")  # once more is no more
        channel.unsubscribe("STREAM:1.out")
        channel.subscribe("STATS:1", interval=0.1)
        assert channel.receive(SOON)["stats"]
        assert channel.command("info", name="web")["name"] == "default.web"
        with pytest.raises(NotFound, match="no command 'jobz'; did you mean 'jobs'"):
            channel.command("jobz")
        with pytest.raises(BadRequest, match="there is no topic"):
            channel.subscribe("WEATHER")
        with pytest.raises(BadRequest, match="not subscribed"):
            channel.unsubscribe("JOB:default.web")
            channel.subscribe("JOB:default.web")


@outside
def test_end_of_a_topic(cat):
    with cat.client() as server, server.channel(SOON) as channel:
        channel.subscribe("STREAM:1.err")
        channel.command("stop_job", "web")
        assert channel.receive(SOON)["event"] == "end"


@outside
def test_old_gafferd_has_no_websockets(tmp_path):
    from ..kit.scripted_server import ScriptedServer

    with ScriptedServer() as scripted, Server(scripted.uri) as server:
        scripted.answers["GET", "/channel/websocket"] = (404, "application/json", b'{"error": "not_found"}')
        with pytest.raises(NotFound):
            server.channel()
        scripted.answers["GET", "/channel/websocket"] = (200, "text/html", b"<h1>hello</h1>")
        with pytest.raises(NotGafferd):
            server.channel()
