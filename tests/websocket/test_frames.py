"""Frames: what is encoded is decoded to the same, however it is cut and split; what is not allowed is rejected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MAX_FRAMES,
    NORMAL,
    NOT_TEXT,
    PING,
    PONG,
    PROTOCOL,
    TEXT,
    TOO_BIG,
    FrameDecoder,
    FrameError,
    WebSocketFrame,
    apply_mask,
    decode_close,
    encode_close,
    encode_frame,
    message_parts,
)
from tests.kit import websocket_client

LIMIT = 70_000
#: On both sides of where the length takes two and eight bytes.
SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, LIMIT)
MASK = b"\x01\x80\xff\x00"
masks = st.binary(min_size=4, max_size=4)
controls = st.builds(WebSocketFrame, st.sampled_from([PING, PONG]), st.binary(max_size=125), st.just(True))
messages = st.builds(WebSocketFrame, st.sampled_from([TEXT, BINARY]), st.binary(max_size=300), st.just(True))


def decode(data, masked=True, piece=1 << 20, limit=LIMIT):
    """Return what a decoder takes from *data*, fed in pieces."""
    decoder, taken = FrameDecoder(limit, masked), []
    for at in range(0, len(data), piece):
        decoder.feed(data[at : at + piece])
        while (frame := decoder.take()) is not None or not decoder.missing:
            if frame is not None:
                taken.append(frame)
    return taken


@given(st.binary(max_size=300), masks)
def test_unmasking_is_the_xor_of_every_byte(data, mask):
    assert apply_mask(data, mask) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


@given(st.binary(max_size=300), st.sampled_from([CONTINUATION, TEXT, BINARY, PING]), masks, st.booleans())
def test_encoded_frame_is_that_of_another_encoder(data, opcode, mask, final):
    assert encode_frame(data, opcode, mask, final) == websocket_client.frame(data, opcode, final, mask)
    assert encode_frame(data, opcode, b"", final) == websocket_client.frame(data, opcode, final, None)


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("size", SIZES)
def test_frame_of_every_length_form_comes_back(size, mask):
    data = (bytes(range(256)) * 300)[:size]
    frame = encode_frame(data, BINARY, mask)
    assert frame == websocket_client.frame(data, BINARY, True, mask or None)
    assert decode(frame, bool(mask)) == [WebSocketFrame(BINARY, data)]


@given(st.lists(st.one_of(messages, controls), max_size=5), masks, st.booleans(), st.integers(1, 50))
def test_frames_come_back_however_they_are_cut(frames, mask, masked, piece):
    data = b"".join(encode_frame(one.payload, one.opcode, mask if masked else b"") for one in frames)
    assert decode(data, masked, piece) == frames


@given(
    st.sampled_from([TEXT, BINARY]),
    st.lists(st.tuples(st.binary(max_size=50), st.lists(controls, max_size=2)), min_size=1, max_size=6),
    st.booleans(),
    st.integers(1, 50),
)
def test_fragments_with_control_frames_between_become_one_message(opcode, fragments, masked, piece):
    data, mask = b"", MASK if masked else b""
    for at, (part, between) in enumerate(fragments):
        last = at == len(fragments) - 1
        data += b"".join(encode_frame(one.payload, one.opcode, mask) for one in between)
        data += encode_frame(part, CONTINUATION if at else opcode, mask, last)
    expected = [one for _, between in fragments for one in between]
    assert decode(data, masked, piece) == [*expected, WebSocketFrame(opcode, b"".join(part for part, _ in fragments))]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_decoded_or_rejected_within_the_limit(data, masked):
    try:
        taken = decode(data, masked, limit=40)
    except FrameError as error:
        assert error.code in (PROTOCOL, TOO_BIG) and str(error)
    else:
        assert all(len(one.payload) <= (125 if one.opcode >= CLOSE else 40) for one in taken)


@given(st.binary(max_size=200), st.booleans())
def test_missing_bytes_are_never_more_than_the_frame_needs(data, masked):
    frame = encode_frame(data, BINARY, MASK if masked else b"")
    decoder, at = FrameDecoder(LIMIT, masked), 0
    while decoder.take() is None:
        assert 0 < decoder.missing <= len(frame) - at
        decoder.feed(frame[at : at + decoder.missing])
        at += decoder.missing
    assert at == len(frame)


def test_data_received_with_the_handshake_is_decoded_first():
    assert FrameDecoder(LIMIT, True, encode_frame(b"early", TEXT, MASK)).take() == WebSocketFrame(TEXT, b"early")


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (encode_frame(b"x", TEXT), PROTOCOL, "client must be masked"),
        (encode_frame(b"x" * 11, TEXT, MASK), TOO_BIG, "10 bytes"),
        (encode_frame(b"x" * 9, TEXT, MASK, False) + encode_frame(b"xy", CONTINUATION, MASK), TOO_BIG, "10 bytes"),
        (b"\x82\xff" + b"\xff" * 8 + MASK, TOO_BIG, "10 bytes"),
        (b"\xc2\x80", PROTOCOL, "extension"),
        (b"\x83\x80", PROTOCOL, "opcode 3"),
        (b"\x8b\x80", PROTOCOL, "opcode 11"),
        (b"\x09\x80", PROTOCOL, "control frame"),
        (b"\x89\xfe", PROTOCOL, "125 bytes"),
        (encode_frame(b"x", CONTINUATION, MASK), PROTOCOL, "fragments"),
        (encode_frame(b"", TEXT, MASK, False) + encode_frame(b"", TEXT, MASK), PROTOCOL, "fragments"),
        (
            encode_frame(b"", TEXT, MASK, False) + encode_frame(b"", CONTINUATION, MASK, False) * MAX_FRAMES,
            TOO_BIG,
            f"{MAX_FRAMES} frames",
        ),
    ],
)
def test_what_is_not_allowed_is_rejected_with_its_code(data, code, word):
    with pytest.raises(FrameError, match=word) as error:
        decode(data, limit=10)
    assert error.value.code == code


def test_masked_frame_of_a_server_is_rejected():
    with pytest.raises(FrameError, match="server must not be masked"):
        decode(encode_frame(b"x", TEXT, MASK), masked=False)


def test_limit_applies_to_each_message_anew_and_not_to_control_frames():
    data = encode_frame(b"x" * 10, TEXT) + encode_frame(b"x" * 125, PING) + encode_frame(b"y" * 10, TEXT)
    assert [len(one.payload) for one in decode(data, False, limit=10)] == [10, 125, 10]


@given(st.one_of(st.sampled_from([1000, 1003, 1007, 1013, 1014]), st.integers(3000, 4999)), st.text(max_size=300))
def test_close_comes_back_with_as_much_of_its_reason_as_fits(code, reason):
    reason = reason.encode("utf-8", "replace").decode()
    payload = encode_close(code, reason)
    assert len(payload) <= 125
    got, shortened = decode_close(payload)
    assert got == code and reason.startswith(shortened)
    assert shortened == reason or len(payload) > 121


def test_close_without_a_code_is_normal():
    assert decode_close(b"") == (NORMAL, "")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65_535])
def test_close_code_that_must_not_be_sent_is_rejected(code):
    with pytest.raises(FrameError) as error:
        decode_close(code.to_bytes(2, "big"))
    assert error.value.code == PROTOCOL


@pytest.mark.parametrize(("payload", "code"), [(b"\x03", PROTOCOL), (b"\x03\xe8\xff", NOT_TEXT)])
def test_malformed_close_is_rejected(payload, code):
    with pytest.raises(FrameError) as error:
        decode_close(payload)
    assert error.value.code == code


def test_text_is_sent_as_text_and_bytes_as_binary():
    sent = message_parts("é") + message_parts(b"\xff") + message_parts("a", True)
    assert decode(b"".join(sent), False) == [
        WebSocketFrame(TEXT, "é".encode()),
        WebSocketFrame(BINARY, b"\xff"),
        WebSocketFrame(BINARY, b"a"),
    ]
