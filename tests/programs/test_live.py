"""Live output, input and events of a real gafferd, from clients that are bytes on a socket: what is promised, what is
wrong with it, and what is left behind by those who go away."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import struct
import sys
import time

import gevent
import pytest

from tests.kit.feed_client import Reader
from tests.kit.web import parse, request, talk
from tests.kit.websocket_client import BINARY, CLOSE, HANDSHAKE, TEXT, Client, frame

from ..kit.gafferd import Gafferd, eventually

JOBS = f"""
[process:echo]
cmd = cat
redirect_output = out
redirect_input = true
[process:transcript]
cmd = cat
redirect_output = out
redirect_input = true
[process:count]
cmd = {shlex.quote(sys.executable)} count.py
redirect_output = stdout, stderr
[process:control]
cmd = sh -c "while read line <&3; do echo got $$line >&3; done"
custom_streams = control
restart = never
[process:mute]
cmd = sleep 1000
stdout_logfile = logs/%(name)s.log
[process:lines]
cmd = cat
redirect_input = true
stdout_logfile = logs/%(name)s.log
"""
# Each line is written in one piece, which "python -u" does not do: a reader would begin in the middle of one.
COUNT = """
import itertools, sys, time
for number in itertools.count(1):
    print("STDOUT", number, flush=True)
    print("STDERR", number, file=sys.stderr, flush=True)
    time.sleep(0.05)
