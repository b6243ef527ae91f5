"""What keys allow: a lattice, in which nothing weaker covers anything stronger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.commands.identity import ADMIN, LEVELS, NODE, Credentials, Permissions, Resource, of_target
from gaffer.errors import BadRequest

TARGETS = ("*", "a", "b", "a.x", "a.y", "b.x")
RESOURCES = (
    NODE,
    *(of_target(target) for target in TARGETS[1:]),
    Resource("c"),
    Resource("c", "x"),
    Resource("b", "y"),
)
WORDS = (*LEVELS, "admin")

targets = st.frozensets(st.sampled_from(TARGETS), max_size=3)
some = st.builds(
    Permissions,
    admin=st.sampled_from([False, False, False, True]),
    create_key=st.booleans(),
    create_user=st.booleans(),
    manage=targets,
    write=targets,
    read=targets,
)


def allowed(permissions):
    """Return everything that is allowed, written out."""
    found = {(word, resource) for word in WORDS for resource in RESOURCES if permissions.allows(word, resource)}
    return found | {flag for flag in ("create_key", "create_user") if permissions.admin or getattr(permissions, flag)}


@given(some, some)
def test_what_covers_allows_all_that_the_other_allows_and_nothing_else_covers(one, other):
    assert one.covers(other) == (allowed(one) >= allowed(other))


@given(some, some, some)
def test_covering_is_an_order(one, two, three):
    assert one.covers(one)
    if one.covers(two) and two.covers(three):
        assert one.covers(three)


@given(some, some, some)
def test_no_account_exceeds_the_one_that_made_it(maker, made, below):
    """An account made by another, in any number of steps, may do no more, and so cannot take it over."""
    if maker.covers(made) and made.covers(below):
        assert maker.admin or not (maker.exceeds(maker) or made.exceeds(maker) or below.exceeds(maker))
    assert one_way(maker, made) == (maker.exceeds(made) and not maker.admin)


def one_way(one, other):
    return not one.admin and allowed(one) > allowed(other)


@given(some)
def test_admin_covers_everything_and_everything_covers_nothing(one):
    assert ADMIN.covers(one) and ADMIN.exceeds(one) and one.covers(Permissions())
    assert one.admin or not one.covers(ADMIN)


@given(some)
def test_json_says_all_of_it(one):
    assert Permissions.parse(one.to_json()) == one


@given(some, st.sampled_from(RESOURCES))
def test_each_level_contains_those_before(one, resource):
    if one.allows("admin", resource):
        assert one.allows("manage", resource)
    for lower, higher in zip(LEVELS, LEVELS[1:]):
        if one.allows(higher, resource):
            assert one.allows(lower, resource)


@pytest.mark.parametrize("resource", RESOURCES, ids=str)
def test_an_unknown_permission_is_not_allowed(resource):
    everything = Permissions(manage=frozenset("*"), create_key=True, create_user=True)
    assert not everything.allows("everything", resource) and not everything.allows("admin", resource)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "must be an object"),
        ({"reed": ["*"]}, "there is no permission 'reed'; did you mean 'read'?"),
        ({"admin": 1}, "admin must be true or false, not 1"),
        ({"read": "*"}, "read must be a list"),
        ({"read": {"*": 1}}, "read must be a list"),
        ({"read": 5}, "read must be a list"),
        ({"read": ["a.b.c"]}, "job name 'b.c' may hold"),
        ({"read": ["a."]}, "job name must be a non-empty string"),
        ({"write": [".a"]}, "session name must be a non-empty string"),
        ({"manage": [3]}, "session name must be a non-empty string, not 3"),
        ({"manage": ["12"]}, "digits only"),
        ({"read": [f"s{number}" for number in range(101)]}, "may have 100 targets, not 101"),
    ],
)
def test_what_cannot_be_meant_is_refused(data, says):
    with pytest.raises(BadRequest) as caught:
        Permissions.parse(data)
    assert says in str(caught.value)


def test_secrets_are_not_printed():
    assert "secret" not in repr(Credentials("secret", "secret"))
