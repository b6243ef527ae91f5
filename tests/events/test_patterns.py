"""Patterns of events: what selects what, and the spellings of older gaffers."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gaffer.events.patterns import ALL, ancestors, matches, normalise

PARTS = st.sampled_from(["a", "b", "ab", "spawn", "7"])
EVENTS = st.lists(PARTS, min_size=1, max_size=4).map(".".join)


@given(EVENTS, EVENTS)
def test_the_ancestors_of_an_event_are_the_patterns_that_match_it(pattern, event):
    assert matches(pattern, event) == (pattern in ancestors(event))


@given(EVENTS)
def test_the_pattern_of_all_selects_every_event(event):
    assert matches(ALL, event)
    assert ancestors(event)[0] == ALL


@given(EVENTS)
def test_each_pattern_is_listed_once(event):
    assert len(set(ancestors(event))) == len(ancestors(event)) == event.count(".") + 2


def test_ancestors_are_listed_widest_first():
    assert ancestors("proc.web.spawn") == [".", "proc", "proc.web", "proc.web.spawn"]


def test_a_pattern_does_not_select_names_that_only_begin_alike():
    assert not matches("proc.web", "proc.website")


@given(st.text("a.b(*) ", max_size=12))
@example(".proc(web)")
@example("..")
@example(".*.")
def test_a_canonical_pattern_stays_as_it_is(pattern):
    once = normalise(pattern)
    assert normalise(once) == once


@given(EVENTS)
def test_names_of_events_are_canonical_patterns(event):
    assert normalise(event) == event


@pytest.mark.parametrize("pattern", ["", "*", ".", ".."])
def test_spellings_of_all(pattern):
    assert normalise(pattern) == ALL


@pytest.mark.parametrize(
    ("pattern", "canonical"),
    [
        ("proc(dummy)", "proc.dummy"),
        ("proc(dummy).spawn", "proc.dummy.spawn"),
        ("proc.dummy.", "proc.dummy"),
        (".proc.dummy", "proc.dummy"),
        ("job(shop.web).exit", "job.shop.web.exit"),
    ],
)
def test_spellings_of_the_seeds(pattern, canonical):
    assert normalise(pattern) == canonical


@pytest.mark.parametrize(
    ("pattern", "canonical"),
    [
        ("load", "create"),
        ("unload", "delete"),
        ("stop_process", "stop_pid"),
        ("proc.web.stop_process", "proc.web.stop_pid"),
        ("proc(web).stop_process", "proc.web.stop_pid"),
        ("job.shop.web.load", "job.shop.web.create"),
    ],
)
def test_events_that_were_renamed_are_found_under_their_old_names(pattern, canonical):
    assert normalise(pattern) == canonical


@pytest.mark.parametrize(
    ("pattern", "canonical"),
    [
        ("proc.load", "proc.load"),
        ("proc(unload)", "proc.unload"),
        ("job.load", "job.load"),
        ("job.default.load", "job.default.load"),
        ("job.default.load.unload", "job.default.load.delete"),
    ],
)
def test_jobs_and_sessions_may_be_called_like_old_events(pattern, canonical):
    assert normalise(pattern) == canonical
