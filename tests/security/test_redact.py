"""What is written down holds no secret that could be recognised."""

from __future__ import annotations

import json
import shlex
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.commands.table import COMMANDS
from gaffer.security.redact import HIDDEN, redact, redact_sentence, redact_text
from gaffer.security.redact_text import hide_flags, hide_pairs
from gaffer.security.secret_names import is_secret

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
    """A user may have typed a password; the argument's name comes from the table of commands."""
    (command,) = [command for command in COMMANDS if command.name == "send"]
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


# -- shapes ------------------------------------------------------------------------------------------


def in_json(value):
    return json.dumps({"a": 1, "password": value, "port": 80}, ensure_ascii=False)


def safe(value):
    return quote(value, safe="")


#: Where a secret may stand, written as it has to be written there; what is around it is no secret.
SHAPES = {
    "option": lambda x: f"serve --db-password {shlex.quote(x)} --port 80",
    "option with =": lambda x: f"serve --api-key={shlex.quote(x)} --port 80",
    "variable": lambda x: f"env PGPASSWORD={shlex.quote(x)} psql -p 5432",
    "variable in a shell's line": lambda x: f"sh -c {shlex.quote(f'MYSQL_PWD={shlex.quote(x)} mysql db')} --port 80",
    "Java": lambda x: f"java -Dpassword={shlex.quote(x)} -Dapi.key={shlex.quote(x)} -jar x.jar",
    "query": lambda x: f"GET http://h/?a=1&access_token={safe(x)}&b=2#top",
    "form": lambda x: f"a=1&password={safe(x)}&b=2",
    "URL": lambda x: f"connect postgres://me:{safe(x)}@host:80/db?a=1",
    "JSON": in_json,
    "JSON of ASCII": lambda x: json.dumps({"token": x, "port": 80}),
    "JSON in JSON": lambda x: json.dumps({"body": in_json(x), "port": 80}),
    "JSON in JSON in JSON": lambda x: json.dumps({"a": json.dumps({"body": in_json(x)}), "port": 80}),
    "JSON in a command": lambda x: f"curl -d {shlex.quote(in_json(x))} http://h/",
    "header in a command": lambda x: f"curl -H {shlex.quote('Authorization: Bearer ' + x)} http://h/",
    "header with a key": lambda x: f"curl -H {shlex.quote('X-Api-Key: ' + x)} http://h/",
    "header on a line": lambda x: f"Authorization: Bearer {safe(x)}\nAccept: */*",
    "cookies": lambda x: f"Cookie: a=b; session={safe(x)}\nAccept: */*",
    "repr": lambda x: repr({"a": 1, "secret": x, "port": 80}),
    "sshpass": lambda x: f"sshpass -p {shlex.quote(x)} ssh -p 22 host",
    "mysql": lambda x: f"mysql -p{shlex.quote(x)} -u me db",
    "curl": lambda x: f"curl -u me:{safe(x)} http://h/",
}
#: ``x`` before it, since a word in the place of a value may begin with what means something there, as ``&`` does.
values = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40).map("x".__add__)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@given(value=values)
def test_a_secret_changes_nothing_of_what_is_shown(shape, value):
    """Whatever the secret is, the text is the same, so nothing of it can be in there."""
    shown = redact_text(shape(value))
    assert shown.replace("'", "").replace('"', "") == redact_text(shape("other")).replace("'", "").replace('"', "")
    assert HIDDEN in shown
    assert redact_text(shown) == shown


@pytest.mark.parametrize(
    "value", ["it's", 'a "b" c', "a b", "100%", "%s", "$(x)", "`x`", "a\\", "a\\'b", "a&b=c", "ä€😀", "***"]
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_awkward_secrets(shape, value):
    text = redact_text(shape("x" + value))
    assert text.replace("'", "").replace('"', "") == redact_text(shape("o")).replace("'", "").replace('"', "")


@pytest.mark.parametrize(
    "text",
    [
        "serve --passive -p 8080 --author me --keyboard us",
        "tokenizer=bert keyboard=us monkey=1 PATH=/usr/bin:/bin compass=1 bypass=no max_tokens=4096",
        "primary_key=id sort-key=name key=1 --keyfile x password_file=/run/secret token-ttl=3",
        '{"name": "default.web", "keys": 3, "author": "me"}',
        "GET http://localhost:5000/jobs?since=3&feed=longpoll",
        "http://h:80/a@b ssh://git@host/x",
        "ssh -p 22 host; mysql -u me -P 3306; curl -o out http://h/",
        "it's a job's passport: 'x' \"y\"",
    ],
)
def test_texts_without_a_secret_stay(text):
    assert redact_text(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_redacting_twice_is_redacting_once(text):
    assert redact_text(redact_text(text)) == redact_text(text)


@pytest.mark.parametrize(
    "data",
    [
        {"cmd": "/usr/bin/sshpass", "args": ["-p", PLANTED, "ssh", "host"]},
        ["sshpass", "-p" + PLANTED, "ssh", "-p", "22"],
        ["curl", "-u", "me:" + PLANTED],
        ["-H", "Authorization: Bearer " + PLANTED + " " + PLANTED],
        {"token": [PLANTED], "pin_password": 47114711},
    ],
)
def test_words_of_commands_are_hidden(data):
    shown = repr(redact(data))
    assert PLANTED not in shown and "47114711" not in shown
    assert ("22" in shown) == ("22" in repr(data))


def test_a_url_that_is_cut_shows_no_password():
    assert PLANTED not in redact_text("x" * 960 + " http://me:" + PLANTED + "y" * 100 + "@host/")


def test_sentences_lose_a_secret_however_it_is_quoted():
    secret = 'it\'s "4711" ä'
    for written in (secret, repr(secret), json.dumps(secret), shlex.quote(secret), quote(secret)):
        assert "4711" not in redact_sentence(f"env: {written} is wrong", {"env": {"A": secret}})


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a",
            "a ",
            "password",
            "password ",
            "password=",
            "password='",
            'password="',
            "password:",
            "'",
            '"',
            "\\",
            "\\'",
        ),
        *(
            '"password": "',
            '\\"password\\": \\"',
            "-password ",
            "--password --password ",
            "sshpass ",
            "sshpass -p ",
            " ",
        ),
        *(
            "'\"'\"'",
            "Authorization: ",
            "'Authorization: ",
            "a://b:",
            "a://b:c@",
            "?token=",
            "token=[{",
            "curl -u ",
            "a.",
        ),
    ],
)
def test_time_grows_with_the_length_only(piece):
    """A megabyte: with the square of the length it would be minutes."""
    text = piece * ((1 << 20) // len(piece))
    hide_pairs(hide_flags(text))


def test_names_of_secrets():
    assert all(
        map(is_secret, ["PGPASSWORD", "accessToken", "X-Api-Key", "AWS_SECRET_ACCESS_KEY", "GAFFERD_LOOKUPD_KEY"])
    )
    assert not any(map(is_secret, ["PATH", "keyboard", "monkey", "tokens", "passive", "TOKEN_FILE", "key", "author"]))