"""
EVERY = bytes(range(256))
TEXTS = "näïve €uro 𝄞\n".encode()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (folder / "count.py").write_text(COUNT)
    with Gafferd(folder, JOBS).start().ready() as gafferd:
        gafferd.address = ("127.0.0.1", gafferd.port)
        gafferd.pids = {
            name: gafferd.get(f"/jobs/default/{name}")["processes"][0]
            for name in ("echo", "transcript", "count", "control", "mute", "lines")
        }
        yield gafferd
        assert "Traceback" not in gafferd.log.read_text()


def post(node, path, body):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return parse(talk(node.address, head.encode() + body))


def connections(node):
    """Return how many descriptors of gafferd are connections."""
    links = []
    folder = f"/proc/{node.process.pid}/fd"
    for name in os.listdir(folder):
        try:
            links.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links)


# -- feeds --------------------------------------------------------------------------------------


def test_the_seeds_transcripts(node):
    count, echo = node.pids["count"], node.pids["transcript"]
    with Reader(node.address, f"/streams/{count}/stderr?feed=continuous") as reader:
        eventually(lambda: reader.chunk() and reader.body.count(b"\n") >= 2)
        first, second = reader.body.split(b"\n")[:2]
        assert second == b"STDERR %d" % (int(first.split()[1]) + 1)
    assert request(node.address, "GET", f"/streams/{count}/stderr?feed=longpoll").text.startswith("STDERR ")
    with Reader(node.address, f"/streams/{count}/stderr?feed=eventsource") as reader:
        first, second = reader.events(2)[:2]
        assert (first.event, first.data[:7]) == ("stderr", "STDERR ") and second.id != first.id
    assert post(node, f"/streams/{echo}/stdin", b"ECHO\n").json == {"ok": True}
    with Reader(node.address, f"/streams/{echo}/out?feed=longpoll") as reader:
        assert reader.whole() == b"ECHO\n"


def test_a_heartbeat_says_that_all_is_well(node):
    for feed, beat in (("continuous", b"\n"), ("eventsource", b":\r\n\r\n")):
        with Reader(node.address, f"/watch/proc/none?feed={feed}&heartbeat=0.1") as reader:
            assert (reader.chunk(), reader.chunk()) == (beat, beat)


def test_who_comes_back_misses_nothing_and_gets_nothing_twice(node):
    path = f"/streams/{node.pids['count']}/stdout?feed=eventsource"
    with Reader(node.address, path + "&tail=1") as reader:
        last = reader.events(2)[1]
    time.sleep(0.2)
    with Reader(node.address, path, f"Last-Event-ID: {last.id}\r\n") as reader:
        again = reader.events(1)[0]
    # An event is several lines when gafferd or the process was slow.
    assert int(again.data.split()[1]) == int(last.data.split()[-1]) + 1


def test_events_by_pattern_and_from_the_past(node):
    pid = node.pids["echo"]
    for path in ("/watch/proc/echo/spawn", "/watch/job/default/echo/spawn", f"/watch/proc/{pid}", "/watch/spawn"):
        event = request(node.address, "GET", f"{path}?since=0").json
        assert event["event"].endswith("spawn") and event["pid"] > 0
    with Reader(node.address, "/watch?feed=continuous") as reader:
        node.post("/processes/mute/_restart")
        events = [json.loads(line) for line in reader.until(b"}\n").splitlines()]
    assert events[0]["name"] == "mute"


def test_statistics_as_a_feed(node):
    with Reader(node.address, "/stats/echo?feed=continuous&interval=0.1") as reader:
        began = time.monotonic()
        reader.chunk(), reader.chunk(), reader.chunk()
        assert time.monotonic() - began < 5
    first = json.loads(reader.body.splitlines()[0])
    assert first["stats"][0]["mem_info1"] > 0 and first["max_mem"] >= first["min_mem"]


def test_head_tells_what_get_would(node):
    answer = request(node.address, "HEAD", f"/streams/{node.pids['echo']}/out?feed=eventsource")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert request(node.address, "HEAD", "/streams/99/out").status == 404


# -- bytes --------------------------------------------------------------------------------------


def test_bytes_and_characters_of_every_kind_come_back_whole(node):
    pid = node.pids["echo"]
    with Reader(node.address, f"/streams/{pid}/out?feed=continuous") as raw:
        with (
            Reader(node.address, f"/streams/{pid}/out?feed=eventsource") as text,
            Client(node.address, f"/wstreams/{pid}") as both,
        ):
            post(node, f"/streams/{pid}/stdin", EVERY)
            assert raw.until(EVERY) == EVERY
            got = b""
            while len(got) < len(EVERY):
                got += both.receive().data
            assert got == EVERY
            for byte in TEXTS:
                both.say(bytes([byte]))
            assert raw.until(TEXTS) == EVERY + TEXTS
            eventually(lambda: text.chunk() and "𝄞" in text.body.decode())
            assert text.body.decode().count("\ufffd") == 128


def test_a_custom_stream_both_ways(node):
    pid = node.pids["control"]
    with Client(node.address, f"/{pid}/channel/control") as client:
        client.say(b"V1 message 7\0one\n")
        assert sorted([client.receive().data.partition(b"\0")[2], client.receive().data.partition(b"\0")[2]]) == [
            b"OK",
            b"got one\n",
        ]
    assert post(node, f"/streams/{pid}/control?eof=1", b"two\n").json == {"ok": True}
    eventually(lambda: node.get("/jobs/default/control")["running"] == 0)
    assert request(node.address, "GET", f"/streams/{pid}/control?since=0").body == b"got one\ngot two\n"


# -- those who go away --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_who_goes_away_is_noticed_within_a_second_and_leaves_nothing(node, how):
    pid = node.pids["echo"]
    before = eventually_still(lambda: connections(node))
    feeds = [
        "/watch?feed=eventsource",
        f"/streams/{pid}/out?feed=continuous",
        "/watch/proc/none",
        "/stats?feed=continuous&interval=60",
    ]
    open_ones = [socket.create_connection(node.address) for _ in feeds]
    for sock, path in zip(open_ones, feeds):
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    clients = [Client(node.address, path) for path in (f"/wstreams/{pid}", f"/{pid}/channel", "/channel/websocket")]
    eventually(lambda: connections(node) == before + 7)
    began = time.monotonic()
    for sock in [*open_ones, *(client.sock for client in clients)]:
        if how == "half":
            sock.shutdown(socket.SHUT_WR)
        else:
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
    eventually(lambda: connections(node) == before)
    assert time.monotonic() - began < 5  # a moment, and what a busy machine takes; a heartbeat comes later
    for sock in [*open_ones, *(client.sock for client in clients)]:
        sock.close()


def eventually_still(measure):
    """Return what *measure* returns when it has stopped changing."""
    last, since = measure(), time.monotonic()
    while time.monotonic() - since < 0.3:
        gevent.sleep(0.02)
        if (now := measure()) != last:
            last, since = now, time.monotonic()
    return last


# -- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/streams/99/out", 404, "not_found"),
        ("GET", "/streams/{echo}/none", 404, "not_found"),
        ("GET", "/streams/{lines}/stdout", 400, "io_not_redirected"),
        ("GET", "/streams/{echo}/stdin", 405, "method_not_allowed"),
        ("POST", "/streams/{count}/stdin", 403, "forbidden"),
        ("POST", "/streams/99/stdin", 404, "not_found"),
        ("GET", "/streams/{echo}/out?feed=none", 400, "bad_request"),
        ("GET", "/streams/{echo}/out?heartbeat=never", 400, "bad_request"),
        ("GET", "/streams/{echo}/out?since=%00", 400, "bad_request"),
        ("GET", "/stats?feed=continuous&interval=0.01", 400, "bad_request"),
        ("GET", "/watch/a/b/c/d/e", 404, "not_found"),
        ("GET", "/wstreams/{echo}", 426, "upgrade_required"),
    ],
)
def test_wrong_requests_get_their_answer(node, method, path, status, code):
    path = path.format(**node.pids)
    answer = post(node, path, b"x") if method == "POST" else request(node.address, method, path)
    answer.assert_problem(status, code)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/wstreams/99", HANDSHAKE, 404),
        ("/{lines}/channel/stdout", HANDSHAKE, 400),
        ("/{echo}/channel/none", HANDSHAKE, 404),
        ("/{echo}/channel?mode=7", HANDSHAKE, 400),
        ("/{count}/channel?mode=2", HANDSHAKE, 403),
        ("/channel/websocket", HANDSHAKE + "Origin: https://evil.example\r\n", 403),
        ("/channel/websocket", HANDSHAKE.replace("13", "7"), 426),
    ],
)
def test_wrong_handshakes_get_an_ordinary_answer(node, path, headers, status):
    with Client(node.address, path.format(**node.pids), headers) as client:
        assert client.answer.status == status


@pytest.mark.parametrize("path", ["/wstreams/{echo}", "/{echo}/channel", "/channel/websocket"])
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(b"x", mask=None), 1002),
        (frame(b"x", opcode=5), 1002),
        (frame(b"x", flags=0x40), 1002),
        (frame(b"x", opcode=0), 1002),
        (frame(b"\xff\xfe", opcode=TEXT), 1007),
        (b"\x82\xff" + struct.pack("!Q", 1 << 40) + b"abcd", 1009),
        (frame(b"\x03", opcode=CLOSE), 1002),
    ],
    ids=["unmasked", "opcode", "flags", "continuation", "utf-8", "huge", "close"],
)
def test_wrong_frames_end_one_connection_with_the_right_code(node, path, bad, code):
    path = path.format(**node.pids)
    with Client(node.address, path) as other, Client(node.address, path) as client:
        client.send(bad)
        last = client.receive()
        assert (last.opcode, last.code) == (CLOSE, code) and client.receive() is None
        other.send(frame(b"are you there", opcode=9))
        while (answer := other.receive()).opcode != 10:
            pass
        assert answer.data == b"are you there"


def test_what_is_wrong_with_frames_of_a_channel_is_said_in_frames(node):
    with Client(node.address, f"/{node.pids['echo']}/channel?mode=2") as client:
        for said, id, code in (
            (b"no frame", b"0", "EINVAL"),
            (b"V2 message 1\0x", b"0", "EINVAL"),
            (b"V1 error 5\0x", b"5", "EINVAL"),
        ):
            client.say(said)
            head, _, body = client.receive().data.partition(b"\0")
            assert (head, json.loads(body)["error"]) == (b"V1 error " + id, code)
        client.say(b"V1 message a\0\0one\0two\0")
        assert client.receive() == (BINARY, b"V1 response a\0OK")
    with Reader(node.address, f"/streams/{node.pids['echo']}/out?feed=continuous&since=0") as reader:
        assert reader.until(b"\0one\0two\0")


def test_half_a_request_is_no_other_clients_problem(node):
    halves = [
        b"GET /wat",
        b"GET /watch?feed=eventsource HTTP/1.1\r\nHost: loc",
        b"POST /streams/1/stdin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nabc",
    ]
    halves.append(f"GET /wstreams/1 HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}\r\n".encode() + frame(b"x" * 50)[:20])
    for half in halves:
        with socket.create_connection(node.address) as sock:
            sock.sendall(half)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(5)
            while sock.recv(4096):
                pass
        assert node.get("/ping", text=True) == "OK"


# -- log files ----------------------------------------------------------------------------------


def test_log_files_are_opened_again_by_a_signal(node):
    path = node.folder / "logs" / "lines.log"
    post(node, f"/streams/{node.pids['lines']}/stdin", b"one\n")
    eventually(lambda: path.exists() and path.read_bytes() == b"one\n")
    path.rename(path.with_name("old"))
    node.signal(signal.SIGUSR1)
    eventually(path.exists)
    post(node, f"/streams/{node.pids['lines']}/stdin", b"two\n")
    eventually(lambda: path.read_bytes() == b"two\n")
    assert path.with_name("old").read_bytes() == b"one\n"
    assert node.get("/health")["plugins"]["logfiles"]["lost"] == 0
