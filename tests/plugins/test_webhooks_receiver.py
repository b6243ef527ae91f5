"""Webhooks: the queue of one URL, with a client, pauses and chance of the test's own."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from gaffer_plugins.webhooks import receiver as module
from gaffer_plugins.webhooks.retry import ReceiverAnswer, Undelivered
from tests.kit.web import wait_until

from ..kit.webhook_queue import Bench

REFUSED = Undelivered("Connection refused")


@pytest.fixture
def bench():
    benches = []

    def make(*script, **options):
        benches.append(Bench(*script, **options))
        return benches[-1]

    yield make
    for one in benches:
        one.receiver.end()


def forever(event, seconds):
    event.wait()


class TestOrder:
    def test_is_kept(self, bench):
        made = bench()
        assert made.put(*map(str, range(50))) == [True] * 50
        made.wait_sent(50)
        assert made.client.bodies == [f'"{number}"' for number in range(50)]

    def test_is_kept_by_waiting_for_what_failed(self, bench):
        made = bench(200, REFUSED, 503, 200)
        made.put("a", "b", "c")
        made.wait_sent(3)
        assert made.client.bodies == ['"a"', '"b"', '"b"', '"b"', '"c"']

    def test_one_at_a_time(self, bench):
        hold = Event()
        made = bench(hold)
        made.put("a", "b")
        wait_until(lambda: made.client.posts)
        for _ in range(5):
            gevent.sleep(0)
        assert made.client.bodies == ['"a"']
        assert made.info("state", "pending") == ("sending", 2)
        hold.set()
        made.wait_sent(2)


class TestAttempts:
    def test_until_it_works(self, bench):
        made = bench(REFUSED, 500, 429, 200)
        made.put("a")
        made.wait_sent(1)
        assert made.pauses == [1, 2, 4]
        assert made.info("sent", "retries", "failed", "state") == (1, 3, 0, "idle")
        assert made.client.header("Gaffer-Attempt") == ["1", "2", "3", "4"]

    def test_the_id_stays_and_is_ones_own(self, bench):
        made = bench(500, 200, 200)
        made.put("a", "b")
        made.wait_sent(2)
        first, again, other = made.client.header("webhook-id")
        assert first == again != other

    def test_the_receivers_wish_counts(self, bench):
        made = bench(ReceiverAnswer(429, "20"), ReceiverAnswer(503, "9999"), 200)
        made.put("a")
        made.wait_sent(1)
        assert made.pauses == [20, 60]

    def test_end(self, bench):
        made = bench(*[REFUSED] * 3, 200, max_attempts=3)
        made.put("a", "b")
        made.wait_sent(1)
        assert made.pauses == [1, 2]
        [letter] = made.dead
        assert letter.info() | {"id": "", "time": 0} == {
            "id": "",
            "webhook": 1,
            "url": "http://***@h/x",
            "event": "a",
            "message": "a",
            "attempts": 3,
            "reason": "Connection refused",
            "time": 0,
        }
        assert made.info("failed", "retries") == (1, 2)

    @pytest.mark.parametrize("status", [301, 400, 404, 410])
    def test_what_is_final_is_tried_once(self, bench, status):
        made = bench(status)
        made.put("a", "b")
        made.wait_sent(1)
        assert made.pauses == []
        assert [letter.delivery.event for letter in made.dead] == ["a"]

    def test_a_defect_costs_one_delivery(self, bench, caplog):
        made = bench(RuntimeError("oops"))
        made.put("a", "b")
        made.wait_sent(1)
        assert [letter.reason for letter in made.dead] == ["unexpected RuntimeError"]
        assert "unexpected RuntimeError('oops')" in caplog.text

    def test_the_wait_can_be_cut_short(self, bench):
        made = bench(REFUSED, 200, pause=forever)
        made.put("a")
        wait_until(lambda: made.info("state") == ("waiting",))
        assert 0 < made.info("retry_in")[0] <= 1
        assert made.info("last_error")[0]["reason"] == "Connection refused"
        made.receiver.hurry()
        made.wait_sent(1)
        assert made.info("state", "retry_in") == ("idle", None)

    def test_a_cut_is_for_one_wait(self, bench):
        made = bench(REFUSED, REFUSED, 200, pause=forever)
        made.put("a")
        wait_until(lambda: made.info("state") == ("waiting",))
        made.receiver.hurry()
        wait_until(lambda: len(made.client.posts) == 2)
        for _ in range(10):
            gevent.sleep(0)
        assert made.info("state") == ("waiting",)


class TestHeaders:
    def test_what_is_said(self, bench):
        made = bench()
        made.put("proc.web.exit")
        made.wait_sent(1)
        [(headers, _)] = made.client.posts
        assert headers["Content-Type"] == "application/json"
        assert headers["Gaffer-Event"] == "proc.web.exit"
        assert headers["Authorization"] == "Basic dTpwdw=="
        assert headers["User-Agent"].startswith("gaffer/")
        assert headers["webhook-timestamp"].isdigit()
        assert "webhook-signature" not in headers

    def test_signed_anew_each_time(self, bench, monkeypatch):
        times = iter(range(100, 200))
        monkeypatch.setattr(module.time, "time", lambda: next(times))
        made = bench(500, secret="0123456789abcdef")
        made.put("a")
        made.wait_sent(1)
        stamps, signatures = made.client.header("webhook-timestamp"), made.client.header("webhook-signature")
        assert len(set(stamps)) == len(set(signatures)) == 2
        assert all(signature.startswith("v1,") for signature in signatures)

    def test_a_name_cannot_forge_a_header(self, bench):
        made = bench()
        made.put("mailer.sent\r\nX-Evil: ü")
        made.wait_sent(1)
        assert made.client.header("Gaffer-Event") == ["mailer.sent??X-Evil: ?"]

    def test_the_receiver_is_told_what_it_missed(self, bench):
        made = bench(404, 404, 200, 200)
        made.put("a", "b", "c", "d")
        made.wait_sent(2)
        assert made.client.header("Gaffer-Lost") == ["0", "1", "2", "0"]

    def test_that_it_missed_stays_true_until_it_was_told(self, bench):
        made = bench(404, 503, 200, 200)
        made.put("a", "b", "c")
        made.wait_sent(2)
        assert made.client.header("Gaffer-Lost") == ["0", "1", "1", "0"]


class TestBounds:
    def test_what_does_not_fit_is_dropped_and_counted(self, bench, caplog):
        hold = Event()
        made = bench(hold, queue_size=2)
        assert made.put("a", "b", "c", "d") == [True, True, False, False]
        assert made.info("pending", "lost") == (2, 2)
        hold.set()
        made.wait_sent(2)
        assert made.client.bodies == ['"a"', '"b"']
        assert made.put("e") == [True]
        made.wait_sent(3)
        assert caplog.messages == ["webhook http://***@h/x is too slow: 1 events dropped"]

    def test_losses_while_sending_are_told_with_the_next(self, bench):
        hold = Event()
        made = bench(hold, queue_size=1)
        made.put("a")
        wait_until(lambda: made.client.posts)
        made.put("b")
        hold.set()
        made.wait_sent(1)
        made.put("c")
        made.wait_sent(2)
        assert made.client.header("Gaffer-Lost") == ["0", "1"]

    def test_all_receivers_share_the_slots(self, bench):
        slots, hold = BoundedSemaphore(1), Event()
        first, second = bench(hold, slots=slots), bench(slots=slots)
        first.put("a")
        wait_until(lambda: first.client.posts)
        second.put("b")
        for _ in range(5):
            gevent.sleep(0)
        assert second.client.posts == []
        hold.set()
        second.wait_sent(1)

    def test_no_slot_is_held_while_waiting(self, bench):
        slots = BoundedSemaphore(1)
        first, second = bench(REFUSED, slots=slots, pause=forever), bench(slots=slots)
        first.put("a")
        wait_until(lambda: first.info("state") == ("waiting",))
        second.put("b")
        second.wait_sent(1)


class TestGreenlet:
    def test_ends_after_the_work_and_closes_the_connection(self, bench, monkeypatch):
        monkeypatch.setattr(module, "IDLE", 0.0)
        made = bench()
        made.put("a")
        made.wait_sent(1)
        wait_until(lambda: made.client.closed)
        made.put("b")
        made.wait_sent(2)
        assert made.client.opened == 2

    def test_keeps_the_connection_for_a_while(self, bench):
        made = bench()
        made.put("a")
        made.wait_sent(1)
        made.put("b")
        made.wait_sent(2)
        assert (made.client.opened, made.client.closed) == (1, 0)


class TestDrain:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch):
        """No worker waits for more work now."""
        monkeypatch.setattr(module, "IDLE", 1000.0)

    def test_sends_what_is_queued(self, bench):
        made = bench()
        made.put("a", "b", "c")
        greenlet = made.receiver.drain()
        wait_until(lambda: greenlet.dead)
        assert made.client.bodies == ['"a"', '"b"', '"c"']
        assert made.receiver.end() == 0

    def test_each_gets_one_attempt(self, bench):
        made = bench(200, REFUSED, 200, 503)
        made.put("a", "b", "c", "d")
        made.receiver.drain().join()
        assert made.client.bodies == ['"a"', '"b"', '"c"', '"d"']
        assert made.client.header("Gaffer-Lost") == ["0", "0", "1", "0"]
        assert made.pauses == []
        assert made.receiver.end() == 2
        assert made.info("sent", "lost", "pending") == (2, 2, 0)
        assert made.receiver.end() == 0

    def test_what_is_final_does_not_end_it(self, bench):
        made = bench(404, 200)
        made.put("a", "b")
        made.receiver.drain().join()
        assert made.receiver.sent == 1
        assert made.receiver.end() == 0

    def test_a_wait_is_cut_short_for_one_more_attempt(self, bench):
        made = bench(REFUSED, 200, pause=forever)
        made.put("a")
        wait_until(lambda: made.info("state") == ("waiting",))
        made.receiver.drain().join()
        assert made.receiver.sent == 1

    def test_idle(self, bench):
        assert bench().receiver.drain() is None
        made = bench()
        made.put("a")
        made.wait_sent(1)
        greenlet = made.receiver.drain()
        wait_until(lambda: greenlet.dead)

    def test_begins_again_with_new_options(self, bench):
        made = bench(REFUSED, REFUSED, 200)
        made.put("a")
        made.receiver.drain().join()
        made.receiver.end()
        made.receiver.use(made.shared)
        made.put("b")
        made.wait_sent(1)
        assert made.pauses == [1]

    def test_waits_as_before_when_it_begins_again(self, bench):
        made = bench(REFUSED, REFUSED, 200, pause=forever)
        made.put("a")
        made.receiver.drain().join()
        made.receiver.end()
        made.receiver.use(made.shared)
        made.put("b")
        wait_until(lambda: made.info("state") == ("waiting",))
        for _ in range(10):
            gevent.sleep(0)
        assert len(made.client.posts) == 2


class TestLog:
    def test_one_line_for_each_change_with_the_number_of_failures(self, bench, caplog):
        caplog.set_level(logging.INFO)
        made = bench(*[REFUSED] * 3, 200)
        made.put("a")
        made.wait_sent(1)
        assert caplog.messages == [
            "webhook http://***@h/x: Connection refused",
            "webhook http://***@h/x takes events again after 3 failed attempts",
        ]

    def test_receiver_that_fails_now_and_then_is_worth_a_line_a_minute(self, bench, caplog, monkeypatch):
        caplog.set_level(logging.INFO)
        clock = SimpleNamespace(now=500.0, time=time.time, monotonic=lambda: clock.now)
        monkeypatch.setattr(module, "time", clock)
        made = bench(*[500, 200] * 20)
        for number in range(20):
            clock.now += 10
            made.put(str(number))
            made.wait_sent(number + 1)
        again = "webhook http://***@h/x takes events again after 1 failed attempt"
        more = "webhook http://***@h/x: answered 500 (5 other attempts failed since the last such line)"
        assert caplog.messages == ["webhook http://***@h/x: answered 500", again, *[more, again] * 3]

    def test_dead_letters_are_counted_and_told_less_and_less(self, bench, caplog):
        made = bench(*[404] * 25)
        made.put(*["a"] * 25, "b")
        made.wait_sent(1)
        given_up = [message for message in caplog.messages if "given up" in message]
        assert given_up == [f"webhook http://***@h/x: 'a' given up after 1 attempts; {n} so far" for n in (1, 10)]
