"""Outboxes: calls in order, and a listener that is slow, broken or gone costs only itself."""

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit
from hypothesis import given
from hypothesis import strategies as st

from gaffer.events import outbox as module
from gaffer.events import time_slice
from gaffer.events.outbox import MUTE_AFTER, Outbox

PATIENCE = 10  # seconds that nothing here takes


@pytest.fixture
def outbox():
    made = Outbox("plugin mailer")
    yield made
    made.close()


def deliver(outbox):
    assert outbox.flush(PATIENCE)


BROKEN = ValueError("broken")


def fail(error=BROKEN):
    raise error


def test_nothing_is_called_before_the_hub_has_its_turn(outbox):
    calls = []
    assert outbox.put("told", calls.append, (1,)) is True
    assert calls == []
    deliver(outbox)
    assert calls == [1]


@given(st.lists(st.integers(), max_size=50))
def test_calls_are_made_in_order_each_once(numbers):
    outbox, calls = Outbox("x"), []
    for number in numbers:
        outbox.put("told", calls.append, (number,))
    deliver(outbox)
    assert calls == numbers and outbox.delivered == len(numbers)


def test_arguments_are_passed(outbox):
    calls = []
    outbox.put("told", lambda *args, **kwargs: calls.append((args, kwargs)), (1, 2), {"three": 3})
    deliver(outbox)
    assert calls == [((1, 2), {"three": 3})]


def test_what_a_call_queues_comes_last(outbox):
    calls = []
    outbox.put("told", lambda: outbox.put("told", calls.append, ("third",)))
    outbox.put("told", calls.append, ("second",))
    deliver(outbox)
    assert calls == ["second", "third"]


def test_a_receiver_that_waits_holds_up_only_itself(outbox):
    other, calls, never = Outbox("other"), [], Event()
    outbox.put("told", never.wait)
    outbox.put("told", calls.append, ("late",))
    other.put("told", calls.append, ("in time",))
    deliver(other)
    assert calls == ["in time"]


def test_a_long_queue_gives_way_to_others(outbox, monkeypatch):
    monkeypatch.setattr(time_slice, "SLICE", -1.0)  # every round is over
    monkeypatch.setattr(module, "SLICE", 0.0)
    other, calls = Outbox("other"), []
    for _ in range(3):
        outbox.put("told", calls.append, ("a",))
        other.put("told", calls.append, ("b",))
    deliver(outbox)
    deliver(other)
    assert calls == ["a", "b"] * 3


# -- failures


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), KeyboardInterrupt(), GreenletExit()])
def test_after_a_failure_of_any_kind_the_next_call_is_made(outbox, error):
    calls = []
    outbox.put("told", fail, (error,))
    outbox.put("told", calls.append, (1,))
    deliver(outbox)
    assert calls == [1]
    assert (outbox.failures, outbox.delivered) == (1, 1)


def test_a_failure_is_logged_with_its_owner_and_traceback(outbox, caplog):
    outbox.put("gaffer_ready", fail)
    deliver(outbox)
    (record,) = caplog.records
    assert record.getMessage() == "plugin mailer failed in gaffer_ready: ValueError('broken')"
    assert record.exc_info


def test_failures_in_a_row_are_logged_once(outbox, caplog):
    for _ in range(5):
        outbox.put("told", fail)
    deliver(outbox)
    assert len(caplog.records) == 1 and outbox.failures == 5


def test_a_failure_after_a_success_is_logged_again(outbox, caplog):
    for function in (fail, dict, fail):
        outbox.put("told", function)
    deliver(outbox)
    assert len(caplog.records) == 2


def test_what_fails_too_often_in_a_row_is_muted(outbox, caplog):
    for _ in range(MUTE_AFTER + 5):
        outbox.put("told", fail)
    deliver(outbox)
    assert outbox.failures == MUTE_AFTER
    assert caplog.messages[-1] == f"plugin mailer: told failed {MUTE_AFTER} times in a row and is muted"
    assert outbox.put("told", fail) is False


def test_a_success_in_between_keeps_it_from_being_muted(outbox):
    for number in range(3 * MUTE_AFTER):
        outbox.put("told", dict if number % MUTE_AFTER == 0 else fail)
    deliver(outbox)
    assert outbox.muted == set()


def test_other_calls_of_one_that_is_muted_go_on(outbox):
    calls = []
    for _ in range(MUTE_AFTER):
        outbox.put("bad", fail)
        outbox.put("good", calls.append, (1,))
    deliver(outbox)
    assert outbox.muted == {"bad"} and len(calls) == MUTE_AFTER
    assert outbox.put("good", calls.append, (1,)) is True


# -- bounds


def test_what_does_not_fit_is_dropped_and_counted():
    outbox, calls = Outbox("x", size=3), []
    taken = [outbox.put("told", calls.append, (number,)) for number in range(5)]
    deliver(outbox)
    assert taken == [True] * 3 + [False] * 2
    assert calls == [0, 1, 2] and outbox.dropped == 2


def test_losses_are_logged_but_not_one_by_one(caplog):
    outbox = Outbox("plugin mailer", size=0)
    for _ in range(2000):
        outbox.put("told", fail)
    assert [int(message.split()[-3]) for message in caplog.messages] == [1, 10, 100, 1000, 2000]
    assert caplog.messages[0] == "plugin mailer is too slow: 1 calls dropped"


def test_there_is_room_again_once_calls_were_made():
    outbox = Outbox("x", size=1)
    outbox.put("told", dict)
    deliver(outbox)
    assert outbox.put("told", dict) is True


def test_counters_are_what_health_shows(outbox):
    outbox.put("good", dict)
    deliver(outbox)
    outbox.put("bad", fail)
    assert outbox.counters() == {"queued": 1, "delivered": 1, "dropped": 0, "failures": 0, "muted": []}


# -- waiting and closing


def test_flushing_nothing_does_not_wait(outbox):
    assert outbox.flush(0) is True


def test_flushing_says_when_it_was_not_enough_time(outbox):
    outbox.put("told", Event().wait)
    assert outbox.flush(0) is False


def test_flushing_from_a_call_of_its_own_does_not_wait_for_itself(outbox):
    calls = []
    outbox.put("told", lambda: calls.append(outbox.flush(PATIENCE)))
    deliver(outbox)
    assert calls == [True]


def test_closing_forgets_what_is_queued(outbox):
    calls = []
    outbox.put("told", calls.append, (1,))
    outbox.close()
    gevent.idle()
    assert calls == [] and outbox.counters()["queued"] == 0


def test_closing_ends_a_call_that_waits_and_that_is_no_failure(outbox, caplog):
    ended = []

    def wait():
        try:
            Event().wait()
        finally:
            ended.append(True)

    outbox.put("told", wait)
    outbox.flush(0)
    outbox.close()
    gevent.idle()
    assert ended == [True] and outbox.failures == 0 and caplog.messages == []


def test_closing_from_a_call_of_its_own_lets_that_call_end(outbox):
    calls = []

    def last():
        outbox.close()
        calls.append("end")

    outbox.put("told", last)
    outbox.put("told", calls.append, ("never",))
    deliver(outbox)
    assert calls == ["end"]


@pytest.mark.parametrize("begun", [False, True])
def test_after_closing_it_can_be_used_again(outbox, begun):
    calls = []
    outbox.put("told", Event().wait)
    if begun:
        outbox.flush(0)
    outbox.close()
    outbox.put("told", calls.append, (1,))
    deliver(outbox)
    assert calls == [1]
