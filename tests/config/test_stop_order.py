"""Groups of jobs that stop together: by priority, and by what needs what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gaffer.config.stop_order import stop_groups


def groups(priorities, pairs=()):
    return stop_groups(priorities, priorities.get, lambda name: name, pairs)


def test_jobs_of_one_priority_stop_together_the_last_one_first():
    assert groups({"a": 0, "b": 1, "c": 1, "d": None}) == [["d"], ["c", "b"], ["a"]]


def test_what_a_job_needs_stops_after_it():
    assert groups(dict.fromkeys("abc"), [("a", "b"), ("b", "c")]) == [["a"], ["b"], ["c"]]


def test_jobs_that_need_each_other_in_no_way_stop_together():
    assert groups(dict.fromkeys("abcd"), [("a", "d"), ("b", "d")]) == [["c", "b", "a"], ["d"]]


def test_a_job_that_others_need_counts_as_the_first_of_them_to_start():
    assert groups({"web": 1, "other": 5, "db": 9}, [("web", "db")]) == [["other"], ["web"], ["db"]]


def test_jobs_of_which_one_needs_the_other_through_a_third_that_is_not_stopped():
    assert groups({"web": None, "db": None}, [("web", "cache"), ("cache", "db")]) == [["web"], ["db"]]


def test_pairs_in_a_circle_are_left_out():
    found = groups(dict.fromkeys("abcd"), [("a", "b"), ("b", "a"), ("c", "d")])
    assert sorted(name for group in found for name in group) == list("abcd")
    place = {name: index for index, group in enumerate(found) for name in group}
    assert place["c"] < place["d"]


def test_two_jobs_of_one_name_stop_together():
    jobs = [("a", 1), ("b", 1), ("a", 2)]
    assert stop_groups(jobs, lambda job: None, lambda job: job[0], [("b", "a")]) == [[("b", 1)], [("a", 2), ("a", 1)]]


NAMES = [f"job{number}" for number in range(12)]


@given(
    st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(0, 3), min_size=1),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1])),
)
def test_every_job_stops_once_and_before_what_it_needs(priorities, numbers):
    pairs = [(NAMES[first], NAMES[then]) for first, then in numbers]
    found = groups(priorities, pairs)
    assert sorted(name for group in found for name in group) == sorted(priorities) and all(found)
    place = {name: index for index, group in enumerate(found) for name in group}
    for first, then in pairs:
        if first in place and then in place:
            assert place[first] < place[then]
