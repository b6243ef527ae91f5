"""Command lines: split as a shell would, variables put in without being split again."""

import shlex

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gaffer.config.command_template import Template, TemplateVariable, make_template, split

LINES = st.text("ab '\"\\\t\né=", max_size=24)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
VALUES = st.text("ab $'\"\\\n", max_size=8)


def words(line):
    """Return the words of a line that has no variable."""
    return ["".join(word) for word in split(line)]


def expand(cmd, args=(), **env):
    return make_template(cmd, args).expand(env)


@given(LINES)
@example("a'b c'\"d e\"\\ f")
@example('""')
@example("'a\\'b")
@example('"a\\b\\"c\\\\"')
def test_without_a_dollar_words_are_those_of_shlex(line):
    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(ValueError):
            split(line)
    else:
        assert words(line) == expected


def test_a_backslash_before_a_backquote_in_double_quotes_goes_as_in_sh():
    assert words(r'"\`date\`"') == ["`date`"]


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_words_that_shlex_quoted_come_back(originals):
    assert expand(shlex.join(originals)) == originals


@given(st.lists(st.one_of(NAMES.map("${{{}}}".format), NAMES.map("${}".format), st.just("x")), min_size=1), VALUES)
def test_a_value_is_never_split_into_words(parts, value):
    template = make_template(" ".join(parts))
    env = dict.fromkeys(template.variables(), value)
    assert template.expand(env) == ["x" if part == "x" else value for part in parts]


@given(st.lists(st.text(max_size=8), min_size=1), st.dictionaries(NAMES, VALUES))
def test_there_are_as_many_words_as_the_template_has(items, env):
    template = make_template("run", items)
    assume(template.variables() <= env.keys())
    assert len(template.expand(env)) == 1 + len(items)


@pytest.mark.parametrize(
    ("line", "expanded"),
    [
        ("serve $A", ["serve", "1 2"]),
        ("serve ${A}x", ["serve", "1 2x"]),
        ('serve "$A"', ["serve", "1 2"]),
        ("serve '$A'", ["serve", "$A"]),
        (r"serve \$A", ["serve", "$A"]),
        (r'serve "\$A"', ["serve", "$A"]),
        ("serve $$A", ["serve", "$A"]),
        ('serve "$$A"', ["serve", "$A"]),
        ("serve '$$A'", ["serve", "$$A"]),
        ("serve $$$A", ["serve", "$1 2"]),
        ("a$A'b'\"$A\"", ["a1 2b1 2"]),
        ("$A", ["1 2"]),
    ],
)
def test_where_variables_are_put_in(line, expanded):
    assert expand(line, A="1 2") == expanded


@pytest.mark.parametrize("line", ["$", "a$", "$1", "${", "${}", "${A", "$-", '$"A"', "${A B}"])
def test_a_dollar_that_starts_no_variable_stays(line):
    assert make_template(line).variables() == set()


def test_braces_end_a_name():
    assert make_template("${A}B").variables() == {"A"}
    assert make_template("$AB").variables() == {"AB"}


def test_an_empty_value_is_still_a_word():
    assert expand("run $A", A="") == ["run", ""]


def test_a_missing_variable_is_named():
    with pytest.raises(KeyError, match="PORT"):
        expand("serve $PORT")


def test_more_words_of_the_command_come_before_the_arguments():
    assert expand("python -m http.server", ["80", "a b"]) == ["python", "-m", "http.server", "80", "a b"]


def test_arguments_as_text_are_split_like_the_command():
    assert expand("run", "-x 'a b' $A", A="1 2") == ["run", "-x", "a b", "1 2"]


def test_items_of_a_list_stay_whole_and_their_quotes_too():
    assert expand("run", ["'a b'", "$A c"], A="1 2") == ["run", "'a b'", "1 2 c"]


@pytest.mark.parametrize("line", ["", "  ", "\n"])
def test_a_command_needs_a_word(line):
    with pytest.raises(ValueError, match="no command"):
        make_template(line)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("a 'b", "single quote"), ('a "b', "double quote"), ("a \\", "last backslash"), ('"a\\', "double quote")],
)
def test_lines_that_end_too_early_say_what_is_open(line, sentence):
    with pytest.raises(ValueError, match=sentence):
        split(line)


def test_a_command_without_variables_is_ready():
    assert make_template("serve -x").fixed == ("serve", "-x")


def test_a_ready_command_is_a_new_list_each_time():
    template = make_template("serve")
    template.expand({}).append("x")
    assert template.expand({}) == ["serve"]


def test_a_template_knows_its_variables():
    template = make_template("$A '$B' x${C}y$A", ["$D"])
    assert template.variables() == {"A", "C", "D"}
    assert template.fixed is None
    assert template.words[0] == (TemplateVariable("A"),)


def test_a_template_is_a_value():
    assert make_template("a $B") == make_template("a  $B") != make_template("a $C")
    assert isinstance(hash(make_template("a $B")), int) and isinstance(make_template("a"), Template)
