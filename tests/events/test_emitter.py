"""Publishing and subscribing: each subscription once, in order, and alone with its troubles."""

import threading
from collections import Counter

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from gaffer.events.emitter import EventEmitter
from gaffer.events.outbox import Outbox

PARTS = st.sampled_from(["a", "b", "spawn"])
EVENTS = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
PATTERNS = st.one_of(EVENTS, st.just("."))


@pytest.fixture
def emitter():
    made = EventEmitter()
    yield made
    made.close()


class Listener:
    """A subscriber that keeps what it hears."""

    def __init__(self):
        self.heard = []

    def __call__(self, event, *args, **kwargs):
        self.heard.append(event)


@pytest.fixture
def listener():
    return Listener()


def deliver(emitter):
    """Wait until all listeners have heard everything that was published before."""
    last = Outbox("subscribed last")
    last.put("end", dict)
    assert emitter.flush(10) == []
    assert last.flush(10)


def test_the_example_of_the_documentation(emitter):
    heard = {}
    for pattern in ("a", "a.b", ".", "b"):
        emitter.subscribe(
            pattern, lambda event, *args, pattern=pattern, **named: heard.update({pattern: (event, args, named)})
        )
    emitter.publish("a.b", 1, namedarg=2)
    deliver(emitter)
    assert heard == dict.fromkeys(("a", "a.b", "."), ("a.b", (1,), {"namedarg": 2}))


def test_publishing_does_not_wait(emitter, listener):
    emitter.subscribe(".", listener)
    emitter.publish("a")
    assert listener.heard == []
    deliver(emitter)
    assert listener.heard == ["a"]


@given(st.lists(PATTERNS, max_size=4), st.lists(EVENTS, max_size=8))
def test_each_subscription_gets_what_its_pattern_selects_once_and_in_order(patterns, events):
    emitter = EventEmitter()
    listeners = [(pattern, Listener()) for pattern in patterns]
    for pattern, listener in listeners:
        emitter.subscribe(pattern, listener)
    for event in events:
        emitter.publish(event)
    deliver(emitter)
    for pattern, listener in listeners:
        assert listener.heard == [event for event in events if pattern == "." or f"{event}.".startswith(f"{pattern}.")]


def test_subscribing_twice_is_subscribing_once(emitter, listener):
    for pattern in ("proc.web", "proc(web)"):
        emitter.subscribe(pattern, listener)
    emitter.publish("proc.web.spawn")
    deliver(emitter)
    assert listener.heard == ["proc.web.spawn"]


def test_a_listener_with_two_patterns_has_two_subscriptions(emitter, listener):
    emitter.subscribe("a", listener)
    emitter.subscribe("a.b", listener)
    emitter.publish("a.b")
    deliver(emitter)
    assert listener.heard == ["a.b", "a.b"]


def test_old_names_select_what_they_were_renamed_to(emitter, listener):
    emitter.subscribe("load", listener)
    emitter.publish("create")
    deliver(emitter)
    assert listener.heard == ["create"]


def test_events_of_ones_own_may_bear_old_names(emitter, listener):
    emitter.subscribe("load", listener)
    emitter.publish("load")
    deliver(emitter)
    assert listener.heard == ["load"]


# -- once


@pytest.mark.parametrize("subscribe", ["subscribe_once", "subscribe"])
def test_once_is_for_the_next_event_only(emitter, listener, subscribe):
    options = {"once": True} if subscribe == "subscribe" else {}
    getattr(emitter, subscribe)("a", listener, **options)
    emitter.publish("a.b")
    emitter.publish("a.c")
    deliver(emitter)
    assert listener.heard == ["a.b"] and not emitter


def test_once_and_always_are_two_subscriptions(emitter, listener):
    emitter.subscribe("a", listener)
    emitter.subscribe_once("a", listener)
    for _ in range(2):
        emitter.publish("a")
    deliver(emitter)
    assert Counter(listener.heard) == {"a": 3}


def test_once_can_be_taken_back(emitter, listener):
    emitter.subscribe_once("a", listener)
    emitter.unsubscribe_once("a", listener)
    assert not emitter


def test_taking_back_once_leaves_always(emitter, listener):
    emitter.subscribe("a", listener)
    emitter.unsubscribe_once("a", listener)
    assert emitter


# -- taking back


def test_an_unsubscribed_listener_hears_nothing_more_not_even_what_was_on_its_way(emitter, listener):
    emitter.subscribe("a", listener)
    emitter.publish("a")
    emitter.unsubscribe("a", listener)
    emitter.publish("a")
    gevent.idle()
    assert listener.heard == []


def test_a_method_can_be_unsubscribed(emitter):
    heard = []

    class Thing:
        def listen(self, event):
            heard.append(event)

    thing = Thing()
    emitter.subscribe("a", thing.listen)
    emitter.unsubscribe("a", thing.listen)
    assert not emitter


def test_a_listener_may_unsubscribe_itself(emitter):
    heard = []

    def listener(event):
        heard.append(event)
        emitter.unsubscribe(".", listener)

    emitter.subscribe(".", listener)
    for event in "abc":
        emitter.publish(event)
    gevent.idle()
    assert heard == ["a"]


def test_unsubscribing_what_was_never_subscribed_changes_nothing(emitter, listener):
    emitter.subscribe("a", listener)
    emitter.unsubscribe("b", listener)
    emitter.unsubscribe("a", print)
    assert emitter


