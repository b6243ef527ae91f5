"""``/wstreams/PID`` and ``/PID/channel`` over real processes: frames, modes, errors, ends (docs/channel.rst)."""

from __future__ import annotations

import json
import socket

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gaffer
from gaffer.errors import BadRequest
from gaffer_plugins.streams import StreamsPlugin
from gaffer_plugins.websocket import WebsocketPlugin, process_channel, raw_stream
from gaffer_plugins.websocket.channel_frames import ChannelFrame, encode, parse
from tests.kit.web import request, wait_until
from tests.kit.websocket_client import BINARY, CLOSE, TEXT, Client, frame

EVERY = bytes(range(256))


@pytest.fixture
def live(start_api):
    return start_api(StreamsPlugin(), WebsocketPlugin())


def load(live, cmd, name="web", **settings):
    settings = {"restart": "never", "redirect_output": ["out", "err"], "redirect_input": True, **settings}
    live.manager.load(gaffer.JobConfig(name, cmd, **settings))
    wait_until(lambda: live.manager.list(name))
    return live.manager.list(name)[0]


def message(id, body=b""):
    return b"V1 message %s\0%s" % (id, body)


def output(ws, size):
    """Read frames of output until there are *size* bytes; returns them."""
    data = b""
    while len(data) < size:
        got = ws.receive()
        assert got is not None and got.opcode == BINARY, got
        head, _, body = got.data.partition(b"\0")
        if head.startswith(b"V1 message "):
            data += body
    return data


def error(got):
    head, _, body = got.data.partition(b"\0")
    version, kind, id = head.decode().split()
    assert (version, kind) == ("V1", "error")
    return id, json.loads(body)


def finish(ws, code=1000):
    """Read up to the close; returns its reason."""
    while (got := ws.receive()).opcode != CLOSE:
        pass
    assert got.code == code
    ws.send(frame(got.data[:2], CLOSE))
    assert ws.receive() is None
    ws.close()
    return got.reason


# -- /wstreams ----------------------------------------------------------------------------------


def test_the_seeds_echo_client(live):
    process = load(live, "cat")
    ws = Client(live.address, f"/wstreams/{process.pid}")
    ws.say("ECHO\n")
    assert ws.receive() == (BINARY, b"ECHO\n")
    ws.say(EVERY)
    got = b""
    while len(got) < 256:
        got += ws.receive().data
    assert got == EVERY
    process.stdin.finish()
    assert finish(ws) == f"process {process.pid} has exited"


def test_several_readers_each_get_everything(live):
    process = load(live, "cat")
    sockets = [Client(live.address, f"/wstreams/{process.pid}") for _ in range(5)]
    wait_until(lambda: process.reader("out").ring.readers == 5)
    sockets[0].say(b"hello")
    assert [ws.receive().data for ws in sockets] == [b"hello"] * 5
    for ws in sockets:
        ws.leave()
    wait_until(lambda: process.reader("out").ring.readers == 0)


def test_a_slow_reader_is_closed_instead_of_lied_to(live):
    process = load(live, "sh -c 'read a; head -c 50000000 /dev/zero; cat'")
    ws = Client(live.address, f"/wstreams/{process.pid}")
    ws.say("go\n")
    wait_until(lambda: process.reader("out").ring.end == 50_000_000)
    size = 0
    while (got := ws.receive()).opcode == BINARY:
        assert not got.data.strip(b"\0")
        size += len(got.data)
    assert got.code == 1013 and got.reason.startswith("gap: ") and size < 50_000_000
    ws.close()


def test_writing_what_is_not_redirected_closes(live):
    process = load(live, "sleep 1000", redirect_input=False)
    ws = Client(live.address, f"/wstreams/{process.pid}")
    ws.say(b"x")
    assert "redirect_input" in finish(ws, 1008)


def test_writing_to_one_that_does_not_read_closes(live, monkeypatch):
    monkeypatch.setattr(raw_stream, "WRITE_TIMEOUT", 0.05)
    process = load(live, "sleep 1000")
    ws = Client(live.address, f"/wstreams/{process.pid}")
    for _ in range(3):
        ws.send(frame(bytes(900_000), mask=b"\0\0\0\0"))
    assert "full" in finish(ws, 1013)


