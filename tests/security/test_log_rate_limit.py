"""Log lines that a client can cause are bounded per minute, and what was left out is told."""

from __future__ import annotations

import logging

import pytest

from gaffer.security.log_rate_limit import MOST, Bounded


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_ten_lines_a_minute_and_the_next_one_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    bounded = Bounded(logging.getLogger("gaffer"), clock=clock)
    for number in range(MOST + 5):
        bounded.write(logging.WARNING, "no answer from %s", number)
    assert MOST == 10
    assert lines(caplog) == [f"no answer from {number}" for number in range(10)]

    clock.now += 59.9
    bounded.write(logging.WARNING, "no answer from %s", "too early")
    assert len(lines(caplog)) == 10

    clock.now += 0.1
    bounded.write(logging.ERROR, "no answer from %s", "then")
    bounded.write(logging.ERROR, "no answer from %s", "now")
    assert lines(caplog)[10:] == ["no answer from then (6 lines about this were left out)", "no answer from now"]
    assert caplog.records[-1].levelno == logging.ERROR


def test_each_minute_has_its_lines_and_each_thing_its_own(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    bounded = Bounded(logging.getLogger("gaffer"), 2, clock)
    other = Bounded(logging.getLogger("gaffer"), 2, clock)
    for _ in range(3):
        for _ in range(100):
            bounded.write(logging.WARNING, "refused")
        clock.now += 60
    assert len(lines(caplog)) == 6
    assert lines(caplog)[2:4] == ["refused (98 lines about this were left out)", "refused"]
    other.write(logging.WARNING, "another")
    assert lines(caplog)[-1] == "another"