def test_all_subscriptions_to_some_patterns(emitter, listener):
    for pattern in ("a", "proc.web", "b"):
        emitter.subscribe(pattern, listener)
    emitter.unsubscribe_all(["a", "proc(web)"])
    for event in ("a", "proc.web.spawn", "b"):
        emitter.publish(event)
    deliver(emitter)
    assert listener.heard == ["b"]


@pytest.mark.parametrize("way", ["unsubscribe_all", "close"])
def test_all_subscriptions(emitter, listener, way):
    for pattern in ("a", "b", "."):
        emitter.subscribe(pattern, listener)
    getattr(emitter, way)()
    emitter.publish("a")
    gevent.idle()
    assert not emitter and listener.heard == []


def test_it_is_known_whether_there_are_listeners(emitter, listener):
    assert not emitter
    emitter.subscribe("a", listener)
    assert emitter


# -- followers of the same events


def test_listeners_and_followers_get_the_same_events(emitter, listener):
    follower = emitter.follow("a")
    emitter.subscribe("a", listener)
    emitter.record(["a.b", "c"], {"pid": 1})
    deliver(emitter)
    (event,) = follower.take()[1]
    assert listener.heard == ["a.b"] and event.message == {"event": "a.b", "pid": 1}


def test_event_with_arguments_of_its_own_is_for_listeners(emitter, listener):
    follower = emitter.follow("a")
    emitter.subscribe("a", listener)
    emitter.publish("a", 1, 2)
    deliver(emitter)
    assert listener.heard == ["a"] and follower.take() == (0, [])


def test_taking_back_all_listeners_leaves_followers_until_the_end(emitter, listener):
    follower = emitter.follow("a")
    emitter.subscribe("a", listener)
    emitter.unsubscribe_all()
    emitter.record(["a"], {})
    assert len(follower.take()[1]) == 1 and emitter
    emitter.close()
    assert not emitter


def test_listener_that_changes_a_message_changes_it_for_no_other(emitter):
    heard = []
    emitter.subscribe("a", lambda event, message: message.clear())
    emitter.subscribe("a", lambda event, message: heard.append(message))
    emitter.record(["a"], {"pid": 1})
    deliver(emitter)
    assert heard == [{"event": "a", "pid": 1}]


# -- troubles


def test_a_listener_that_waits_costs_the_others_nothing(emitter, listener):
    emitter.subscribe("a", lambda event: Event().wait())
    emitter.subscribe("a", listener)
    for _ in range(3):
        emitter.publish("a")
    gevent.idle()
    assert listener.heard == ["a"] * 3


def test_a_listener_that_fails_is_named_in_the_log_and_costs_the_others_nothing(emitter, listener, caplog):
    def broken(event):
        raise ValueError(event)

    emitter.subscribe("a", broken)
    emitter.subscribe("a", listener)
    emitter.publish("a")
    deliver(emitter)
    assert listener.heard == ["a"]
    assert caplog.messages == ["listener broken of 'a' failed in a: ValueError('a')"]


def test_what_a_slow_listener_misses_is_dropped_not_kept(listener, caplog):
    emitter = EventEmitter(max_size=2)
    emitter.subscribe(".", listener)
    for event in "abcd":
        emitter.publish(event)
    deliver(emitter)
    assert listener.heard == ["a", "b"]
    assert "2 calls dropped" not in caplog.text and "1 calls dropped" in caplog.text


def test_what_is_on_its_way_can_be_waited_for(emitter, listener):
    def slow(event):
        gevent.sleep(0.002)
        listener(event)

    emitter.subscribe("a", slow)
    emitter.subscribe_once("a", slow)
    for _ in range(3):
        emitter.publish("a")
    assert emitter.flush(10) == [] and listener.heard == ["a"] * 4


def test_who_is_too_slow_is_named(emitter, listener):
    emitter.subscribe("a", lambda event: gevent.sleep(1000))
    emitter.subscribe("a", listener)
    emitter.publish("a")
    assert emitter.flush(0.01) == ["listener <lambda> of 'a'"]


def test_any_thread_may_publish(emitter, listener):
    emitter.subscribe(".", listener)
    thread = threading.Thread(target=lambda: [emitter.publish(event) for event in "abc"])
    thread.start()
    thread.join()
    while len(listener.heard) < 3:
        gevent.idle()
    assert listener.heard == ["a", "b", "c"]


def test_two_emitters_are_apart(emitter, listener):
    emitter.subscribe(".", listener)
    EventEmitter().publish("a")
    deliver(emitter)
    assert listener.heard == []


def test_any_thread_may_subscribe_publish_and_take_back(emitter, listener):
    def run():
        emitter.subscribe(".", listener)
        emitter.publish("a")
        emitter.subscribe_once("b", listener)
        emitter.publish("b")
        emitter.unsubscribe_all()
        emitter.subscribe("c", listener)
        emitter.unsubscribe("c", listener)
        emitter.publish("c")
        emitter.subscribe("d", listener)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    while "d" not in emitter._followers:
        gevent.idle()
    emitter.publish("d")
    while "d" not in listener.heard:
        gevent.idle()
    # What was on its way when all was taken back is not delivered; nothing after it had a listener.
    assert set(listener.heard) <= {"a", "b", "d"} and list(emitter._followers) == ["d"]


def test_listeners_are_called_in_the_thread_of_the_hub(emitter):
    called = []
    thread = threading.Thread(target=emitter.subscribe, args=("a", lambda event: called.append(threading.get_ident())))
    thread.start()
    thread.join()
    while not emitter:
        gevent.idle()
    emitter.publish("a")
    while not called:
        gevent.idle()
    assert called == [threading.get_ident()]