def test_channel_without_output_is_writable_and_ends_at_exit(live, tmp_path):
    process = load(live, "sh -c 'cat > got'", redirect_output=[], cwd=str(tmp_path))
    ws = Client(live.address, f"/wstreams/{process.pid}")
    ws.say(b"hello")
    wait_until(lambda: (tmp_path / "got").exists() and (tmp_path / "got").read_bytes() == b"hello")
    live.manager.stop_job("web")
    assert finish(ws) == f"process {process.pid} has exited"


# -- /PID/channel -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_message_is_written_and_answered_and_output_comes_back(live, kind):
    process = load(live, "cat")
    ws = Client(live.address, f"/{process.pid}/channel")
    ws.say(message(b"a1", b"hello\n") if kind is bytes else message(b"a1", b"hello\n").decode())
    got = sorted([ws.receive().data, ws.receive().data])
    life = live.manager.node_id[:6].encode()
    assert got == [b"V1 message %s-6\0hello\n" % life, b"V1 response a1\0OK"]
    process.stdin.finish()
    assert finish(ws) == f"process {process.pid} has exited"


def test_every_byte_goes_both_ways_and_only_the_first_nul_counts(live):
    process = load(live, "cat")
    ws = Client(live.address, f"/{process.pid}/channel?mode=3")
    body = b"\0V1 message x\0" + EVERY * 20
    ws.say(message(b"1", body))
    assert output(ws, len(body)) == body
    ws.leave()


def test_characters_may_be_split_between_messages(live):
    process = load(live, "cat")
    ws = Client(live.address, f"/{process.pid}/channel")
    for byte in "€𝄞".encode():
        ws.say(message(b"1", bytes([byte])))
    assert output(ws, 7) == "€𝄞".encode()
    ws.leave()


@pytest.mark.parametrize(("stream", "expected"), [("out", b"one\n"), ("err", b"two\n"), ("both", b"three\n")])
def test_a_stream_by_its_name(live, stream, expected):
    process = load(live, "sh -c 'echo one; echo two >&2; echo three >&3; exec cat'", custom_streams=["both"])
    ws = Client(live.address, f"/{process.pid}/channel/{stream}?mode=1&since=0")
    assert output(ws, len(expected)) == expected
    ws.leave()


def test_custom_streams_go_both_ways(live):
    process = load(live, "sh -c 'while read line <&3; do echo got $line >&3; done'", custom_streams=["control"])
    ws = Client(live.address, f"/{process.pid}/channel/control")
    ws.say(message(b"1", b"one\n"))
    assert output(ws, 8) == b"got one\n"
    ws.leave()


@pytest.mark.parametrize("stream", ["stdin", "ttin"])
def test_stdin_by_its_name(live, stream):
    process = load(live, "cat")
    ws = Client(live.address, f"/{process.pid}/channel/{stream}?mode=2")
    ws.say(message(b"1", b"hello"))
    assert ws.receive().data == b"V1 response 1\0OK"
    wait_until(lambda: process.reader("out").ring.end == 5)
    assert process.reader("out").ring.readers == 0
    live.manager.stop_job("web")
    assert finish(ws) == f"process {process.pid} has exited"


def test_reader_continues_at_its_position(live):
    process = load(live, "sh -c 'echo one; echo two; exec cat'")
    wait_until(lambda: process.reader("out").ring.end == 8)
    for path, expected in (("since=4", b"two\n"), ("tail=1", b"two\n"), ("since=0", b"one\ntwo\n")):
        ws = Client(live.address, f"/{process.pid}/channel?mode=1&{path}")
        assert output(ws, len(expected)) == expected
        ws.leave()


def test_a_slow_reader_is_told_how_much_it_missed_and_goes_on(live):
    process = load(live, "sh -c 'read a; head -c 50000000 /dev/zero; cat'")
    ws = Client(live.address, f"/{process.pid}/channel")
    ws.say(message(b"1", b"go\n"))
    wait_until(lambda: process.reader("out").ring.end == 50_000_000)
    size, lost = 0, 0
    while size + lost < 50_000_000:
        head, _, body = ws.receive().data.partition(b"\0")
        if head.startswith(b"V1 message"):
            size += len(body)
        elif head.startswith(b"V1 error"):
            problem = json.loads(body)
            assert (problem["error"], problem["errno"]) == ("gap", 416)
            lost += problem["lost"]
    assert lost > 0 and size + lost == 50_000_000
    ws.say(message(b"2", b"still here"))
    assert output(ws, 10) == b"still here"
    ws.leave()


