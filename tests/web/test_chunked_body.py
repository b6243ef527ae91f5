"""Chunked bodies: right ones are read in any pieces, anything else is refused."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.web.server.chunked_body import BadChunk, ChunkedBody
from tests.kit.web import served, talk
from tests.kit.web_app import HELLO, answers, app

END = b"0\r\n\r\n"


def read(data: bytes, **how: int) -> bytes:
    rfile = io.BufferedReader(io.BytesIO(data))
    body = io.BufferedReader(ChunkedBody(rfile))
    found = body.read(**how)
    if not how:
        assert rfile.read() == b"next"
    return found


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + END


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_chunked_body_is_joined_and_next_request_is_kept(pieces):
    assert read(chunked(pieces) + b"next") == b"".join(pieces)


@pytest.mark.parametrize(
    "data",
    [
        b"5;a=b\r\nhello\r\n" + END,
        b"05 \r\nhello\r\n" + END,
        b"5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n",
        b"5\r\nhello\r\n00\r\n\r\n",
    ],
)
def test_valid_chunk_syntax_is_read(data):
    assert read(data + b"next") == b"hello"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5\r\nhe\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhelloX\r\n" + END,
        b"5\r\nhello" + END,
        b"+5\r\nhello\r\n" + END,
        b"-5\r\nhello\r\n" + END,
        b"0x5\r\nhello\r\n" + END,
        b"5_0\r\nhello\r\n" + END,
        b" 5\r\nhello\r\n" + END,
        b"5;a\nb\r\nhello\r\n" + END,
        b"5;a\0\r\nhello\r\n" + END,
        b"\r\n" + END,
        b"fffffffffffffffff\r\nhello\r\n" + END,
        b"5\r\nhello\r\n0\r\n",
        b"5\r\nhello\r\n0\r\nA b\r\n\r\n",
        b"5\r\nhello\r\n0\r\n A: b\r\n\r\n",
        b"5\r\nhello\r\n0\r\nA: b\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"5;" + b"x" * 5000 + b"\r\nhello\r\n" + END,
        (b"1;" + b"x" * 1000 + b"\r\nx\r\n") * 100 + END,
    ],
)
def test_everything_else_is_refused(data):
    with pytest.raises(BadChunk):
        read(data)


def test_nothing_is_read_after_something_wrong():
    chunks = ChunkedBody(io.BufferedReader(io.BytesIO(b"5\r\nhelloX\r\n5\r\nworld\r\n" + END)))
    for _ in range(2):
        with pytest.raises(BadChunk):
            chunks.read(100)
    assert not chunks.ended


def test_the_server_refuses_it_and_closes_so_that_nothing_can_be_smuggled():
    head = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(app()) as (address, _):
        for wrong in (b"5\r\nhe\r\n0\r\n\r\n", b"5_0\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n"):
            (answer,) = answers(talk(address, head + wrong + HELLO))
            assert (answer.status, answer.headers["connection"]) == (400, "close")
        right = answers(talk(address, head + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n" + HELLO))
        assert [answer.status for answer in right] == [200, 200] and right[0].body == b"hello"
