"""Rings and cursors: what is kept, what is lost, who is woken; checked against a plain bytearray."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.process import ring_buffer
from gaffer.process.ring_buffer import (
    GROWN_SIZE,
    MAX_SMALL_CHUNKS,
    MERGE_SECONDS,
    RING_SIZE,
    SMALL_CHUNK,
    Ring,
    RingLimits,
)

# -- what is kept

CHUNKS = st.lists(st.binary(max_size=40), max_size=30)


@given(st.integers(1, 64), CHUNKS, st.integers(0, 1300))
def test_ring_reads_like_the_end_of_all_that_was_written(size, chunks, position):
    ring, model = Ring(size), bytearray()
    for chunk in chunks:
        ring.append(chunk)
        model += chunk
    lost, data, following = ring.read(position)
    assert data == model[max(position, ring.start) :]
    assert lost == max(0, ring.start - position)
    assert following == ring.end == len(model)


@given(st.integers(1, 64), CHUNKS)
def test_ring_keeps_its_size_and_less_than_one_chunk_more(size, chunks):
    ring = Ring(size)
    for chunk in chunks:
        ring.append(chunk)
        held = ring.end - ring.start
        assert min(size, ring.end) <= held < size + max(size // 16, *map(len, chunks), 1)


@given(st.integers(1, 2000), st.lists(st.one_of(st.binary(max_size=300), st.just(None)), max_size=60))
def test_reader_that_follows_gets_every_byte_or_knows_how_many_it_lost(size, steps):
    ring, written, position, seen = Ring(size), bytearray(), 0, 0
    for step in [*steps, None]:
        if step is not None:
            ring.append(step)
            written += step
            continue
        lost, data, position = ring.read(position)
        seen += lost
        assert data == written[seen : seen + len(data)]
        seen += len(data)
    assert seen == len(written)


def test_position_in_the_future_has_nothing_to_read_yet():
    ring = Ring()
    ring.append(b"abc")
    assert ring.read(10) == (0, b"", 3)


def test_empty_ring_reads_nothing():
    assert Ring().read() == (0, b"", 0)


def test_output_that_comes_byte_by_byte_takes_no_more_memory_than_other_output():
    tracemalloc.start()
    try:
        ring = Ring(RING_SIZE)
        for _ in range(RING_SIZE + 1000):
            ring.append(b".")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * RING_SIZE
    assert ring.end - ring.start >= RING_SIZE


@given(st.integers(1, 64), CHUNKS, st.integers(0, 1300), st.integers(1, 100))
def test_read_returns_at_most_the_given_size(size, chunks, position, most):
    ring, model = Ring(size), bytearray()
    for chunk in chunks:
        ring.append(chunk)
        model += chunk
    lost, data, following = ring.read(position, most)
    start = min(max(position, ring.start), len(model))
    assert data == model[start : start + len(data)] and len(data) <= most
    # Whole chunks, so that readers meet where those end.
    assert start + len(data) == len(model) or len(data) == most or ends_a_chunk(ring, following)
    assert bool(data) == (start < len(model))
    assert (lost, following) == (max(0, ring.start - position), start + len(data))


def ends_a_chunk(ring, position):
    return any(chunk.offset + len(chunk.data) == position for chunk in ring.chunks)


def test_readers_at_one_place_share_what_they_read():
    ring = Ring()
    one, two = ring.follow(), ring.follow()
    ring.append(b"x" * 5000)
    (_, first), (_, second) = one.take(), two.take()
    assert first is second and first == (b"x" * 5000, 5000, {})
    ring.append(b"y")
    assert one.take()[1].data == b"y"
    ring.append(b"z")
    assert two.read() == (0, b"yz")  # all that is there by now
    two.close()
    ring.append(b"lone")
    assert one.read() == (0, b"z" + b"lone") and one.take()[1].encoded is None


def test_reader_behind_gets_what_others_there_get():
    ring = Ring(100)
    cursors = [ring.follow(0) for _ in range(3)]
    for number in range(9):
        ring.append(bytes([number]) * 50)
    taken = [cursor.take(50) for cursor in cursors]
    assert all(piece is taken[0][1] for _, piece in taken) and {lost for lost, _ in taken} == {350}


# -- times


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now + 5e8


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(ring_buffer, "time", clock)
    return clock


def test_chunks_have_the_time_of_their_first_byte(clock):
    ring = Ring()
    for data in (b"one", b"two"):
        ring.append(data)
        clock.now += 1
    assert [(chunk.offset, chunk.data, chunk.at, chunk.time) for chunk in ring.chunks] == [
        (0, b"one", 1000.0, 500001000.0),
        (3, b"two", 1001.0, 500001001.0),
    ]


def test_small_writes_within_the_merge_time_are_one_chunk(clock):
    ring = Ring()
    for _ in range(4):
        ring.append(b"x" * 1000)
        clock.now += MERGE_SECONDS / 5
    assert [len(chunk.data) for chunk in ring.chunks] == [4000]
    ring.append(b"x" * (SMALL_CHUNK - 4000 + 1))
    assert len(ring.chunks) == 2


def test_slow_small_output_has_few_chunks(clock):
    ring = Ring()
    for _ in range(RING_SIZE * 2):
        ring.append(b".")
        clock.now += 1
    assert len(ring.chunks) <= MAX_SMALL_CHUNKS + RING_SIZE // SMALL_CHUNK + 1
    assert RING_SIZE <= ring.held <= RING_SIZE + SMALL_CHUNK


# -- the last lines


@pytest.mark.parametrize(
    ("data", "lines", "tail"),
    [
        (b"one", 1, b"one"),
        (b"one\n", 1, b"one\n"),
        (b"one\ntwo\nthree\n", 2, b"two\nthree\n"),
        (b"one\ntwo\nthr", 2, b"two\nthr"),
        (b"one\ntwo\n", 0, b""),
        (b"\n\n\n", 2, b"\n\n"),
        (b"\none", 1, b"one"),
    ],
)
def test_position_of_the_last_lines_is_one_in_the_stream(data, lines, tail):
    ring = Ring()
    ring.append(b"x" * RING_SIZE * 2)
    ring.append(b"\n" + data)
    assert ring.tail(lines) == ring.end - len(tail)


def test_last_lines_begin_with_the_ring_if_it_holds_fewer():
    ring = Ring()
    for _ in range(4):
        ring.append(b"x" * RING_SIZE)
    ring.append(b"\none\n")
    assert ring.tail(9) == ring.start > 0


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n"]), max_size=12), st.integers(0, 12))
def test_last_lines_are_those_of_splitlines(parts, lines):
    ring, data = Ring(), b"".join(parts)
    for part in parts:
        ring.append(part)
    expected = b"".join(data.splitlines(keepends=True)[-lines:]) if lines else b""
    assert ring.read(ring.tail(lines))[1] == expected


# -- cursors


def limited(size=100, most=1000, total=10_000):
    limits = RingLimits(size, most, total)
    return Ring(limits.size, limits), limits


def test_cursor_begins_at_the_end_or_at_its_position():
    ring = Ring()
    ring.append(b"before ")
    new, old, late = ring.follow(), ring.follow(2), ring.follow(99)
    ring.append(b"after")
    assert new.read() == (0, b"after") and old.read() == (0, b"fore after") and late.read() == (0, b"after")
    assert new.read() == (0, b"")


def test_cursor_is_woken_by_what_comes_and_by_the_end():
    ring, woken = Ring(), []
    cursor = ring.follow(wake=lambda: woken.append(ring.end))
    ring.append(b"abc")
    ring.append(b"d")
    assert woken == [3]  # once until it reads: a thousand who are late are not told of each chunk
    cursor.read()
    ring.append(b"e")
    cursor.read()
    ring.finish()
    ring.finish()
    assert woken == [3, 5, 5]
    cursor.read()
    assert cursor.ended


def test_closed_cursor_is_not_woken():
    ring, woken = Ring(), []
    cursor = ring.follow(wake=lambda: woken.append(1))
    cursor.close()
    cursor.close()
    ring.append(b"abc")
    assert not woken and ring.readers == 0


def test_cursor_whose_wake_fails_affects_no_other(caplog):
    ring, woken = Ring(), []

    def broken():
        raise ValueError("no bell")

    ring.follow(wake=broken).read()
    good = ring.follow(wake=lambda: woken.append(1))
    ring.append(b"a")
    good.read()
    ring.append(b"b")
    assert woken == [1, 1] and len(caplog.messages) == 1


def test_ring_holds_what_its_slowest_reader_has_not_read():
    ring, limits = limited()
    slow, quick = ring.follow(), ring.follow()
    for number in range(10):
        ring.append(bytes([number]) * 90)
        assert quick.read() == (0, bytes([number]) * 90)
    assert slow.read() == (0, b"".join(bytes([number]) * 90 for number in range(10)))
    ring.append(b"x" * 90)
    quick.read()
    assert ring.held <= 190


def test_reader_that_lets_the_ring_run_full_gets_the_size_of_the_gap():
    ring, limits = limited()
    lazy = ring.follow()
    for _ in range(100):
        ring.append(b"x" * 90)
    assert lazy.behind and ring.held <= 190
    lost, data = lazy.read()
    assert (lost, len(data)) == (9000 - ring.held, ring.held) and not lazy.behind


def test_reader_loses_nothing_more_once_it_reads_again():
    ring, limits = limited()
    lazy = ring.follow()
    for _ in range(100):
        ring.append(b"x" * 90)
    lazy.read()
    ring.append(b"y" * 900)
    assert lazy.read() == (0, b"y" * 900)


def test_ring_without_readers_does_not_grow():
    ring, limits = limited()
    for _ in range(100):
        ring.append(b"x" * 90)
    assert ring.held <= 190


def test_closing_the_last_reader_gives_back_what_was_held_for_it():
    ring, limits = limited()
    cursor = ring.follow()
    for _ in range(10):
        ring.append(b"x" * 90)
    assert ring.held == 900
    cursor.close()
    assert ring.held <= 190


def test_all_rings_together_grow_within_one_limit():
    """Forty lazy readers of forty floods hold no more than the total, and a little for each."""
    limits = RingLimits(size=1000, most=1_000_000, total=500_000)
    made = [Ring(limits.size, limits) for _ in range(40)]
    cursors = [ring.follow() for ring in made]
    most = 0
    for _ in range(30):
        for ring in made:
            ring.append(b"x" * 50_000)
        most = max(most, sum(ring.held for ring in made))
    assert most < 40 * (65_536 + 51_000) + 500_000 + 51_000
    assert all(cursor.behind for cursor in cursors)
    for cursor in cursors:
        cursor.close()
    assert limits.grown == 0


def test_reader_that_pauses_for_megabytes_loses_nothing_by_default():
    limits = RingLimits()
    ring = Ring(limits.size, limits)
    cursor = ring.follow()
    for number in range(GROWN_SIZE // 65_536):
        ring.append(bytes([number]) * 65_536)
    seen = 0
    while True:
        lost, data = cursor.read()
        assert lost == 0
        if not data:
            break
        assert data[0] == seen // 65_536
        seen += len(data)
    assert seen == GROWN_SIZE


@given(st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 2), st.just(None)), max_size=80))
def test_every_reader_gets_every_byte_or_the_number_of_those_it_lost(steps):
    """Numbers read with that cursor; None closes and follows anew."""
    ring, limits = limited(size=50, most=400, total=100)
    written = bytearray()
    cursors = [ring.follow() for _ in range(3)]
    seen = [0, 0, 0]
    for step in [*steps, 0, 1, 2]:
        if step is None:
            cursors[0].close()
            cursors[0], seen[0] = ring.follow(seen[0]), seen[0]
        elif isinstance(step, bytes):
            ring.append(step)
            written += step
        else:
            lost, data = cursors[step].read(10_000)
            seen[step] += lost
            assert data == written[seen[step] : seen[step] + len(data)]
            seen[step] += len(data)
            assert seen[step] == len(written)
        assert ring.held <= max(400, 50) + 300 + 65_536
    for cursor in cursors:
        cursor.close()
    assert limits.grown == 0