def test_a_process_that_does_not_read_holds_up_only_who_writes_to_it(live, monkeypatch):
    monkeypatch.setattr(process_channel, "WRITE_TIMEOUT", 0.05)
    process, other = load(live, "sleep 1000"), load(live, "cat", "other")
    ws = Client(live.address, f"/{process.pid}/channel?mode=2")
    for number in range(3):
        ws.send(frame(message(b"%d" % number, bytes(900_000)), mask=b"\0\0\0\0"))
    friend = Client(live.address, f"/{other.pid}/channel?mode=2")
    friend.say(message(b"1", b"x"))
    assert friend.receive().data == b"V1 response 1\0OK"
    answers = [ws.receive() for _ in range(3)]
    assert answers[0].data == b"V1 response 0\0OK"
    id, problem = error(answers[2])
    assert (id, problem["error"], problem["errno"]) == ("2", "EIO", 500) and "full" in problem["reason"]
    ws.leave()
    friend.leave()


def test_write_to_closed_stdin_is_an_error(live):
    process = load(live, "sh -c 'exec <&-; echo ready; exec sleep 1000'")
    ws = Client(live.address, f"/{process.pid}/channel?since=0")
    assert output(ws, 6) == b"ready\n"
    ws.say(message(b"1", b"x"))
    ws.receive()
    ws.say(message(b"2", b"x"))
    id, problem = error(ws.receive())
    assert (id, problem["error"], problem["errno"]) == ("2", "EIO", 500)
    ws.leave()


@pytest.mark.parametrize("path", ["/1/channel?mode=1", "/1/channel/out", "/1/channel/err?mode=3"])
def test_unwritable_streams_are_rejected(live, path):
    load(live, "cat")
    ws = Client(live.address, path)
    ws.say(message(b"7", b"x"))
    id, problem = error(ws.receive())
    assert (id, problem["error"], problem["errno"]) == ("7", "EPERM", 403) and problem["reason"]
    ws.leave()


def test_stdin_that_is_not_redirected(live):
    load(live, "sh -c 'echo hello; exec sleep 1000'", redirect_input=False)
    ws = Client(live.address, "/1/channel?since=0")
    assert output(ws, 6) == b"hello\n"
    ws.say(message(b"7", b"x"))
    id, problem = error(ws.receive())
    assert (problem["error"], problem["errno"]) == ("EPERM", 403) and "redirect_input" in problem["reason"]
    ws.leave()


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"",
        b"\0",
        b"V1 message 1",
        b"V2 message 1\0x",
        b"V1 nothing 1\0x",
        b"V1 message\0x",
        b"V1 message \0x",
        b"V1  message 1\0x",
        b"V1 message 1 2\0x",
        b"V1 message \xff\0x",
        b"V1 message " + b"1" * 65 + b"\0x",
    ],
)
def test_invalid_frame_is_answered_and_not_written(live, data):
    process = load(live, "cat")
    ws = Client(live.address, f"/{process.pid}/channel")
    ws.say(data)
    id, problem = error(ws.receive())
    assert (id, problem["error"], problem["errno"]) == ("0", "EINVAL", 400)
    ws.say(message(b"1", b"fine"))
    assert output(ws, 4) == b"fine"
    ws.leave()


@pytest.mark.parametrize("kind", [b"response", b"error"])
def test_a_client_has_only_messages_to_send(live, kind):
    load(live, "cat")
    ws = Client(live.address, "/1/channel")
    ws.say(b"V1 %s 5\0x" % kind)
    id, problem = error(ws.receive())
    assert (id, problem["errno"]) == ("5", 400)
    ws.leave()


def test_a_message_that_is_too_large(live):
    load(live, "cat")
    ws, other = Client(live.address, "/1/channel"), Client(live.address, "/1/channel")
    ws.send(frame(bytes(1_100_000), mask=b"\0\0\0\0"))
    assert ws.receive().code == 1009
    ws.close()
    other.say(message(b"1", b"fine"))
    assert output(other, 4) == b"fine"
    other.leave()


