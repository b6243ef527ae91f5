"""The life of a session, with a clock that only a test turns."""

from __future__ import annotations

import gevent
import pytest

from gaffer.commands.identity import LOCAL, Identity
from gaffer.errors import Forbidden, NotFound, Unavailable
from gaffer.web.sockjs import SockJSLimits
from gaffer.web.sockjs.session import SessionInUse, SockJSSession, SockJSSessions

CLOSED = 'c[3000,"Go away!"]'
INTERRUPTED = 'c[1002,"Connection interrupted"]'


class Clock:
    """``after(seconds, function)``; nothing happens before :meth:`pass_`."""

    def __init__(self):
        self.now, self.timers = 0.0, []

    def __call__(self, seconds, function):
        timer = Timer(self, self.now + seconds, function)
        self.timers.append(timer)
        return timer

    def pass_(self, seconds):
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.due <= self.now]:
            self.timers.remove(timer)
            timer.function()


class Timer:
    def __init__(self, clock, due, function):
        self.clock, self.due, self.function = clock, due, function

    def kill(self, block=True):
        if self in self.clock.timers:
            self.clock.timers.remove(self)


class Peer:
    """Says what it is told to say and remembers what it heard."""

    def __init__(self):
        self.wake, self.ended, self.waiting, self.heard, self.closed = None, False, [], [], 0

    def take(self):
        taken, self.waiting = self.waiting, []
        return taken

    def say(self, *texts):
        self.waiting += texts
        if self.wake is not None:
            self.wake()

    def receive(self, text):
        self.heard.append(text)

    def close(self):
        self.closed += 1


class Made:
    """A session with all around it."""

    def __init__(self, timeout=5.0):
        self.clock, self.peer, self.woken, self.forgotten = Clock(), Peer(), 0, 0
        self.session = SockJSSession(self.peer, timeout, self.clock, self.forget)

    def forget(self):
        self.forgotten += 1

    def wake(self):
        self.woken += 1

    def receive(self, clean=True):
        """Take what one receiver gets."""
        self.session.attach(self.wake)
        found = []
        while (frame := self.session.next()) is not None and frame not in found:
            found.append(frame)
        self.session.detach(clean)
        return found


@pytest.fixture
def made():
    return Made()


def test_open_frame_is_sent_once_before_messages(made):
    made.session.attach(made.wake)
    assert made.session.next() == "o" and made.session.next() is None
    made.peer.say("x", "y")
    assert made.woken == 1 and made.session.next() == 'a["x","y"]' and made.session.next() is None


def test_messages_between_two_receivers_are_kept(made):
    assert made.receive() == ["o"]
    made.peer.say("x")
    assert made.woken == 0
    assert made.receive() == ['a["x"]']


def test_a_second_receiver_is_refused_and_the_first_goes_on(made):
    made.session.attach(made.wake)
    made.session.next()
    with pytest.raises(SessionInUse, match="Another connection still open"):
        made.session.attach(lambda: None)
    made.peer.say("x")
    assert made.session.next() == 'a["x"]' and made.session.closed is None


def test_a_receiver_that_was_cut_off_ends_the_session(made):
    made.receive(clean=False)
    assert made.peer.closed == 1
    assert made.receive() == [INTERRUPTED] and made.receive() == [INTERRUPTED]


def test_a_receiver_that_has_just_left_is_no_other_one(made):
    made.session.attach(made.wake)
    made.session.probe = lambda: True
    with pytest.raises(SessionInUse):
        made.session.attach(lambda: None)
    assert made.session.closed == INTERRUPTED and made.woken == 1
    made.session.detach(False)
    assert made.session.probe is None and made.receive() == ["o", INTERRUPTED]


def test_a_client_that_does_not_come_back_is_given_up(made):
    made.receive()
    made.clock.pass_(4.9)
    assert not made.peer.closed and not made.forgotten
    made.receive()
    made.clock.pass_(4.9)
    assert not made.forgotten
    made.clock.pass_(0.2)
    assert made.peer.closed == 1 and made.forgotten == 1 and not made.clock.timers


def test_a_session_never_ends_while_a_client_receives(made):
    made.session.attach(made.wake)
    made.clock.pass_(1000)
    assert not made.peer.closed and not made.clock.timers


def test_the_service_ends_it(made):
    made.peer.ended = True
    made.peer.waiting = ["last"]
    assert made.receive() == ["o", 'a["last"]', CLOSED]
    assert made.peer.closed == 1 and made.peer.wake is None
    assert made.receive() == [CLOSED]


def test_the_service_may_say_why(made):
    made.peer.ended, made.peer.farewell = True, (4001, 'no "key"')
    assert made.receive() == ["o", r'c[4001,"no \"key\""]']


