"""What follows a death: the built-in restart policy, and the flapping rule of docs/configuration.rst."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.config.fields import BackoffRule
from gaffer.config.jobconfig import JobConfig
from gaffer.supervisor.restart_policy import (
    BACKOFF,
    JITTER,
    After,
    Done,
    GiveUp,
    History,
    Now,
    after_kill,
    backoff,
    decide,
)

MIDDLE = 0.5  # no jitter in either direction


class Copy:
    """One copy and the deaths it goes through."""

    def __init__(self, **settings):
        self.config = JobConfig("web", "serve", **settings)
        self.history = History()
        self.now = 100.0

    def dies(self, after=0.0, code=1, pause=0.0):
        """Return the decision after a process that lived *after* seconds; it was started *pause* seconds ago."""
        self.now += pause + after
        self.history.enter(self.config, after, self.now)
        return decide(self.config, self.history, code, after, self.now, lambda: MIDDLE)

    def cannot_start(self):
        self.history.enter(self.config, None, self.now)
        return decide(self.config, self.history, None, None, self.now, lambda: MIDDLE)


def test_process_that_lived_long_enough_is_replaced_at_once():
    assert Copy(min_uptime=1).dies(after=1.0) == Now()


def test_early_exit_is_retried_with_a_delay_that_doubles():
    copy = Copy(min_uptime=1)
    assert [copy.dies(after=0.9).seconds for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]


def test_delay_is_bounded_after_many_failures():
    copy = Copy()
    for _ in range(100):
        decision = copy.dies()
    assert decision == After(BACKOFF.longest)


def test_good_start_resets_the_failures():
    copy = Copy()
    copy.dies()
    copy.dies()
    copy.dies(after=5)
    assert copy.dies() == After(BACKOFF.first)


def test_failed_start_is_retried_like_a_quick_death():
    copy = Copy()
    assert [copy.cannot_start(), copy.cannot_start()] == [After(0.1), After(0.2)]


def test_without_a_minimum_every_process_started_well():
    assert Copy(min_uptime=0).dies(after=0) == Now()


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delays_never_spin_and_never_end(failures, jitter):
    assert BACKOFF.first * (1 - JITTER) <= backoff(failures, jitter) <= BACKOFF.longest * (1 + JITTER)


@given(st.floats(0, 1))
def test_jitter_is_a_fifth_in_both_directions(jitter):
    assert backoff(1, 0) <= backoff(1, jitter) <= backoff(1, 1)
    assert (backoff(1, 0), backoff(1, 1)) == pytest.approx((0.08, 0.12))


# -- restart = …


@pytest.mark.parametrize("code", [0, 1, None])
def test_restart_never_is_done_after_any_exit(code):
    assert Copy(restart="never").dies(after=9, code=code) == Done()


def test_restart_never_and_a_failed_start_gives_up():
    assert isinstance(Copy(restart="never").cannot_start(), GiveUp)


@pytest.mark.parametrize("after", [0, 9])
def test_restart_on_failure_is_done_after_an_expected_code(after):
    assert Copy(restart="on-failure", exit_codes=[0, 3]).dies(after=after, code=3) == Done()


@pytest.mark.parametrize("code", [1, None])
def test_restart_on_failure_replaces_after_other_codes_and_signals(code):
    assert Copy(restart="on-failure", exit_codes=[0, 3]).dies(after=9, code=code) == Now()


def test_restart_on_failure_retries_a_failed_start():
    assert Copy(restart="on-failure").cannot_start() == After(BACKOFF.first)


@pytest.mark.parametrize("code", [0, 1, None])
def test_restart_always_replaces_after_any_code(code):
    assert Copy(restart="always").dies(after=9, code=code) == Now()


@pytest.mark.parametrize(
    ("settings", "code", "decision"),
    [
        ({}, 1, Now()),
        ({}, None, Now()),
        ({"restart": "on-failure"}, 0, Done()),
        ({"restart": "on-failure"}, 1, Now()),
        ({"restart": "on-failure"}, None, Now()),
        ({"restart": "never"}, 1, Done()),
    ],
)
def test_exit_caused_by_gaffer_has_no_delay_and_obeys_restart(settings, code, decision):
    assert after_kill(JobConfig("web", "serve", **settings), code) == decision


# -- flapping


RULE = {"attempts": 3, "window": 10, "retry_in": 7, "max_retry": 2}


def test_fewer_exits_than_attempts_are_replaced_at_once():
    copy = Copy(flapping=RULE)
    assert [copy.dies(), copy.dies()] == [Now(), Now()]


def test_as_many_exits_as_attempts_within_the_window_pause_the_copy():
    copy = Copy(flapping=RULE)
    copy.dies(after=1)
    copy.dies(after=4)
    assert copy.dies(after=4) == After(7.0, flapping=True)


def test_exits_older_than_the_window_do_not_count():
    copy = Copy(flapping=RULE)
    assert [copy.dies(after=6) for _ in range(6)] == [Now()] * 6


def test_exits_at_the_edge_of_the_window_count():
    copy = Copy(flapping=RULE)
    copy.dies()
    copy.dies(after=5)
    assert copy.dies(after=5) == After(7.0, flapping=True)


def test_copy_has_all_attempts_again_after_a_pause():
    copy = Copy(flapping=RULE)
    for _ in range(3):
        copy.dies()
    assert [copy.dies(pause=7), copy.dies()] == [Now(), Now()]


def test_copy_is_given_up_with_a_reason_after_the_last_retry():
    copy = Copy(flapping=RULE)
    decisions = [copy.dies() for _ in range(9)]
    assert [type(one) for one in decisions[2::3]] == [After, After, GiveUp]
    assert decisions[-1].reason == "it died 3 times within 10 s and was retried 2 times"


def test_copy_without_retries_is_given_up_at_once():
    copy = Copy(flapping={**RULE, "attempts": 1, "max_retry": 0})
    assert isinstance(copy.dies(), GiveUp)


def test_negative_number_of_retries_never_gives_up():
    copy = Copy(flapping={**RULE, "max_retry": -1})
    decisions = [copy.dies(pause=7) if number % 3 == 0 else copy.dies() for number in range(60)]
    assert decisions == [Now(), Now(), After(7.0, flapping=True)] * 20


def test_uptime_longer_than_the_window_resets_the_retries():
    copy = Copy(flapping=RULE)
    for _ in range(6):
        copy.dies()
    copy.dies(after=11)
    assert [type(copy.dies()) for _ in range(2)] == [Now, After]


def test_failed_starts_count_as_attempts():
    copy = Copy(flapping=RULE)
    assert [copy.cannot_start() for _ in range(3)][-1] == After(7.0, flapping=True)


def test_flapping_rule_with_more_attempts_than_the_default_history():
    copy = Copy(flapping={**RULE, "attempts": 500, "window": 1000})
    assert {type(copy.dies()) for _ in range(499)} == {Now}
    assert copy.dies() == After(7.0, flapping=True)


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60))
def test_flapping_copy_is_retried_no_more_often_than_the_rule_says(lives):
    copy = Copy(flapping=RULE)
    retries = 0
    for seconds, starts in lives:
        retries = 0 if starts and seconds > 10 else retries
        decision = copy.dies(after=seconds) if starts else copy.cannot_start()
        retries += isinstance(decision, After)
        assert retries <= 2
        if isinstance(decision, GiveUp):
            break


def test_history_is_bounded():
    copy = Copy()
    for _ in range(10_000):
        copy.dies()
    assert len(copy.history.exits) <= 64


def test_delays_are_those_of_the_job():
    rule = JobConfig("web", "serve", backoff=[0.5, 3, 10]).backoff
    assert [backoff(failures, 0.5, rule) for failures in (1, 2, 3, 4, 99)] == [0.5, 1.5, 4.5, 10, 10]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("1, 2", "expected 'first, factor, longest'"),
        ("x, 2, 3", "such as '0.1, 2, 30'"),
        ("1, 0.5, 3", "the factor must be a number from 1 to 100, not 0.5"),
        ("5, 2, 3", "the first delay, 5, is longer than the longest, 3"),
        ("-1, 2, 3", "0"),
    ],
)
def test_wrong_delays_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        BackoffRule().parse(given)
