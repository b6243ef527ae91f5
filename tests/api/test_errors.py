"""Errors: what HTTP answers for them, and their sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gaffer
from gaffer import errors
from gaffer.errors import ConfigError, GafferError, InvalidConfig, MethodNotAllowed, Problem, Veto, nearest

#: docs/http-api.rst; what is not in it is the server's fault.
STATUS = {
    "bad_request": 400,
    "io_not_redirected": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "too_large": 413,
    "uri_too_long": 414,
    "headers_too_large": 431,
    "unsupported_media_type": 415,
    "misdirected": 421,
    "invalid_config": 422,
    "too_many_requests": 429,
    "unavailable": 503,
}
CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, GafferError)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_the_status_of_its_code(error):
    assert error.status == STATUS.get(error.code, 500)


def test_every_code_of_the_contract_has_an_error():
    assert STATUS.keys() <= {error.code for error in CLASSES}


def test_a_veto_is_a_conflict_with_the_plugins_reason():
    error = gaffer.Veto("not on Fridays")
    assert isinstance(error, Veto) and (error.status, str(error)) == (409, "not on Fridays")


def test_a_refused_method_says_which_are_allowed():
    assert MethodNotAllowed("no", allow=iter(["GET", "HEAD"])).allow == ("GET", "HEAD")


def test_invalid_settings_keep_every_sentence():
    error = InvalidConfig(iter(["cmd: required", "uid: no such user"]))
    assert error.problems == ["cmd: required", "uid: no such user"]
    assert str(error) == "cmd: required; uid: no such user"


def test_one_sentence_is_one_problem():
    assert InvalidConfig("cmd: required").problems == ["cmd: required"]


@pytest.mark.parametrize(
    ("file", "line", "text"),
    [("a.ini", 3, "a.ini:3: broken"), ("a.ini", 0, "a.ini: broken"), ("", 3, "line 3: broken"), ("", 0, "broken")],
)
def test_a_problem_says_where_it_is_as_far_as_that_is_known(file, line, text):
    assert str(Problem(file, line, "broken")) == text


def test_problems_of_a_configuration_are_listed_in_the_order_of_the_files():
    error = ConfigError([Problem("b.ini", 1, "x"), Problem("a.ini", 10, "y"), Problem("a.ini", 9, "z")])
    assert str(error) == "a.ini:9: z\na.ini:10: y\nb.ini:1: x"


def test_a_slip_of_the_pen_is_recognised():
    assert nearest("numproceses", ["cmd", "numprocesses"]) == "; did you mean 'numprocesses'?"


def test_nothing_is_proposed_for_what_is_not_alike():
    assert nearest("colour", ["cmd", "numprocesses"]) == ""


@given(st.text(max_size=10), st.lists(st.text(max_size=10)))
def test_only_candidates_are_proposed(word, candidates):
    proposal = nearest(word, candidates)
    assert proposal == "" or any(proposal == f"; did you mean '{one}'?" for one in candidates)
