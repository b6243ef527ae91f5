"""Clients that leave are noticed at once, with bytes of theirs unread within a second."""

import socket

import gevent
import pytest
from gevent import socket as green
from gevent.event import Event

from gaffer.web.server import disconnect
from gaffer.web.server.disconnect import DisconnectWatcher


@pytest.fixture(params=[socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
def pair(request):
    if request.param == socket.AF_UNIX:
        ours, theirs = green.socketpair()
    else:
        listener = green.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = green.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        listener.close()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def watched(pair):
    left = Event()
    departure = DisconnectWatcher(pair[0], left.set)
    yield departure, left, pair[1]
    departure.close()


def test_a_client_that_stays_is_not_gone(watched):
    departure, left, _ = watched
    assert not departure.look() and not left.wait(0.01)


@pytest.fixture
def at_once(monkeypatch):
    """There is no second look: what is noticed is noticed by itself."""
    monkeypatch.setattr(disconnect, "RECHECK", 600)


def test_closed_connection_is_noticed_at_once(at_once, watched):
    departure, left, theirs = watched
    theirs.close()
    assert left.wait(10) and departure.gone


def test_half_closed_connection_is_noticed_at_once(at_once, watched):
    departure, left, theirs = watched
    theirs.shutdown(socket.SHUT_WR)
    assert left.wait(10) and departure.gone


def test_closed_connection_with_unread_bytes_is_noticed_soon(watched, monkeypatch):
    monkeypatch.setattr(disconnect, "RECHECK", 0.02)
    departure, left, theirs = watched
    theirs.sendall(b"GET / HTTP/1.1\r\n")
    gevent.sleep(0.01)
    assert not departure.gone
    theirs.close()
    assert left.wait(5)


def test_bytes_do_not_keep_the_loop_busy(watched):
    departure, left, theirs = watched
    calls = []
    departure._poll = type("Poll", (), {"poll": lambda self, timeout: calls.append(1)})()
    theirs.sendall(b"GET / HTTP/1.1\r\n")
    gevent.sleep(0.05)
    assert len(calls) == 1


def test_disconnect_is_notified_once_and_not_after_close(pair):
    told = []
    departure = DisconnectWatcher(pair[0], lambda: told.append(1))
    pair[1].close()
    assert departure.look() and departure.look() and told == [1]
    closed = DisconnectWatcher(pair[0], lambda: told.append(2))
    closed.close()
    closed.close()
    gevent.sleep(0.01)
    assert told == [1]