def test_an_end_is_remembered_for_a_while(made):
    made.receive()
    made.session.close(3001, "over")
    made.clock.pass_(4)
    assert made.receive() == ['c[3001,"over"]']
    made.clock.pass_(4)
    assert made.receive() == ['c[3001,"over"]'] and not made.forgotten
    made.clock.pass_(5)
    assert made.forgotten == 1 and made.peer.closed == 1


def test_receiver_gets_the_close_frame(made):
    made.session.attach(made.wake)
    made.session.next()
    made.session.close(1001, "gaffer stops")
    assert made.woken == 1 and made.session.next() == 'c[1001,"gaffer stops"]'
    made.session.close(3000, "again")
    assert made.session.next() == 'c[1001,"gaffer stops"]' and made.peer.closed == 1


def test_nothing_is_heard_after_the_end(made):
    made.session.receive(["a", "b"])
    made.session.close(3000, "Go away!")
    made.session.receive(["c"])
    assert made.peer.heard == ["a", "b"]


def test_messages_of_two_requests_do_not_mix(made):
    def receive(text):
        made.peer.heard.append(text)
        gevent.sleep(0)

    made.peer.receive = receive
    gevent.joinall([gevent.spawn(made.session.receive, texts) for texts in (["a", "a", "a"], ["b", "b"])], timeout=5)
    assert made.peer.heard == ["a", "a", "a", "b", "b"]


def test_the_end_comes_in_the_middle_of_what_is_heard(made):
    made.peer.receive = lambda text: made.session.close(3000, "Go away!") or made.peer.heard.append(text)
    made.session.receive(["a", "b"])
    assert made.peer.heard == ["a"]


# -- all of them --------------------------------------------------------------------------------


def sessions(**limits):
    clock = Clock()
    return SockJSSessions(SockJSLimits(**limits), clock), clock


def test_an_id_means_one_session():
    all_, _ = sessions()
    one = all_.open("a", Peer)
    assert all_.open("a", Peer) is one is all_.find("a")
    assert all_.open("b", Peer) is not one and len(all_) == 2


def test_there_are_only_so_many():
    all_, clock = sessions(sessions=2)
    for id in "ab":
        session = all_.open(id, Peer)
        session.attach(lambda: None)
        session.detach(True)
    with pytest.raises(Unavailable, match="2 sessions"):
        all_.open("c", Peer)
    assert all_.refused == 1
    assert all_.open("a", Peer)
    clock.pass_(5)
    assert all_.open("c", Peer) and len(all_) == 1


def test_ended_ones_make_room():
    all_, clock = sessions(sessions=2)
    kept, ended = all_.open("a", Peer), all_.open("b", Peer)
    ended.close(3000, "Go away!")
    assert all_.open("c", Peer) and all_.find("a") is kept
    with pytest.raises(Unavailable):
        all_.open("d", Peer)
    assert not clock.timers


def test_unauthenticated_session_is_ended_to_make_room():
    all_, _ = sessions(sessions=2)
    known, unknown = all_.open("a", Peer), all_.open("b", Peer)
    unknown._peer.unauthenticated = True
    unknown.attach(lambda: None)
    assert all_.open("c", Peer) and all_.find("a") is known
    assert unknown._peer.closed == 1 and unknown.next() == "o" and unknown.next() == CLOSED
    with pytest.raises(NotFound):
        all_.find("b")


def test_keyless_session_is_not_open_to_requests_with_a_key():
    """Endpoints differ: who comes in without a key at one must not be spoken for by a stranger at another."""
    all_, _ = sessions()
    local = all_.open("a", Peer, LOCAL)
    assert all_.open("a", Peer, LOCAL) is local is all_.find("a", LOCAL)
    for asker in (None, Identity("60b725f10c9c")):
        with pytest.raises(Forbidden):
            all_.find("a", asker)
        with pytest.raises(Forbidden):
            all_.open("a", Peer, asker)


def test_unknown_session_is_not_found():
    all_, _ = sessions()
    with pytest.raises(NotFound):
        all_.find("a")
    all_.open("a", Peer).close(3000, "Go away!")
    with pytest.raises(NotFound):
        all_.find("a")


def test_closing_all_leaves_nothing():
    all_, clock = sessions()
    peers = []
    for id in "abc":
        peers.append(Peer())
        session = all_.open(id, lambda: peers[-1])
        session.attach(lambda: None)
        if id != "a":
            session.detach(True)
    all_.close()
    assert not len(all_) and not clock.timers and all(peer.closed == 1 for peer in peers)
