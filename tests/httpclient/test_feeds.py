"""What feeds are made of: bodies, events and lines, cut anywhere; frames; silence."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.errors import BadRequest, Forbidden
from gaffer.httpclient import NoAnswer, NotGafferd, Server
from gaffer.httpclient.channels import Frame, is_gap, parse_frame, raise_problem
from gaffer.httpclient.feeds import EventParser, JsonEventParser, JsonParser, LogLine, ServerEvent, log_line
from gaffer.httpclient.objects import event_path
from gaffer.httpclient.streaming import BodyDecoder

PARTS = st.lists(st.binary(max_size=20), max_size=6)


def pieces(data, cuts):
    """Cut *data* into pieces, none of them empty."""
    places = sorted({cut % max(1, len(data)) for cut in cuts} - {0})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)]) if data[start:end]]


@given(PARTS, st.lists(st.integers(0, 500)))
def test_body_in_chunks(parts, cuts):
    parts = [part for part in parts if part]
    sent = b"".join(b"%x;some=thing\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    body = BodyDecoder(True, None)
    assert b"".join(body.feed(piece) for piece in pieces(sent, cuts) if not body.ended) == b"".join(parts)
    assert body.ended


@given(st.binary(max_size=50), st.lists(st.integers(0, 500)))
def test_body_with_a_length(data, cuts):
    body = BodyDecoder(False, len(data))
    assert b"".join(body.feed(piece) for piece in pieces(data, cuts)) == data and body.ended


def test_body_that_ends_with_its_connection():
    body = BodyDecoder(False, None)
    assert (body.feed(b"abc"), body.ended, body.feed(b""), body.ended) == (b"abc", False, b"", True)


@pytest.mark.parametrize(
    "body, data",
    [
        (BodyDecoder(True, None), b""),
        (BodyDecoder(True, None), b"x\r\n"),
        (BodyDecoder(True, None), b"5" * 2000),
        (BodyDecoder(False, 5), b""),
    ],
)
def test_body_that_is_cut(body, data):
    with pytest.raises(http.client.HTTPException):
        body.feed(data)


def parsed(parser, text):
    return [item for line in text.split(b"\n") if (item := parser.line(line)) is not None]


def test_server_sent_events():
    parser = EventParser()
    text = "id: a-1\nevent: out\ndata: one\ndata:  two\n\n:\n\ndata:ä\n\nretry: 5\nid\n\nevent: nothing\n\ndata\n\n"
    assert parsed(parser, text.encode()) == [
        ServerEvent("a-1", "out", "one\n two"),
        ServerEvent("a-1", "message", "ä"),
        ServerEvent("", "message", ""),
    ]


def test_events_in_json():
    parser = JsonEventParser()
    text = b'id: a-7\nevent: spawn\ndata: {"event": "spawn", "pid": 3}\n\nid: a-9\nevent: gap\ndata: 12\n\n'
    assert parsed(parser, text) == [{"event": "spawn", "pid": 3}, {"event": "gap", "lost": 12}]
    assert parser.last == "a-9"


def test_lines_of_logs():
    lines = [{"pid": 1, "label": "out", "time": 1.5, "line": "x"}, {"pid": 1, "label": "out", "time": 2.0, "lost": 7}]
    text = b"\n\n".join(json.dumps(line).encode() for line in lines)
    assert parsed(JsonParser(log_line), text) == [LogLine(1, "out", 1.5, "x"), LogLine(1, "out", 2.0, "", 7)]


@pytest.mark.parametrize(
    "pattern, path",
    [
        (".", "/watch"),
        ("", "/watch"),
        ("spawn", "/watch/spawn"),
        ("proc(web).stop_process", "/watch/proc/web/stop_pid"),
        ("job.shop.web.exit", "/watch/job/shop/web/exit"),
        ("proc.a+b", "/watch/proc/a%2Bb"),
    ],
)
def test_path_of_a_pattern(pattern, path):
    assert event_path(pattern) == path


@pytest.mark.parametrize("pattern", ["nonsense", "proc(", "proc(web).spwan", "job.shop.web.xyz"])
def test_pattern_that_can_select_nothing_is_refused(pattern):
    with pytest.raises(BadRequest):
        event_path(pattern)


def test_pattern_is_refused_with_the_nearest_name():
    with pytest.raises(BadRequest, match="there is no event 'creat'; did you mean 'create'"):
        event_path("creat")


def test_frames():
    assert parse_frame(b"V1 message 7\0a\0b") == Frame("message", "7", b"a\0b")
    assert parse_frame("V1 response 7\0OK") == Frame("response", "7", b"OK")
    for bad in (b"", b"V1 message 7", b"V2 message 7\0", b"V1 message\0x"):
        with pytest.raises(NotGafferd, match="is no frame"):
            parse_frame(bad)


def test_frames_that_say_what_is_wrong():
    assert is_gap(Frame("error", "7", b'{"error": "gap", "errno": 416, "lost": 5}'))
    with pytest.raises(Forbidden, match="not you"):
        raise_problem(Frame("error", "7", b'{"error": "EPERM", "errno": 403, "reason": "not you"}'))
    with pytest.raises(Exception, match="nonsense"):
        raise_problem(Frame("error", "7", b"nonsense"))
    raise_problem(Frame("response", "7", b"OK"))


@pytest.fixture
def silent():
    """A gafferd that answers, and then says no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def serve():
            connection, _ = listener.accept()
            kept.append(connection)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
        for connection in kept:
            connection.close()


def test_feed_without_beats_is_dead(silent):
    with Server(silent) as server, server.events(heartbeat=0.05, patience=0) as events:
        with pytest.raises(NoAnswer):
            next(events)
        assert list(events) == []
