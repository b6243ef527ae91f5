"""The client's end of a websocket on a fake connection."""

from __future__ import annotations

import pytest
import websocket

from gaffer.websocket.client import ClientWebSocket
from gaffer.websocket.frames import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameDecoder,
    FrameError,
    WebSocketFrame,
    encode_frame,
)

LIMIT = 200_000


class Connection:
    """A socket that returns *data* a few bytes at a time, times out where it holds None, and keeps what is sent."""

    def __init__(self, *data, piece=65_536):
        self.data, self.piece, self.sent, self.asked = list(data), piece, [], []

    def recv(self, size):
        self.asked.append(size)
        if not self.data:
            return b""
        first = self.data.pop(0)
        if first is None:
            raise TimeoutError
        size = min(size, self.piece)
        if first[size:]:
            self.data.insert(0, first[size:])
        return first[:size]

    def sendall(self, data):
        decoder = FrameDecoder(LIMIT, True, data)
        self.sent.append(decoder.take())


@pytest.fixture
def connected(monkeypatch):
    """A function that returns a websocket on a :class:`Connection`, without a handshake."""
    monkeypatch.setattr(websocket.WebSocket, "connect", lambda self, url, **options: None)
    return lambda sock: ClientWebSocket(sock, "ws://localhost/", {}, LIMIT)


@pytest.mark.parametrize("piece", [1, 3, 65_536])
def test_messages_are_received_and_pings_answered(connected, piece):
    sock = Connection(
        encode_frame(b"hel", TEXT, final=False)
        + encode_frame(b"beat", PING)
        + encode_frame(b"ignored", PONG)
        + encode_frame(b"lo", CONTINUATION)
        + encode_frame(b"x" * 70_000, TEXT),
        piece=piece,
    )
    ws = connected(sock)
    assert ws.receive() == WebSocketFrame(TEXT, b"hello")
    assert sock.sent == [WebSocketFrame(PONG, b"beat")]
    assert ws.receive() == WebSocketFrame(TEXT, b"x" * 70_000)


def test_no_more_is_read_than_a_frame_needs(connected):
    sock = Connection(encode_frame(b"one", TEXT) + encode_frame(b"two", TEXT))
    ws = connected(sock)
    assert ws.receive() == WebSocketFrame(TEXT, b"one")
    assert sock.asked == [2, 3] and sock.data == [encode_frame(b"two", TEXT)]


def test_receiving_goes_on_after_a_timeout_in_the_middle_of_a_frame(connected):
    data = encode_frame(b"late", TEXT)
    ws = connected(Connection(data[:1], None, data[1:4], None, data[4:]))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            ws.receive()
    assert ws.receive() == WebSocketFrame(TEXT, b"late")


def test_close_is_answered_once(connected):
    sock = Connection(encode_frame(b"\x03\xe9bye", CLOSE))
    ws = connected(sock)
    assert ws.receive() == WebSocketFrame(CLOSE, b"\x03\xe9bye")
    ws.send_close()
    assert sock.sent == [WebSocketFrame(CLOSE, b"\x03\xe8")]


def test_answer_to_a_close_is_not_answered(connected):
    sock = Connection(encode_frame(b"\x03\xe8", CLOSE))
    ws = connected(sock)
    ws.send_close(1001, "gone")
    assert ws.receive().opcode == CLOSE
    assert sock.sent == [WebSocketFrame(CLOSE, b"\x03\xe9gone")]


def test_frames_that_are_sent_are_masked_anew(connected):
    raw = []
    sock = Connection()
    sock.sendall = raw.append
    ws = connected(sock)
    for _ in range(20):
        ws.send(b"same")
    assert len({data[2:6] for data in raw}) > 10


def test_end_of_the_connection_is_an_error(connected):
    with pytest.raises(ConnectionError):
        connected(Connection(encode_frame(b"cut", TEXT)[:3])).receive()


def test_frame_beyond_the_limit_is_rejected_before_it_is_read(connected):
    sock = Connection(b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 100)
    with pytest.raises(FrameError, match=str(LIMIT)):
        connected(sock).receive()
    assert sum(sock.asked) == 10