def test_text_that_is_none(live):
    load(live, "cat")
    ws = Client(live.address, "/1/channel")
    ws.send(frame(b"V1 message 1\0\xff", TEXT))
    assert ws.receive().code == 1007
    ws.close()


# -- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/wstreams/1", "/1/channel", "/1/channel?mode=2", "/1/channel/err"])
def test_a_socket_closes_when_its_process_exits(live, path):
    load(live, "sh -c 'read a; echo last words >&2; echo last words; exit 3'")
    ws = Client(live.address, path)
    live.manager.send(1, "go\n")
    while (got := ws.receive()).opcode != CLOSE:
        assert b"last words" in got.data
    assert (got.code, got.reason) == (1000, "process 1 has exited")
    ws.close()


def test_a_process_that_is_replaced_ends_its_socket_too(live):
    load(live, "cat", restart="always")
    ws = Client(live.address, "/1/channel")
    live.manager.restart_job("web")
    assert finish(ws) == "process 1 has exited"
    Client(live.address, f"/{live.manager.pids('web')[0]}/channel").leave()


@pytest.mark.parametrize("how", ["close", "half", "frame"])
def test_a_client_that_leaves_leaves_nothing_behind(live, how):
    process = load(live, "cat")
    for path in ("/wstreams/1", "/1/channel", "/1/channel?mode=2"):
        ws = Client(live.address, path)
        before = len(live.manager.events._followers) + process.reader("out").ring.readers
        assert before == 1
        if how == "half":
            ws.sock.shutdown(socket.SHUT_WR)
        elif how == "frame":
            ws.leave()
        else:
            ws.close()
        wait_until(lambda: not live.manager.events._followers and not process.reader("out").ring.readers)
        ws.close()


def test_a_manager_that_stops_closes_every_socket(live):
    load(live, "cat")
    sockets = [Client(live.address, path) for path in ("/wstreams/1", "/1/channel", "/1/channel?mode=2")]
    stop = gevent.spawn(live.manager.stop)
    assert {finish(ws) for ws in sockets} == {"process 1 has exited"}
    stop.join(5)
    assert stop.ready()


# -- before the handshake -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/wstreams/99", 404, "not_found"),
        ("/99/channel", 404, "not_found"),
        ("/1/channel/nothing", 404, "not_found"),
        ("/1/channel/stdout", 400, "io_not_redirected"),
        ("/1/channel/stdin?mode=1", 400, "bad_request"),
        ("/1/channel?mode=4", 400, "bad_request"),
        ("/1/channel?mode=x", 400, "bad_request"),
        ("/1/channel?since=x", 400, "bad_request"),
        ("/1/channel?tail=x", 400, "bad_request"),
        ("/1/channel/out?mode=2", 403, "forbidden"),
        ("/2/channel?mode=2", 403, "forbidden"),
        ("/2/channel?mode=1", 400, "io_not_redirected"),
        ("/2/channel", 400, "io_not_redirected"),
        ("/2/channel/stdin", 403, "forbidden"),
        ("/wstreams/2", 400, "io_not_redirected"),
    ],
)
def test_invalid_channel_request_gets_no_101(live, path, status, code):
    load(live, "cat")
    load(live, "sleep 1000", "mute", redirect_output=[], redirect_input=False)
    with Client(live.address, path) as ws:
        ws.answer.assert_problem(status, code)


@pytest.mark.parametrize("path", ["/wstreams/1", "/1/channel", "/1/channel/out", "/channel/websocket"])
def test_a_plain_request_is_told_what_it_takes(live, path):
    load(live, "cat")
    request(live.address, "GET", path).assert_problem(426, "upgrade_required")


# -- frames -------------------------------------------------------------------------------------


@given(st.sampled_from(["message", "response", "error"]), st.from_regex(r"[!-~]{1,64}", fullmatch=True), st.binary())
def test_a_frame_is_what_it_was(kind, id, body):
    assert parse(encode(kind, id, body)) == ChannelFrame(kind, id, body)


@given(st.binary())
def test_anything_else_is_refused(data):
    try:
        found = parse(data)
    except BadRequest:
        return
    assert encode(*found) == data
