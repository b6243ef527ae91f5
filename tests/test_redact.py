"""What is written down holds no secret that could be recognised."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.livecommands import LIVE
from gaffer.redact import HIDDEN, redact, redact_sentence, redact_text

PLANTED = "sesame-4711"


@pytest.mark.parametrize(
    "data",
    [
        {"env": {"A": PLANTED}},
        {"config": {"name": "x", "env": {"A": PLANTED, "B": PLANTED}}},
        {"password": PLANTED},
        {"API_KEY": PLANTED, "api-key": PLANTED, "db_password_old": PLANTED, "token": PLANTED},
        {"args": ["--password", PLANTED, "--x-token=" + PLANTED]},
        {"cmd": f"serve --db-password {PLANTED} -v"},
        {"cmd": f"env SECRET={PLANTED} serve"},
        {"cmd": f"serve --token='{PLANTED} more'"},
        {"url": f"postgres://me:{PLANTED}@host/db"},
        {"data": PLANTED, "body": PLANTED.encode()},
        {"lines": PLANTED},
        {"lines": [PLANTED, PLANTED]},
        {"a": [[{"deep": {"er": {"env": {"A": PLANTED}}}}]]},
        {"bytes": PLANTED.encode()},
    ],
)
def test_secrets_are_hidden(data):
    assert PLANTED not in repr(redact(data))


@pytest.mark.parametrize(
    "data",
    [
        {
            "name": "default.web",
            "cmd": "serve --author me --port 80 passport",
            "numprocesses": 3,
            "ok": True,
            "n": None,
        },
        {"url": "http://localhost:5000/jobs", "tokens": 3, "args": ["-v", "--passive", "x"]},
        {"env": {}, "password": None, "graceful_timeout": 1.5},
    ],
)
def test_everything_else_stays(data):
    assert redact(data) == data


def test_what_is_written_to_a_process_is_hidden():
    """Somebody may have typed a password; the argument's name comes from the table of commands."""
    (command,) = [command for command in LIVE if command.name == "send"]
    said = {arg.name: PLANTED for arg in command.args if arg.required and arg.name != "pid"}
    assert said and PLANTED not in repr(redact(said))


def test_names_of_variables_stay():
    assert redact({"env": {"A": PLANTED}}) == {"env": {"A": HIDDEN}}


def test_sentences_lose_what_was_secret_in_what_they_are_about():
    data = {"config": {"env": {"A": PLANTED}}, "password": "abc"}
    assert redact_sentence(f"env: {PLANTED!r} is wrong", data) == f"env: '{HIDDEN}' is wrong"
    assert redact_sentence("abc", data) == "abc"  # too short to be told from a word
    assert PLANTED not in redact_sentence(f"cannot reach http://u:{PLANTED}@h/", {})


def test_it_is_bounded():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    assert len(repr(redact(deep))) < 1000
    assert len(redact_text("x" * 100_000)) < 2000
    assert len(redact({str(number): 1 for number in range(10_000)})) == 100


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)


@given(json_data, st.dictionaries(st.text(max_size=10), st.just(PLANTED), min_size=1, max_size=3))
def test_an_environment_never_shows(data, env):
    assert PLANTED not in repr(redact({"rest": data, "config": {"env": env}}))


@given(st.text(alphabet="pas word=-:/'\"@token.h", max_size=200))
def test_any_text_is_fine(text):
    assert len(redact_text(text)) <= len(text) + 3 * text.count("=") + 3 * text.count(" ") + 3 * text.count(":") + 100


@pytest.mark.parametrize(
    ("piece", "end"), [("-token", '"'), ("token-", " "), ("a+b", "://"), ("a://b:", "@"), ("token=", ""), (" ", "x")]
)
def test_no_text_takes_long(piece, end):
    """Sentences that are made for it took milliseconds each, and a body holds a thousand of them."""
    text = piece * (995 // len(piece)) + end

    def cost(one):
        started = time.process_time()
        for _ in range(20):
            redact_text(one)
        return time.process_time() - started

    plain = cost("serve --password x --port 80 " * 34)
    assert min(cost(text), cost(text)) < 5 * plain + 0.01
