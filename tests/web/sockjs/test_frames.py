"""The text of SockJS."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.web.sockjs import frames, http_transports


def test_frames():
    assert frames.OPEN == "o" and frames.HEARTBEAT == "h"
    assert frames.messages(["a", 'b"', "\n"]) == r'a["a","b\"","\n"]'
    assert frames.closing(*frames.GO_AWAY) == 'c[3000,"Go away!"]'
    assert frames.closing(*frames.IN_USE) == 'c[2010,"Another connection still open"]'
    assert frames.closing(*frames.INTERRUPTED) == 'c[1002,"Connection interrupted"]'


def test_only_unsafe_characters_are_escaped():
    lost = [*range(0x20), *range(0x200C, 0x2010), *range(0x2028, 0x2030), *range(0x2060, 0x2070)]
    lost += [*range(0xD800, 0xE000), *range(0xFFF0, 0x10000)]
    assert all(f"\\u{code:04x}" == frames.quote(chr(code))[1:-1] for code in lost if code > 0xFF)
    assert all("\\" in frames.quote(chr(code)) for code in lost)
    kept = set(range(0x20, 0x10000)) - set(lost) - {ord('"'), ord("\\")}
    assert all(frames.quote(chr(code)) == f'"{chr(code)}"' for code in kept)
    assert frames.quote("😀") == '"😀"'


@given(st.lists(st.text()))
def test_messages_come_back(texts):
    frame = frames.messages(texts)
    assert frame.encode() and frames.read(frame[1:]) == texts


@pytest.mark.parametrize(
    ("payload", "texts"),
    [('["a"]', ["a"]), (b"[]", []), (rb'["\u0000\ud83d\ude00", "b"]', ["\0😀", "b"]), ('["a","b"]', ["a", "b"])],
)
def test_messages_of_a_client(payload, texts):
    assert frames.read(payload) == texts


@pytest.mark.parametrize(
    "payload", ['["a', '"a"', "{}", "1", "null", '["a", 1]', "[[]]", b'["\xff"]', "[" * 100_000, b"\0", "h"]
)
def test_what_is_none(payload):
    with pytest.raises(frames.BrokenPayload, match="Broken JSON encoding"):
        frames.read(payload)


def test_nothing_at_all():
    for payload in ("", b""):
        with pytest.raises(frames.BrokenPayload, match="Payload expected"):
            frames.read(payload)


def test_on_websockets_one_message_may_stand_alone():
    assert frames.read('"a"', alone=True) == ["a"]
    with pytest.raises(frames.BrokenPayload):
        frames.read("1", alone=True)


@pytest.mark.parametrize(
    ("transport", "wrapped"),
    [
        (http_transports.XHR, b'a["x"]\n'),
        (http_transports.XHR_STREAMING, b'a["x"]\n'),
        (http_transports.EVENTSOURCE, b'data: a["x"]\r\n\r\n'),
        (http_transports.htmlfile("cb"), b'<script>\np("a[\\"x\\"]");\n</script>\r\n'),
        (http_transports.jsonp("a.b"), b'/**/a.b("a[\\"x\\"]");\r\n'),
    ],
)
def test_each_transport_wraps(transport, wrapped):
    assert transport.wrap('a["x"]') == wrapped


def test_preludes():
    assert http_transports.XHR_STREAMING.prelude == b"h" * 2048 + b"\n"
    assert http_transports.EVENTSOURCE.prelude == b"\r\n"
    page = http_transports.htmlfile("parent_cb").prelude
    assert b"var c = parent.parent_cb;" in page and len(page) > 1024 and page.endswith(b"\r\n\r\n")
    assert not http_transports.XHR.prelude and not http_transports.jsonp("x").prelude


@pytest.mark.parametrize("make", [http_transports.htmlfile, http_transports.jsonp])
@pytest.mark.parametrize("name", [None, "", " ", "*", "abc(", "a\nb", "a</script>", "é", "x" * 129])
def test_a_callback_must_be_a_name(make, name):
    with pytest.raises(http_transports.BadCallback, match='"callback" parameter'):
        make(name)


@given(st.text())
def test_a_message_never_ends_the_script_that_it_is_in(text):
    frame = frames.messages([text])
    for transport, before, after in (
        (http_transports.htmlfile("c"), "<script>\np(", ");\n</script>\r\n"),
        (http_transports.jsonp("c"), "/**/c(", ");\r\n"),
    ):
        literal = transport.wrap(frame).decode().removeprefix(before).removesuffix(after)
        assert "<" not in literal and "\u2028" not in literal and "\n" not in literal
        assert json.loads(literal) == frame
