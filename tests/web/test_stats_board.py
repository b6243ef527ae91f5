"""Figures that are measured while somebody looks: once for all who look, at the fastest interval wanted."""

from __future__ import annotations

import logging

import gevent
import pytest

from gaffer.errors import BadRequest, NotFound, Unavailable
from gaffer.web.live.stats_board import USUAL, Board, board_of, read_interval
from tests.kit.web import wait_until


class Meter:
    """Counts what it measures."""

    def __init__(self, error=None, after=0):
        self.count, self.error, self.after = 0, error, after

    def __call__(self):
        self.count += 1
        if self.error is not None and self.count > self.after:
            raise self.error
        return {"count": self.count}


@pytest.fixture
def board():
    made = Board()
    yield made
    for look in list(made._looks):
        look.close()
    wait_until(lambda: made._greenlet is None)


def taken(look):
    return [item.data for item in look.take()]


def test_figures_come_at_once_and_then_again_and_again(board):
    meter = Meter()
    look = board.look("a", "stats", meter, 0.1)
    wait_until(lambda: look._item)
    assert taken(look) == [b'{"count": 1}'] and taken(look) == []
    wait_until(lambda: look._item)
    assert taken(look) == [b'{"count": 2}']


def test_looks_of_one_key_share_a_measurement(board):
    meter, other = Meter(), Meter()
    looks = [board.look("a", "stats", meter, 0.1) for _ in range(10)] + [board.look("b", "stats", other, 0.1)]
    wait_until(lambda: all(look._item for look in looks))
    assert meter.count == other.count == 1
    assert {taken(look)[0] for look in looks} == {b'{"count": 1}'}


def test_the_slow_do_not_slow_down_the_fast(board):
    meter = Meter()
    slow = board.look("a", "stats", meter, 60)
    fast = board.look("a", "stats", meter, 0.1)
    wait_until(lambda: slow._item and fast._item)
    first = taken(slow)
    wait_until(lambda: meter.count >= 3)
    assert first == [b'{"count": 1}'] and taken(slow) == []


def test_slow_look_gets_only_the_latest_value(board):
    meter = Meter()
    look = board.look("a", "stats", meter, 0.1)
    wait_until(lambda: meter.count >= 3)
    wait_until(lambda: look._count >= 3)
    assert len(look.take()) == 1


def test_nothing_is_measured_for_nobody(board):
    meter = Meter()
    look = board.look("a", "stats", meter, 0.1)
    wait_until(lambda: meter.count)
    look.close()
    look.close()
    wait_until(lambda: board._greenlet is None)
    again = board.look("a", "stats", meter, 0.1)
    wait_until(lambda: again._item)


@pytest.mark.parametrize("error", [NotFound("gone"), Unavailable("no plugin")])
def test_look_ends_when_its_target_is_gone(board, error, caplog):
    woken = []
    look = board.look("a", "stats", Meter(error, after=1), 0.1)
    look.wake = lambda: woken.append(look.ended)
    wait_until(lambda: look.ended)
    assert woken[-1] and caplog.messages == []


def test_a_failure_ends_that_one_and_is_logged(board, caplog):
    bad, good = board.look("a", "stats", Meter(ValueError("no")), 0.1), board.look("b", "stats", Meter(), 0.1)
    with caplog.at_level(logging.ERROR):
        wait_until(lambda: bad.ended and good._count >= 2)
    assert len(caplog.messages) == 1 and "ValueError" in caplog.messages[0]


def test_measuring_that_takes_longer_than_the_interval_leaves_others_their_turn(board):
    def slow():
        gevent.sleep(0.12)
        return {}

    board.look("a", "stats", slow, 0.1)
    turns = []
    for _ in range(20):
        gevent.sleep(0.01)
        turns.append(1)
    assert len(turns) == 20


def test_intervals():
    assert [read_interval(value) for value in (None, "0.5", 2, 0.1)] == [USUAL, 0.5, 2.0, 0.1]


@pytest.mark.parametrize("value", ["", "0", 0.05, "x", "nan", "inf", -1, 1e9, True, [], {}])
def test_invalid_interval_is_rejected(value):
    with pytest.raises(BadRequest, match="interval must be"):
        read_interval(value)


def test_a_manager_has_one_board():
    class Manager:
        pass

    one, other = Manager(), Manager()
    assert board_of(one) is board_of(one) is not board_of(other)
