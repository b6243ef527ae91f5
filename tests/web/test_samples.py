"""Sources of figures: measured while there are readers, once for all of them, at the shortest interval wanted."""

from __future__ import annotations

import logging

import gevent
import pytest

from gaffer.errors import BadRequest, NotFound, Unavailable
from gaffer.process.sampler import Sampler
from gaffer.web.live.samples import USUAL, SampleSource, read_interval
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
def sampler():
    made = Sampler(lambda processes: [])
    yield made
    made.close()
    wait_until(lambda: made._greenlet is None)


def taken(source):
    return [item.data for item in source.take()]


def test_figures_come_at_once_and_then_again_and_again(sampler):
    meter = Meter()
    source = SampleSource(sampler, "a", "stats", meter, 0.1)
    wait_until(lambda: source._item)
    assert taken(source) == [b'{"count": 1}'] and taken(source) == []
    wait_until(lambda: source._item)
    assert taken(source) == [b'{"count": 2}']


def test_sources_of_one_key_share_a_measurement(sampler):
    meter, other = Meter(), Meter()
    sources = [SampleSource(sampler, "a", "stats", meter, 0.1) for _ in range(10)]
    sources.append(SampleSource(sampler, "b", "stats", other, 0.1))
    wait_until(lambda: all(source._item for source in sources))
    assert meter.count == other.count == 1
    assert {taken(source)[0] for source in sources} == {b'{"count": 1}'}


def test_the_slow_do_not_slow_down_the_fast(sampler):
    meter = Meter()
    slow = SampleSource(sampler, "a", "stats", meter, 60)
    fast = SampleSource(sampler, "a", "stats", meter, 0.1)
    wait_until(lambda: slow._item and fast._item)
    first = taken(slow)
    wait_until(lambda: meter.count >= 3)
    assert first == [b'{"count": 1}'] and taken(slow) == []


def test_slow_source_gets_only_the_latest_value(sampler):
    meter = Meter()
    source = SampleSource(sampler, "a", "stats", meter, 0.1)
    wait_until(lambda: meter.count >= 3)
    wait_until(lambda: source._count >= 3)
    assert len(source.take()) == 1


def test_nothing_is_measured_without_readers(sampler):
    meter = Meter()
    source = SampleSource(sampler, "a", "stats", meter, 0.1)
    wait_until(lambda: meter.count)
    source.close()
    source.close()
    wait_until(lambda: sampler._greenlet is None)
    again = SampleSource(sampler, "a", "stats", meter, 0.1)
    wait_until(lambda: again._item)


@pytest.mark.parametrize("error", [NotFound("gone"), Unavailable("no plugin")])
def test_source_ends_when_its_target_is_gone(sampler, error, caplog):
    woken = []
    source = SampleSource(sampler, "a", "stats", Meter(error, after=1), 0.1)
    source.wake = lambda: woken.append(source.ended)
    wait_until(lambda: source.ended)
    assert woken[-1] and caplog.messages == []


def test_a_failure_ends_that_one_and_is_logged(sampler, caplog):
    bad = SampleSource(sampler, "a", "stats", Meter(ValueError("no")), 0.1)
    good = SampleSource(sampler, "b", "stats", Meter(), 0.1)
    with caplog.at_level(logging.ERROR):
        wait_until(lambda: bad.ended and good._count >= 2)
    assert len(caplog.messages) == 1 and "ValueError" in caplog.messages[0]


def test_measuring_that_takes_longer_than_the_interval_leaves_others_their_turn(sampler):
    def slow():
        gevent.sleep(0.12)
        return {}

    SampleSource(sampler, "a", "stats", slow, 0.1)
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
