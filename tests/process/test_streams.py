"""Rings, readers and writers: nothing blocks, what is lost is counted, and descriptors come back."""

import fcntl
import logging
import os
import pty
import socket
from types import SimpleNamespace

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.errors import Conflict, Unavailable
from gaffer.process.streams import MAX_UNREAD_INPUT, PIPE_SIZE, READ_SIZE, Duplex, Reader, Writer, last_lines, make_pipe


class Recorder:
    """A sink that keeps what it gets."""

    def __init__(self, error=None):
        self.data = b""
        self.closed = 0
        self.error = error

    def write(self, data):
        if self.error:
            raise self.error
        self.data += data

    def close(self):
        self.closed += 1
        if self.error:
            raise self.error


@pytest.fixture
def loop():
    return gevent.get_hub().loop


@pytest.fixture
def pipe():
    """Return the two ends of a pipe; the test may close them."""
    ends = make_pipe()
    yield ends
    for fd in ends:
        if is_open(fd):
            os.close(fd)


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def let_the_loop_run(until):
    for _ in range(1000):
        if until():
            return
        gevent.idle()
    raise AssertionError("it never happened")


# -- reading


def test_output_is_read_without_being_asked_for(loop, pipe):
    sink = Recorder()
    reader = Reader(loop, "out", pipe[0], sinks=[sink])
    os.write(pipe[1], b"hello")
    let_the_loop_run(lambda: sink.data)
    assert reader.ring.read() == (0, b"hello", 5) and sink.data == b"hello"
    reader.close()


class Watcher:
    """Stands in for one of the loop; the test calls it."""

    def __init__(self, loop):
        self.loop, self.callback = loop, None

    def start(self, callback):
        self.callback = callback

    def stop(self):
        self.callback = None

    close = stop


class FakeLoop:
    def io(self, fd, events):
        self.readable = Watcher(self)
        return self.readable

    def timer(self, after, repeat=0.0):
        self.later = Watcher(self)
        return self.later


