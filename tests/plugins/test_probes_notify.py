"""Messages of processes about themselves, and lines of output that are waited for: floods, strangers, long ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import gevent
import gevent.os
import pytest

from gaffer_plugins.probes import notify as module
from gaffer_plugins.probes import output
from gaffer_plugins.probes.network import ProbeFailed
from gaffer_plugins.probes.notify import MAX_EARLY, MAX_MESSAGE, SLICE, Notices, NotifySocket
from gaffer_plugins.probes.output import MAX_LINE, LineMatch, LineSink
from tests.kit.web import wait_until

SENDER = """
import os, socket, sys
os.setsid()
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.sendto(b"READY=1", "\\0" + sys.argv[1][1:])
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sock():
    made = NotifySocket()
    yield made
    made.close()


@pytest.fixture
def notices():
    return Notices()


def send(sock, *messages):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        for message in messages:
            while True:
                try:
                    sender.sendto(message, "\0" + sock.address[1:])
                    break
                except BlockingIOError:
                    gevent.sleep(0.001)


def refusal(call):
    with pytest.raises(ProbeFailed) as error:
        call()
    return str(error.value)


def test_what_a_process_says(notices):
    assert refusal(notices.ready) == "READY=1 has not come yet"
    notices.take({"STATUS": "40 %\x1b[1m"})
    assert refusal(notices.ready) == "READY=1 has not come yet; it says: 40 %[1m"
    notices.take({"READY": "1", "STATUS": "serves"})
    assert notices.ready() == "serves"
    notices.take({"RELOADING": "1"})
    assert refusal(notices.ready) == "it reloads; it says: serves"
    notices.take({"READY": "1"})
    assert notices.ready() == "serves"
    notices.take({"STOPPING": "1", "STATUS": ""})
    assert refusal(notices.ready) == "it stops"


def test_each_check_wants_a_sign_of_life_of_its_own(notices):
    assert refusal(notices.alive) == "WATCHDOG=1 did not come in time"
    notices.take({"WATCHDOG": "1"})
    assert notices.alive() == "WATCHDOG=1"
    assert refusal(notices.alive) == "WATCHDOG=1 did not come in time"


def test_a_process_may_ask_for_its_restart():
    asked, notices = [], Notices()
    notices.restart = lambda: asked.append(1)
    notices.take({"WATCHDOG": "trigger"})
    assert asked == [1]


def test_a_message_counts_for_its_sender(sock, notices):
    sock.add(os.getsid(0), notices)
    send(sock, b"READY=1\nSTATUS=a=b\nnonsense")
    wait_until(notices.wake.is_set)
    assert notices.ready() == "a=b"


def test_messages_that_come_early_are_kept(sock, notices):
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, sock.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert sender.stdout.readline() == b"sent\n"
        wait_until(lambda: sock.received == 1)
        sock.add(sender.pid, notices)
        assert notices.ready() == "READY=1"
    finally:
        sender.communicate()


def test_messages_of_strangers_are_ignored_and_counted(sock, notices):
    sock.add(1, notices)
    send(sock, *[b"READY=1"] * (MAX_EARLY + 5))
    wait_until(lambda: sock.received == MAX_EARLY + 5)
    assert sock.ignored == 5 and not notices.wake.is_set()
    sock.remove(1)


def test_a_long_message_is_ignored(sock, notices):
    sock.add(os.getsid(0), notices)
    send(sock, b"READY=1\n" + b"x" * MAX_MESSAGE)
    wait_until(lambda: sock.ignored == 1)
    assert not notices.wake.is_set()


def test_a_flood_is_read_in_slices(sock, notices, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.001)
    sock.add(os.getsid(0), notices)
    send(sock, *[b"STATUS=x"] * (3 * SLICE))
    wait_until(lambda: sock.received == 3 * SLICE)
    assert sock.ignored == 0


def test_descriptors_of_messages_are_closed(sock, notices):
    sock.add(os.getsid(0), notices)
    ours, theirs = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + sock.address[1:])
        socket.send_fds(sender, [b"BARRIER=1"], [theirs, theirs, theirs])
    os.close(theirs)
    with gevent.Timeout(20):
        gevent.os.tp_read(ours, 1)  # ends when no process has the other end any more
    os.close(ours)


# -- lines of output --------------------------------------------------------------------------------


def found(expression, *pieces, end=False):
    match = LineMatch(expression)
    sink = LineSink(match)
    for piece in pieces:
        sink.write(piece)
    if end:
        sink.close()
    try:
        return match.ask()
    except ProbeFailed as failure:
        return failure


def test_a_line_in_pieces_is_found():
    assert found("^ready on [0-9]+$", b"starting\nrea", b"dy on ", b"80\nmore\n") == "ready on 80"


def test_a_line_without_an_end_counts_when_the_stream_ends():
    assert isinstance(found("ready", b"ready"), ProbeFailed)
    assert found("ready", b"ready", end=True) == "ready"


def test_of_a_long_line_the_beginning_counts():
    long = b"x" * MAX_LINE
    assert isinstance(found("y", long, b"y\n"), ProbeFailed)
    assert found("y", long, b"y\n", b"y\n") == "y"


def test_each_stream_has_lines_of_its_own():
    match = LineMatch("ready")
    out, err = LineSink(match), LineSink(match)
    out.write(b"re")
    err.write(b"ady\n")
    assert not match.wake.is_set()
    out.write(b"ady\n")
    assert match.wake.is_set() and match.ask() == "ready"


def test_an_expression_that_takes_long_is_given_up(monkeypatch):
    monkeypatch.setattr(output, "MAX_SEARCH", 0.0)
    match = LineMatch("x*x*y")
    LineSink(match).write(b"x" * 200 + b"\n")
    assert match.wake.is_set() and "takes too long" in refusal(match.ask)
