"""Names of sessions and jobs: one parser, every spelling, nothing that could be a pid or a path."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gaffer.config.names import MAX_NAME, JobName, check_name, clean_name, parse_job_name
from gaffer.errors import BadRequest

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_+-]{0,20}", fullmatch=True).filter(lambda name: not name.isdigit())
SEPARATORS = st.sampled_from(".:/")


@given(NAMES, NAMES, SEPARATORS)
def test_every_spelling_means_the_same_job(session, job, separator):
    assert parse_job_name(f"{session}{separator}{job}") == JobName(session, job)


@given(NAMES)
def test_a_bare_name_means_the_default_session(job):
    assert parse_job_name(job) == JobName("default", job)


@given(NAMES)
def test_a_bare_name_can_be_given_another_session(job):
    assert parse_job_name(job, default="shop") == JobName("shop", job)


@given(NAMES, NAMES)
def test_the_full_form_is_read_back(session, job):
    name = JobName(session, job)
    assert parse_job_name(name.full) == name


@given(st.sampled_from(["default", "shop"]), NAMES)
def test_the_short_form_is_read_back(session, job):
    name = JobName(session, job)
    assert parse_job_name(name.short) == name


def test_the_short_form_leaves_only_the_default_session_out():
    assert str(JobName("default", "web")) == "web"
    assert str(JobName("shop", "web")) == "shop.web"


def test_a_parsed_name_is_passed_through():
    name = JobName("shop", "web")
    assert parse_job_name(name) is name


@given(st.text(max_size=20))
@example("web\n")
@example("é")
def test_any_text_is_a_name_or_a_sentence(text):
    try:
        name = parse_job_name(text)
    except BadRequest as error:
        assert str(error).startswith(("job name", "session name"))
    else:
        assert parse_job_name(name.full) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "web.",
        ".web",
        "a.b.c",
        "a/b/c",
        "../etc",
        "-web",
        "+web",
        "we b",
        "web\n",
        "wéb",
        "12",
        "shop.12",
        "12.web",
    ],
)
def test_names_that_are_refused(text):
    with pytest.raises(BadRequest):
        parse_job_name(text)


@pytest.mark.parametrize("value", [None, 5, b"web", ["web"]])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(BadRequest, match="must be"):
        parse_job_name(value)


def test_a_name_of_digits_only_is_refused_because_pids_look_like_that():
    with pytest.raises(BadRequest, match="that would be a pid"):
        check_name("42")


def test_the_sentence_names_what_was_checked():
    with pytest.raises(BadRequest, match=r"^session name 'a b' may hold letters"):
        check_name("a b", "session name")


def test_the_longest_name():
    assert check_name("a" * MAX_NAME)
    with pytest.raises(BadRequest, match=f"longer than {MAX_NAME}"):
        check_name("a" * (MAX_NAME + 1))


@given(st.text(max_size=200))
@example("1" * 200)
def test_any_folder_gives_a_session_name(text):
    assert check_name(clean_name(text))


@given(NAMES)
def test_a_folder_with_a_good_name_keeps_it(name):
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("folder", "session"),
    [("my app", "my-app"), ("shop.v2", "shop-v2"), (".hidden", "_-hidden"), ("2024", "_2024"), ("", "_")],
)
def test_how_folders_become_names(folder, session):
    assert clean_name(folder) == session
