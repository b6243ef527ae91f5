"""No character is split, whatever the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.web.live.utf8_stream import Utf8Decoder, whole_characters


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", 0),
        (b"abc", 3),
        ("é".encode(), 2),
        ("é".encode()[:1], 0),
        (b"a" + "€".encode()[:2], 1),
        (b"a" + "𝄞".encode()[:3], 1),
        ("𝄞".encode(), 4),
        (b"a\xff", 2),
        (b"a\x80\x80\x80\x80", 5),
        (b"a\xc0", 2),
        (b"a\xf8", 2),
    ],
)
def test_a_character_whose_end_is_missing_does_not_count(data, whole):
    assert whole_characters(data) == whole


@given(st.lists(st.one_of(st.text().map(str.encode), st.binary(max_size=6))), st.lists(st.integers(0, 50)))
def test_text_in_pieces_is_the_text(parts, cuts):
    data = b"".join(parts)
    text, decoded, at = Utf8Decoder(), "", 0
    for cut in sorted(cuts):
        decoded += text.feed(data[at:cut])
        at = max(at, cut)
        assert text.waiting <= 3
    decoded += text.feed(data[at:], last=True)
    assert decoded == data.decode("utf-8", "replace")


@given(st.text(), st.integers(0, 400))
def test_only_whole_characters_are_decoded(text, cut):
    data = text.encode()[:cut]
    assert data[: whole_characters(data)].decode() == text[: len(data[: whole_characters(data)].decode())]
