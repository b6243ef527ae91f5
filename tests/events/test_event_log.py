"""The log of events: each once and in order, history for those who come back, counts for those who are too slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.events.event_log import WAITING, EventLog


def names(taken):
    lost, events = taken
    assert lost == 0
    return [event.name for event in events]


def test_a_follower_takes_what_its_pattern_selects_in_order():
    log = EventLog()
    every, jobs, one = log.follow("."), log.follow("job"), log.follow("proc(web).spawn")
    log.record(["spawn", "job.default.web.spawn", "proc.web.spawn", "proc.1.spawn"], {"pid": 1})
    log.record(["exit", "job.default.web.exit"], {"pid": 1})
    assert names(every.take()) == [
        "spawn",
        "job.default.web.spawn",
        "proc.web.spawn",
        "proc.1.spawn",
        "exit",
        "job.default.web.exit",
    ]
    assert names(jobs.take()) == ["job.default.web.spawn", "job.default.web.exit"]
    assert names(one.take()) == ["proc.web.spawn"]
    assert names(every.take()) == []


def test_a_message_is_its_name_and_what_all_of_them_say():
    log = EventLog()
    follower = log.follow("job")
    log.record(["spawn", "job.default.web.spawn"], {"pid": 1})
    (event,) = follower.take()[1]
    assert event.message == {"event": "job.default.web.spawn", "pid": 1} and event.number == 2


def test_the_names_of_old_select_what_they_were_renamed_to():
    log = EventLog()
    follower = log.follow("load")
    log.record(["create"], {})
    assert names(follower.take()) == ["create"]


def test_followers_are_woken():
    log, woken = EventLog(), []
    follower = log.follow("spawn", wake=lambda: woken.append(1))
    log.record(["exit"], {})
    assert woken == []
    log.record(["spawn"], {})
    assert woken == [1]
    follower.close()
    log.record(["spawn"], {})
    assert woken == [1]


def test_nothing_is_worth_telling_without_followers_while_nothing_is_kept():
    log = EventLog()
    assert not log
    first, second = log.follow("a"), log.follow("a")
    assert log
    first.close()
    assert log
    second.close()
    second.close()
    assert not log
    log.remember(5)
    assert log


def filled(history, events):
    log = EventLog(history)
    for number in range(1, events + 1):
        log.record(["even" if number % 2 == 0 else "odd"], {"number": number})
    return log


@pytest.mark.parametrize(
    ("since", "lost", "first"),
    [(None, 0, 21), (20, 0, 21), (17, 0, 18), (11, 0, 12), (10, 1, 12), (0, 11, 12), (21, 0, 12)],
)
def test_those_who_come_back_get_what_they_missed_and_the_count_of_what_is_gone(since, lost, first):
    """Events 12 to 20 are kept."""
    missed, events = filled(9, 20).follow(".", since=since).take()
    assert (missed, [event.number for event in events]) == (lost, list(range(first, 21)))


def test_only_what_the_pattern_selects_comes_again():
    events = filled(9, 20).follow("even", since=14).take()[1]
    assert [event.number for event in events] == [16, 18, 20]


def test_the_last_ones():
    log = filled(9, 20)
    assert [event.number for event in log.follow("odd", tail=2).take()[1]] == [17, 19]
    assert [event.number for event in log.follow("odd", tail=99).take()[1]] == [13, 15, 17, 19]


def test_what_comes_again_comes_before_what_is_new():
    log = filled(5, 5)
    follower = log.follow(".", since=3)
    log.record(["new"], {})
    assert [event.number for event in follower.take()[1]] == [4, 5, 6]


def test_a_slow_follower_loses_the_oldest_and_learns_how_many():
    log = EventLog()
    slow, other = log.follow("a"), log.follow("b")
    for _ in range(WAITING + 7):
        log.record(["a"], {})
    log.record(["b"], {})
    lost, events = slow.take()
    assert lost == 7 and [events[0].number, events[-1].number, len(events)] == [8, WAITING + 7, WAITING]
    assert slow.take() == (0, [])
    assert other.take()[0] == 0


@given(st.lists(st.sampled_from(["a", "a.b", "b", "take"]), max_size=60), st.sampled_from(["a", "a.b", ".", "c"]))
def test_each_event_reaches_a_follower_once_and_in_order(steps, pattern):
    log, got, expected = EventLog(3), [], []
    follower = log.follow(pattern)
    for step in [*steps, "take"]:
        if step == "take":
            got += names(follower.take())
        else:
            log.record([step], {})
            expected += [step] if pattern == "." or step == pattern or step.startswith(pattern + ".") else []
    assert got == expected
