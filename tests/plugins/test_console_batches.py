"""What gaffer start prints: batches of lines, nothing lost, and who waits for a slow terminal."""

import fcntl
import io
import os
import re

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer_plugins.console.batches import MAX_BATCHED_LINE, BatchSink, RunConsole, is_plain
from gaffer_plugins.console.printer import clean
from gaffer_plugins.console.writer import PatientWriter


class Kept:
    """Stands for a console: keeps what it was given."""

    def __init__(self):
        self.batches = []

    def lines(self, name, data, source=None):
        self.batches.append(data)


class Source:
    """A stream that counts its pauses."""

    paused = 0
    resumed = 0

    def pause(self):
        self.paused += 1

    def resume(self):
        self.resumed += 1


def written(console):
    console.writer.close()
    return console.writer._stream.getvalue()


# -- cutting


@given(st.lists(st.one_of(st.binary(max_size=40), st.text("ab\r\n", max_size=6).map(str.encode)), max_size=8))
def test_whatever_was_written_is_shown_in_lines(chunks):
    kept = Kept()
    sink = BatchSink(kept, "web")
    for chunk in chunks:
        sink.write(chunk)
    sink.close()
    whole = re.sub(
        rb"(?<![^\n])\r+(?!\r*\n)|\r+(\n?)", lambda found: b"" if found[1] is None else b"\n", b"".join(chunks)
    )
    assert b"".join(kept.batches) == whole + (b"" if not whole or whole.endswith(b"\n") else b"\n")
    assert all(batch.endswith(b"\n") for batch in kept.batches)


def test_a_line_without_end_is_shown_in_pieces_of_whole_characters():
    kept = Kept()
    sink = BatchSink(kept, "web")
    text = "é" * MAX_BATCHED_LINE
    sink.write(b"x" + text.encode())
    sink.close()
    lines = b"".join(kept.batches).decode().split("\n")
    assert len(lines) > 2 and "".join(lines) == "x" + text


# -- printing


@given(st.binary(max_size=60))
def test_the_short_way_prints_what_the_careful_one_would(data):
    text = data.decode("utf-8", "replace")
    if is_plain(data):
        assert all(clean(line) == line for line in text.split("\n")) and text.encode() == data


@given(st.lists(st.text(max_size=12).map(lambda line: line.replace("\n", "")), min_size=1, max_size=5))
def test_every_line_has_its_prefix(lines):
    console = RunConsole(io.StringIO(), ["web", "worker"], timestamps=False)
    console.lines("web", "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
    expected = [f"web    | {clean(line.encode('utf-8', 'replace').decode())}" for line in lines]
    assert written(console).split("\n")[:-1] == expected


def test_colours_and_times():
    stream = io.StringIO()
    console = RunConsole(stream, ["web"], colorize=True)
    console.lines("web", b"plain\n\x1b[31mred\x1b[2J\nx\r\n")
    console.say("web", "spawn")
    lines = [re.sub(r"\d\d:\d\d:\d\d", "T", line) for line in written(console).split("\n")]
    prefix = "\x1b[36mT web | \x1b[0m"
    assert lines == [f"{prefix}plain", f"{prefix}\x1b[31mred\x1b[0m", f"{prefix}x", "\x1b[36mT web | spawn\x1b[0m", ""]


def test_twenty_names_stand_in_one_column():
    names = [f"{'w' * (place % 7 + 1)}.{place}" for place in range(20)]
    console = RunConsole(io.StringIO(), names, timestamps=False)
    for name in names:
        console.lines(name, b"hello\n")
    assert len({line.index("|") for line in written(console).splitlines()}) == 1


# -- a slow terminal


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)
    stream = os.fdopen(writer, "w")
    yield reader, stream
    stream.close()
    try:
        os.close(reader)
    except OSError:
        pass


def test_who_writes_too_fast_waits_and_nothing_is_lost(pipe):
    reader, stream = pipe
    writer, source = PatientWriter(stream, limit=20_000), Source()
    sent = 0
    while not source.paused:
        writer.put(b"x" * 1000, source)
        sent += 1000
        assert sent < 100_000
        gevent.sleep(0)
    assert (source.paused, source.resumed) == (1, 0)
    writer.put(b"x" * 1000, source)  # what was read already is taken, and no source paused twice
    sent += 1000
    got = 0
    while got < sent:
        got += len(os.read(reader, 4096))
        gevent.sleep(0.001)
    with gevent.Timeout(60):
        while not source.resumed:
            gevent.sleep(0.01)
    assert (source.paused, source.resumed, writer.unwritten) == (1, 1, 0)
    writer.close()


def test_a_reader_that_goes_is_told_once_and_lets_all_sources_go_on(pipe):
    reader, stream = pipe
    gone = []
    writer, source = PatientWriter(stream, lambda: gone.append(1), limit=10), Source()
    os.close(reader)
    writer.put(b"x" * 100, source)
    with gevent.Timeout(10):
        while not gone:
            gevent.sleep(0.01)
    writer.put(b"more", source)
    gevent.sleep(0.01)
    assert gone == [1] and source.paused == source.resumed
    writer.close()


def test_what_is_not_taken_at_the_end_is_counted(pipe, monkeypatch):
    monkeypatch.setattr(PatientWriter, "TERMINAL_TIMEOUT", 0.05)
    _, stream = pipe
    writer = PatientWriter(stream)
    writer.put(b"x" * 50_000)
    writer.close()
    assert writer.unwritten == 50_000
