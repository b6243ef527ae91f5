"""Items as bytes: exact, as JSON, and as server-sent events that a browser's parser gives back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.web.live.feed_encoders import MAX_LINE_BYTES, EventStreamEncoder, JsonLinesEncoder, RawEncoder
from gaffer.web.live.sources import LiveItem
from tests.kit.feed_client import events


def stream(*parts):
    """Return items as a stream of *parts* would have them."""
    items, end = [], 0
    for part in parts:
        end += len(part)
        items.append(LiveItem(f"ab-{end}", "out", part))
    return items


def encoded(encoder, items):
    return b"".join(encoder.encode(items))


def text(found):
    """Put the text together as the documentation tells clients to."""
    return "".join(event.data + ("" if event.id.endswith("+") else "\n") for event in found)


def test_bytes_stay_what_they_are():
    every = bytes(range(256))
    assert encoded(RawEncoder(), stream(every, every)) == every * 2 and RawEncoder().flush(True) == b""


def test_json_is_one_document_a_line_and_a_gap_is_one_too():
    items = [LiveItem("ab-3", "gap", b"2", lost=2), LiveItem("ab-4", "spawn", b'{"event": "spawn"}')]
    lines = encoded(JsonLinesEncoder(), items).splitlines()
    assert [json.loads(line) for line in lines] == [{"event": "gap", "lost": 2}, {"event": "spawn"}]


def test_an_event_looks_as_the_seeds_say():
    body = encoded(EventStreamEncoder(raw=True), stream(b"STDERR 20\n"))
    assert body == b"id: ab-10\r\nevent: out\r\ndata: STDERR 20\r\n\r\n"


def test_several_lines_are_one_event():
    assert events(encoded(EventStreamEncoder(raw=True), stream(b"a\nb\n\nc\n")))[0].data == "a\nb\n\nc"


def test_a_line_in_pieces_is_one_event():
    encoder = EventStreamEncoder(raw=True)
    first, second, third = stream(b"one\ntw", b"o", b"\n")
    assert [event.data for event in events(encoded(encoder, [first]))] == ["one"]
    assert encoder.patience
    assert encoded(encoder, [second]) == b""
    assert events(encoded(encoder, [third])) == [("ab-8", "out", "two")]
    assert encoder.patience is None


def test_a_line_that_has_no_end_yet_says_so_by_its_id():
    encoder = EventStreamEncoder(raw=True)
    encoded(encoder, stream(b"login: "))
    assert events(encoder.flush(False)) == [("ab-7+", "out", "login: ")]
    assert encoder.patience is None and encoder.flush(False) == b""


def test_the_position_is_that_of_what_was_sent_not_of_what_waits():
    encoder = EventStreamEncoder(raw=True)
    assert events(encoded(encoder, stream(b"one\ntw")))[0].id == "ab-4"
    assert events(encoder.flush(False))[0].id == "ab-6+"


def test_half_a_character_waits_however_long_it_takes():
    encoder = EventStreamEncoder(raw=True)
    half, rest = "né".encode()[:2], "né".encode()[2:]
    first, second = stream(half, rest)
    encoded(encoder, [first])
    assert events(encoder.flush(False)) == [("ab-1+", "out", "n")]
    assert encoder.flush(False) == b"" and encoder.patience is None
    encoded(encoder, [second])
    assert events(encoder.flush(False)) == [("ab-3+", "out", "é")]


def test_at_the_end_half_a_character_is_none():
    encoder = EventStreamEncoder(raw=True)
    encoded(encoder, stream("é".encode()[:1]))
    assert events(encoder.flush(True)) == [("ab-1+", "out", "\ufffd")]


def test_a_line_longer_than_the_limit_comes_in_pieces():
    encoder = EventStreamEncoder(raw=True)
    body = encoded(encoder, stream("é".encode() * MAX_LINE_BYTES))
    assert events(body)[0].data == "é" * MAX_LINE_BYTES and encoder.patience is None


def test_a_gap_comes_after_what_was_held_back():
    encoder = EventStreamEncoder(raw=True)
    (first,) = stream(b"half a li")
    gap = LiveItem("ab-99", "gap", b"90", lost=90)
    found = events(encoded(encoder, [first, gap, LiveItem("ab-104", "out", b"next\n")]))
    assert found == [("ab-9+", "out", "half a li"), ("ab-99", "gap", "90"), ("ab-104", "out", "next")]


def test_json_items_are_one_event_each():
    items = [LiveItem("ab-1", "spawn", b'{"pid": 1}'), LiveItem("ab-2", "exit", b'{"pid": 1}')]
    assert events(encoded(EventStreamEncoder(raw=False), items)) == [
        ("ab-1", "spawn", '{"pid": 1}'),
        ("ab-2", "exit", '{"pid": 1}'),
    ]


@pytest.mark.parametrize("label", ["two\nlines", "nul\0", "\r"])
def test_a_name_cannot_break_out(label):
    found = events(encoded(EventStreamEncoder(raw=True), [LiveItem("ab-2", label, b"x\n")]))
    assert len(found) == 1 and found[0].data == "x"


@given(
    st.lists(st.one_of(st.binary(max_size=8), st.sampled_from([b"\n", b"\r\n", "é".encode()[:1], None])), max_size=30)
)
def test_every_text_comes_out_whole(parts):
    """Whatever is flushed when; None is a moment in which nothing comes."""
    encoder, data, end, body = EventStreamEncoder(raw=True), b"", 0, b""
    for part in parts:
        if part is None:
            body += encoder.flush(False) if encoder.patience else b""
        elif part:
            data, end = data + part, end + len(part)
            body += encoded(encoder, [LiveItem(f"ab-{end}", "out", part)])
    body += encoder.flush(True)
    expected = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    got = text(events(body))
    assert got.replace("\r", "\n") == expected or got == expected


@pytest.mark.parametrize("data", [b"a\r\nb\rc\n", b"\r\n\r\n", b"x\n\n\r", "é\n".encode() + b"\xff\n", b"data: \n"])
def test_line_ends_of_all_kinds_are_lines_of_the_event(data):
    encoder = EventStreamEncoder(raw=True)
    body = encoded(encoder, stream(data)) + encoder.flush(True)
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    assert text(events(body)).rstrip("\n") == lines.rstrip("\n")


def test_readers_at_the_same_place_share_one_encoding():
    first, second, third = (item._replace(encoded={}) for item in stream(b"a\nbc", b"d\n", b"e\n"))
    readers = [EventStreamEncoder(raw=True) for _ in range(3)]
    for item in (first, second, third):
        made = [reader.encode([item])[0] for reader in readers]
        assert all(one is made[0] for one in made) and len(item.encoded) == 1
    # One that came later has nothing of the line that was begun before.
    late = EventStreamEncoder(raw=True)
    assert events(encoded(late, [second]))[0].data == "d" and len(second.encoded) == 2
