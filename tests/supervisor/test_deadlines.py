"""Deadlines: in order, cancellable, and empty-handed afterwards."""

import gc
import weakref
from functools import partial

from gaffer.supervisor import deadlines
from gaffer.supervisor.deadlines import Deadlines
from gaffer.testing.fakes import FakeClock


def run_due(queue):
    while (call := queue.due()) is not None:
        call()


def test_calls_are_due_in_order_of_time_then_of_their_making():
    clock, made = FakeClock(0.0), []
    queue = Deadlines(clock)
    for when, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "late")):
        queue.at(when, partial(made.append, name))
    assert queue.next() == 1.0 and queue.due() is None
    clock.advance(2.0)
    run_due(queue)
    assert made == ["a", "b", "c"] and queue.next() == 9.0


def test_after_counts_from_now():
    clock = FakeClock(5.0)
    queue = Deadlines(clock)
    queue.after(0.5, lambda: None)
    assert queue.next() == 5.5


def test_cancelled_call_is_not_made():
    clock, made = FakeClock(0.0), []
    queue = Deadlines(clock)
    first = queue.at(1.0, partial(made.append, "first"))
    queue.at(2.0, partial(made.append, "second"))
    first.cancel()
    first.cancel()
    assert queue.next() == 2.0
    clock.advance(2.0)
    run_due(queue)
    assert made == ["second"] and queue.next() is None and len(queue) == 0


def test_cancelled_or_made_call_is_released():
    class Large:
        def call(self):
            pass

    clock = FakeClock(0.0)
    queue = Deadlines(clock)
    cancelled, made = Large(), Large()
    deadlines_made = [queue.at(9.0, cancelled.call), queue.at(1.0, made.call)]
    clock.advance(1.0)
    run_due(queue)
    deadlines_made[0].cancel()
    deadlines_made[1].cancel()
    seen = [weakref.ref(cancelled), weakref.ref(made)]
    del cancelled, made
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_cancelled_entries_do_not_pile_up():
    queue = Deadlines(FakeClock(0.0))
    kept = queue.at(1.0, lambda: None)
    for _ in range(10_000):
        queue.at(100.0, lambda: None).cancel()
    assert len(queue) <= deadlines.MIN_CANCELLED + 2
    assert kept.call is not None and queue.next() == 1.0
