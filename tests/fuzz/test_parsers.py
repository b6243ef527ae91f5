"""Every parser that strangers reach refuses what it cannot read, and does nothing worse. ``run.py`` asks for longer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .targets import TARGETS, feed

#: What fuzzing found, and what it was mended for.
FOUND: tuple[tuple[str, bytes], ...] = (
    ("body", b"5\r\nhe\r\n0\r\n\r\n"),  # gevent's reader raised ValueError: a 500
)

#: Bytes that mean something somewhere.
_WORDS = st.sampled_from(
    [
        *(b"\r\n", b"\0", b"0\r\n\r\n", b"ffffffffffffffff", b"Transfer-Encoding: chunked", b"Content-Length: 1"),
        *(b"[", b"{", b'"', b"'''", b"$", b"${", b"\\", b"=", b":", b"\xed\xa0\x80", b"\xff", b"\\ud800", b"1e999"),
        *(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x88", b"AUTH:", b"V1 ", b"%00", b"../", b"[[[[", b"#", b";"),
    ]
)


def inputs(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Any bytes, and what is right with something wrong in it."""
    piece = st.one_of(_WORDS, st.binary(max_size=8), st.sampled_from(seeds))
    mixed = st.lists(piece, max_size=12).map(b"".join)

    def spoilt(seed: bytes) -> st.SearchStrategy[bytes]:
        cut = st.integers(0, len(seed))
        return st.tuples(cut, piece, cut).map(lambda one: seed[: one[0]] + one[1] + seed[one[2] :])

    return st.one_of(mixed, st.sampled_from(seeds).flatmap(spoilt))


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_is_read(name):
    """So the target does look at what it is given."""
    target = TARGETS[name]
    read = 0
    for seed in target.seeds:
        try:
            target.read(seed)
        except target.refuses:
            continue
        read += 1
    assert read


@pytest.mark.parametrize("name", TARGETS)
def test_anything_else_is_refused_or_read(name):
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(inputs(TARGETS[name].seeds))
    def check(data):
        feed(name, data)

    check()


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_once(name, data):
    feed(name, data)