@pytest.fixture
def clock(monkeypatch):
    """Stands in for the module ``time`` where streams are read."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("gaffer.process.streams.time", clock)
    return clock


def test_small_pieces_are_collected_for_a_moment(clock, pipe):
    loop = FakeLoop()
    reader = Reader(loop, "out", pipe[0])
    for number in range(3):  # rare ones are read at once
        os.write(pipe[1], b"a")
        loop.readable.callback()
        clock.now += 0.01
        assert reader.ring.end == number + 1 and loop.readable.callback
    for _ in range(2):
        os.write(pipe[1], b"b")
        if loop.readable.callback:
            loop.readable.callback()
        clock.now += 0.001
    assert reader.ring.end == 5 and loop.readable.callback is None
    os.write(pipe[1], b"c")
    os.write(pipe[1], b"d")
    loop.later.callback()
    assert reader.ring.read(5)[1] == b"cd" and reader.ring.end == 7
    clock.now += 0.01
    loop.later.callback()
    assert loop.readable.callback and loop.later.callback is None  # nothing polls once it is quiet
    reader.close()


def test_pipe_that_floods_is_read_again_and_never_left_alone(clock, pipe):
    loop = FakeLoop()
    reader = Reader(loop, "out", pipe[0])
    fcntl.fcntl(pipe[1], 1031, PIPE_SIZE)
    for _ in range(3):
        os.write(pipe[1], b"x" * 5 * READ_SIZE)
        os.write(pipe[1], b"short")
        loop.readable.callback()
        assert reader.ring.end % (5 * READ_SIZE + 5) == 0 and loop.readable.callback
    reader.close()


def test_paused_stream_is_read_again_once_all_have_resumed(clock, pipe):
    loop = FakeLoop()
    reader = Reader(loop, "out", pipe[0])
    reader.resume("one")  # nothing to resume
    reader.pause("one")
    reader.pause()
    reader.resume("one")
    assert loop.readable.callback is None
    reader.resume()
    assert loop.readable.callback
    reader.close()
    reader.pause("one")
    reader.resume("one")
    assert loop.readable.callback is None


def test_terminal_is_read_at_once(clock):
    ours, theirs = pty.openpty()
    loop = FakeLoop()
    reader = Reader(loop, "out", ours)
    for _ in range(5):
        os.write(theirs, b"x")
        loop.readable.callback()
        assert loop.readable.callback
    reader.close()
    os.close(theirs)


def test_end_of_the_stream_gives_back_the_descriptor_and_closes_the_sinks(loop, pipe):
    sink = Recorder()
    reader = Reader(loop, "out", pipe[0], sinks=[sink])
    os.write(pipe[1], b"last words")
    os.close(pipe[1])
    let_the_loop_run(lambda: sink.closed)
    assert reader.fd < 0 and not is_open(pipe[0]) and sink.data == b"last words"


def test_exit_of_the_process_is_noticed_at_the_end_of_the_stream(loop, pipe):
    """The code that notes the end of the process closes what has ended with it."""
    asked = []
    reader = Reader(loop, "out", pipe[0], exited=lambda: asked.append(1) or True)
    os.write(pipe[1], b"last words")
    os.close(pipe[1])
    let_the_loop_run(lambda: asked)
    for _ in range(10):
        gevent.idle()  # the loop does not run hot over what has ended
    assert len(asked) == 1 and reader.at_end and not reader.over and is_open(pipe[0])
    reader.drain()
    assert len(asked) == 1
    reader.close()
    assert reader.over and not is_open(pipe[0]) and reader.ring.read()[1] == b"last words"


def test_stream_that_ends_before_its_process_is_closed_at_once(loop, pipe):
    reader = Reader(loop, "out", pipe[0], exited=lambda: False)
    os.close(pipe[1])
    let_the_loop_run(lambda: reader.over)
    assert not is_open(pipe[0]) and not reader.at_end


def test_output_stays_readable_after_the_end(loop, pipe):
    reader = Reader(loop, "out", pipe[0])
    os.write(pipe[1], b"last words")
    reader.drain()
    reader.close()
    assert reader.ring.read()[1] == b"last words"


def test_draining_reads_all_that_is_there(loop):
    ours, theirs = make_pipe(large=True)
    reader = Reader(loop, "out", ours, size=2**20)
    os.write(theirs, b"x" * 3 * READ_SIZE)
    reader.drain()
    assert reader.ring.end == 3 * READ_SIZE
    reader.close()
    os.close(theirs)


def test_draining_does_not_wait_while_another_process_holds_the_pipe(loop, pipe):
    reader = Reader(loop, "out", pipe[0])
    reader.drain()
    assert reader.fd >= 0
    reader.close()


def test_draining_a_flood_ends(loop):
    reader = Reader(loop, "out", os.open("/dev/zero", os.O_RDONLY))
    reader.drain()
    assert 0 < reader.ring.end <= 64 * READ_SIZE
    reader.close()


def test_ring_without_readers_keeps_only_the_latest(loop, pipe):
    reader = Reader(loop, "out", pipe[0], size=10)
    for chunk in (b"0123456789", b"abcdefghij"):
        os.write(pipe[1], chunk)
        reader.drain()
    assert reader.ring.read() == (10, b"abcdefghij", 20)
    reader.close()


@pytest.mark.parametrize("error", [ValueError("full"), SystemExit(1)])
def test_failing_sink_is_closed_and_affects_no_other(loop, pipe, caplog, error):
    bad, good = Recorder(error), Recorder()
    reader = Reader(loop, "out", pipe[0], sinks=[bad, good])
    for word in (b"one ", b"two"):
        os.write(pipe[1], word)
        reader.drain()
    let_the_loop_run(lambda: bad.closed)
    assert good.data == b"one two" and good.closed == 0
    assert caplog.messages[0].startswith("a sink of out failed in write and is closed")
    reader.close()
    let_the_loop_run(lambda: good.closed)
    assert good.closed == 1 and bad.closed == 1


def test_terminal_whose_other_end_is_gone_is_no_error(loop, caplog):
    ours, theirs = pty.openpty()
    reader = Reader(loop, "out", ours)
    os.close(theirs)
    with caplog.at_level(logging.INFO):
        reader.drain()
    assert reader.fd < 0 and caplog.messages == []


def test_descriptor_closed_by_others_is_a_logged_end(loop, pipe, caplog):
    sink = Recorder()
    reader = Reader(loop, "out", pipe[0], sinks=[sink])
    os.close(pipe[0])
    reader.drain()
    reader.close()
    let_the_loop_run(lambda: sink.closed)
    assert (reader.fd, sink.closed) == (-1, 1)
    assert caplog.messages == ["reading out failed: [Errno 9] Bad file descriptor"]


def test_second_close_changes_nothing(loop, pipe):
    sink = Recorder()
    reader = Reader(loop, "out", pipe[0], sinks=[sink])
    reader.close()
    reader.close()
    let_the_loop_run(lambda: sink.closed)
    gevent.idle()
    assert sink.closed == 1


# -- writing


def test_input_that_fits_is_written_at_once(loop, pipe):
    writer = Writer(loop, "stdin", pipe[1])
    writer.write(b"hello")
    assert os.read(pipe[0], 100) == b"hello"
    writer.close()


@given(st.lists(st.integers(0, 150_000), max_size=6))
def test_input_that_does_not_fit_follows_in_order(sizes):
    loop, (theirs, ours) = gevent.get_hub().loop, make_pipe()
    writer, sink = Writer(loop, "stdin", ours), Recorder()
    expected = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    for number, size in enumerate(sizes):
        writer.write(bytes([number]) * size)
    writer.finish()
    reader = Reader(loop, "child", theirs, sinks=[sink])
    let_the_loop_run(lambda: reader.fd < 0)
    assert sink.data == expected and writer.fd < 0


def test_writing_to_a_process_that_does_not_read_is_an_error(loop, pipe):
    writer = Writer(loop, "stdin", pipe[1])
    writer.write(b"x" * MAX_UNREAD_INPUT)
    with pytest.raises(Unavailable, match=r"stdin is full: the process left \d+ bytes unread"):
        writer.write(b"y" * READ_SIZE * 2)
    writer.close()


def test_rejected_input_is_not_written_in_part(loop, pipe):
    writer, sink = Writer(loop, "stdin", pipe[1]), Recorder()
    writer.write(b"x" * MAX_UNREAD_INPUT)
    with pytest.raises(Unavailable):
        writer.write(b"y" * READ_SIZE * 2)
    writer.finish()
    reader = Reader(loop, "child", pipe[0], sinks=[sink])
    let_the_loop_run(lambda: reader.fd < 0)
    assert sink.data == b"x" * MAX_UNREAD_INPUT


def test_writing_to_a_closed_stdin_is_an_error(loop, pipe):
    writer = Writer(loop, "stdin", pipe[1])
    os.close(pipe[0])
    for _ in range(2):
        with pytest.raises(Conflict, match="stdin is closed"):
            writer.write(b"hello")
    assert writer.fd < 0 and not is_open(pipe[1])


def test_exit_with_waiting_input_closes_the_stream_without_an_error(loop, pipe, caplog):
    writer = Writer(loop, "stdin", pipe[1])
    writer.write(b"x" * MAX_UNREAD_INPUT)
    os.close(pipe[0])
    let_the_loop_run(lambda: writer.fd < 0)
    assert not is_open(pipe[1]) and caplog.messages == []


def test_finishing_with_nothing_left_gives_an_end_of_file(loop, pipe):
    Writer(loop, "stdin", pipe[1]).finish()
    assert os.read(pipe[0], 1) == b""


def test_nothing_can_be_written_after_finishing(loop, pipe):
    writer = Writer(loop, "stdin", pipe[1])
    writer.write(b"x" * MAX_UNREAD_INPUT)
    writer.finish()
    with pytest.raises(Conflict, match="is closed"):
        writer.write(b"y")
    writer.close()


def test_closing_drops_waiting_input_and_closes_the_descriptor(loop, pipe):
    writer = Writer(loop, "stdin", pipe[1])
    writer.write(b"x" * MAX_UNREAD_INPUT)
    writer.close()
    writer.close()
    assert not is_open(pipe[1])


# -- both ways


@pytest.fixture
def duplex(loop):
    ours, theirs = socket.socketpair()
    made = Duplex(loop, "both", ours.detach())
    yield made, theirs
    made.close()
    theirs.close()


def test_two_way_stream_reads_and_writes(duplex):
    ours, theirs = duplex
    ours.writer.write(b"question")
    assert theirs.recv(100) == b"question"
    theirs.sendall(b"answer")
    ours.reader.drain()
    assert ours.reader.ring.read()[1] == b"answer"


def test_two_way_stream_closes_both_descriptors(duplex):
    ours, theirs = duplex
    fds = ours.reader.fd, ours.writer.fd
    ours.close()
    assert not any(map(is_open, fds)) and theirs.recv(1) == b""


# -- pipes and tails


def test_pipes_are_not_inherited(pipe):
    assert not any(map(os.get_inheritable, pipe))


def test_large_pipe_wakes_us_less_often():
    ends = make_pipe(large=True)
    size = fcntl.fcntl(ends[1], fcntl.F_GETPIPE_SZ)
    for fd in ends:
        os.close(fd)
    assert size == PIPE_SIZE


def test_pipe_that_may_not_be_large_has_the_default_size(monkeypatch):
    monkeypatch.setattr("gaffer.process.streams.PIPE_SIZE", -1)  # refused, like what is over a user's limit
    ends = make_pipe(large=True)
    os.write(ends[1], b"hello")
    assert os.read(ends[0], 5) == b"hello"
    for fd in ends:
        os.close(fd)


@pytest.mark.parametrize(
    ("data", "most", "lines"),
    [
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb", 5, ["a", "b"]),
        (b"", 5, []),
        (b"a\nb\n", 0, []),
        (b"h\xf6he\n", 1, ["h�he"]),
    ],
)
def test_last_lines_of_bytes(data, most, lines):
    assert last_lines(data, most) == lines


# -- holding a process up


class Terminal(Recorder):
    """A sink that may hold the process up."""

    stream = None

    def attach(self, stream):
        self.stream = stream


def test_attached_sink_pauses_and_resumes_a_stream(loop, pipe):
    sink = Terminal()
    reader = Reader(loop, "out", pipe[0], sinks=[sink])
    let_the_loop_run(lambda: sink.stream)
    sink.stream.pause()
    os.write(pipe[1], b"hello")
    gevent.sleep(0)
    gevent.idle()
    assert sink.data == b""
    sink.stream.resume()
    let_the_loop_run(lambda: sink.data == b"hello")
    sink.stream.pause()
    os.write(pipe[1], b" again")
    reader.drain()  # at the end everything is read
    let_the_loop_run(lambda: sink.data == b"hello again")
    reader.close()
    sink.stream.resume()
    sink.stream.pause()
